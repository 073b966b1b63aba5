// The product's engines in a world of faults, many seeds. RUNNEL_SIM_SEEDS sets how many (default below); a failing
// seed is printed and replays alone with RUNNEL_SIM_FIRST=SEED RUNNEL_SIM_SEEDS=1.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/small_fleet.h"

namespace runnel::fleet {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Which faults a seed gets, and how many of them: some seeds see one kind alone, some all.
FaultModel faults_of(uint64_t seed) {
  Rng rng(derive_key(7, seed));
  const auto some = [&](double most) { return rng.below(2) == 0 ? 0.0 : most * rng.uniform(); };
  FaultModel faults;
  faults.cuts_per_minute = some(20.0);
  faults.device_crashes_per_minute = some(4.0);
  faults.coordinator_crashes_per_minute = some(4.0);
  faults.disk_full_per_minute = some(2.0);
  faults.hostile_frames_per_minute = some(2.0);
  faults.latency_max = faults.latency_min + milliseconds(static_cast<int64_t>(rng.below(2000)));
  faults.bytes_per_second = 200.0 + 20'000.0 * rng.uniform();
  return faults;
}

testing::AssertionResult kept_every_promise(const SimulationReport& report) {
  if (report.violations.empty()) return testing::AssertionSuccess();
  auto failure = testing::AssertionFailure();
  for (const std::string& violation : report.violations) failure << violation << "\n";
  return failure;
}

TEST(FleetSimulation, WithoutFaultsEveryDeviceCountsInEveryRound) {
  SmallFleet fleet(1);
  const SimulationReport report = simulate(fleet.options);
  EXPECT_TRUE(kept_every_promise(report));
  EXPECT_TRUE(report.finished);
  EXPECT_EQ(report.rounds, 6U);
  EXPECT_EQ(report.updates_counted, 24U);
}

TEST(FleetSimulation, PromisesHoldUnderFaults) {
  const uint64_t first = from_environment("RUNNEL_SIM_FIRST", 1);
  const uint64_t seeds = from_environment("RUNNEL_SIM_SEEDS", 200);
  uint64_t cuts = 0, device_crashes = 0, coordinator_crashes = 0, disks = 0, hostile = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    SmallFleet fleet(seed);
    fleet.options.faults = faults_of(seed);
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    cuts += report.cuts;
    device_crashes += report.device_crashes;
    coordinator_crashes += report.coordinator_crashes;
    disks += report.disks_filled;
    hostile += report.hostile_frames;
  }
  std::printf(
      "%llu seeds: %llu cuts, %llu device crashes, %llu coordinator crashes, %llu full disks, %llu hostile frames\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(cuts),
      static_cast<unsigned long long>(device_crashes), static_cast<unsigned long long>(coordinator_crashes),
      static_cast<unsigned long long>(disks), static_cast<unsigned long long>(hostile));
  if (seeds < 50) return;
  EXPECT_GT(cuts, seeds);
  EXPECT_GT(device_crashes, 0U);
  EXPECT_GT(coordinator_crashes, 0U);
  EXPECT_GT(disks, 0U);
  EXPECT_GT(hostile, 0U);
}

// Frames that are lost, repeated, overtaken or come in a later connection, partitions, power that fails in the middle
// of flash writes and between any two steps, clocks that jump, hostile bytes both ways: all of it at once.
TEST(FleetSimulation, PromisesHoldUnderEveryFault) {
  const uint64_t first = from_environment("RUNNEL_SIM_FIRST", 1);
  const uint64_t seeds = from_environment("RUNNEL_SIM_SEEDS", 60);
  SimulationReport sum;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    SmallFleet fleet(seed);
    fleet.options.faults = every_fault();
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    sum.frames_lost += report.frames_lost;
    sum.frames_repeated += report.frames_repeated;
    sum.frames_delayed += report.frames_delayed;
    sum.partitions += report.partitions;
    sum.clock_jumps += report.clock_jumps;
    sum.gates += report.gates;
  }
  if (seeds < 50) return;
  EXPECT_GT(sum.frames_lost, seeds);
  EXPECT_GT(sum.frames_repeated, seeds);
  EXPECT_GT(sum.frames_delayed, seeds);
  EXPECT_GT(sum.partitions, 0U);
  EXPECT_GT(sum.clock_jumps, 0U);
  EXPECT_GT(sum.gates, 0U);
}

