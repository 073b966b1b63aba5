// The weighted mean of the updates of a round, in integers: the order in which they arrive cannot change a bit of it.
//
// Every coordinate of an update is put on a common grid of 2^-32 and multiplied by the update's weight; the sums are
// 64-bit integers, so adding is associative and commutative, partial sums can be merged, and an update can be taken out
// again. With |coordinate| <= 128 and a total weight of at most 2^24 a sum stays below 2^63. The grid is finer than the
// spacing of fp32 weights above 2^-9. Memory: 8 bytes a parameter, whatever the number of updates.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace runnel::coordinator {

class Aggregate {
 public:
  static constexpr float kMagnitudeMax = 128.0F;
  static constexpr uint64_t kWeightMax = 1ULL << 24;

  explicit Aggregate(size_t parameter_count) : sums_(parameter_count) {}

  // Adds one update (length parameter_count) with its weight. On failure nothing changed: kShape, kNotFinite or
  // kOutOfRange with the coordinate's index, kLimit when the total weight would exceed kWeightMax.
  Failure add(std::span<const float> update, uint32_t weight);

  // Adds the sums of another aggregate of the same length. kShape or kLimit, and unchanged.
  Failure merge(const Aggregate& other);

  // model += weighted mean. REQUIRES: model.size() == parameter_count, weight() > 0.
  void apply(std::span<float> model) const;

  // The weighted mean itself. REQUIRES: as apply().
  void mean(std::span<double> values) const;

  // The squared norm of the weighted mean, the same bits whatever the order of arrival. REQUIRES: weight() > 0.
  double mean_energy() const;

  void reset();
  uint64_t weight() const { return weight_; }
  std::span<const int64_t> sums() const { return sums_; }

 private:
  std::vector<int64_t> sums_;
  uint64_t weight_ = 0;
};

}  // namespace runnel::coordinator
