// The simulator finds bugs that matter: each of them, planted on purpose, breaks a promise within a thousand seeds; and
// none is broken without. This program alone is built with RUNNEL_PLANTED_BUGS.
#include "runtime/base/planted_bug.h"

#include <gtest/gtest.h>

#include "fleet/simulator/random_fleet.h"

#ifndef RUNNEL_PLANTED_BUGS
#error "this test needs the engines with planted bugs"
#endif

namespace runnel::fleet {
namespace {

constexpr uint64_t kSeeds = 1000;

struct Planted {
  PlantedBug bug;
  const char* name;
};

class PlantedBugs : public testing::TestWithParam<Planted> {
 protected:
  void TearDown() override { planted_bug = PlantedBug::kNone; }
};

TEST_P(PlantedBugs, AreFoundWithinAThousandSeeds) {
  planted_bug = GetParam().bug;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    RandomFleet fleet(seed);
    fleet.options.give_up_after = seconds(3600);
    const SimulationReport report = simulate(fleet.options);
    if (report.violations.empty()) continue;
    std::printf("%s: seed %llu: %s\n", GetParam().name, static_cast<unsigned long long>(seed),
                report.violations.front().c_str());
    return;
  }
  FAIL() << GetParam().name << " was not found in " << kSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Simulation, PlantedBugs,
                         testing::Values(Planted{PlantedBug::kSendBeforePersist, "SendBeforePersist"},
                                         Planted{PlantedBug::kAckBeforeStore, "AckBeforeStore"},
                                         Planted{PlantedBug::kCountTwice, "CountTwice"},
                                         Planted{PlantedBug::kForgetUpload, "ForgetUpload"}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(NoPlantedBug, NothingIsFound) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    RandomFleet fleet(seed);
    fleet.options.give_up_after = seconds(3600);
    const SimulationReport report = simulate(fleet.options);
    EXPECT_TRUE(report.violations.empty()) << "seed " << seed << ": " << report.violations.front();
  }
}

}  // namespace
}  // namespace runnel::fleet
