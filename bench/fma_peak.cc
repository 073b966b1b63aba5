#include "bench/fma_peak.h"

#include <algorithm>
#include <cstddef>

#include "bench/stopwatch.h"
#include "runtime/tensor/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_peak.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::bench::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Twelve sums that do not wait for each other, which is more than any processor needs to be busy. Returns how many
// operations that were.
double Multiply(size_t steps, float* result) {
  const hn::ScalableTag<float> d;
  hn::Vec<decltype(d)> sums[12];
  for (auto& sum : sums) sum = hn::Set(d, 1.0F);
  const auto factor = hn::Set(d, 0.999F);
  const auto addend = hn::Set(d, 0.001F);
  for (size_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (size_t i = 0; i < 12; ++i) sums[i] = RUNNEL_MUL_ADD(sums[i], factor, addend);
  }
  auto total = hn::Zero(d);
  for (const auto& sum : sums) total = hn::Add(total, sum);
  *result = hn::GetLane(total);
  return 2.0 * 12.0 * static_cast<double>(steps) * static_cast<double>(hn::Lanes(d));
}

}  // namespace
}  // namespace runnel::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::bench {
namespace {
HWY_EXPORT(Multiply);
}  // namespace

double peak_gflops() {
  double best = 0.0;
  volatile float result = 0.0F;
  for (int repetition = 0; repetition < 20; ++repetition) {
    double operations = 0.0;
    float value = 0.0F;
    const double seconds = processor_seconds_of([&] { operations = HWY_DYNAMIC_DISPATCH(Multiply)(100'000, &value); });
    result = value;
    best = std::max(best, operations / seconds / 1e9);
  }
  static_cast<void>(result);
  return best;
}

}  // namespace runnel::bench
#endif
