// Boards without a secure channel in real rounds: the coordinator, the gateway and the boards are processes of their
// own.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

// A port that was free just now.
int free_udp_port() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0;
  ::close(fd);
  return bound ? ntohs(name.sin_port) : 0;
}

class Boards {
 public:
  Boards(RunningFleet& fleet, size_t count) : fleet_(fleet), addresses_(count), lines_(count), boards_(count) {}

  // Where board `i` is: as its program says it, and as the gateway does.
  void place(size_t i, const std::string& own, const std::string& for_gateway) {
    addresses_[i] = own;
    lines_[i] = for_gateway;
  }
  void start(size_t i, int noise_seed = 0) {
    std::vector<std::string> command{program("serial_board"), RunningFleet::name(i),          fleet_.device_state(i),
                                     std::to_string(i),       std::to_string(boards_.size()), addresses_[i]};
    if (noise_seed != 0) command.push_back(std::to_string(noise_seed));
    boards_[i] = std::make_unique<Background>(command, fleet_.device_log(i));
  }
  void start_gateway() {
    std::vector<std::string> command{program("runnel-gateway"), "--coordinator", fleet_.endpoint(), "--state",
                                     fleet_.path("gateway")};
    for (size_t i = 0; i < boards_.size(); ++i) {
      command.push_back("--board");
      command.push_back(fleet_.bundle(i) + "=" + lines_[i]);
    }
    gateway_ = std::make_unique<Background>(command, fleet_.path("gateway.log"));
  }
  Background& board(size_t i) { return *boards_[i]; }
  Background& gateway() { return *gateway_; }

  // Each round of each board: one durable update.
  void expect_every_update_once(int rounds) {
    for (size_t i = 0; i < boards_.size(); ++i) {
      EXPECT_EQ(boards_[i]->wait(), 0) << boards_[i]->output();
      for (int round = 1; round <= rounds; ++round) {
        const std::string end = " of round " + std::to_string(round) + " is durable";
        EXPECT_EQ(count_of(boards_[i]->output(), end), 1U) << i << ":\n" << boards_[i]->output();
      }
    }
  }
  std::string logs() const {
    std::string all = gateway_->output();
    for (const auto& board : boards_) all += "--- board\n" + board->output();
    return all;
  }

 private:
  RunningFleet& fleet_;
  std::vector<std::string> addresses_;
  std::vector<std::string> lines_;
  std::unique_ptr<Background> gateway_;
  std::vector<std::unique_ptr<Background>> boards_;
};

std::vector<std::string> plan(int rounds) {
  return {"--model", "sensor-mlp", "--rounds", std::to_string(rounds), "--epochs", "1", "--deadline", "300"};
}

TEST(Gateway, BoardsOnAPoorLineOnUdpAndOneThatLosesItsPowerDeliverEveryUpdateOnce) {
  constexpr int kRounds = 6;
  RunningFleet fleet(3, plan(kRounds));
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  Boards boards(fleet, 3);
  boards.place(0, "pty:" + fleet.path("tty"), fleet.path("tty") + "@115200");
  const std::string own = std::to_string(free_udp_port());
  const std::string gateways = std::to_string(free_udp_port());
  boards.place(1, "udp:" + own + ":" + gateways, "udp://127.0.0.1:" + gateways + ",from=127.0.0.1:" + own);
  boards.place(2, "unix:" + fleet.path("sock"), "unix:" + fleet.path("sock"));
  boards.start(0, 17);
  boards.start(1);
  boards.start(2);
  boards.start_gateway();
  ASSERT_TRUE(eventually([&] { return contains(boards.board(2).output(), "of round 2 stored"); })) << boards.logs();
  boards.board(2).stop(SIGKILL);
  boards.start(2);
  ASSERT_TRUE(eventually([&] { return !fleet.coordinator().running(); })) << boards.logs();
  boards.expect_every_update_once(kRounds);
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", fleet.state()});
  EXPECT_TRUE(contains(status.output, "rounds closed: 6 of 6")) << status.output;
  const std::string poor = boards.board(0).output();
  EXPECT_FALSE(contains(poor, "line: 0 frames damaged")) << poor;
  EXPECT_FALSE(contains(poor, ", 0 pieces sent again")) << poor;
  boards.gateway().stop(SIGTERM);
  EXPECT_EQ(boards.gateway().wait(), 0);
  EXPECT_EQ(count_of(boards.gateway().output(), "d2: the board is there"), 2U) << boards.gateway().output();
  EXPECT_TRUE(contains(boards.gateway().output(), "d1: line ")) << boards.gateway().output();
}

TEST(Gateway, CoordinatorsAndGatewaysMayGoAwayInTheMiddle) {
  constexpr int kRounds = 5;
  RunningFleet fleet(2, plan(kRounds));
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  Boards boards(fleet, 2);
  for (size_t i = 0; i < 2; ++i) {
    const std::string address = "unix:" + fleet.path("sock" + std::to_string(i));
    boards.place(i, address, address);
    boards.start(i);
  }
  boards.start_gateway();
  const auto reached = [&](const char* what) {
    return eventually([&] { return contains(boards.board(1).output(), what); });
  };
  ASSERT_TRUE(reached("of round 1 is durable")) << boards.logs();
  fleet.coordinator().stop(SIGKILL);
  ASSERT_TRUE(reached("link down")) << boards.logs();
  ASSERT_TRUE(fleet.start_coordinator());
  ASSERT_TRUE(reached("of round 2 is durable")) << boards.logs();
  boards.gateway().stop(SIGKILL);
  boards.start_gateway();
  ASSERT_TRUE(eventually([&] { return !fleet.coordinator().running(); })) << boards.logs();
  boards.expect_every_update_once(kRounds);
}

TEST(Gateway, WhatItCannotUseIsNamed) {
  RunningFleet fleet(1, plan(1));
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  const auto refused = [&](const std::string& board) {
    const Outcome outcome = run({program("runnel-gateway"), "--state", fleet.path("gateway"), "--board", board,
                                 "--coordinator", "tcp://[::1]"});
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    return outcome.output;
  };
  EXPECT_TRUE(contains(refused("no-address"), "not BUNDLE=ADDRESS"));
  EXPECT_TRUE(contains(refused("b=udp://0.0.0.0:7001"), "who the board is"));
  EXPECT_TRUE(contains(refused("b=floppy"), "neither a device"));
  EXPECT_TRUE(contains(refused("no-bundle.toml=unix:/run/x"), "no-bundle.toml"));
  EXPECT_TRUE(contains(refused(fleet.bundle(0) + "=unix:/run/x"), "--coordinator"));
}

}  // namespace
}  // namespace runnel::testing_programs
