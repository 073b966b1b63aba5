#include "coordinator/engine/robust_aggregate.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace runnel::coordinator {
namespace {

constexpr uint64_t kColumnsMin = 32;  // that are sorted side by side

}  // namespace

Failure RobustAggregate::check(const FleetPlan& plan, size_t parameter_count, uint64_t bytes_max) {
  const RobustAggregate empty(plan.aggregation, parameter_count, bytes_max);
  const auto too_many = [&](const char* key, uint32_t count) {
    return fail(Error::kOutOfRange,
                "%s %u: %s holds a round's updates in memory, and of %zu parameters %zu fit into %llu MB", key, count,
                aggregation_method_name(plan.aggregation.method), parameter_count, empty.capacity(),
                static_cast<unsigned long long>(bytes_max >> 20));
  };
  if (plan.policy.policy == plan::RoundPolicy::kBuffered) {
    if (plan.policy.buffer > empty.capacity()) return too_many("policy.buffer", plan.policy.buffer);
    return Error::kOk;
  }
  if (plan.cohort > empty.capacity()) return too_many("cohort", plan.cohort);
  if (plan.quorum > empty.capacity()) return too_many("quorum", plan.quorum);
  return Error::kOk;
}

size_t RobustAggregate::capacity() const {
  if (!needed()) return std::numeric_limits<size_t>::max();
  return static_cast<size_t>(bytes_max_ / (std::max<size_t>(1, parameter_count_) * sizeof(float)));
}

void RobustAggregate::add(const std::string& device, uint64_t sequence, std::span<const float> update) {
  if (!needed()) return;
  RUNNEL_ASSERT(update.size() == parameter_count_);
  const bool added = updates_.try_emplace({device, sequence}, update.begin(), update.end()).second;
  RUNNEL_ASSERT(added);
  prepared_ = {};
}

std::vector<std::span<const float>> RobustAggregate::in_order() const {
  std::vector<std::span<const float>> updates;
  updates.reserve(updates_.size());
  for (const auto& [identity, update] : updates_) updates.emplace_back(update);
  return updates;
}

// The median's or the trimmed mean's coordinates from `begin` on.
void RobustAggregate::take_coordinates(size_t begin, std::span<double> result) const {
  const std::vector<std::span<const float>> updates = in_order();
  if (spec_.method == AggregationMethod::kMedian) return coordinate_median(updates, begin, result);
  trimmed_mean(updates, trimmed_count(spec_.trim, updates.size()), begin, result);
}

bool RobustAggregate::prepare(uint64_t operations) {
  if (!needed() || updates_.empty() || prepared_.whole) return true;
  if (spec_.method == AggregationMethod::kKrum) {
    if (prepared_.distances == nullptr) prepared_.distances = std::make_unique<SquaredDistances>(in_order());
    prepared_.whole = prepared_.distances->step(operations);
    return prepared_.whole;
  }
  // A column of n values takes about n log2(n)^2 / 4 comparisons.
  const uint64_t doublings = std::bit_width(count());
  const uint64_t each = std::max<uint64_t>(1, count() * doublings * doublings / 4);
  const uint64_t columns = std::max<uint64_t>(kColumnsMin, operations / each / kColumnsMin * kColumnsMin);
  const size_t begin = prepared_.values.size();
  prepared_.values.resize(std::min<uint64_t>(parameter_count_, begin + columns));
  take_coordinates(begin, std::span(prepared_.values).subspan(begin));
  prepared_.whole = prepared_.values.size() == parameter_count_;
  return prepared_.whole;
}

void RobustAggregate::aggregate(std::span<double> result) const {
  RUNNEL_ASSERT(needed() && !updates_.empty() && result.size() == parameter_count_);
  if (spec_.method != AggregationMethod::kKrum) {
    const size_t ready = prepared_.values.size();
    std::copy(prepared_.values.begin(), prepared_.values.end(), result.begin());
    if (ready < result.size()) take_coordinates(ready, result.subspan(ready));
    return;
  }
  const std::vector<std::span<const float>> updates = in_order();
  const std::vector<size_t> kept = prepared_.whole ? krum(*prepared_.distances, spec_.byzantine, spec_.krum_keep)
                                                   : krum(updates, spec_.byzantine, spec_.krum_keep);
  std::fill(result.begin(), result.end(), 0.0);
  for (const size_t index : kept) {
    for (size_t i = 0; i < result.size(); ++i) result[i] += static_cast<double>(updates[index][i]);
  }
  for (double& value : result) value /= static_cast<double>(kept.size());
}

size_t RobustAggregate::tolerated() const {
  switch (spec_.method) {
    case AggregationMethod::kMean:
      return 0;
    case AggregationMethod::kMedian:
      return count() == 0 ? 0 : (count() - 1) / 2;
    case AggregationMethod::kTrimmedMean:
      return trimmed_count(spec_.trim, count());
    case AggregationMethod::kKrum:
      return krum_tolerated(count(), spec_.byzantine);
  }
  return 0;
}

std::string RobustAggregate::weakness() const {
  if (!needed()) return {};
  const bool planned = spec_.method == AggregationMethod::kKrum          ? tolerated() >= spec_.byzantine
                       : spec_.method == AggregationMethod::kTrimmedMean ? spec_.trim == 0.0 || tolerated() > 0
                                                                         : tolerated() > 0;
  if (planned) return {};
  return std::string(aggregation_method_name(spec_.method)) + " of " + std::to_string(count()) +
         " updates withstands " + std::to_string(tolerated()) + " lies";
}

}  // namespace runnel::coordinator
