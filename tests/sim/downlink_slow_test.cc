// Links on which the whole model takes longer than a round: a device fetches it once, over as many rounds as that
// takes, and takes part by deltas from then on.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "fleet/simulator/simulated_link.h"
#include "runtime/wire/frame.h"
#include "tests/sim/small_fleet.h"

namespace runnel::fleet {
namespace {

constexpr double kRoundSeconds = 20.0;

// One device on a quick link, so that rounds close, and three that need `rounds` rounds for the model.
struct SlowFleet : SmallFleet {
  explicit SlowFleet(uint64_t seed, double rounds) : SmallFleet(seed) {
    options.model.layers[0].units = 400;
    const auto layout = plan::make_layout(options.model);
    model_bytes = wire::model_bytes_max(options.model, layout->parameter_count);
    // Records, packets and their headers are a tenth on top.
    const double kbps = 1.1 * 8e-3 * static_cast<double>(model_bytes) / (rounds * kRoundSeconds);
    slow.emplace("slow", std::vector<LinkRow>{{seconds(1000), kbps, 4.0 * kbps, milliseconds(100)}});
    options.links = {&quick, &*slow, &*slow, &*slow};
    options.plan.rounds = 10;
    options.plan.deadline_seconds = kRoundSeconds;
    options.training_seconds_per_step = 0.01;
  }
  size_t model_bytes = 0;
  const RateTrace quick{"quick", {LinkRow{seconds(1000), 2000.0, 1000.0, milliseconds(20)}}};
  std::optional<RateTrace> slow;
};

testing::AssertionResult kept_every_promise(const SimulationReport& report) {
  if (report.violations.empty()) return testing::AssertionSuccess();
  auto failure = testing::AssertionFailure();
  for (const std::string& violation : report.violations) failure << violation << "\n";
  return failure;
}

TEST(SlowDownlink, WhoNeedsRoundsForTheModelTakesPartOnceItIsThere) {
  SlowFleet fleet(1, 3.5);
  const SimulationReport report = simulate(fleet.options);
  EXPECT_TRUE(report.finished);
  EXPECT_TRUE(kept_every_promise(report));
  ASSERT_EQ(report.history.size(), 10U);
  EXPECT_EQ(report.history[0].counted, 1U) << "else the links are not slow";
  for (const SimulatedRound& round : report.history) {
    // Three and a half rounds for the model, and one and a half for what has changed until then: a delta is a fifth of
    // this model.
    if (round.round >= 6) {
      EXPECT_EQ(round.counted, 4U) << "round " << round.round;
    }
  }
  EXPECT_EQ(report.models_sent, 4U) << "the model went to each once";
}

TEST(SlowDownlink, CutsAndRestartsOnTheWayCostTime) {
  uint64_t cuts = 0;
  uint64_t missing = 0;  // in the last rounds
  for (uint64_t seed = 7; seed <= 14; ++seed) {
    SlowFleet fleet(seed, 3.5);
    // A delta over many versions takes rounds too, and the next one is shorter: the last to catch up needs 24.
    fleet.options.plan.rounds = 30;
    fleet.options.faults.cuts_per_minute = 0.5;
    fleet.options.faults.coordinator_crashes_per_minute = seed % 2 == 0 ? 0.2 : 0.0;
    fleet.options.faults_for = seconds(200);
    const SimulationReport report = simulate(fleet.options);
    ASSERT_TRUE(report.finished);
    ASSERT_TRUE(kept_every_promise(report)) << "seed " << seed;
    missing += 4U - report.history.back().counted;
    cuts += report.cuts;
  }
  EXPECT_GT(cuts, 15U);
  EXPECT_EQ(missing, 0U);
}

// Without deltas nothing leads on from an earlier version: the transfer begins anew with each round, and a link that is
// just fast enough must not lose by that.
TEST(SlowDownlink, WithoutDeltasAModelThatFitsIntoARoundStillArrives) {
  SlowFleet fleet(1, 0.6);
  fleet.options.plan.downlink.bits = 0.0;
  const SimulationReport report = simulate(fleet.options);
  EXPECT_TRUE(kept_every_promise(report));
  EXPECT_EQ(report.history.back().counted, 4U);
}

}  // namespace
}  // namespace runnel::fleet
