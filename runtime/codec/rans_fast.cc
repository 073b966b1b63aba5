#include "runtime/codec/rans_fast.h"

#include <array>
#include <bit>

#include "runtime/base/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/rans_fast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef RUNNEL_CODEC_RANS_FAST_ONCE
#define RUNNEL_CODEC_RANS_FAST_ONCE
namespace runnel::codec {
namespace {

// What one row of a table, for the set of lanes that are its index, does to eight lanes.
using LaneTable = std::array<std::array<uint32_t, 8>, 256>;

// Moves the lanes of the set to the top, in order.
alignas(32) constexpr LaneTable kToTop = [] {
  LaneTable table{};
  for (unsigned set = 0; set < 256; ++set) {
    unsigned at = 8 - static_cast<unsigned>(std::popcount(set));
    for (unsigned lane = 0; lane < 8; ++lane) {
      if ((set >> lane & 1) != 0) table[set][at++] = lane;
    }
  }
  return table;
}();

// Gives the lanes of the set the words 0, 1, ... in order.
alignas(32) constexpr LaneTable kSpread = [] {
  LaneTable table{};
  for (unsigned set = 0; set < 256; ++set) {
    uint32_t word = 0;
    for (unsigned lane = 0; lane < 8; ++lane) {
      if ((set >> lane & 1) != 0) table[set][lane] = word++;
    }
  }
  return table;
}();

}  // namespace
}  // namespace runnel::codec
#endif

HWY_BEFORE_NAMESPACE();
namespace runnel::codec {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_MAX_BYTES >= 32

// Vectors of eight lanes exactly: a row of 32 states is four of them on every machine that is wide enough.
using Words = hn::FixedTag<uint32_t, 8>;
using Ints = hn::FixedTag<int32_t, 8>;
using Floats = hn::FixedTag<float, 8>;
using Halves = hn::FixedTag<uint16_t, 8>;
using Bytes = hn::FixedTag<uint8_t, 8>;
using V = hn::Vec<Words>;

template <class M>
HWY_INLINE unsigned BitsOf(M mask) {
  uint8_t bits[8] = {};
  hn::StoreMaskBits(Words(), mask, bits);
  return bits[0];
}

template <bool kFew, class D>
HWY_INLINE hn::Vec<D> Lookup(D d, hn::Vec<D> low, hn::Vec<D> high, V index) {
  const Words du;
  const auto within = hn::IndicesFromVec(d, hn::And(index, hn::Set(du, 7)));
  const auto from_low = hn::TableLookupLanes(low, within);
  if (kFew) return from_low;
  const auto from_high = hn::TableLookupLanes(high, within);
  return hn::IfThenElse(hn::RebindMask(d, hn::Gt(index, hn::Set(du, 7))), from_high, from_low);
}

// The constants of a table in registers, and one step of eight states with them.
template <bool kFew>
struct Encoder {
  explicit HWY_INLINE Encoder(const RansTable& table) {
    const Words du;
    const Floats df;
    alignas(32) uint32_t packed[16] = {};  // the frequency above the start
    alignas(32) float inverse[16] = {};
    for (uint32_t k = 0; k < table.symbols; ++k) {
      packed[k] = uint32_t{table.frequency[k]} << 16 | table.start[k];
      // A little too small on purpose, so that a quotient is right or one too small, never too large: the error stays
      // below 0.22 for quotients below 2^19.
      inverse[k] = table.frequency[k] == 0 ? 0.0F : (1.0F - 0x1.0p-22F) / static_cast<float>(table.frequency[k]);
    }
    packed_low = hn::Load(du, packed);
    packed_high = hn::Load(du, packed + 8);
    inverse_low = hn::Load(df, inverse);
    inverse_high = hn::Load(df, inverse + 8);
  }

