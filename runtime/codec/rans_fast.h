// The vector forms of rans.cc, for 32 states and at most 16 symbols: the same bits. Called from there only.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/codec/rans.h"

namespace runnel::codec {

// Whole rows of 32 symbols, the last first. Returns the lowest byte written. REQUIRES: 2 bytes of room below `next` for
// each symbol, and 32 more.
uint8_t* rans_encode_fast(const RansTable& table, std::span<const uint8_t> symbols, uint32_t* states, uint8_t* next);

// Whole rows of 32 symbols. Returns the first byte not used. REQUIRES: 64 readable bytes for each row, and 32 more.
const uint8_t* rans_decode_fast(const RansTable& table, uint32_t* states, const uint8_t* next,
                                std::span<uint8_t> symbols);

}  // namespace runnel::codec
