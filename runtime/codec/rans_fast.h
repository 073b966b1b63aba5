// The vector forms of rans.cc, for 32 states and at most 16 symbols: the same bits. Called from there only.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/codec/rans.h"

namespace runnel::codec {

// Whole rows of 32 symbols, the last first. Returns the lowest byte written. REQUIRES: 2 bytes of room below `next` for
// each symbol, and 32 more.
uint8_t* rans_encode_fast(const RansTable& table, std::span<const uint8_t> symbols, uint32_t* states, uint8_t* next);

// The same for symbols in groups of 64 nibbles, as fixed_width.h lays them out, that are counted from `first_code`.
uint8_t* rans_encode_groups_fast(const RansTable& table, uint32_t first_code, ByteView groups, uint32_t* states,
                                 uint8_t* next);

// Whole rows of 32 symbols. Returns the first byte not used. REQUIRES: 64 readable bytes for each row, and 32 more.
const uint8_t* rans_decode_fast(const RansTable& table, uint32_t* states, const uint8_t* next,
                                std::span<uint8_t> symbols);

// Rows of values instead of symbols: tables of 16 values follow each other, each for as many rows.
struct RansRows {
  const float* tables;
  size_t rows_in_first_table;  // what is left of it; at least 1
  size_t rows_in_table;
  size_t count;  // rows
  float* out;
  bool add;  // onto what is there
};
// Requires what rans_decode_fast does.
const uint8_t* rans_decode_values_fast(const RansTable& table, uint32_t* states, const uint8_t* next,
                                       const RansRows& rows);

}  // namespace runnel::codec
