// Processes killed at the worst moments: what was acknowledged stays, what was trained arrives, nothing is done twice.
#include <gtest/gtest.h>

#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

// Kills the coordinator as soon as the device trains (it has the model then), and the device when its update is in the
// outbox. False if the update was delivered before: this machine looked away for too long.
bool kill_both_around_the_training(RunningFleet& fleet) {
  fleet.start_device(0, {"--ram-max", "64M"});
  EXPECT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "training memory"); }))
      << fleet.device(0).output();
  fleet.coordinator().stop(SIGKILL);
  EXPECT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "update 1 of round 1 stored"); }))
      << fleet.device(0).output();
  fleet.device(0).stop(SIGKILL);
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", fleet.state()});
  return contains(status.output, "rounds closed: 0 of 1") && !contains(fleet.device(0).output(), " is durable");
}

TEST(Crash, AnUpdateTrainedBeforeTheDeviceDiedArrivesWithoutTrainingAgain) {
  std::unique_ptr<RunningFleet> killed;
  for (int epochs = 50; killed == nullptr && epochs <= 12800 && !HasFailure(); epochs *= 4) {
    auto attempt = std::make_unique<RunningFleet>(
        1, std::vector<std::string>{"--rounds", "1", "--epochs", std::to_string(epochs)});
    ASSERT_TRUE(attempt->made()) << attempt->why_not();
    ASSERT_TRUE(attempt->start_coordinator());
    if (kill_both_around_the_training(*attempt)) killed = std::move(attempt);
  }
  ASSERT_NE(killed, nullptr);
  RunningFleet& fleet = *killed;
  ASSERT_TRUE(fleet.start_coordinator());
  fleet.start_device(0);
  EXPECT_EQ(fleet.device(0).wait(), 0) << fleet.device(0).output();
  EXPECT_EQ(fleet.coordinator().wait(), 0) << fleet.coordinator().output();
  const std::string log = fleet.device(0).output();  // of both lives
  EXPECT_TRUE(contains(log, "update 1 of round 1 is still to be delivered")) << log;
  EXPECT_EQ(count_of(log, "round 1 trained"), 1U) << log;
  EXPECT_EQ(count_of(log, "update 1 of round 1 is durable"), 1U) << log;
}

TEST(Crash, TheRunGoesOnAfterTheCoordinatorWasKilledAgainAndAgain) {
  RunningFleet fleet(3, {"--rounds", "12", "--deadline", "300"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  for (size_t i = 0; i < 3; ++i) fleet.start_device(i);
  for (int kills = 0; kills < 3; ++kills) {
    const std::string round = "round " + std::to_string(3 * kills + 2) + " of 12";
    ASSERT_TRUE(eventually([&] { return contains(fleet.device(1).output(), round); })) << fleet.device(1).output();
    fleet.coordinator().stop(SIGKILL);
    ASSERT_TRUE(fleet.start_coordinator({"--events", fleet.path("events-" + std::to_string(kills))}));
  }
  ASSERT_TRUE(eventually([&] { return !fleet.coordinator().running(); })) << fleet.coordinator().output();
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", fleet.state()});
  EXPECT_TRUE(contains(status.output, "rounds closed: 12 of 12")) << status.output;
  // The last life tells of every round, also of one that an earlier life closed and did not live to tell of.
  const std::string events = read_text(fleet.path("events-2"));
  for (int round = 1; round <= 12; ++round) {
    const std::string told = "\"event\":\"round\",\"round\":" + std::to_string(round) + ",";
    EXPECT_EQ(count_of(events, told), 1U) << events;
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(fleet.device(i).wait(), 0);
    // Each round of each device: one training, one durable update.
    for (int round = 1; round <= 12; ++round) {
      const std::string end = " of round " + std::to_string(round) + " is durable";
      EXPECT_EQ(count_of(fleet.device(i).output(), end), 1U) << fleet.device(i).output();
    }
  }
}

TEST(Crash, ARefusedStartLeavesTheRunningCoordinatorAlone) {
  RunningFleet fleet(1, {"--rounds", "2"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  const Outcome second =
      run({program("runnel-coordinator"), "run", "--state", fleet.state(), "--bind", "tcp://127.0.0.1:0"});
  EXPECT_NE(second.status, 0);
  EXPECT_TRUE(contains(second.output, "run.lock")) << second.output;
  fleet.start_device(0);
  EXPECT_EQ(fleet.device(0).wait(), 0) << fleet.device(0).output();
  EXPECT_EQ(fleet.coordinator().wait(), 0);
}

}  // namespace
}  // namespace runnel::testing_programs
