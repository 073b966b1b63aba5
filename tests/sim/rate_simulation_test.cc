// Rate control on links that change: the product's engines, trainer and codec in virtual time.
#include <gtest/gtest.h>

#include <string>

#include "runtime/base/arena.h"
#include "runtime/train/evaluator.h"
#include "tests/sim/small_fleet.h"

namespace runnel::fleet {
namespace {

constexpr size_t kDevices = 4;

LinkRow row(Duration duration, double kbps) {
  return {duration, kbps, kbps, milliseconds(40)};
}

// Four devices with an update of some 14,000 coordinates, which at 8 bits takes 0.12 s at 1 Mbit/s and 4 s at 30
// kbit/s.
struct RateFleet : SmallFleet {
  explicit RateFleet(const RateTrace& trace, uint64_t seed = 1) : SmallFleet(seed, kDevices) {
    options.model.layers[0].units = 1200;
    options.plan.rate.deadline = true;
    options.plan.training.learning_rate = 0.01F;
    options.plan.codec = {};
    options.links.assign(kDevices, &trace);
    options.links_begin_anywhere = false;
    options.training_seconds_per_step = 0.1;
    options.speed_spread = 1.0;
    options.chunk_bytes = 4096;
    options.window_bytes = 32 * 1024;
    options.model_chunk_bytes = 4096;
    options.flash_bytes = 1 << 20;
  }
};

std::string missed_of(const SimulationReport& report) {
  std::string text;
  for (const std::string& each : report.violations) text += each + "\n";
  for (const SimulatedRound& round : report.history) {
    text += std::to_string(round.round) + " at " + std::to_string(round.closed_at.count() / 1000) +
            " ms: " + std::to_string(round.missed.size()) + " missed, " + std::to_string(round.bits_per_coordinate) +
            " bits\n";
  }
  return text;
}

// Share of the examples of all devices that the model gets right.
double accuracy_of(const RateFleet& fleet, std::span<const float> model) {
  constexpr uint32_t kBatch = 8;
  const Result<train::MemoryPlan> memory = train::evaluation_memory(fleet.options.model, kBatch);
  if (!memory.ok()) return 0.0;
  std::vector<uint8_t> block(memory->total_bytes + Arena::kAlignment);
  Arena arena(block);
  Result<train::Evaluator> evaluator = train::Evaluator::create(fleet.options.model, kBatch, arena);
  if (!evaluator.ok()) return 0.0;
  double sum = 0.0;
  for (const auto& part : fleet.points) {
    if (!evaluator->start(model, *part).ok()) return 0.0;
    while (*evaluator->step() == train::Progress::kRunning) {
    }
    sum += evaluator->metrics().accuracy();
  }
  return sum / static_cast<double>(fleet.points.size());
}

TEST(RateSimulation, AfterAStepOfTheLinkNoRoundIsMissedBeyondTheFirst) {
  const RateTrace trace("step", {row(seconds(8), 1000.0), row(seconds(100'000), 30.0)});
  RateFleet fleet(trace);
  fleet.options.plan.rounds = 26;
  fleet.options.plan.deadline_seconds = 4.0;
  fleet.options.plan.codec.bits = 8.0F;
  const SimulationReport report = simulate(fleet.options);
  ASSERT_TRUE(report.finished) << missed_of(report);
  EXPECT_TRUE(report.violations.empty()) << report.violations.front();

  const Duration deadline = milliseconds(4000);
  uint32_t before = 0, affected = 0, after = 0;
  Duration opened_at{};
  for (const SimulatedRound& round : report.history) {
    const Duration took = round.closed_at - opened_at;
    opened_at = round.closed_at;
    if (round.closed_at < seconds(8)) {
      ++before;
      EXPECT_TRUE(round.missed.empty()) << "before the step\n" << missed_of(report);
      EXPECT_GT(round.bits_per_coordinate, 7.0);
    } else if (affected == 0) {
      // Under way when the link changed, or the first one planned with what the old link carried.
      if (took > deadline || !round.missed.empty()) affected = round.round;
    } else {
      ++after;
      EXPECT_TRUE(round.missed.empty()) << missed_of(report);
      EXPECT_LT(took, deadline) << missed_of(report);
      EXPECT_LT(round.bits_per_coordinate, 6.0);
      EXPECT_GT(round.bits_per_coordinate, 0.5) << "what fits is sent, not less";
    }
  }
  EXPECT_GT(affected, 0U) << missed_of(report);
  EXPECT_LE(affected, before + 2) << missed_of(report);
  EXPECT_GT(before, 5U) << missed_of(report);
  EXPECT_GE(after, 10U) << missed_of(report);

  // The same fleet without the deadline in its rule passes it round after round, and waits.
  fleet.options.plan.rate.deadline = false;
  const SimulationReport fixed = simulate(fleet.options);
  size_t late = 0;
  opened_at = {};
  for (const SimulatedRound& round : fixed.history) {
    late += round.closed_at - opened_at > deadline ? 1 : 0;
    opened_at = round.closed_at;
  }
  EXPECT_GE(late, 10U) << missed_of(fixed);
}

TEST(RateSimulation, WhatNeverFitsForSeveralRoundsIsNotLost) {
  const RateTrace good("good", {row(seconds(100'000), 1000.0)});
  // Once the devices know their links: minutes of 1.2 kbit/s up, in which not even a kilobyte leaves before a deadline.
  const LinkRow dull{seconds(180), 1000.0, 1.2, milliseconds(40)};
  const RateTrace thin("thin",
                       {row(seconds(4), 1000.0), dull, row(seconds(60), 1000.0), dull, row(seconds(100'000), 1000.0)});
  RateFleet reference(good);
  RateFleet fleet(thin);
  for (RateFleet* each : {&reference, &fleet}) {
    each->options.plan.rounds = 30;
    each->options.plan.deadline_seconds = 4.0;
    each->options.plan.rate.step_ratio_max = 8.0F;
    each->options.plan.codec.codec = plan::CodecId::kDeadzone;
    each->options.plan.codec.error_feedback = true;
    each->options.plan.codec.bits = 2.0F;
  }
  const SimulationReport on_good = simulate(reference.options);
  const SimulationReport on_thin = simulate(fleet.options);
  ASSERT_TRUE(on_good.finished && on_thin.finished) << missed_of(on_thin);
  EXPECT_TRUE(on_thin.violations.empty()) << on_thin.violations.front();
  size_t missed = 0;
  for (const SimulatedRound& round : on_thin.history) missed += round.missed.size();
  EXPECT_GT(missed, 0U) << missed_of(on_thin);
  const double good_accuracy = accuracy_of(reference, on_good.model);
  const double thin_accuracy = accuracy_of(fleet, on_thin.model);
  EXPECT_GT(good_accuracy, 0.85);
  EXPECT_GT(thin_accuracy, good_accuracy - 0.03) << missed_of(on_thin);
}

}  // namespace
}  // namespace runnel::fleet
