// Results of tuning on their way between files and sessions (`daybreak tune` is on the other side).
#pragma once

#include "ep/session.h"

namespace daybreak {

// Keeps the file that the option storeTuning names, and reads what is kept for the device into the session
// (unless the option enableTuning is 0).
void LoadTuning(Session& session);

// Writes the option tuningFile anew; nothing where it is empty.
void WriteTuningFile(const Session& session);

}  // namespace daybreak
