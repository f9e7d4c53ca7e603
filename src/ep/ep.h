// The execution provider of one session.
#pragma once

#include "ep/session.h"

namespace daybreak {

// `registry` outlives the EP; it belongs to the factory. Throws when the options or the device are not
// usable.
OrtEp* MakeEp(std::unique_ptr<Session> session, const OrtKernelRegistry* registry);

// Deletes what MakeEp made.
void DeleteEp(OrtEp* ep) noexcept;

}  // namespace daybreak
