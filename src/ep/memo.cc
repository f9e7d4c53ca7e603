#include "ep/memo.h"

#include <cstring>

namespace daybreak {
namespace {

constexpr size_t kMostBytes = 64;
constexpr int kMostMisses = 4;  // in a row
constexpr int kRest = 64;       // runs

}  // namespace

bool Memo::Value::Is(const Tensor* given) const {
  if ((given != nullptr) != present) return false;
  if (!present) return true;
  return given->type == tensor.type && given->shape == tensor.shape &&
         given->device.address == tensor.device.address &&
         (given->host != nullptr) == (tensor.host != nullptr) &&
         (given->host == nullptr || std::memcmp(given->host, bytes.data(), bytes.size()) == 0);
}

bool Memo::Worthwhile() {
  if (rest_ > 0) {
    --rest_;
    return false;
  }
  if (misses_ < kMostMisses) return true;
  misses_ = 0;
  rest_ = kRest;
  return false;
}

void Memo::Begin() {
  known_ = spoiled_ = false;
  ++misses_;
  in_.clear();
  made_.clear();
  issued_.Clear();
}

void Memo::AddIn(size_t index, const Tensor* tensor) {
  Value& value = in_.emplace_back();
  value.index = index;
  value.present = tensor != nullptr;
  if (tensor == nullptr) return;
  value.tensor = *tensor;
  if (tensor->host == nullptr) return;
  if (tensor->bytes() > kMostBytes) return Spoil();
  const auto* first = static_cast<const uint8_t*>(tensor->host);
  value.bytes.assign(first, first + tensor->bytes());
}

void Memo::AddMade(bool scratch, size_t index, const Tensor& tensor) {
  if (tensor.host_out != nullptr) Spoil();
  made_.push_back({scratch, index, true, tensor, {}});
}

}  // namespace daybreak
