#include "runtime/codec/rans_fast.h"

#include <array>
#include <bit>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/rans_fast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef RUNNEL_CODEC_RANS_FAST_ONCE
#define RUNNEL_CODEC_RANS_FAST_ONCE
namespace runnel::codec {
namespace {

// What one row of a table, for the set of lanes that are its index, does to eight lanes.
using LaneTable = std::array<std::array<uint8_t, 8>, 256>;

// Moves the lanes of the set to the top, in order.
constexpr LaneTable kToTop = [] {
  LaneTable table{};
  for (unsigned set = 0; set < 256; ++set) {
    unsigned at = 8 - static_cast<unsigned>(std::popcount(set));
    for (unsigned lane = 0; lane < 8; ++lane) {
      if ((set >> lane & 1) != 0) table[set][at++] = static_cast<uint8_t>(lane);
    }
  }
  return table;
}();

// Gives the lanes of the set the words 0, 1, ... in order.
constexpr LaneTable kSpread = [] {
  LaneTable table{};
  for (unsigned set = 0; set < 256; ++set) {
    uint8_t word = 0;
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

template <bool kFew>
uint8_t* EncodeRows(const RansTable& table, const uint8_t* HWY_RESTRICT symbols, size_t count,
                    uint32_t* HWY_RESTRICT states, uint8_t* next) {
  const Words du;
  const Ints di;
  const Floats df;
  const Halves dh;
  const Bytes db;
  alignas(32) uint32_t packed[16] = {};  // the frequency above the start
  alignas(32) float inverse[16] = {};
  for (uint32_t k = 0; k < table.symbols; ++k) {
    packed[k] = uint32_t{table.frequency[k]} << 16 | table.start[k];
    // A little too small on purpose, so that a quotient is right or one too small, never too large: the error stays
    // below 0.22 for quotients below 2^19.
    inverse[k] = table.frequency[k] == 0 ? 0.0F : (1.0F - 0x1.0p-22F) / static_cast<float>(table.frequency[k]);
  }
  const auto packed_low = hn::Load(du, packed);
  const auto packed_high = hn::Load(du, packed + 8);
  const auto inverse_low = hn::Load(df, inverse);
  const auto inverse_high = hn::Load(df, inverse + 8);
  const auto low_half = hn::Set(du, 0xFFFF);
  const auto one = hn::Set(di, 1);
  const auto total = hn::Set(di, static_cast<int32_t>(kRansTotal));

  const auto encode = [&](V & state, const uint8_t* from) HWY_ATTR __attribute__((always_inline)) {
    const auto index = hn::PromoteTo(du, hn::LoadU(db, from));
    const auto entry = Lookup<kFew>(du, packed_low, packed_high, index);
    const auto inverted = Lookup<kFew>(df, inverse_low, inverse_high, index);
    const auto frequency = hn::BitCast(di, hn::ShiftRight<16>(entry));
    const auto start = hn::BitCast(di, hn::And(entry, low_half));
    // The limit may be 2^31, one less is in the range of signed comparisons.
    const auto limit = hn::Sub(hn::ShiftLeft<19>(frequency), one);
    const auto full = hn::Gt(hn::BitCast(di, state), limit);
    const unsigned set = BitsOf(hn::RebindMask(du, full));
    const auto order = hn::IndicesFromVec(du, hn::PromoteTo(du, hn::LoadU(db, kToTop[set].data())));
    const auto words = hn::TableLookupLanes(hn::And(state, low_half), order);
    hn::StoreU(hn::DemoteTo(dh, hn::BitCast(di, words)), dh, reinterpret_cast<uint16_t*>(next - 16));
    next -= 2 * std::popcount(set);
    const auto x = hn::BitCast(di, hn::IfThenElse(hn::RebindMask(du, full), hn::ShiftRight<16>(state), state));
    const auto quotient = hn::ConvertTo(di, hn::Mul(hn::ConvertTo(df, x), inverted));
    const auto rest = hn::Sub(x, hn::Mul(quotient, frequency));
    const auto missed = hn::VecFromMask(di, hn::Gt(rest, hn::Sub(frequency, one)));
    const auto one_more = hn::And(missed, hn::Sub(total, frequency));
    const auto base = hn::Add(hn::ShiftLeft<kRansBits>(quotient), rest);
    state = hn::BitCast(du, hn::Add(hn::Add(base, start), one_more));
  };

  auto s0 = hn::Load(du, states);
  auto s1 = hn::Load(du, states + 8);
  auto s2 = hn::Load(du, states + 16);
  auto s3 = hn::Load(du, states + 24);
  for (size_t left = count; left > 0; left -= kRansStatesMax) {
    const uint8_t* row = symbols + left - kRansStatesMax;
    encode(s3, row + 24);
    encode(s2, row + 16);
    encode(s1, row + 8);
    encode(s0, row);
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

template <size_t kThresholds>
const uint8_t* DecodeRows(const RansTable& table, uint32_t* HWY_RESTRICT states, const uint8_t* next,
                          uint8_t* HWY_RESTRICT symbols, size_t count) {
  const Words du;
  const Ints di;
  const Halves dh;
  const Bytes db;
  const hn::FixedTag<uint16_t, 16> d16;
  const hn::FixedTag<int16_t, 16> di16;
  const hn::FixedTag<uint8_t, 32> d8;
  alignas(32) uint8_t frequency_low[16] = {};
  alignas(32) uint8_t frequency_high[16] = {};
  alignas(32) uint8_t start_low[16] = {};
  alignas(32) uint8_t start_high[16] = {};
  hn::Vec<decltype(di16)> last_below[kThresholds];
  for (size_t k = 0; k < kThresholds; ++k) {
    const int start = k + 1 < table.symbols ? table.start[k + 1] : 0x7FFF;
    last_below[k] = hn::Set(di16, static_cast<int16_t>(start - 1));
  }
  for (uint32_t k = 0; k < table.symbols; ++k) {
    frequency_low[k] = static_cast<uint8_t>(table.frequency[k]);
    frequency_high[k] = static_cast<uint8_t>(table.frequency[k] >> 8);
    start_low[k] = static_cast<uint8_t>(table.start[k]);
    start_high[k] = static_cast<uint8_t>(table.start[k] >> 8);
  }
  const auto f_low = hn::LoadDup128(d8, frequency_low);
  const auto f_high = hn::LoadDup128(d8, frequency_high);
  const auto c_low = hn::LoadDup128(d8, start_low);
  const auto c_high = hn::LoadDup128(d8, start_high);
  alignas(16) static constexpr uint8_t kColumns[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  alignas(32) static constexpr uint32_t kHalvesTogether[8] = {0, 4, 1, 5, 2, 6, 3, 7};
  const auto columns = hn::LoadDup128(d8, kColumns);
  const auto together = hn::SetTableIndices(du, kHalvesTogether);
  const auto slots = hn::Set(du, kRansTotal - 1);
  const auto low_half = hn::Set(du, 0xFFFF);
  const auto low = hn::Set(di, static_cast<int32_t>(kRansLow));
  const auto no_byte = hn::Set(di16, static_cast<int16_t>(-32768));

  const auto refill = [&](V & state) HWY_ATTR __attribute__((always_inline)) {
    const auto empty = hn::Lt(hn::BitCast(di, state), low);
    const unsigned set = BitsOf(hn::RebindMask(du, empty));
    const auto order = hn::IndicesFromVec(du, hn::PromoteTo(du, hn::LoadU(db, kSpread[set].data())));
    const auto words = hn::PromoteTo(du, hn::LoadU(dh, reinterpret_cast<const uint16_t*>(next)));
    const auto filled = hn::Or(hn::ShiftLeft<16>(state), hn::TableLookupLanes(words, order));
    state = hn::IfThenElse(hn::RebindMask(du, empty), filled, state);
    next += 2 * std::popcount(set);
  };
  // One step of two vectors without their refill; a symbol in each half of the words returned.
  const auto decode = [&](V & a, V & b) HWY_ATTR __attribute__((always_inline)) {
    const auto slot = hn::BitCast(di16, hn::Or(hn::And(a, slots), hn::ShiftLeft<16>(hn::And(b, slots))));
    auto minus_symbol = hn::Zero(di16);
    for (size_t k = 0; k < kThresholds; ++k) {
      minus_symbol = hn::Add(minus_symbol, hn::VecFromMask(di16, hn::Gt(slot, last_below[k])));
    }
    const auto symbol = hn::Sub(hn::Zero(di16), minus_symbol);
    const auto index = hn::BitCast(d8, hn::Or(symbol, no_byte));
    const auto word_of = [&](hn::Vec<decltype(d8)> lower, hn::Vec<decltype(d8)> upper) HWY_ATTR
        __attribute__((always_inline)) {
      const auto high_byte = hn::BitCast(d16, hn::TableLookupBytesOr0(upper, index));
      return hn::Or(hn::BitCast(d16, hn::TableLookupBytesOr0(lower, index)), hn::ShiftLeft<8>(high_byte));
    };
    const auto frequency = hn::BitCast(du, word_of(f_low, f_high));
    const auto offset = hn::BitCast(du, hn::Sub(hn::BitCast(d16, slot), word_of(c_low, c_high)));
    a = hn::Add(hn::Mul(hn::ShiftRight<kRansBits>(a), hn::And(frequency, low_half)), hn::And(offset, low_half));
    b = hn::Add(hn::Mul(hn::ShiftRight<kRansBits>(b), hn::ShiftRight<16>(frequency)), hn::ShiftRight<16>(offset));
    return hn::BitCast(du, symbol);
  };

  auto s0 = hn::Load(du, states);
  auto s1 = hn::Load(du, states + 8);
  auto s2 = hn::Load(du, states + 16);
  auto s3 = hn::Load(du, states + 24);
  for (size_t i = 0; i < count; i += kRansStatesMax) {
    const auto even = decode(s0, s2);
    const auto odd = decode(s1, s3);
    refill(s0);
    refill(s1);
    refill(s2);
    refill(s3);
    const auto mixed = hn::BitCast(d8, hn::Or(even, hn::ShiftLeft<8>(odd)));
    const auto sorted = hn::BitCast(du, hn::TableLookupBytes(mixed, columns));
    hn::StoreU(hn::BitCast(d8, hn::TableLookupLanes(sorted, together)), d8, symbols + i);
  }
  hn::Store(s0, du, states);
  hn::Store(s1, du, states + 8);
  hn::Store(s2, du, states + 16);
  hn::Store(s3, du, states + 24);
  return next;
}

const uint8_t* Decode(const RansTable& table, uint32_t* states, const uint8_t* next, std::span<uint8_t> symbols) {
  if (table.symbols <= 4) return DecodeRows<3>(table, states, next, symbols.data(), symbols.size());
  if (table.symbols <= 6) return DecodeRows<5>(table, states, next, symbols.data(), symbols.size());
  if (table.symbols <= 8) return DecodeRows<7>(table, states, next, symbols.data(), symbols.size());
  if (table.symbols <= 12) return DecodeRows<11>(table, states, next, symbols.data(), symbols.size());
  return DecodeRows<15>(table, states, next, symbols.data(), symbols.size());
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

#endif

}  // namespace HWY_NAMESPACE
}  // namespace runnel::codec
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {
namespace {
HWY_EXPORT(Encode);
HWY_EXPORT(Decode);
}  // namespace

uint8_t* rans_encode_fast(const RansTable& table, std::span<const uint8_t> symbols, uint32_t* states, uint8_t* next) {
  return HWY_DYNAMIC_DISPATCH(Encode)(table, symbols, states, next);
}

const uint8_t* rans_decode_fast(const RansTable& table, uint32_t* states, const uint8_t* next,
                                std::span<uint8_t> symbols) {
  return HWY_DYNAMIC_DISPATCH(Decode)(table, states, next, symbols);
}

}  // namespace runnel::codec
#endif
