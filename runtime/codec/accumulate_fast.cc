#include "runtime/codec/accumulate_fast.h"

#include <cstring>

#include "runtime/base/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/accumulate_fast.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::codec {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// In the upper half of each byte a carry says that a nibble is too large.
bool NibblesWithin(const uint8_t* HWY_RESTRICT codes, size_t bytes, uint32_t highest) {
  const uint64_t low = 0x0F0F0F0F0F0F0F0FULL;
  const uint64_t addend = 0x0101010101010101ULL * (15 - highest);
  uint64_t carries = 0;
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t word;
    std::memcpy(&word, codes + i, sizeof word);
    carries |= ((word & low) + addend) | ((word >> 4 & low) + addend);
  }
  for (; i < bytes; ++i) carries |= ((codes[i] & 15U) + (addend & 255)) | ((codes[i] >> 4) + (addend & 255));
  return (carries & 0xF0F0F0F0F0F0F0F0ULL) == 0;
}

#if HWY_MAX_BYTES >= 32

using Floats = hn::FixedTag<float, 8>;
using Words = hn::FixedTag<uint32_t, 8>;

using V = hn::Vec<Words>;
using F = hn::Vec<Floats>;

// Sixteen entries in two registers: the low three bits of `index` say where, the sign of `side` in which of them.
HWY_INLINE F LookUp(F low, F high, V index, V side) {
  const Floats d;
  const Words du;
  const auto within = hn::IndicesFromVec(d, hn::And(index, hn::Set(du, 7)));
  return hn::IfNegativeThenElse(hn::BitCast(d, side), hn::TableLookupLanes(high, within),
                                hn::TableLookupLanes(low, within));
}

template <bool kAdd, int kField>
HWY_INLINE void TakeField(F low, F high, V word, float* HWY_RESTRICT out) {
  const Floats d;
  auto value = LookUp(low, high, hn::ShiftRight<4 * kField>(word), hn::ShiftLeft<28 - 4 * kField>(word));
  if (kAdd) value = hn::Add(hn::LoadU(d, out + 8 * kField), value);
  hn::StoreU(value, d, out + 8 * kField);
}

template <bool kAdd>
void TakeNibbles(const uint8_t* HWY_RESTRICT codes, const float* HWY_RESTRICT tables, size_t table_count,
                 float* HWY_RESTRICT out, size_t count) {
  const Floats d;
  const Words du;
  const hn::FixedTag<uint8_t, 32> d8;
  for (size_t begin = 0; begin < count; begin += table_count, tables += 16) {
    const auto low = hn::LoadU(d, tables);
    const auto high = hn::LoadU(d, tables + 8);
    const size_t end = begin + table_count < count ? begin + table_count : count;
    for (size_t i = begin; i < end; i += 64) {
      const auto word = hn::BitCast(du, hn::LoadU(d8, codes + i / 2));
      hwy::Prefetch(codes + i / 2 + 1024);
      TakeField<kAdd, 0>(low, high, word, out + i);
      TakeField<kAdd, 1>(low, high, word, out + i);
      TakeField<kAdd, 2>(low, high, word, out + i);
      TakeField<kAdd, 3>(low, high, word, out + i);
      TakeField<kAdd, 4>(low, high, word, out + i);
      TakeField<kAdd, 5>(low, high, word, out + i);
      TakeField<kAdd, 6>(low, high, word, out + i);
      TakeField<kAdd, 7>(low, high, word, out + i);
    }
  }
}

HWY_INLINE F LookUpBytes(F low, F high, const uint8_t* symbols) {
  const auto index = hn::PromoteTo(Words(), hn::LoadU(hn::FixedTag<uint8_t, 8>(), symbols));
  return LookUp(low, high, index, hn::ShiftLeft<28>(index));
}

