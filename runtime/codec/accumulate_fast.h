// The vector forms of accumulate.cc: the same bits. Called from there only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace runnel::codec {

// True if each nibble is at most `highest`.
bool nibbles_within_fast(std::span<const uint8_t> codes, uint32_t highest);

// acc[i] += table[code of i], for groups of 64 nibbles as fixed_width.h lays them out. There is a table of 16 for every
// `table_count` values. REQUIRES: acc.size() and table_count are multiples of 64.
void add_nibbles_fast(const uint8_t* codes, const float* tables, size_t table_count, std::span<float> acc);
// values[i] = table[code of i].
void look_up_nibbles_fast(const uint8_t* codes, const float* tables, size_t table_count, std::span<float> values);

// The same for symbols of a byte each, below 16.
void add_bytes_fast(const uint8_t* symbols, const float* table, std::span<float> acc);
// values[i] = table[symbols[i]].
void look_up_bytes_fast(const uint8_t* symbols, const float* table, std::span<float> values);

}  // namespace runnel::codec
