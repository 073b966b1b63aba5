// scripts/netns-fleet for real: namespaces, filters of the kernel, a device that is killed meanwhile. Skipped, and says
// so, where namespaces or the kernel's parts are not to be had.
#include <gtest/gtest.h>

#include "tests/integration/programs.h"
#include "tests/integration/shaped_fleet.h"

namespace runnel::testing_programs {
namespace {

const std::string kScript = RUNNEL_SOURCE_DIR "/scripts/netns-fleet";

std::string namespaces() {
  return run({"/bin/sh", "-c", "ip netns list | grep '^rn[0-9]*-' | sort"}).output;
}

// Why it cannot be tried here; empty if it can.
std::string obstacle() {
  const Outcome tried =
      run({"/bin/sh", "-c",
           "ip netns add rn-try && { ip -n rn-try link add try type veth peer name other && "
           "ip -n rn-try link add try-bridge type bridge && ip -n rn-try link add try-ifb type ifb && "
           "tc -n rn-try qdisc add dev try root tbf rate 8mbit burst 2kb limit 9kb; "
           "status=$?; ip netns del rn-try; exit $status; }"});
  return tried.status == 0 ? "" : tried.output;
}

TEST(NetnsFleet, TrainsBehindShapedLinksAndLeavesNothing) {
  const std::string why_not = obstacle();
  if (!why_not.empty())
    GTEST_SKIP() << "NOT TESTED: no network namespaces with veth, bridge, tbf and ifb here: " << why_not;
  const std::string before = namespaces();
  const TempFolder folder;
  const std::string json = folder / "run.json";
  const Outcome outcome =
      run({kScript, "--bin", RUNNEL_BIN_DIR, "--devices", "3", "--profile", "lte-m", "--rounds", "3", "--churn", "8",
           "--codec", "fp32", "--timeout", "400", "--json", json, "--report", folder / "run.html"});
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(namespaces(), before) << "namespaces are left";
  expect_trained_behind_shaped_links(json, 3);
}

TEST(NetnsFleet, AFailureLeavesNothingEither) {
  if (!obstacle().empty()) GTEST_SKIP() << "NOT TESTED: as above";
  const std::string before = namespaces();
  const Outcome outcome = run({kScript, "--bin", RUNNEL_BIN_DIR, "--devices", "2", "--model", "no-such-model"});
  EXPECT_NE(outcome.status, 0);
  EXPECT_EQ(namespaces(), before);
}

}  // namespace
}  // namespace runnel::testing_programs