TEST(FleetSimulation, TheSameSeedGivesTheSameRun) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SmallFleet fleet(seed);
    fleet.options.faults = faults_of(seed);
    const SimulationReport once = simulate(fleet.options);
    const SimulationReport again = simulate(fleet.options);
    EXPECT_EQ(once.model, again.model) << "seed " << seed;
    EXPECT_EQ(once.elapsed, again.elapsed) << "seed " << seed;
    EXPECT_EQ(once.uplink_bytes, again.uplink_bytes) << "seed " << seed;
  }
}

TEST(FleetSimulation, FaultsThatLetEveryUpdateArriveInTimeDoNotChangeTheModel) {
  SmallFleet calm(1);
  const SimulationReport reference = simulate(calm.options);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SmallFleet fleet(seed);
    fleet.options.faults = faults_of(seed);
    fleet.options.plan.deadline_seconds = 1e6;  // nothing is ever late
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    EXPECT_EQ(report.model, reference.model) << "seed " << seed;
  }
}

void use_error_feedback(SmallFleet& fleet) {
  fleet.options.plan.codec.codec = plan::CodecId::kDeadzone;
  fleet.options.plan.codec.bits = 0.5F;
  fleet.options.plan.codec.error_feedback = true;
}

// What an update lost is neither lost nor counted twice by any crash: else the model would be another.
TEST(FleetSimulation, WithErrorFeedbackFaultsDoNotChangeTheModelEither) {
  SmallFleet calm(1);
  use_error_feedback(calm);
  const SimulationReport reference = simulate(calm.options);
  EXPECT_NE(reference.model, simulate(SmallFleet(1).options).model);
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SmallFleet fleet(seed);
    use_error_feedback(fleet);
    fleet.options.faults = faults_of(seed);
    fleet.options.plan.deadline_seconds = 1e6;  // nothing is ever late
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    EXPECT_EQ(report.model, reference.model) << "seed " << seed;
  }
}

void use_control_variates(SmallFleet& fleet) {
  fleet.options.plan.codec.codec = plan::CodecId::kDithered;
  fleet.options.plan.training.local_steps = 6;
  fleet.options.plan.training.scaffold_share = 1.0F;
}

// The same for what a device knows of its own gradients and the fleet's: an update that is trained again, because the
// device died before it was stored, gets the correction that it got before.
TEST(FleetSimulation, WithControlVariatesFaultsDoNotChangeTheModelEither) {
  SmallFleet calm(1);
  use_control_variates(calm);
  const SimulationReport reference = simulate(calm.options);
  EXPECT_TRUE(kept_every_promise(reference));
  calm.options.plan.training.scaffold_share = 0.0F;
  EXPECT_NE(reference.model, simulate(calm.options).model);
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SmallFleet fleet(seed);
    use_control_variates(fleet);
    fleet.options.faults = faults_of(seed);
    fleet.options.plan.deadline_seconds = 1e6;  // nothing is ever late
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    EXPECT_EQ(report.model, reference.model) << "seed " << seed;
  }
}

TEST(FleetSimulation, PromisesHoldWithErrorFeedbackWhenUpdatesAreLate) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SmallFleet fleet(seed);
    use_error_feedback(fleet);
    fleet.options.faults = faults_of(seed);
    fleet.options.plan.deadline_seconds = 10.0;
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
  }
}

TEST(FleetSimulation, OverSelectionAndSmallCohortsComeToAnEnd) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SmallFleet fleet(seed, 8);
    fleet.options.plan.cohort = 3;
    fleet.options.plan.over_selection = 0.5;
    fleet.options.plan.quorum = 2;
    fleet.options.plan.deadline_seconds = 20.0;
    fleet.options.faults = faults_of(seed);
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace runnel::fleet