  HWY_INLINE void put(V& state, V index, uint8_t*& next) const {
    const Words du;
    const Ints di;
    const Floats df;
    const Halves dh;
    const auto entry = Lookup<kFew>(du, packed_low, packed_high, index);
    const auto inverted = Lookup<kFew>(df, inverse_low, inverse_high, index);
    const auto frequency = hn::BitCast(di, hn::ShiftRight<16>(entry));
    const auto low_half = hn::Set(du, 0xFFFF);
    const auto start = hn::BitCast(di, hn::And(entry, low_half));
    // The limit may be 2^31, one less is in the range of signed comparisons.
    const auto limit = hn::Sub(hn::ShiftLeft<19>(frequency), hn::Set(di, 1));
    const auto full = hn::Gt(hn::BitCast(di, state), limit);
    const unsigned set = BitsOf(hn::RebindMask(du, full));
    const auto order = hn::IndicesFromVec(du, hn::Load(du, kToTop[set].data()));
    const auto words = hn::TableLookupLanes(hn::And(state, low_half), order);
    hn::StoreU(hn::DemoteTo(dh, hn::BitCast(di, words)), dh, reinterpret_cast<uint16_t*>(next - 16));
    next -= 2 * std::popcount(set);
    const auto x = hn::BitCast(di, hn::IfThenElse(hn::RebindMask(du, full), hn::ShiftRight<16>(state), state));
    const auto quotient = hn::ConvertTo(di, hn::Mul(hn::ConvertTo(df, x), inverted));
    // x + q (4096 - f) + c is what the formula comes to; a quotient one too small lacks one 4096 - f.
    const auto complement = hn::Sub(hn::Set(di, static_cast<int32_t>(kRansTotal)), frequency);
    const auto rest = hn::Sub(x, hn::Mul(quotient, frequency));
    const auto missed = hn::VecFromMask(di, hn::Gt(frequency, rest));  // where nothing is missed
    const auto one_more = hn::AndNot(missed, complement);
    const auto base = hn::Add(hn::ShiftLeft<kRansBits>(quotient), hn::Add(rest, start));
    state = hn::BitCast(du, hn::Add(base, one_more));
  }

