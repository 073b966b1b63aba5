#include "runtime/wire/check_text.h"

namespace runnel::wire {

Failure check_text(const char* what, std::string_view text, uint32_t bytes_max) {
  if (text.size() > bytes_max) {
    return fail(Error::kLimit, "%s is %zu bytes long, the limit is %u", what, text.size(), bytes_max);
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) return fail(Error::kMalformed, "%s holds a control character", what);
  }
  return Error::kOk;
}

}  // namespace runnel::wire
