// Devices that are put away while they have nothing to do, devices that come and go, and trainings side by side: none
// of it shows in the result.
#include <gtest/gtest.h>

#include <atomic>

#include "fleet/simulator/random_fleet.h"
#include "tests/sim/small_fleet.h"

namespace runnel::fleet {
namespace {

struct LargerFleet : SmallFleet {
  explicit LargerFleet(uint64_t seed) : SmallFleet(seed, 24) {
    options.plan.cohort = 4;
    options.plan.rounds = 12;
    options.plan.min_devices = 8;
    options.plan.deadline_seconds = 30.0;
    options.plan.pace.ping_seconds = 5;
    options.faults.latency_max = milliseconds(300);
    options.start_within = seconds(10);
  }
};

TEST(IdleSimulation, NobodyCanTellADeviceThatWasPutAway) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    LargerFleet fleet(seed);
    fleet.options.plan.pace.come_back = seed % 2 == 0;
    fleet.options.online_share = seed % 4 < 2 ? 1.0 : 0.6;
    fleet.options.online_mean = seconds(20);
    const SimulationReport whole = simulate(fleet.options);
    fleet.options.put_idle_away = true;
    const SimulationReport small = simulate(fleet.options);
    EXPECT_TRUE(whole.finished);
    EXPECT_TRUE(small.violations.empty()) << "seed " << seed << ": " << small.violations.front();
    EXPECT_EQ(fingerprint(small), fingerprint(whole)) << "seed " << seed;
  }
}

TEST(IdleSimulation, PromisesHoldUnderFaultsWhenDevicesArePutAway) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    RandomFleet fleet(seed);
    fleet.options.put_idle_away = true;
    fleet.options.keep_models = true;
    const SimulationReport report = simulate(fleet.options);
    EXPECT_TRUE(report.violations.empty()) << "seed " << seed << ": " << report.violations.front();
  }
}

TEST(IdleSimulation, TrainingSideBySideChangesNothing) {
  LargerFleet fleet(5);
  const SimulationReport alone = simulate(fleet.options);
  fleet.options.training_threads = 4;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fingerprint(simulate(fleet.options)), fingerprint(alone));
}

TEST(IdleSimulation, ExamplesAreAskedForWhenADeviceTrains) {
  LargerFleet fleet(3);
  const uint64_t expected = fingerprint(simulate(fleet.options));
  std::atomic<int> held = 0;
  int most = 0, asked = 0;
  const std::vector<const data::ExampleSource*> examples = fleet.options.examples;
  fleet.options.devices = static_cast<uint32_t>(examples.size());
  fleet.options.examples.clear();
  fleet.options.examples_of = [&](uint32_t device) {
    ++asked;
    most = std::max(most, ++held);
    return std::shared_ptr<const data::ExampleSource>(examples[device],
                                                      [&held](const data::ExampleSource*) { --held; });
  };
  fleet.options.put_idle_away = true;
  EXPECT_EQ(fingerprint(simulate(fleet.options)), expected);
  EXPECT_EQ(held, 0);
  EXPECT_GT(asked, 40);
  EXPECT_LE(most, 5);
}

TEST(IdleSimulation, DevicesThatAreAwayAreNotThere) {
  LargerFleet fleet(2);
  fleet.options.plan.rounds = 6;
  const Duration always = simulate(fleet.options).elapsed;
  fleet.options.online_share = 0.3;
  fleet.options.online_mean = seconds(30);
  const SimulationReport sometimes = simulate(fleet.options);
  EXPECT_TRUE(sometimes.finished);
  EXPECT_TRUE(sometimes.violations.empty());
  EXPECT_GT(sometimes.elapsed, always);
  size_t missed = 0;
  for (const SimulatedRound& round : sometimes.history) missed += round.missed.size();
  EXPECT_GT(missed, 0U);
}

}  // namespace
}  // namespace runnel::fleet
