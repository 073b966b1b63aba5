// A large update over a thin link that is cut again and again, and a fleet that loses its coordinator.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/integration/running_fleet.h"
#include "tests/integration/thin_link.h"

namespace runnel::testing_programs {
namespace {

constexpr double kUpKbps = 256.0;
constexpr double kDownKbps = 8000.0;

// A megabyte of fp32 in the one update of the one round.
std::vector<std::string> megabyte_plan(const std::string& model) {
  return {"--model", model,  "--rounds",   "1",    "--steps",         "1",
          "--codec", "fp32", "--deadline", "3600", "--downlink-bits", "0"};
}

constexpr char kMegabyteModel[] =
    "name = \"wide\"\ninput = [192]\nclasses = 6\n"
    "[[layer]]\nkind = \"dense\"\nunits = 1300\n[[layer]]\nkind = \"relu\"\n[[layer]]\nkind = \"dense\"\nunits = 6\n";
constexpr double kUpdateBytes = 4.0 * (193 * 1300 + 1301 * 6);

// Five seconds of the link, then a second of nothing, which breaks connections.
std::vector<fleet::LinkRow> cut_every_five_seconds() {
  return {{seconds(5), kDownKbps, kUpKbps, milliseconds(40)}, {seconds(1), 0.0, 0.0, {}}};
}

class ThinLinkTest : public ::testing::Test {
 protected:
  void make(std::vector<fleet::LinkRow> rows) {
    write_text(folder_ / "wide.toml", kMegabyteModel);
    fleet_ = std::make_unique<RunningFleet>(1, megabyte_plan(folder_ / "wide.toml"));
    ASSERT_TRUE(fleet_->made()) << fleet_->why_not();
    link_ = std::make_unique<ThinLink>(std::move(rows));
    start_coordinator();
    start_device();
  }
  void start_coordinator() {
    ASSERT_TRUE(fleet_->start_coordinator());
    link_->lead_to(fleet_->endpoint());
  }
  void start_device() {
    fleet_->lead_devices_to(link_->endpoint());
    fleet_->start_device(0);
  }
  uint64_t uplink_bytes() { return link_->counters().uplink_bytes; }
  void expect_finished() {
    EXPECT_EQ(fleet_->device(0).wait(), 0) << fleet_->device(0).output();
    EXPECT_EQ(fleet_->coordinator().wait(), 0) << fleet_->coordinator().output();
    const std::string log = fleet_->device(0).output();
    EXPECT_EQ(count_of(log, "round 1 trained"), 1U) << log;
    EXPECT_EQ(count_of(log, "update 1 of round 1 is durable"), 1U) << log;
  }
  // What a link without cuts carries for the same update: the update itself, frames, records and a handshake. A link
  // that is thin too, for on a fast one the update would go in longer chunks with less around them.
  uint64_t undisturbed_bytes() {
    make({{seconds(3600), kDownKbps, 2 * kUpKbps, milliseconds(1)}});
    expect_finished();
    return uplink_bytes();
  }

  TempFolder folder_;
  std::unique_ptr<RunningFleet> fleet_;
  std::unique_ptr<ThinLink> link_;
};

TEST_F(ThinLinkTest, AMegabyteOverALinkCutEveryFiveSecondsIsSentOnceAndNeedsOneHandshake) {
  const uint64_t undisturbed = undisturbed_bytes();
  ASSERT_GT(static_cast<double>(undisturbed), kUpdateBytes);
  make(cut_every_five_seconds());
  expect_finished();
  EXPECT_GE(link_->counters().cuts, 5U);
  const double again = (static_cast<double>(uplink_bytes()) - static_cast<double>(undisturbed)) / kUpdateBytes;
  RecordProperty("sent_again_per_mille", static_cast<int>(1000.0 * again));
  EXPECT_LT(again, 0.05) << uplink_bytes() << " bytes went up, " << undisturbed << " without cuts";
  EXPECT_EQ(count_of(fleet_->device(0).output(), "secure session with"), 1U) << fleet_->device(0).output();
}

TEST_F(ThinLinkTest, ADeviceAndACoordinatorKilledInTheMiddleGoOnWhereTheyWere) {
  make({{seconds(3600), kDownKbps, 4 * kUpKbps, milliseconds(20)}});
  const auto sent = [&](double share) {
    return [this, share] { return static_cast<double>(uplink_bytes()) > share * kUpdateBytes; };
  };
  ASSERT_TRUE(eventually(sent(0.3)));
  fleet_->device(0).stop(SIGKILL);
  start_device();
  ASSERT_TRUE(eventually(sent(0.6)));
  link_->lead_nowhere();
  fleet_->coordinator().stop(SIGKILL);
  start_coordinator();
  expect_finished();
  // What was under way at a kill is sent again, and what the coordinator had not stored yet.
  EXPECT_LT(static_cast<double>(uplink_bytes()), 1.3 * kUpdateBytes);
}

TEST_F(ThinLinkTest, DevicesThatLoseTheirCoordinatorDoNotReturnInStep) {
  constexpr size_t kDevices = 50;
  RunningFleet fleet(kDevices, {"--rounds", "2"});
  const std::vector<std::string> idle{"--min-devices", std::to_string(kDevices + 1)};  // nothing but sessions
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ThinLink link({{seconds(3600), fleet::kUnlimitedKbps, fleet::kUnlimitedKbps, milliseconds(1)}});
  ASSERT_TRUE(fleet.start_coordinator(idle));
  link.lead_to(fleet.endpoint());
  fleet.lead_devices_to(link.endpoint());
  for (size_t i = 0; i < kDevices; ++i) fleet.start_device(i);
  ASSERT_TRUE(eventually([&] {
    size_t greeted = 0;
    for (size_t i = 0; i < kDevices; ++i) greeted += contains(fleet.device(i).output(), "secure session with") ? 1 : 0;
    return greeted == kDevices;
  }));
  const auto total = [](const std::vector<uint64_t>& attempts) {
    return std::accumulate(attempts.begin(), attempts.end(), uint64_t{0});
  };
  const size_t before = link.attempts_by_second().size();
  link.lead_nowhere();
  fleet.coordinator().stop(SIGKILL);
  // Away for a while: attempts become rarer. Then it is back.
  std::this_thread::sleep_for(std::chrono::seconds(8));
  const std::vector<uint64_t> away = link.attempts_by_second();
  ASSERT_TRUE(fleet.start_coordinator(idle));
  link.lead_to(fleet.endpoint());
  const uint64_t relayed = link.counters().connections;
  ASSERT_TRUE(eventually([&] { return link.counters().connections >= relayed + kDevices; }));
  const std::vector<uint64_t> all = link.attempts_by_second();
  // No second has more than three quarters of the fleet on the way back, and later ones have fewer and fewer.
  const auto back = std::vector<uint64_t>(all.begin() + static_cast<std::ptrdiff_t>(away.size()), all.end());
  const uint64_t busiest = *std::max_element(back.begin(), back.end());
  RecordProperty("busiest_second", static_cast<int>(busiest));
  EXPECT_LT(busiest, 3 * kDevices / 4);
  EXPECT_LT(total(away) - total({away.begin(), away.begin() + static_cast<std::ptrdiff_t>(before)}), 6 * kDevices);
}

}  // namespace
}  // namespace runnel::testing_programs
