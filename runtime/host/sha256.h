// SHA-256 (FIPS 180-4) as text: how people compare two files.
#pragma once

#include <string>

#include "runtime/base/bytes.h"

namespace runnel::host {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(ByteView bytes);

}  // namespace runnel::host