void AddBytes(const uint8_t* HWY_RESTRICT symbols, const float* HWY_RESTRICT table, float* HWY_RESTRICT acc,
              size_t count) {
  const Floats d;
  const auto low = hn::LoadU(d, table);
  const auto high = hn::LoadU(d, table + 8);
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    hn::StoreU(hn::Add(hn::LoadU(d, acc + i), LookUpBytes(low, high, symbols + i)), d, acc + i);
  for (; i < count; ++i) acc[i] += table[symbols[i]];
}

void LookUpAll(const uint8_t* HWY_RESTRICT symbols, const float* HWY_RESTRICT table, float* HWY_RESTRICT values,
               size_t count) {
  const Floats d;
  const auto low = hn::LoadU(d, table);
  const auto high = hn::LoadU(d, table + 8);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) hn::StoreU(LookUpBytes(low, high, symbols + i), d, values + i);
  for (; i < count; ++i) values[i] = table[symbols[i]];
}

#else  // vectors too narrow for sixteen-entry tables in registers: the table stays in the nearest cache

template <bool kAdd>
void TakeNibbles(const uint8_t* HWY_RESTRICT codes, const float* HWY_RESTRICT tables, size_t table_count,
                 float* HWY_RESTRICT out, size_t count) {
  for (size_t i = 0; i < count; i += 64) {
    const float* const table = tables + 16 * (i / table_count);
    for (size_t j = 0; j < 8; ++j) {
      uint32_t word;
      std::memcpy(&word, codes + i / 2 + 4 * j, sizeof word);
      for (size_t k = 0; k < 8; ++k) {
        const float value = table[word >> (4 * k) & 15];
        out[i + 8 * k + j] = kAdd ? out[i + 8 * k + j] + value : value;
      }
    }
  }
}

void AddBytes(const uint8_t* HWY_RESTRICT symbols, const float* HWY_RESTRICT table, float* HWY_RESTRICT acc,
              size_t count) {
  for (size_t i = 0; i < count; ++i) acc[i] += table[symbols[i]];
}

void LookUpAll(const uint8_t* HWY_RESTRICT symbols, const float* HWY_RESTRICT table, float* HWY_RESTRICT values,
               size_t count) {
  for (size_t i = 0; i < count; ++i) values[i] = table[symbols[i]];
}

#endif

void AddNibbles(const uint8_t* codes, const float* tables, size_t table_count, float* acc, size_t count) {
  TakeNibbles<true>(codes, tables, table_count, acc, count);
}

void LookUpNibbles(const uint8_t* codes, const float* tables, size_t table_count, float* values, size_t count) {
  TakeNibbles<false>(codes, tables, table_count, values, count);
}

}  // namespace HWY_NAMESPACE
}  // namespace runnel::codec
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {
namespace {
HWY_EXPORT(NibblesWithin);
HWY_EXPORT(AddNibbles);
HWY_EXPORT(LookUpNibbles);
HWY_EXPORT(AddBytes);
HWY_EXPORT(LookUpAll);
}  // namespace

bool nibbles_within_fast(std::span<const uint8_t> codes, uint32_t highest) {
  return HWY_DYNAMIC_DISPATCH(NibblesWithin)(codes.data(), codes.size(), highest);
}

void add_nibbles_fast(const uint8_t* codes, const float* tables, size_t table_count, std::span<float> acc) {
  HWY_DYNAMIC_DISPATCH(AddNibbles)(codes, tables, table_count, acc.data(), acc.size());
}

void look_up_nibbles_fast(const uint8_t* codes, const float* tables, size_t table_count, std::span<float> values) {
  HWY_DYNAMIC_DISPATCH(LookUpNibbles)(codes, tables, table_count, values.data(), values.size());
}

void add_bytes_fast(const uint8_t* symbols, const float* table, std::span<float> acc) {
  HWY_DYNAMIC_DISPATCH(AddBytes)(symbols, table, acc.data(), acc.size());
}

void look_up_bytes_fast(const uint8_t* symbols, const float* table, std::span<float> values) {
  HWY_DYNAMIC_DISPATCH(LookUpAll)(symbols, table, values.data(), values.size());
}

}  // namespace runnel::codec
#endif
