// The one rule for texts that come from a peer: short, and without control characters.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/base/error.h"

namespace runnel::wire {

// kLimit when `text` is longer than `bytes_max`, kMalformed when it holds a control character (below 0x20, or 0x7F), so
// that it can neither break a line of a log nor end early as a C string. It need not be UTF-8. `what` names the field.
Failure check_text(const char* what, std::string_view text, uint32_t bytes_max);

}  // namespace runnel::wire
