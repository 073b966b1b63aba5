// The updates of one round, kept until it closes, for the methods that must see all of them at once.
//
// In the order of device and sequence, whatever the order of arrival, so the result is the same bits. Memory: 4 bytes a
// parameter and update, up to `bytes_max`; nothing for method mean, which needs none of this. Threads: one at a time.
// Trust: the updates have been checked, every value is finite.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/engine/robust_rules.h"
#include "runtime/base/result.h"

namespace runnel::coordinator {

class RobustAggregate {
 public:
  static constexpr uint64_t kBytesMaxDefault = 1ULL << 30;

  RobustAggregate(const AggregationSpec& spec, size_t parameter_count, uint64_t bytes_max = kBytesMaxDefault)
      : spec_(spec), parameter_count_(parameter_count), bytes_max_(bytes_max) {}

  // kOutOfRange where a plan's rounds can need more than `bytes_max`, naming the key.
  static Failure check(const FleetPlan& plan, size_t parameter_count, uint64_t bytes_max = kBytesMaxDefault);

  bool needed() const { return spec_.method != AggregationMethod::kMean; }
  size_t count() const { return updates_.size(); }
  // Updates for which there is room; without limit for method mean.
  size_t capacity() const;
  bool full() const { return count() >= capacity(); }
  uint64_t bytes() const { return uint64_t{count()} * parameter_count_ * sizeof(float); }

  // Nothing for method mean. Whoever adds asks full() first. REQUIRES: the model's length; an identity that is not
  // there yet.
  void add(const std::string& device, uint64_t sequence, std::span<const float> update);

  // Does about that many operations of what aggregate() would otherwise do at once; true when nothing is left of it, at
  // once for method mean. Another update, or reset(), makes it begin anew.
  bool prepare(uint64_t operations);

  // What the updates become, the same bits whether prepared or not. REQUIRES: needed(), count() > 0, the model's
  // length.
  void aggregate(std::span<double> result) const;

  // Of how many lies the result is sure, with the updates that are there.
  size_t tolerated() const;

  // What somebody who relies on the method should know about this round's; empty when all is as planned.
  std::string weakness() const;

  void reset() {
    updates_.clear();
    prepared_ = {};
  }

 private:
  AggregationSpec spec_;
  size_t parameter_count_;
  uint64_t bytes_max_;
  struct Prepared {
    std::unique_ptr<SquaredDistances> distances;  // Krum
    std::vector<double> values;                   // the others: the first of the result
    bool whole = false;
  };
  std::vector<std::span<const float>> in_order() const;
  void take_coordinates(size_t begin, std::span<double> result) const;

  std::map<std::pair<std::string, uint64_t>, std::vector<float>> updates_;
  Prepared prepared_;
};

}  // namespace runnel::coordinator
