// What the device's memory is used for, as a file.
#pragma once

#include "ep/session.h"

namespace daybreak {

// Writes the option memoryFile anew; nothing where it is empty.
void WriteMemoryFile(const Session& session);

}  // namespace daybreak
