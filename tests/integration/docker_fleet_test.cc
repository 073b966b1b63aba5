// scripts/docker-fleet for real, with a Docker engine of its own: images are built, containers train behind shaped
// links, some are killed, and nothing is left of it. Skipped, and says so, where no engine can be started.
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/programs.h"
#include "tests/integration/shaped_fleet.h"

namespace runnel::testing_programs {
namespace {

const std::string kScript = RUNNEL_SOURCE_DIR "/scripts/docker-fleet";
constexpr int kNoEngine = 3;

// Namespaces, engines and mounts that a run of the script makes.
std::string remains() {
  return run({"/bin/sh", "-c",
              "ip netns list | grep '^runnel-fleet-' | sort; pgrep -x dockerd; pgrep -x containerd; "
              "grep -o '/[^ ]*/engine/[^ ]*' /proc/self/mounts | sort"})
      .output;
}

TEST(DockerFleet, TrainsInContainersAndLeavesNothing) {
  const std::string before = remains();
  const TempFolder folder;
  const std::string json = folder / "run.json";
  const Outcome outcome =
      run({kScript,     "--engine",  "private",  "--bin",  RUNNEL_BIN_DIR, "--devices", "4",
           "--profile", "lte-m",     "--rounds", "3",      "--churn",      "8",         "--codec",
           "fp32",      "--timeout", "400",      "--json", json,           "--report",  folder / "run.html"});
  if (outcome.status == kNoEngine) GTEST_SKIP() << "NOT TESTED: no Docker engine here: " << outcome.output;
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(remains(), before);
  expect_trained_behind_shaped_links(json, 3);
}

}  // namespace
}  // namespace runnel::testing_programs
