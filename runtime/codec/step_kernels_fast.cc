#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/step_kernels_fast.h"

#include "runtime/base/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/step_kernels_fast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::codec::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Eight floats at a time at most, so that a group is a whole number of vectors everywhere.
using DF = hn::CappedTag<float, 8>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;
using D16 = hn::Rebind<int16_t, DF>;
using DU16 = hn::Rebind<uint16_t, DF>;

constexpr size_t kGroupSize = 16;

void ChunkNumbers(const LaneRng::State& state, size_t count, uint16_t* HWY_RESTRICT out) {
#if HWY_TARGET == HWY_SCALAR
  // One lane of 64 bits cannot be seen as four of 16.
  LaneRng::State copy = state;
  for (size_t i = 0; i < count; i += LaneRng::kStep) LaneRng::step(copy, LaneRng::Numbers(out + i, LaneRng::kStep));
#else
  const hn::CappedTag<uint64_t, LaneRng::kLanes> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  for (size_t lane = 0; lane < LaneRng::kLanes; lane += lanes) {
    auto first = hn::Load(d, state.first + lane);
    auto second = hn::Load(d, state.second + lane);
    for (size_t i = 0; i < count; i += LaneRng::kStep) {
      auto x = first;
      const auto y = second;
      first = y;
      x = hn::Xor(x, hn::ShiftLeft<23>(x));
      second = hn::Xor(hn::Xor(x, y), hn::Xor(hn::ShiftRight<18>(x), hn::ShiftRight<5>(y)));
      hn::StoreU(hn::BitCast(d16, hn::Add(second, y)), d16, out + i + 4 * lane);
    }
  }
#endif
}

// u of positions j .. of a group whose rotation is given.
template <typename V>
HWY_INLINE auto Dither(const V numbers, uint32_t rotation, size_t j) {
  const DF df;
  const DI di;
  const DU du;
  const auto v = hn::Sub(hn::Set(di, static_cast<int32_t>(rotation + 15 - j)), hn::Iota(di, 0));
  const auto fine = hn::BitCast(di, hn::ShiftRight<4>(hn::PromoteTo(du, numbers)));
  const auto twice = hn::ShiftLeft<1>(hn::Add(hn::ShiftLeft<12>(v), fine));
  return hn::Mul(hn::ConvertTo(df, hn::Add(twice, hn::Set(di, 1))), hn::Set(df, 0x1.0p-17F));
}

void DitherIndices(const float* HWY_RESTRICT values, size_t count, float inverse_step,
                   const uint16_t* HWY_RESTRICT numbers, int16_t* HWY_RESTRICT indices) {
  const DF df;
  const auto inverse = hn::Set(df, inverse_step);
  for (size_t i = 0; i < count; i += kGroupSize) {
    const uint32_t rotation = numbers[i] & 15U;
    for (size_t j = 0; j < kGroupSize; j += hn::Lanes(df)) {
      const auto u = Dither(hn::LoadU(DU16(), numbers + i + j), rotation, j);
      const auto x = hn::Floor(hn::Add(hn::Mul(hn::LoadU(df, values + i + j), inverse), u));
      hn::StoreU(hn::DemoteTo(D16(), hn::ConvertTo(DI(), x)), D16(), indices + i + j);
    }
  }
}

void DitherValues(const int16_t* HWY_RESTRICT indices, size_t count, float step, const uint16_t* HWY_RESTRICT numbers,
                  float* HWY_RESTRICT values) {
  const DF df;
  const auto steps = hn::Set(df, step);
  for (size_t i = 0; i < count; i += kGroupSize) {
    const uint32_t rotation = numbers[i] & 15U;
    for (size_t j = 0; j < kGroupSize; j += hn::Lanes(df)) {
      const auto u = Dither(hn::LoadU(DU16(), numbers + i + j), rotation, j);
      const auto index = hn::ConvertTo(df, hn::PromoteTo(DI(), hn::LoadU(D16(), indices + i + j)));
      hn::StoreU(hn::Mul(hn::Add(index, hn::Sub(hn::Set(df, 0.5F), u)), steps), df, values + i + j);
    }
  }
}

void DeadzoneIndices(const float* HWY_RESTRICT values, size_t count, float inverse_step, float rounding,
                     int16_t* HWY_RESTRICT indices) {
  const DF df;
  const DI di;
  const auto inverse = hn::Set(df, inverse_step);
  const auto offset = hn::Set(df, rounding);
  for (size_t i = 0; i < count; i += hn::Lanes(df)) {
    const auto value = hn::LoadU(df, values + i);
    const auto magnitude = hn::ConvertTo(di, hn::Add(hn::Mul(hn::Abs(value), inverse), offset));
    // All ones for a negative value, also for -0, whose index is 0 anyway.
    const auto sign = hn::ShiftRight<31>(hn::BitCast(di, value));
    hn::StoreU(hn::DemoteTo(D16(), hn::Sub(hn::Xor(magnitude, sign), sign)), D16(), indices + i);
  }
}

