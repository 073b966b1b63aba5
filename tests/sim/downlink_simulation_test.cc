// The quantized downlink in a world of faults: whoever trains on a version has the coordinator's bits of it (every
// simulation checks that), and fetches no more than what changed.
#include <gtest/gtest.h>

#include "tests/sim/small_fleet.h"

namespace runnel::fleet {
namespace {

testing::AssertionResult kept_every_promise(const SimulationReport& report) {
  if (report.violations.empty()) return testing::AssertionSuccess();
  auto failure = testing::AssertionFailure();
  for (const std::string& violation : report.violations) failure << violation << "\n";
  return failure;
}

FaultModel many_faults(uint64_t seed) {
  Rng rng(derive_key(23, seed));
  FaultModel faults;
  faults.cuts_per_minute = 10.0 * rng.uniform();
  faults.device_crashes_per_minute = 3.0 * rng.uniform();
  faults.coordinator_crashes_per_minute = 3.0 * rng.uniform();
  faults.disk_full_per_minute = rng.uniform();
  faults.bytes_per_second = 200.0 + 5'000.0 * rng.uniform();
  return faults;
}

TEST(DownlinkSimulation, TheModelGoesDownOnceAndThenWhatChanged) {
  const SimulationReport report = simulate(SmallFleet(1).options);
  EXPECT_TRUE(kept_every_promise(report));
  EXPECT_EQ(report.models_sent, 4U);
  EXPECT_EQ(report.deltas_sent, 20U);
  EXPECT_EQ(report.composed_deltas_sent, 0U);
}

TEST(DownlinkSimulation, MissedRoundsAreOneDelta) {
  SmallFleet fleet(1, 8);
  fleet.options.plan.cohort = 2;
  fleet.options.plan.rounds = 30;
  const SimulationReport report = simulate(fleet.options);
  EXPECT_TRUE(kept_every_promise(report));
  EXPECT_LE(report.models_sent, 8U);
  EXPECT_EQ(report.models_sent + report.deltas_sent, 60U);
  EXPECT_GT(report.composed_deltas_sent, 20U);
}

TEST(DownlinkSimulation, WhoMissedMoreThanIsKeptGetsTheModel) {
  SmallFleet fleet(1, 8);
  fleet.options.plan.cohort = 2;
  fleet.options.plan.rounds = 30;
  fleet.options.plan.downlink.deltas = 2;
  const SimulationReport report = simulate(fleet.options);
  EXPECT_TRUE(kept_every_promise(report));
  EXPECT_GT(report.models_sent, 20U);
  EXPECT_GT(report.composed_deltas_sent, 0U);
}

TEST(DownlinkSimulation, AFullDownlinkSendsNoDelta) {
  SmallFleet fleet(1);
  fleet.options.plan.downlink.bits = 0.0;
  const SimulationReport report = simulate(fleet.options);
  EXPECT_TRUE(kept_every_promise(report));
  EXPECT_EQ(report.models_sent, 24U);
  EXPECT_EQ(report.deltas_sent, 0U);
}

TEST(DownlinkSimulation, PromisesHoldUnderFaultsWhenRoundsAreMissed) {
  uint64_t composed = 0;
  uint64_t restarts = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SmallFleet fleet(seed, 6);
    fleet.options.plan.rounds = 10;
    fleet.options.plan.cohort = seed % 2 == 0 ? 3 : 0;
    fleet.options.plan.deadline_seconds = 15.0;
    fleet.options.faults = many_faults(seed);
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    composed += report.composed_deltas_sent;
    restarts += report.coordinator_crashes;
  }
  EXPECT_GT(composed, 60U);
  EXPECT_GT(restarts, 60U);
}

TEST(DownlinkSimulation, AModelThatIsKeptIsNotFetchedAgainAfterARestart) {
  uint64_t with = 0;
  uint64_t without = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SmallFleet fleet(seed);
    fleet.options.faults.device_crashes_per_minute = 4.0;
    with += simulate(fleet.options).models_sent;
    fleet.options.keep_models = false;
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    without += report.models_sent;
  }
  EXPECT_LT(with, 20U * 4U * 13U / 10U) << "hardly more than one a device";
  EXPECT_GT(without, with * 3 / 2);
}

}  // namespace
}  // namespace runnel::fleet
