// A shader's text with its directives carried out.
#pragma once

#include <string>

#include "core/dispatch.h"

namespace daybreak {

// The text of `dispatch.shader` without comments. Directives stand on lines of their own:
//   #include "lib/NAME.wgsl"            the file's text, once
//   #if NAME, #if !NAME, #else, #endif  lines for a bool constant of the dispatch that is true, or false
//   #for i NAME, #endfor                lines repeated for $i = 0 to NAME - 1: i is a letter, NAME a u32
//   constant or
//                                       a number
// Errors name the shader and the unknown name.
std::string Expand(const Dispatch& dispatch);

}  // namespace daybreak