void DeadzoneValues(const int16_t* HWY_RESTRICT indices, size_t count, float step, float first, float rest,
                    float* HWY_RESTRICT values) {
  const DF df;
  const DI di;
  const auto steps = hn::Set(df, step);
  for (size_t i = 0; i < count; i += hn::Lanes(df)) {
    const auto index = hn::PromoteTo(di, hn::LoadU(D16(), indices + i));
    const auto magnitude = hn::Abs(index);
    const auto is_one = hn::RebindMask(df, hn::Eq(magnitude, hn::Set(di, 1)));
    const auto is_zero = hn::RebindMask(df, hn::Eq(magnitude, hn::Zero(di)));
    const auto shift =
        hn::IfThenElse(is_zero, hn::Zero(df), hn::IfThenElse(is_one, hn::Set(df, first), hn::Set(df, rest)));
    const auto value = hn::Mul(hn::Add(hn::ConvertTo(df, magnitude), shift), steps);
    const auto sign = hn::BitCast(df, hn::And(index, hn::Set(di, INT32_MIN)));
    hn::StoreU(hn::Xor(value, sign), df, values + i);
  }
}

float LargestMagnitude(const float* HWY_RESTRICT values, size_t count) {
  const DF df;
  auto largest = hn::Zero(df);
  auto strange = hn::Lt(largest, largest);  // none
  for (size_t i = 0; i < count; i += hn::Lanes(df)) {
    const auto magnitude = hn::Abs(hn::LoadU(df, values + i));
    strange = hn::Or(strange, hn::Not(hn::Eq(magnitude, magnitude)));
    largest = hn::Max(largest, magnitude);
  }
  if (!hn::AllFalse(df, strange)) return __builtin_nanf("");
  return hn::GetLane(hn::MaxOfLanes(df, largest));
}

void GroupActivities(const int16_t* HWY_RESTRICT indices, size_t count, const uint16_t* HWY_RESTRICT numbers,
                     bool dithered, uint16_t* HWY_RESTRICT activities) {
  const hn::CappedTag<int16_t, kGroupSize> d;
  for (size_t i = 0; i < count; i += kGroupSize) {
    const auto rotation = static_cast<int16_t>(dithered ? (numbers[i] & 15) + 15 : 0);
    auto sum = hn::Zero(d);
    for (size_t j = 0; j < kGroupSize; j += hn::Lanes(d)) {
      auto index = hn::LoadU(d, indices + i + j);
      if (dithered) {
        const auto v = hn::Sub(hn::Set(d, static_cast<int16_t>(rotation - static_cast<int16_t>(j))), hn::Iota(d, 0));
        index = hn::Sub(index, hn::ShiftRight<4>(v));
      }
      sum = hn::Add(sum, hn::Min(hn::Abs(index), hn::Set(d, 255)));
    }
    // Pairs first: sixteen times 255 fits 16 bits.
    activities[i / kGroupSize] = static_cast<uint16_t>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
}

}  // namespace
}  // namespace runnel::codec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {

HWY_EXPORT(ChunkNumbers);
HWY_EXPORT(DitherIndices);
HWY_EXPORT(DitherValues);
HWY_EXPORT(DeadzoneIndices);
HWY_EXPORT(DeadzoneValues);
HWY_EXPORT(LargestMagnitude);
HWY_EXPORT(GroupActivities);

void chunk_numbers_fast(const LaneRng::State& state, size_t count, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(ChunkNumbers)(state, count, out);
}
void dither_indices_fast(const float* values, size_t count, float inverse_step, const uint16_t* numbers,
                         int16_t* indices) {
  HWY_DYNAMIC_DISPATCH(DitherIndices)(values, count, inverse_step, numbers, indices);
}
void dither_values_fast(const int16_t* indices, size_t count, float step, const uint16_t* numbers, float* values) {
  HWY_DYNAMIC_DISPATCH(DitherValues)(indices, count, step, numbers, values);
}
void deadzone_indices_fast(const float* values, size_t count, float inverse_step, float rounding, int16_t* indices) {
  HWY_DYNAMIC_DISPATCH(DeadzoneIndices)(values, count, inverse_step, rounding, indices);
}
void deadzone_values_fast(const int16_t* indices, size_t count, float step, float first, float rest, float* values) {
  HWY_DYNAMIC_DISPATCH(DeadzoneValues)(indices, count, step, first, rest, values);
}
float largest_magnitude_fast(const float* values, size_t count) {
  return HWY_DYNAMIC_DISPATCH(LargestMagnitude)(values, count);
}
void group_activities_fast(const int16_t* indices, size_t count, const uint16_t* numbers, bool dithered,
                           uint16_t* activities) {
  HWY_DYNAMIC_DISPATCH(GroupActivities)(indices, count, numbers, dithered, activities);
}

}  // namespace runnel::codec
#endif
#endif  // RUNNEL_FAST_KERNELS
