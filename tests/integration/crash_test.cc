// Processes killed at the worst moments: what was acknowledged stays, what was trained arrives, nothing is done twice.
#include <gtest/gtest.h>

#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

TEST(Crash, AnUpdateTrainedBeforeTheDeviceDiedArrivesWithoutTrainingAgain) {
  // The coordinator goes away as soon as the device trains (it has the model then), and training takes far longer than
  // that, so that the update cannot be delivered in the device's first life.
  RunningFleet fleet(1, {"--rounds", "1", "--epochs", "200"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  fleet.start_device(0, {"--ram-max", "64M"});
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "training memory"); }))
      << fleet.device(0).output();
  fleet.coordinator().stop(SIGKILL);
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "update 1 of round 1 stored"); }))
      << fleet.device(0).output();
  fleet.device(0).stop(SIGKILL);

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
    ASSERT_TRUE(fleet.start_coordinator());
  }
  ASSERT_TRUE(eventually([&] { return !fleet.coordinator().running(); })) << fleet.coordinator().output();
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", fleet.state()});
  EXPECT_TRUE(contains(status.output, "rounds closed: 12 of 12")) << status.output;
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
