// crc32c() byte by byte, for every machine: what the fast one is compared with. Internal to this room and its tests.
#pragma once

#include <cstdint>

#include "runtime/base/bytes.h"

namespace runnel {

uint32_t crc32c_plain(ByteView bytes, uint32_t previous = 0);

}  // namespace runnel
