// The groups of model_coder.cc sixteen lanes at a time: one rANS state a position. Same bits as the reference.
#ifdef RUNNEL_FAST_KERNELS
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "runtime/codec/model_coder_fast.h"

#include "runtime/base/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/model_coder_fast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::codec::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Of each mask of eight lanes, how many lanes below each are set: where a lane finds its word.
struct Ranks {
  alignas(64) std::array<std::array<uint32_t, 8>, 256> of{};
  constexpr Ranks() {
    for (unsigned mask = 0; mask < 256; ++mask) {
      for (unsigned lane = 0; lane < 8; ++lane) {
        of[mask][lane] = static_cast<uint32_t>(std::popcount(mask & ((1U << lane) - 1)));
      }
    }
  }
};
constexpr Ranks kRanks;

// Of each mask, its set lanes in order in the topmost places: how words are packed towards what was written before.
struct Tops {
  alignas(64) std::array<std::array<uint32_t, 8>, 256> of{};
  constexpr Tops() {
    for (unsigned mask = 0; mask < 256; ++mask) {
      unsigned place = 8 - static_cast<unsigned>(std::popcount(mask));
      for (unsigned lane = 0; lane < 8; ++lane) {
        if ((mask >> lane & 1) != 0) of[mask][place++] = lane;
      }
    }
  }
};
constexpr Tops kTops;

// thresholds: of dither v = rotation + 15 at k = 0, so that position j reads element j of row k at 16 k.
bool TakeGroup(const uint16_t* HWY_RESTRICT thresholds, int reach, unsigned rotation, const uint8_t* HWY_RESTRICT words,
               uint32_t* HWY_RESTRICT x, int16_t* HWY_RESTRICT indices, size_t& used, uint32_t& activity) {
  const hn::CappedTag<int16_t, 16> d16;
  const hn::RebindToUnsigned<decltype(d16)> du16;
  const hn::CappedTag<uint32_t, 8> d32;
  const hn::RebindToSigned<decltype(d32)> di32;
  const hn::Rebind<uint16_t, decltype(d32)> d16_of_32;
  const size_t n16 = hn::Lanes(d16);
  const size_t n32 = hn::Lanes(d32);
  alignas(64) uint16_t starts[kGroup];
  alignas(64) uint16_t sizes[kGroup];
  bool inside = true;
  auto magnitudes = hn::Zero(d16);
  const auto slot_bits = hn::Set(d32, kProbabilityOne - 1);
  const auto slots_at = [&](size_t j) {
    return hn::DemoteTo(d16_of_32, hn::BitCast(di32, hn::And(hn::LoadU(d32, x + j), slot_bits)));
  };
  for (size_t j = 0; j < kGroup; j += n16) {
#if HWY_TARGET == HWY_SCALAR
    const auto slot = hn::BitCast(d16, slots_at(j));
#else
    const auto slot = hn::BitCast(d16, hn::Combine(du16, slots_at(j + n32), slots_at(j)));
#endif
    auto start = hn::Zero(d16);
    auto end = hn::Set(du16, static_cast<uint16_t>(kProbabilityOne));
    auto symbol = hn::Set(d16, static_cast<int16_t>(-reach));
    for (int k = -reach + 1; k <= reach + 1; ++k) {
      const auto threshold = hn::LoadU(d16, reinterpret_cast<const int16_t*>(thresholds + 16 * k) + j);
      const auto above = hn::Gt(threshold, slot);
      start = hn::Max(start, hn::IfThenZeroElse(above, threshold));
      // Where it is not above: 2^16 - 1, no less than any end.
      end = hn::Min(end, hn::BitCast(du16, hn::Or(threshold, hn::Not(hn::VecFromMask(d16, above)))));
      symbol = hn::Sub(hn::Add(symbol, hn::Set(d16, 1)),
                       hn::BitCast(d16, hn::ShiftRight<15>(hn::BitCast(du16, hn::VecFromMask(d16, above)))));
    }
    hn::Store(hn::BitCast(du16, start), du16, starts + j);
    hn::Store(hn::Sub(end, hn::BitCast(du16, start)), du16, sizes + j);
    hn::StoreU(symbol, d16, indices + j);
    const auto v = hn::Sub(hn::Set(d16, static_cast<int16_t>(static_cast<int>(rotation + 15) - static_cast<int>(j))),
                           hn::Iota(d16, 0));
    magnitudes = hn::Add(magnitudes, hn::Abs(hn::Sub(symbol, hn::ShiftRight<4>(v))));
    const auto outermost = hn::Or(hn::Eq(symbol, hn::Set(d16, static_cast<int16_t>(-reach))),
                                  hn::Eq(symbol, hn::Set(d16, static_cast<int16_t>(reach + 1))));
    inside = inside && hn::AllFalse(d16, outermost);
  }
  const uint8_t* next_word = words;
  for (size_t j = 0; j < kGroup; j += n32) {
    const auto state = hn::LoadU(d32, x + j);
    const auto size = hn::PromoteTo(d32, hn::Load(d16_of_32, sizes + j));
    const auto start = hn::PromoteTo(d32, hn::Load(d16_of_32, starts + j));
    const auto slot = hn::And(state, slot_bits);
    auto next = hn::Add(hn::Mul(size, hn::ShiftRight<kProbabilityBits>(state)), hn::Sub(slot, start));
    const auto low = hn::Eq(hn::ShiftRight<16>(next), hn::Zero(d32));
    uint8_t bits[8] = {};
    hn::StoreMaskBits(d32, low, bits);
    const auto fresh = hn::PromoteTo(d32, hn::LoadU(d16_of_32, reinterpret_cast<const uint16_t*>(next_word)));
    const auto ranks = hn::SetTableIndices(d32, kRanks.of[bits[0]].data());
    const auto refilled = hn::Or(hn::ShiftLeft<16>(next), hn::TableLookupLanes(fresh, ranks));
    next = hn::IfThenElse(low, refilled, next);
    next_word += 2 * static_cast<size_t>(std::popcount(bits[0]));
    hn::StoreU(next, d32, x + j);
  }
  activity = static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(d16, magnitudes)));
  used += static_cast<size_t>(next_word - words);
  return inside;
}

