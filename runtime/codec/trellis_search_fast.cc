// The trellis step in vector registers: one lane is one path, so that a state is one vector (or two, or four, where
// vectors are short) and nothing is ever shuffled.
#include "runtime/codec/trellis_search.h"

#include "runtime/base/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/trellis_search_fast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::codec::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, kTrellisLanes>;

// Squared distance to the nearest point of 4 j + offset; the operations of trellis_nearest in their order.
template <typename V>
V squared_error(V scaled, float offset_value) {
  const Tag d;
  const V offset = hn::Set(d, offset_value);
  const V quarter = hn::Add(hn::Mul(hn::Sub(scaled, offset), hn::Set(d, 0.25F)), hn::Set(d, 0.5F));
  const V error = hn::Sub(scaled, hn::Add(hn::Mul(hn::Set(d, 4.0F), hn::Floor(quarter)), offset));
  return hn::Mul(error, error);
}

// The parities of some paths of a state, below those of the paths before them.
template <typename M>
void store_parities(M parities, size_t lane, uint8_t* to) {
  const Tag d;
  alignas(8) uint8_t bits[8] = {};
  hn::StoreMaskBits(d, parities, bits);
  *to = static_cast<uint8_t>(lane == 0 ? bits[0] : *to | (bits[0] << lane));
}

template <typename V>
void step_pairs(const TrellisPair* pairs, size_t count, V error0, V error1, const float* HWY_RESTRICT before,
                float* HWY_RESTRICT after, size_t lane, uint8_t* HWY_RESTRICT row) {
  const Tag d;
  for (size_t k = 0; k < count; ++k) {
    const TrellisPair pair = pairs[k];
    const V even = hn::Load(d, before + pair.even * kTrellisLanes);
    const V other = hn::Load(d, before + pair.other * kTrellisLanes);
    const V first0 = hn::Add(even, error0);
    const V first1 = hn::Add(other, error1);
    const V second0 = hn::Add(other, error0);
    const V second1 = hn::Add(even, error1);
    hn::Store(hn::Min(first0, first1), d, after + pair.first * kTrellisLanes);
    hn::Store(hn::Min(second0, second1), d, after + pair.second * kTrellisLanes);
    store_parities(hn::Lt(first1, first0), lane, row + pair.first);
    store_parities(hn::Lt(second1, second0), lane, row + pair.second);
  }
}

void step(const TrellisMetrics& before, const float* scaled, TrellisMetrics& after, TrellisRow& row) {
  const Tag d;
  constexpr size_t kHalf = kTrellisPairs.size() / 2;
  for (size_t lane = 0; lane < kTrellisLanes; lane += hn::Lanes(d)) {
    const auto values = hn::LoadU(d, scaled + lane);
    step_pairs(kTrellisPairs.data(), kHalf, squared_error(values, 0.0F), squared_error(values, 2.0F),
               before.data() + lane, after.data() + lane, lane, row.data());
    step_pairs(kTrellisPairs.data() + kHalf, kHalf, squared_error(values, 1.0F), squared_error(values, 3.0F),
               before.data() + lane, after.data() + lane, lane, row.data());
  }
}

void step_twice(TrellisMetrics& metrics, TrellisMetrics& between, const float* scaled, TrellisRow& first,
                TrellisRow& second) {
  step(metrics, scaled, between, first);
  step(between, scaled + kTrellisLanes, metrics, second);
}

}  // namespace
}  // namespace runnel::codec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {

HWY_EXPORT(step_twice);

void step_trellis_twice_fast(TrellisMetrics& metrics, TrellisMetrics& between, const float* scaled, TrellisRow& first,
                             TrellisRow& second) {
  HWY_DYNAMIC_DISPATCH(step_twice)(metrics, between, scaled, first, second);
}

}  // namespace runnel::codec
#endif
