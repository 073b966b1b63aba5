#include "fleet/fault_plan.h"

#include <gtest/gtest.h>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

TEST(FaultPlan, StrikesOnceAndOnlyThen) {
  FaultPlan plan;
  plan.add_device_fault("2@3:training");
  EXPECT_FALSE(plan.empty());
  EXPECT_EQ(plan.device_index_max(), 2U);
  EXPECT_FALSE(plan.strikes_device(1, "training", 3));
  EXPECT_FALSE(plan.strikes_device(2, "uploading", 3));
  EXPECT_FALSE(plan.strikes_device(2, "training", 2));
  EXPECT_TRUE(plan.strikes_device(2, "training", 3));
  EXPECT_FALSE(plan.strikes_device(2, "training", 3));
  EXPECT_TRUE(plan.empty());
}

TEST(FaultPlan, TheCoordinatorFallsAtTheFirstUpload) {
  FaultPlan plan;
  plan.set_coordinator_fault(4);
  EXPECT_FALSE(plan.strikes_coordinator("training", 4));
  EXPECT_FALSE(plan.strikes_coordinator("uploading", 3));
  EXPECT_TRUE(plan.strikes_coordinator("uploading", 4));
  EXPECT_FALSE(plan.strikes_coordinator("uploading", 4));
}

TEST(FaultPlan, RefusesWhatItCannotRead) {
  FaultPlan plan;
  for (const char* text : {"", "1", "1@2", "@2:training", "1@:training", "x@2:training", "1@2:sleeping", "1:2@training",
                           "-1@2:training", "1@2:", "4294967296@1:training"}) {
    EXPECT_THROW(plan.add_device_fault(text), FleetError) << text;
  }
  EXPECT_TRUE(plan.empty());
}

}  // namespace
}  // namespace runnel::fleet