// First all slots of all groups, then the states: what was stored one number at a time is then long in the cache when
// it is loaded as vectors.
bool PutGroups(const PutRequest* HWY_RESTRICT groups, size_t count, const int16_t* HWY_RESTRICT indices, uint32_t* even,
               uint32_t* odd, uint8_t* end, size_t& at) {
  const hn::CappedTag<int16_t, 16> d16;
  const hn::CappedTag<uint32_t, 8> d32;
  const hn::RebindToSigned<decltype(d32)> di32;
  const hn::RebindToFloat<decltype(d32)> df32;
  const hn::Rebind<uint16_t, decltype(d32)> d16_of_32;
  const size_t n32 = hn::Lanes(d32);
  alignas(64) uint16_t starts[kPutGroups * kGroup];
  alignas(64) uint16_t ends[kPutGroups * kGroup];
  for (size_t g = 0; g < count; ++g) {
    const int16_t* const group = indices + kGroup * g;
    auto outermost = hn::Gt(hn::Zero(d16), hn::Zero(d16));
    const auto least = hn::Set(d16, static_cast<int16_t>(-groups[g].reach + 1));
    const auto most = hn::Set(d16, static_cast<int16_t>(groups[g].reach));
    for (size_t j = 0; j < kGroup; j += hn::Lanes(d16)) {
      const auto index = hn::LoadU(d16, group + j);
      outermost = hn::Or(outermost, hn::Or(hn::Lt(index, least), hn::Gt(index, most)));
    }
    if (!hn::AllFalse(d16, outermost)) return false;
    for (size_t j = 0; j < kGroup; ++j) {
      const uint16_t* const threshold = groups[g].thresholds + 16 * group[j] + j;
      starts[kGroup * g + j] = threshold[0];
      ends[kGroup * g + j] = threshold[16];
    }
  }
  uint8_t* next_word = end;
  for (size_t g = count; g-- > 0;) {
    uint32_t* const x = g % 2 == 0 ? even : odd;
    for (size_t j = kGroup; j > 0;) {
      j -= n32;
      const size_t i = kGroup * g + j;
      const auto start = hn::PromoteTo(d32, hn::Load(d16_of_32, starts + i));
      const auto size = hn::Sub(hn::PromoteTo(d32, hn::Load(d16_of_32, ends + i)), start);
      const auto signed_size = hn::BitCast(di32, size);
      auto state = hn::LoadU(d32, x + j);
      const auto over = hn::Not(hn::Lt(hn::BitCast(di32, hn::ShiftRight<17>(state)), signed_size));
      // The words of the full states, packed to the top of what is stored below the words written before.
      uint8_t bits[8] = {};
      hn::StoreMaskBits(di32, over, bits);
      const unsigned mask = n32 == 8 ? bits[0] : static_cast<unsigned>(bits[0]) << (8 - n32);
      alignas(64) uint32_t places[8];
      for (size_t lane = 0; lane < n32; ++lane)
        places[lane] = kTops.of[mask][8 - n32 + lane] & static_cast<uint32_t>(n32 - 1);
      const auto low_half = hn::And(state, hn::Set(d32, 0xFFFF));
      const auto packed =
          hn::TableLookupLanes(low_half, hn::SetTableIndices(d32, n32 == 8 ? kTops.of[mask].data() : places));
      hn::StoreU(hn::DemoteTo(d16_of_32, hn::BitCast(di32, packed)), d16_of_32,
                 reinterpret_cast<uint16_t*>(next_word) - n32);
      next_word -= 2 * static_cast<size_t>(std::popcount(mask));
      state = hn::IfThenElse(hn::RebindMask(d32, over), hn::ShiftRight<16>(state), state);
      // The quotient in floating point is off by one at most: it is below 2^17.
      const auto high = hn::ConvertTo(df32, hn::BitCast(di32, hn::ShiftRight<16>(state)));
      const auto low = hn::ConvertTo(df32, hn::BitCast(di32, hn::And(state, hn::Set(d32, 0xFFFF))));
      const auto value = hn::Add(hn::Mul(high, hn::Set(df32, 65536.0F)), low);
      auto quotient = hn::ConvertTo(di32, hn::Div(value, hn::ConvertTo(df32, signed_size)));
      auto rest = hn::Sub(hn::BitCast(di32, state), hn::Mul(quotient, signed_size));
      const auto negative = hn::Lt(rest, hn::Zero(di32));
      quotient = hn::Add(quotient, hn::VecFromMask(di32, negative));
      rest = hn::Add(rest, hn::IfThenElseZero(negative, signed_size));
      const auto large = hn::Not(hn::Lt(rest, signed_size));
      quotient = hn::Sub(quotient, hn::VecFromMask(di32, large));
      rest = hn::Sub(rest, hn::IfThenElseZero(large, signed_size));
      const auto next =
          hn::Add(hn::ShiftLeft<kProbabilityBits>(hn::BitCast(d32, quotient)), hn::Add(hn::BitCast(d32, rest), start));
      hn::StoreU(next, d32, x + j);
    }
  }
  at -= static_cast<size_t>(end - next_word);
  return true;
}

}  // namespace
}  // namespace runnel::codec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {

HWY_EXPORT(TakeGroup);
HWY_EXPORT(PutGroups);

bool take_group_fast(const uint16_t* thresholds, int reach, unsigned rotation, const uint8_t* words, uint32_t* x,
                     int16_t* indices, size_t& used, uint32_t& activity) {
  return HWY_DYNAMIC_DISPATCH(TakeGroup)(thresholds, reach, rotation, words, x, indices, used, activity);
}

bool put_groups_fast(const PutRequest* groups, size_t count, const int16_t* indices, uint32_t* even, uint32_t* odd,
                     uint8_t* end, size_t& at) {
  return HWY_DYNAMIC_DISPATCH(PutGroups)(groups, count, indices, even, odd, end, at);
}

}  // namespace runnel::codec
#endif
#endif  // RUNNEL_FAST_KERNELS
