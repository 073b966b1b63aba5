// The orchestration with real processes, pipes and sockets; only the two programs are stand-ins.
#include "fleet/fleet_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "fleet/fleet_error.h"
#include "fleet/work_folder.h"
#include "tests/unit/fleet/fake_programs.h"
#include "tests/unit/fleet/tcp_peer.h"

namespace runnel::fleet {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class EchoServer {
 public:
  EchoServer() : thread_([this] { serve(); }) {}
  ~EchoServer() {
    stop_ = true;
    thread_.join();
  }
  uint16_t port() const { return server_.port(); }

 private:
  void serve() {
    std::vector<TcpPeer> peers;
    while (!stop_) {
      if (TcpPeer peer = server_.accept_now(); peer.open()) peers.push_back(std::move(peer));
      for (TcpPeer& peer : peers) {
        if (const std::string got = peer.receive(); !got.empty()) peer.send(got);
      }
      ::poll(nullptr, 0, 1);
    }
  }

  TcpServer server_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class Watcher : public RunObserver {
 public:
  void on_round(const RunRecord& record) override { rounds.push_back(record.rounds.back().round); }
  void on_notice(const RunRecord&, const std::string& text) override { notices.push_back(text); }
  void on_tick(const RunRecord&) override {
    if (interrupt) ::kill(::getpid(), SIGTERM);
  }
  std::vector<uint32_t> rounds;
  std::vector<std::string> notices;
  bool interrupt = false;
};

class FleetRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    install("runnel-coordinator", kFakeCoordinator);
    install("runnel-device", kFakeDevice);
    ::setenv("FAKE_PORT", std::to_string(echo_.port()).c_str(), 1);
    ::unsetenv("FAKE_FAULT");
    ::unsetenv("FAKE_HOLD");
    config_.devices = 3;
    config_.rounds = 2;
    config_.bin_folder = bin_.path().string();
    config_.timeout_s = 60.0;
  }
  void install(const std::string& name, const char* script) {
    const std::string path = (bin_.path() / name).string();
    std::ofstream(path) << script;
    ::chmod(path.c_str(), 0755);
  }
  std::string fault() {
    try {
      run_fleet(config_, watcher_, signals_);
    } catch (const FleetError& error) {
      return error.what();
    }
    return "";
  }

  StopSignals signals_;  // before the thread, which inherits the mask
  EchoServer echo_;
  WorkFolder bin_{"", false};
  RunConfig config_;
  Watcher watcher_;
};

TEST_F(FleetRunTest, TrainsAndCountsEveryByte) {
  const RunRecord record = run_fleet(config_, watcher_, signals_);
  EXPECT_TRUE(record.finished);
  EXPECT_DOUBLE_EQ(record.accuracy.value(), 0.75);
  EXPECT_EQ(record.model_sha256, "abc123");
  EXPECT_EQ(record.parameters, 1234U);
  EXPECT_EQ(watcher_.rounds, (std::vector<uint32_t>{1, 2}));
  ASSERT_EQ(record.rounds.size(), 2U);
  // A device may be in the second round before it is known here that the first has ended.
  EXPECT_GE(record.rounds[0].uplink_bytes, 3000U);
  EXPECT_LE(record.rounds[1].downlink_bytes, 3000U);
  EXPECT_EQ(record.rounds[0].uplink_bytes + record.rounds[1].uplink_bytes, 6000U);
  EXPECT_EQ(record.rounds[0].downlink_bytes + record.rounds[1].downlink_bytes, 6000U);
  ASSERT_EQ(record.devices.size(), 3U);
  for (const DeviceRecord& device : record.devices) {
    EXPECT_EQ(device.link.uplink_bytes, 2000U);
    EXPECT_EQ(device.link.downlink_bytes, 2000U);
    EXPECT_EQ(device.link.connections, 1U);
    EXPECT_EQ(device.link.cuts, 0U);
    EXPECT_EQ(device.arena_bytes, 4096U);
    EXPECT_EQ(device.updates_acknowledged, 2U);
    EXPECT_GT(device.rss_bytes_max, 0U);
    EXPECT_EQ(device.state, "stopped");
  }
}

TEST_F(FleetRunTest, AKilledDeviceComesBack) {
  ::setenv("FAKE_HOLD", "1@2", 1);
  config_.faults.add_device_fault("1@2:uploading");
  const RunRecord record = run_fleet(config_, watcher_, signals_);
  EXPECT_TRUE(record.finished);
  EXPECT_EQ(record.devices[1].restarts, 1U);
  EXPECT_EQ(record.devices[0].restarts, 0U);
  EXPECT_EQ(record.devices[1].link.connections, 2U);
  EXPECT_THAT(watcher_.notices, Contains("d01 is killed while uploading in round 2"));
  EXPECT_THAT(watcher_.notices, Contains("d01 is started again"));
}

TEST_F(FleetRunTest, AKilledCoordinatorComesBack) {
  ::setenv("FAKE_HOLD", "coordinator@2", 1);
  config_.faults.set_coordinator_fault(2);
  const RunRecord record = run_fleet(config_, watcher_, signals_);
  EXPECT_TRUE(record.finished);
  EXPECT_EQ(record.coordinator_restarts, 1U);
  EXPECT_EQ(watcher_.rounds, (std::vector<uint32_t>{1, 2}));
  EXPECT_THAT(watcher_.notices, Contains("runnel-coordinator is started again"));
}

TEST_F(FleetRunTest, ADyingDeviceEndsTheRunWithItsLog) {
  ::setenv("FAKE_FAULT", "device", 1);
  const std::string text = fault();
  EXPECT_THAT(text, HasSubstr("runnel-device d01 exited with code 5"));
  EXPECT_THAT(text, HasSubstr("out of memory in layer 3"));
}

TEST_F(FleetRunTest, AFailingInitEndsTheRunWithItsLog) {
  ::setenv("FAKE_FAULT", "init", 1);
  const std::string text = fault();
  EXPECT_THAT(text, HasSubstr("runnel-coordinator init exited with code 2"));
  EXPECT_THAT(text, HasSubstr("the model is unknown"));
}

TEST_F(FleetRunTest, AMissingProgramIsNamed) {
  std::filesystem::remove(bin_.path() / "runnel-device");
  EXPECT_THAT(fault(), HasSubstr("runnel-device is not there or not executable"));
}

TEST_F(FleetRunTest, ASignalStopsEverything) {
  ::setenv("FAKE_HOLD", "0@1", 1);
  watcher_.interrupt = true;
  EXPECT_THROW(run_fleet(config_, watcher_, signals_), Interrupted);
}

TEST_F(FleetRunTest, AWorkFolderThatIsGivenStays) {
  config_.work_folder = (bin_.path() / "work").string();
  run_fleet(config_, watcher_, signals_);
  EXPECT_TRUE(std::filesystem::exists(bin_.path() / "work/logs/coordinator.log"));
  EXPECT_TRUE(std::filesystem::exists(bin_.path() / "work/bundles/d02.bundle"));
}

TEST_F(FleetRunTest, TheTimeoutIsKept) {
  ::setenv("FAKE_HOLD", "0@1", 1);
  config_.timeout_s = 0.5;
  EXPECT_THAT(fault(), HasSubstr("--timeout"));
}

}  // namespace
}  // namespace runnel::fleet
