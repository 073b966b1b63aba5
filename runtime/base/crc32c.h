// CRC-32C (Castagnoli, as in iSCSI, RFC 3720): guards stored records against torn and flipped bytes, not against
// malice.
#pragma once

#include <cstdint>

#include "runtime/base/bytes.h"

namespace runnel {

// The checksum of `bytes`, or of a longer run when `previous` is the checksum of what came before.
uint32_t crc32c(ByteView bytes, uint32_t previous = 0);

}  // namespace runnel
