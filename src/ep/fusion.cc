#include "ep/fusion.h"

namespace daybreak {

void Fusion::AddIn(Value v, ValueInfo info) {
  info.present = v != nullptr;
  in.push_back(NameOf(v));
  in_info.push_back(std::move(info));
}

void Fusion::AddOut(Value v) {
  out.push_back(NameOf(v));
  out_types.push_back(TypeOf(v));
}

}  // namespace daybreak
