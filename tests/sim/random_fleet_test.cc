// Small fleets with random plans and random faults. RUNNEL_SIM_SEEDS says how many (default below), RUNNEL_SIM_FIRST
// which one is the first; `runnel-fleet simulate --small --seeds N..N` replays one alone.
#include "fleet/simulator/random_fleet.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace runnel::fleet {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string broken_by(const SimulationReport& report) {
  std::string text;
  for (const std::string& violation : report.violations) text += violation + "\n";
  return text;
}

TEST(RandomFleet, EveryPromiseHoldsWhateverThePlan) {
  const uint64_t first = from_environment("RUNNEL_SIM_FIRST", 1);
  const uint64_t seeds = from_environment("RUNNEL_SIM_SEEDS", 300);
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const RandomFleet fleet(seed);
    const SimulationReport report = simulate(fleet.options);
    EXPECT_EQ(broken_by(report), "") << "seed " << seed << ": " << describe(fleet.options);
  }
}

TEST(RandomFleet, TheSameSeedGivesTheSameHistory) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const RandomFleet fleet(seed);
    const uint64_t once = fingerprint(simulate(fleet.options));
    EXPECT_EQ(once, fingerprint(simulate(fleet.options))) << "seed " << seed;
    EXPECT_EQ(once, fingerprint(simulate(RandomFleet(seed).options))) << "seed " << seed;
  }
}

TEST(RandomFleet, SeedsDrawEverythingThatPlansCanSay) {
  std::set<plan::CodecId> codecs;
  std::set<plan::RateMode> modes;
  std::set<coordinator::AggregationMethod> methods;
  std::set<coordinator::ServerOptimizer> optimizers;
  uint32_t buffered = 0, offline = 0, late = 0, controlled = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const coordinator::FleetPlan plan = RandomFleet(seed).options.plan;
    codecs.insert(plan.codec.codec);
    modes.insert(plan.rate.mode);
    methods.insert(plan.aggregation.method);
    optimizers.insert(plan.server.optimizer);
    buffered += plan.policy.policy == plan::RoundPolicy::kBuffered ? 1 : 0;
    offline += plan.policy.offline_updates > 0 ? 1 : 0;
    late += plan.policy.staleness_max > 0 ? 1 : 0;
    controlled += plan.training.scaffold_share > 0.0F ? 1 : 0;
  }
  EXPECT_EQ(codecs.size(), plan::kCodecCount);
  EXPECT_EQ(modes.size(), plan::kRateModeCount);
  EXPECT_EQ(methods.size(), coordinator::kAggregationMethodCount);
  EXPECT_EQ(optimizers.size(), coordinator::kServerOptimizerCount);
  EXPECT_GT(buffered, 60U);
  EXPECT_GT(offline, 30U);
  EXPECT_GT(late, 60U);
  EXPECT_GT(controlled, 30U);
}

}  // namespace
}  // namespace runnel::fleet
