// The groups of model_coder.cc sixteen lanes at a time: one rANS state a position. Same bits as the reference.
#ifdef RUNNEL_FAST_KERNELS
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "runtime/codec/model_coder_fast.h"

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

// thresholds: of dither v = rotation + 15 at k = 0, so that position j reads element j of row k at 16 k.
bool TakeGroup(const uint16_t* HWY_RESTRICT thresholds, int reach, const uint8_t* HWY_RESTRICT words,
               uint32_t* HWY_RESTRICT x, int32_t* HWY_RESTRICT indices, size_t& used) {
  const hn::CappedTag<int16_t, 16> d16;
  const hn::RebindToUnsigned<decltype(d16)> du16;
  const hn::CappedTag<uint32_t, 8> d32;
  const hn::RebindToSigned<decltype(d32)> di32;
  const hn::Rebind<uint16_t, decltype(d32)> d16_of_32;
  const size_t n16 = hn::Lanes(d16);
  const size_t n32 = hn::Lanes(d32);
  alignas(64) uint16_t slots[kGroup];
  alignas(64) uint16_t starts[kGroup];
  alignas(64) uint16_t sizes[kGroup];
  alignas(64) int16_t symbols[kGroup];
  bool inside = true;
  const auto slot_bits = hn::Set(d32, kProbabilityOne - 1);
  for (size_t j = 0; j < kGroup; j += n32) {
    const auto slot = hn::And(hn::Load(d32, x + j), slot_bits);
    hn::Store(hn::DemoteTo(d16_of_32, hn::BitCast(di32, slot)), d16_of_32, slots + j);
  }
  for (size_t j = 0; j < kGroup; j += n16) {
    const auto slot = hn::BitCast(d16, hn::Load(du16, slots + j));
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
    hn::Store(symbol, d16, symbols + j);
    const auto outermost = hn::Or(hn::Eq(symbol, hn::Set(d16, static_cast<int16_t>(-reach))),
                                  hn::Eq(symbol, hn::Set(d16, static_cast<int16_t>(reach + 1))));
    inside = inside && hn::AllFalse(d16, outermost);
  }
  const uint8_t* next_word = words;
  for (size_t j = 0; j < kGroup; j += n32) {
    const auto state = hn::Load(d32, x + j);
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
    hn::Store(next, d32, x + j);
    hn::Store(hn::PromoteTo(di32, hn::Load(hn::Rebind<int16_t, decltype(di32)>(), symbols + j)), di32, indices + j);
  }
  used += static_cast<size_t>(next_word - words);
  return inside;
}

// starts and sizes of the sixteen symbols; writes words below `end` and returns how many bytes.
size_t PutGroup(const uint32_t* HWY_RESTRICT starts, const uint32_t* HWY_RESTRICT sizes, uint32_t* HWY_RESTRICT x,
                uint8_t* end) {
  const hn::CappedTag<uint32_t, 8> d32;
  const hn::RebindToSigned<decltype(d32)> di32;
  const hn::RebindToFloat<decltype(d32)> df32;
  const size_t n32 = hn::Lanes(d32);
  alignas(64) uint32_t full[kGroup];
  alignas(64) uint32_t old[kGroup];
  for (size_t j = 0; j < kGroup; j += n32) {
    const auto size = hn::Load(d32, sizes + j);
    auto state = hn::Load(d32, x + j);
    const auto over = hn::Not(hn::Lt(hn::BitCast(di32, hn::ShiftRight<17>(state)), hn::BitCast(di32, size)));
    hn::Store(state, d32, old + j);
    hn::Store(hn::BitCast(d32, hn::VecFromMask(di32, over)), d32, full + j);
    state = hn::IfThenElse(hn::RebindMask(d32, over), hn::ShiftRight<16>(state), state);
    // The quotient in floating point is off by one at most: it is below 2^17.
    const auto high = hn::ConvertTo(df32, hn::BitCast(di32, hn::ShiftRight<16>(state)));
    const auto low = hn::ConvertTo(df32, hn::BitCast(di32, hn::And(state, hn::Set(d32, 0xFFFF))));
    const auto value = hn::Add(hn::Mul(high, hn::Set(df32, 65536.0F)), low);
    auto quotient = hn::ConvertTo(di32, hn::Div(value, hn::ConvertTo(df32, hn::BitCast(di32, size))));
    const auto signed_size = hn::BitCast(di32, size);
    auto rest = hn::Sub(hn::BitCast(di32, state), hn::Mul(quotient, signed_size));
    const auto negative = hn::Lt(rest, hn::Zero(di32));
    quotient = hn::Add(quotient, hn::VecFromMask(di32, negative));
    rest = hn::Add(rest, hn::IfThenElseZero(negative, signed_size));
    const auto large = hn::Not(hn::Lt(rest, signed_size));
    quotient = hn::Sub(quotient, hn::VecFromMask(di32, large));
    rest = hn::Sub(rest, hn::IfThenElseZero(large, signed_size));
    const auto next = hn::Add(hn::ShiftLeft<kProbabilityBits>(hn::BitCast(d32, quotient)),
                              hn::Add(hn::BitCast(d32, rest), hn::Load(d32, starts + j)));
    hn::Store(next, d32, x + j);
  }
  uint8_t* at = end;
  for (size_t j = kGroup; j-- > 0;) {
    // Written always, kept only if the state was full.
    const auto word = static_cast<uint16_t>(old[j]);
    std::memcpy(at - 2, &word, 2);
    at -= full[j] & 2;
  }
  return static_cast<size_t>(end - at);
}

}  // namespace
}  // namespace runnel::codec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {

HWY_EXPORT(TakeGroup);
HWY_EXPORT(PutGroup);

bool take_group_fast(const uint16_t* thresholds, int reach, const uint8_t* words, uint32_t* x, int32_t* indices,
                     size_t& used) {
  return HWY_DYNAMIC_DISPATCH(TakeGroup)(thresholds, reach, words, x, indices, used);
}

size_t put_group_fast(const uint32_t* starts, const uint32_t* sizes, uint32_t* x, uint8_t* end) {
  return HWY_DYNAMIC_DISPATCH(PutGroup)(starts, sizes, x, end);
}

}  // namespace runnel::codec
#endif
#endif  // RUNNEL_FAST_KERNELS
