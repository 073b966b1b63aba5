#include "fleet/watch/watched_fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fleet/link_table.h"
#include "fleet/work_folder.h"

namespace runnel::fleet {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct Notices : RunObserver {
  void on_round(const RunRecord& record) override { rounds.push_back(record.rounds.back().round); }
  void on_notice(const RunRecord&, const std::string& text) override { texts.push_back(text); }
  void on_tick(const RunRecord&) override {}
  std::vector<uint32_t> rounds;
  std::vector<std::string> texts;
};

class WatchedFleetTest : public testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(folder_ + "/" + file, std::ios::app) << text;
  }
  static std::string link(bool first, int up, int down, int busy_bytes, bool outage = false) {
    const std::string rate =
        R"({"busy_s":2,"bytes":)" + std::to_string(busy_bytes) + R"(,"profile_bytes":)" + std::to_string(30'000) + "}";
    return std::string(R"({"event":"link","first":)") + (first ? "true" : "false") + R"(,"uplink_bytes":)" +
           std::to_string(up) + R"(,"downlink_bytes":)" + std::to_string(down) +
           R"(,"drops":1,"up_kbps":120,"down_kbps":90.5,"outage":)" + (outage ? "true" : "false") +
           R"(,"rss_bytes_max":5000,"up":)" + rate + R"(,"down":{"busy_s":0,"bytes":0,"profile_bytes":0}})" + "\n";
  }
  static RunConfig config() {
    RunConfig config;
    config.devices = 1;
    config.rounds = 2;
    return config;
  }

  WorkFolder work_{"", false};
  std::string folder_ = work_.folder("events").string();
  Notices notices_;
};

TEST_F(WatchedFleetTest, CountersGoOnOverARestart) {
  WatchedFleet fleet(config(), folder_, notices_);
  fleet.read_new(0.1);  // nothing is there yet
  write("d00.link", link(true, 100, 200, 10'000) + link(false, 1000, 2000, 27'000));
  fleet.read_new(1.0);
  write("d00.link", link(true, 10, 20, 0) + link(false, 500, 600, 33'000));
  fleet.read_new(2.0);
  const DeviceRecord& device = fleet.record().devices.at(0);
  EXPECT_EQ(device.link.uplink_bytes, 1500U);
  EXPECT_EQ(device.link.downlink_bytes, 2600U);
  EXPECT_EQ(device.restarts, 1U);
  EXPECT_EQ(device.rss_bytes_max, 5000U);
  ASSERT_TRUE(device.measured.has_value());
  EXPECT_DOUBLE_EQ(device.measured->up.bytes, 60'000.0);
  EXPECT_DOUBLE_EQ(rate_ratio(device.measured->up).value_or(0.0), 1.0);
  EXPECT_FALSE(rate_ratio(device.measured->down).has_value());
  EXPECT_THAT(notices_.texts, testing::ElementsAre("d00 is started again"));
  EXPECT_THAT(link_table(fleet.record()), HasSubstr("120.0 kbit/s"));
  EXPECT_THAT(link_section(fleet.record()), HasSubstr("<td>d00</td>"));
}

TEST_F(WatchedFleetTest, HalfALineWaitsForItsOtherHalf) {
  WatchedFleet fleet(config(), folder_, notices_);
  const std::string line = link(true, 100, 200, 0);
  write("d00.link", line.substr(0, 20));
  fleet.read_new(1.0);
  EXPECT_EQ(fleet.record().devices.at(0).link.uplink_bytes, 0U);
  EXPECT_THAT(link_table(fleet.record()), IsEmpty());
  write("d00.link", line.substr(20));
  fleet.read_new(2.0);
  EXPECT_EQ(fleet.record().devices.at(0).link.uplink_bytes, 100U);
}

TEST_F(WatchedFleetTest, OutagesOpenAndClose) {
  WatchedFleet fleet(config(), folder_, notices_);
  write("d00.link", link(true, 0, 0, 0, true));
  fleet.read_new(1.0);
  write("d00.link", link(false, 0, 0, 0, false));
  fleet.read_new(3.0);
  const DeviceRecord& device = fleet.record().devices.at(0);
  ASSERT_EQ(device.outages.size(), 1U);
  EXPECT_DOUBLE_EQ(device.outages[0].begin_s, 1.0);
  EXPECT_DOUBLE_EQ(device.outages[0].end_s, 3.0);
}

TEST_F(WatchedFleetTest, IsOverWhenTheLastDeviceHasHeardOfIt) {
  WatchedFleet fleet(config(), folder_, notices_);
  write("coordinator.events",
        R"({"event":"started","rounds":2,"parameters":9,"model_version":0})"
        "\n"
        R"({"event":"round","round":1,"accuracy":0.5,"loss":1.0,"participants":1,"bits_per_coordinate":1,)"
        R"("uplink_bytes":1,"downlink_bytes":1,"seconds":1,"model_version":1})"
        "\n"
        R"({"event":"finished","rounds":2,"accuracy":0.75,"loss":null,"model_sha256":"ab","parameters":9})"
        "\n");
  fleet.read_new(1.0);
  EXPECT_EQ(notices_.rounds, std::vector<uint32_t>{1});
  EXPECT_TRUE(fleet.finished());
  EXPECT_FALSE(fleet.all_done());
  write("d00.events", R"({"event":"done","updates_acknowledged":2})"
                      "\n");
  fleet.read_new(2.0);
  EXPECT_TRUE(fleet.all_done());
  EXPECT_EQ(fleet.close(2.0).devices.at(0).updates_acknowledged, 2U);
}

}  // namespace
}  // namespace runnel::fleet