  V packed_low;
  V packed_high;
  hn::Vec<Floats> inverse_low;
  hn::Vec<Floats> inverse_high;
};

template <bool kFew>
uint8_t* EncodeRows(const RansTable& table, const uint8_t* HWY_RESTRICT symbols, size_t count,
                    uint32_t* HWY_RESTRICT states, uint8_t* next) {
  const Words du;
  const Bytes db;
  const Encoder<kFew> encoder(table);
  auto s0 = hn::Load(du, states);
  auto s1 = hn::Load(du, states + 8);
  auto s2 = hn::Load(du, states + 16);
  auto s3 = hn::Load(du, states + 24);
  for (size_t left = count; left > 0; left -= kRansStatesMax) {
    const uint8_t* row = symbols + left - kRansStatesMax;
    encoder.put(s3, hn::PromoteTo(du, hn::LoadU(db, row + 24)), next);
    encoder.put(s2, hn::PromoteTo(du, hn::LoadU(db, row + 16)), next);
    encoder.put(s1, hn::PromoteTo(du, hn::LoadU(db, row + 8)), next);
    encoder.put(s0, hn::PromoteTo(du, hn::LoadU(db, row)), next);
  }
  hn::Store(s0, du, states);
  hn::Store(s1, du, states + 8);
  hn::Store(s2, du, states + 16);
  hn::Store(s3, du, states + 24);
  return next;
}

// A group is two rows already in the shape of states: field k of its eight words are symbols 8k .. 8k + 7.
template <bool kFew>
uint8_t* EncodeGroupsOf(const RansTable& table, uint32_t first_code, const uint8_t* HWY_RESTRICT groups, size_t bytes,
                        uint32_t* HWY_RESTRICT states, uint8_t* next) {
  const Words du;
  const hn::FixedTag<uint8_t, 32> d8;
  const Encoder<kFew> encoder(table);
  const auto first = hn::Set(du, first_code * 0x11111111U);
  const auto nibble = hn::Set(du, 15);
  auto s0 = hn::Load(du, states);
  auto s1 = hn::Load(du, states + 8);
  auto s2 = hn::Load(du, states + 16);
  auto s3 = hn::Load(du, states + 24);
  for (size_t left = bytes; left > 0; left -= 32) {
    // No field borrows from the next: none is below the first.
    const auto words = hn::Sub(hn::BitCast(du, hn::LoadU(d8, groups + left - 32)), first);
    encoder.put(s3, hn::ShiftRight<28>(words), next);
    encoder.put(s2, hn::And(hn::ShiftRight<24>(words), nibble), next);
    encoder.put(s1, hn::And(hn::ShiftRight<20>(words), nibble), next);
    encoder.put(s0, hn::And(hn::ShiftRight<16>(words), nibble), next);
    encoder.put(s3, hn::And(hn::ShiftRight<12>(words), nibble), next);
    encoder.put(s2, hn::And(hn::ShiftRight<8>(words), nibble), next);
    encoder.put(s1, hn::And(hn::ShiftRight<4>(words), nibble), next);
    encoder.put(s0, hn::And(words, nibble), next);
  }
  hn::Store(s0, du, states);
  hn::Store(s1, du, states + 8);
  hn::Store(s2, du, states + 16);
  hn::Store(s3, du, states + 24);
  return next;
}

uint8_t* Encode(const RansTable& table, std::span<const uint8_t> symbols, uint32_t* states, uint8_t* next) {
  if (table.symbols <= 8) return EncodeRows<true>(table, symbols.data(), symbols.size(), states, next);
  return EncodeRows<false>(table, symbols.data(), symbols.size(), states, next);
}

uint8_t* EncodeGroups(const RansTable& table, uint32_t first_code, ByteView groups, uint32_t* states, uint8_t* next) {
  if (table.symbols <= 8) {
    return EncodeGroupsOf<true>(table, first_code, groups.data(), groups.size(), states, next);
  }
  return EncodeGroupsOf<false>(table, first_code, groups.data(), groups.size(), states, next);
}

// How many of the thresholds first .. last lie below each slot, negative, in both bytes of a lane; as a tree, because
// the next row waits for it.
template <size_t kFirst, size_t kLast, class D, class V16>
HWY_INLINE hn::Vec<hn::Repartition<uint8_t, D>> MinusBelow(D di16, V16 slot, const V16* HWY_RESTRICT last_below) {
  if constexpr (kFirst == kLast) {
    const hn::Repartition<uint8_t, D> d8;
    return hn::BitCast(d8, hn::VecFromMask(di16, hn::Gt(slot, last_below[kFirst])));
  } else {
    constexpr size_t kMiddle = (kFirst + kLast) / 2;
    return hn::Add(MinusBelow<kFirst, kMiddle>(di16, slot, last_below),
                   MinusBelow<kMiddle + 1, kLast>(di16, slot, last_below));
  }
}

// use(row, even, odd): the symbols of a row. The low byte of each half of `even` is one: lane l has that of state l in
// its low half and of state 16 + l in its high half; `odd` has those of the states 8 + l and 24 + l.
template <size_t kThresholds, class Use>
HWY_INLINE const uint8_t* DecodeRows(const RansTable& table, uint32_t* HWY_RESTRICT states, const uint8_t* next,
                                     size_t rows, Use&& use) {
  constexpr bool kFew = kThresholds <= 7;
  const Words du;
  const Ints di;
  const Halves dh;
  const hn::FixedTag<uint16_t, 16> d16;
  const hn::FixedTag<int16_t, 16> di16;
  const hn::FixedTag<uint8_t, 32> d8;
  // Sixteen bits a symbol: with few symbols the low bytes and behind them the high bytes, else in two tables.
  alignas(32) uint8_t frequency_low[16] = {};
  alignas(32) uint8_t frequency_high[16] = {};
  alignas(32) uint8_t start_low[16] = {};
  alignas(32) uint8_t start_high[16] = {};
  hn::Vec<decltype(di16)> last_below[kThresholds];
  for (size_t k = 0; k < kThresholds; ++k) {
    const int start = k + 1 < table.symbols ? table.start[k + 1] : 0x7FFF;
    last_below[k] = hn::Set(di16, static_cast<int16_t>(start - 1));
  }
  for (uint32_t k = 0; k < table.symbols && k <= kThresholds; ++k) {
    frequency_low[k] = static_cast<uint8_t>(table.frequency[k]);
    start_low[k] = static_cast<uint8_t>(table.start[k]);
    (kFew ? frequency_low[k + 8] : frequency_high[k]) = static_cast<uint8_t>(table.frequency[k] >> 8);
    (kFew ? start_low[k + 8] : start_high[k]) = static_cast<uint8_t>(table.start[k] >> 8);
  }
  const auto f_low = hn::LoadDup128(d8, frequency_low);
  const auto f_high = hn::LoadDup128(d8, frequency_high);
  const auto c_low = hn::LoadDup128(d8, start_low);
  const auto c_high = hn::LoadDup128(d8, start_high);
  const auto slots = hn::Set(du, kRansTotal - 1);
  const auto low_half = hn::Set(du, 0xFFFF);
  const auto low = hn::Set(di, static_cast<int32_t>(kRansLow));
  // What counts are taken from: bytes with their highest bit set look up zero.
  const auto low_bytes = hn::BitCast(d8, hn::Set(d16, static_cast<uint16_t>(kFew ? 0x0800 : 0x8F00)));
  const auto high_bytes = hn::BitCast(d8, hn::Set(d16, 0x008F));

  const auto refill = [&](V & state) HWY_ATTR __attribute__((always_inline)) {
    const auto empty = hn::Lt(hn::BitCast(di, state), low);
    const unsigned set = BitsOf(hn::RebindMask(du, empty));
    const auto order = hn::IndicesFromVec(du, hn::Load(du, kSpread[set].data()));
    const auto words = hn::PromoteTo(du, hn::LoadU(dh, reinterpret_cast<const uint16_t*>(next)));
    const auto filled = hn::Or(hn::ShiftLeft<16>(state), hn::TableLookupLanes(words, order));
    state = hn::IfThenElse(hn::RebindMask(du, empty), filled, state);
    next += 2 * std::popcount(set);
  };
  // One step of two vectors without their refill; a symbol in each half of the words returned.
  const auto decode = [&](V & a, V & b) HWY_ATTR __attribute__((always_inline)) {
    const auto slot = hn::BitCast(di16, hn::Or(hn::And(a, slots), hn::ShiftLeft<16>(hn::And(b, slots))));
    const auto minus_symbol = MinusBelow<0, kThresholds - 1>(di16, slot, last_below);
    const auto index = hn::Sub(low_bytes, minus_symbol);
    auto f = hn::TableLookupBytesOr0(f_low, index);
    auto c = hn::TableLookupBytesOr0(c_low, index);
    if (!kFew) {
      const auto high_index = hn::Sub(high_bytes, minus_symbol);
      f = hn::Or(f, hn::TableLookupBytesOr0(f_high, high_index));
      c = hn::Or(c, hn::TableLookupBytesOr0(c_high, high_index));
    }
    const auto frequency = hn::BitCast(du, f);
    const auto offset = hn::BitCast(du, hn::Sub(hn::BitCast(d16, slot), hn::BitCast(d16, c)));
    a = hn::Add(hn::Mul(hn::ShiftRight<kRansBits>(a), hn::And(frequency, low_half)), hn::And(offset, low_half));
    b = hn::Add(hn::Mul(hn::ShiftRight<kRansBits>(b), hn::ShiftRight<16>(frequency)), hn::ShiftRight<16>(offset));
    return hn::BitCast(du, index);
  };

  auto s0 = hn::Load(du, states);
  auto s1 = hn::Load(du, states + 8);
  auto s2 = hn::Load(du, states + 16);
  auto s3 = hn::Load(du, states + 24);
  for (size_t row = 0; row < rows; ++row) {
    const auto even = decode(s0, s2);
    const auto odd = decode(s1, s3);
    refill(s0);
    refill(s1);
    refill(s2);
    refill(s3);
    use(row, even, odd);
  }
  hn::Store(s0, du, states);
  hn::Store(s1, du, states + 8);
  hn::Store(s2, du, states + 16);
  hn::Store(s3, du, states + 24);
  return next;
}

template <size_t kThresholds>
const uint8_t* DecodeSymbols(const RansTable& table, uint32_t* states, const uint8_t* next,
                             std::span<uint8_t> symbols) {
  const Words du;
  const hn::FixedTag<uint8_t, 32> d8;
  alignas(16) static constexpr uint8_t kColumns[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  alignas(32) static constexpr uint32_t kHalvesTogether[8] = {0, 4, 1, 5, 2, 6, 3, 7};
  const auto columns = hn::LoadDup128(d8, kColumns);
  const auto together = hn::SetTableIndices(du, kHalvesTogether);
  const auto low_bytes = hn::Set(du, 0x00FF00FF);
  uint8_t* const out = symbols.data();
  return DecodeRows<kThresholds>(
      table, states, next,
      symbols.size() / kRansStatesMax, [&](size_t row, V even, V odd) HWY_ATTR __attribute__((always_inline)) {
        const auto mixed = hn::BitCast(d8, hn::Or(hn::And(even, low_bytes), hn::ShiftLeft<8>(hn::And(odd, low_bytes))));
        const auto sorted = hn::BitCast(du, hn::TableLookupBytes(mixed, columns));
        hn::StoreU(hn::BitCast(d8, hn::TableLookupLanes(sorted, together)), d8, out + kRansStatesMax * row);
      });
}

template <size_t kThresholds, bool kAdd>
const uint8_t* DecodeValues(const RansTable& table, uint32_t* states, const uint8_t* next, const RansRows& rows) {
  const Words du;
  const Floats df;
  float* HWY_RESTRICT out = rows.out;
  const float* HWY_RESTRICT values = rows.tables;
  size_t left = rows.rows_in_first_table;
  auto low = hn::LoadU(df, values);
  auto high = hn::LoadU(df, values + 8);
  return DecodeRows<kThresholds>(
      table, states, next, rows.count, [&](size_t, V even, V odd) HWY_ATTR __attribute__((always_inline)) {
        if (left == 0) {
          values += kRansFewSymbols;
          left = rows.rows_in_table;
          low = hn::LoadU(df, values);
          high = hn::LoadU(df, values + 8);
        }
        --left;
        const auto put = [&](V index, float* to) HWY_ATTR __attribute__((always_inline)) {
          auto value = Lookup<(kThresholds <= 7)>(df, low, high, index);
          if (kAdd) value = hn::Add(hn::LoadU(df, to), value);
          hn::StoreU(value, df, to);
        };
        const auto byte = hn::Set(du, 0xFF);
        put(hn::And(even, byte), out);
        put(hn::And(odd, byte), out + 8);
        put(hn::And(hn::ShiftRight<16>(even), byte), out + 16);
        put(hn::And(hn::ShiftRight<16>(odd), byte), out + 24);
        out += kRansStatesMax;
      });
}

const uint8_t* Decode(const RansTable& table, uint32_t* states, const uint8_t* next, std::span<uint8_t> symbols) {
  if (table.symbols <= 4) return DecodeSymbols<3>(table, states, next, symbols);
  if (table.symbols <= 6) return DecodeSymbols<5>(table, states, next, symbols);
  if (table.symbols <= 8) return DecodeSymbols<7>(table, states, next, symbols);
  if (table.symbols <= 12) return DecodeSymbols<11>(table, states, next, symbols);
  return DecodeSymbols<15>(table, states, next, symbols);
}

template <bool kAdd>
const uint8_t* DecodeValuesOf(const RansTable& table, uint32_t* states, const uint8_t* next, const RansRows& rows) {
  if (table.symbols <= 4) return DecodeValues<3, kAdd>(table, states, next, rows);
  if (table.symbols <= 6) return DecodeValues<5, kAdd>(table, states, next, rows);
  if (table.symbols <= 8) return DecodeValues<7, kAdd>(table, states, next, rows);
  if (table.symbols <= 12) return DecodeValues<11, kAdd>(table, states, next, rows);
  return DecodeValues<15, kAdd>(table, states, next, rows);
}

const uint8_t* DecodeRowsOfValues(const RansTable& table, uint32_t* states, const uint8_t* next, const RansRows& rows) {
  return rows.add ? DecodeValuesOf<true>(table, states, next, rows) : DecodeValuesOf<false>(table, states, next, rows);
}

#else  // vectors too narrow for sixteen-entry tables in registers

uint8_t* Encode(const RansTable& table, std::span<const uint8_t> symbols, uint32_t* states, uint8_t* next) {
  for (size_t left = symbols.size(); left > 0; --left) {
    const uint8_t symbol = symbols[left - 1];
    const uint32_t frequency = table.frequency[symbol];
    uint32_t x = states[(left - 1) % kRansStatesMax];
    if (x >= frequency << 19) {
      next -= 2;
      store_le(next, static_cast<uint16_t>(x));
      x >>= 16;
    }
    states[(left - 1) % kRansStatesMax] = x + x / frequency * (kRansTotal - frequency) + table.start[symbol];
  }
  return next;
}

uint8_t* EncodeGroups(const RansTable& table, uint32_t first_code, ByteView groups, uint32_t* states, uint8_t* next) {
  uint8_t symbols[64];
  for (size_t left = groups.size(); left > 0; left -= 32) {
    for (size_t j = 0; j < 8; ++j) {
      const uint32_t word = load_le<uint32_t>(groups.data() + left - 32 + 4 * j);
      for (size_t k = 0; k < 8; ++k) symbols[8 * k + j] = static_cast<uint8_t>((word >> (4 * k) & 15) - first_code);
    }
    next = Encode(table, symbols, states, next);
  }
  return next;
}

const uint8_t* Decode(const RansTable& table, uint32_t* states, const uint8_t* next, std::span<uint8_t> symbols) {
  for (size_t i = 0; i < symbols.size(); ++i) {
    uint32_t& x = states[i % kRansStatesMax];
    const uint32_t slot = x % kRansTotal;
    uint32_t symbol = 0;
    for (uint32_t k = 1; k < table.symbols; ++k) symbol += slot >= table.start[k] ? 1 : 0;
    symbols[i] = static_cast<uint8_t>(symbol);
    x = table.frequency[symbol] * (x >> kRansBits) + slot - table.start[symbol];
    if (x >= kRansLow) continue;
    x = x << 16 | load_le<uint16_t>(next);
    next += 2;
  }
  return next;
}

const uint8_t* DecodeRowsOfValues(const RansTable& table, uint32_t* states, const uint8_t* next, const RansRows& rows) {
  uint8_t symbols[kRansStatesMax];
  const float* values = rows.tables;
  size_t left = rows.rows_in_first_table;
  for (size_t row = 0; row < rows.count; ++row, --left) {
    if (left == 0) {
      values += kRansFewSymbols;
      left = rows.rows_in_table;
    }
    next = Decode(table, states, next, symbols);
    float* const out = rows.out + kRansStatesMax * row;
    for (size_t i = 0; i < kRansStatesMax; ++i) out[i] = rows.add ? out[i] + values[symbols[i]] : values[symbols[i]];
  }
  return next;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace runnel::codec
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {
namespace {
HWY_EXPORT(Encode);
HWY_EXPORT(EncodeGroups);
HWY_EXPORT(Decode);
HWY_EXPORT(DecodeRowsOfValues);
}  // namespace

uint8_t* rans_encode_fast(const RansTable& table, std::span<const uint8_t> symbols, uint32_t* states, uint8_t* next) {
  return HWY_DYNAMIC_DISPATCH(Encode)(table, symbols, states, next);
}

uint8_t* rans_encode_groups_fast(const RansTable& table, uint32_t first_code, ByteView groups, uint32_t* states,
                                 uint8_t* next) {
  return HWY_DYNAMIC_DISPATCH(EncodeGroups)(table, first_code, groups, states, next);
}

const uint8_t* rans_decode_values_fast(const RansTable& table, uint32_t* states, const uint8_t* next,
                                       const RansRows& rows) {
  return HWY_DYNAMIC_DISPATCH(DecodeRowsOfValues)(table, states, next, rows);
}

const uint8_t* rans_decode_fast(const RansTable& table, uint32_t* states, const uint8_t* next,
                                std::span<uint8_t> symbols) {
  return HWY_DYNAMIC_DISPATCH(Decode)(table, states, next, symbols);
}

}  // namespace runnel::codec
#endif
