// The relay with real sockets and a clock of the test's own: time passes only when the test says so.
#include "fleet/link_proxy.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "fleet/fleet_error.h"
#include "tests/unit/fleet/tcp_peer.h"

namespace runnel::fleet {
namespace {

std::shared_ptr<const RateTrace> trace_of(std::vector<LinkRow> rows) {
  return std::make_shared<const RateTrace>("test", std::move(rows));
}

class LinkProxyTest : public ::testing::Test {
 protected:
  LinkProxyTest() : proxy_("127.0.0.1", [this] { return now_; }) { proxy_.set_target("127.0.0.1", server_.port()); }

  // Lets the kernel deliver and the relay work, at this instant, until `done`; false when it never is.
  bool settle(const std::function<bool()>& done) {
    for (int i = 0; i < 2000; ++i) {
      proxy_.service();
      if (done()) return true;
      pollfd waited{proxy_.fd(), POLLIN, 0};
      ::poll(&waited, 1, 1);
    }
    return false;
  }
  // Works for as long as anything still happens at this instant.
  void exhaust() {
    settle([quiet = 0, before = uint64_t{0}, this]() mutable {
      uint64_t bytes = 0;
      for (size_t i = 0; i < proxy_.link_count(); ++i) {
        bytes += proxy_.counters(i).uplink_bytes + proxy_.counters(i).downlink_bytes;
      }
      quiet = bytes == before ? quiet + 1 : 0;
      before = bytes;
      return quiet >= 4;  // loopback delivers within the call that sends
    });
  }
  void pass(Duration duration) { now_ += duration; }

  // A device's connection and the coordinator's end of it.
  struct Ends {
    TcpPeer device;
    TcpPeer coordinator;
  };
  Ends connect(size_t link) {
    TcpPeer device = TcpPeer::connect_to(proxy_.port(link));
    TcpPeer coordinator;
    settle([&] {
      coordinator = server_.accept_now();
      return coordinator.open();
    });
    return {std::move(device), std::move(coordinator)};
  }

  TcpServer server_;
  Instant now_{seconds(1000)};
  LinkProxy proxy_;
};

TEST_F(LinkProxyTest, RelaysBothWaysAndCountsEveryByte) {
  const size_t link = proxy_.add_link(trace_of({{seconds(60)}}));
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  ASSERT_TRUE(device.open() && coordinator.open());
  device.send("a message up");
  std::string up;
  ASSERT_TRUE(settle([&] { return (up += coordinator.receive()).size() >= 12; }));
  EXPECT_EQ(up, "a message up");
  coordinator.send("and one down");
  std::string down;
  ASSERT_TRUE(settle([&] { return (down += device.receive()).size() >= 12; }));
  EXPECT_EQ(down, "and one down");
  EXPECT_EQ(proxy_.counters(link).uplink_bytes, 12U);
  EXPECT_EQ(proxy_.counters(link).downlink_bytes, 12U);
  EXPECT_EQ(proxy_.counters(link).connections, 1U);
  EXPECT_EQ(proxy_.counters(link).cuts, 0U);
}

TEST_F(LinkProxyTest, ALargeTransferArrivesWhole) {
  const size_t link = proxy_.add_link(trace_of({{seconds(60)}}));
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  std::string sent(1'000'000, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 + i / 997);
  size_t done = 0;
  std::string got;
  ASSERT_TRUE(settle([&] {
    done += device.send(sent.substr(done, 65536));
    return (got += coordinator.receive()).size() >= sent.size();
  }));
  EXPECT_EQ(got, sent);
  EXPECT_EQ(proxy_.counters(link).uplink_bytes, sent.size());
}

TEST_F(LinkProxyTest, PassesOnTheEndOfAStream) {
  const size_t link = proxy_.add_link(trace_of({{seconds(60)}}));
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  device.send("last words");
  device.shut_down_writing();
  std::string got;
  ASSERT_TRUE(settle([&] {
    got += coordinator.receive();
    return coordinator.ended();
  }));
  EXPECT_EQ(got, "last words");
  coordinator.send("reply");
  std::string reply;
  ASSERT_TRUE(settle([&] { return (reply += device.receive()) == "reply"; }));
  coordinator.close();
  ASSERT_TRUE(settle([&] {
    device.receive();
    return device.ended();
  }));
}

TEST_F(LinkProxyTest, TheRateHoldsOverTime) {
  const size_t link = proxy_.add_link(trace_of({{seconds(600), 160.0, 80.0, Duration::zero()}}));
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  const std::string block(20'000, 'x');
  for (int step = 0; step < 100; ++step) {  // 2 s of 20 ms
    device.send(block);
    coordinator.send(block);
    exhaust();
    device.receive();
    coordinator.receive();
    pass(milliseconds(20));
  }
  const LinkCounters counters = proxy_.counters(link);
  // 10 and 20 bytes a millisecond, and the burst that was saved up before.
  EXPECT_NEAR(static_cast<double>(counters.uplink_bytes), 20'000.0 + 1500.0, 0.15 * 20'000.0);
  EXPECT_NEAR(static_cast<double>(counters.downlink_bytes), 40'000.0 + 1500.0, 0.15 * 40'000.0);
}

TEST_F(LinkProxyTest, LatencyHoldsBytesBack) {
  const size_t link = proxy_.add_link(trace_of({{seconds(600), 1e6, 1e6, milliseconds(80)}}));
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  device.send("ping");
  ASSERT_TRUE(settle([&] { return proxy_.counters(link).uplink_bytes == 4; }));
  EXPECT_EQ(proxy_.next_timeout(), now_ + milliseconds(80));
  pass(milliseconds(79));
  exhaust();
  EXPECT_EQ(coordinator.receive(), "");
  pass(milliseconds(1));
  std::string got;
  EXPECT_TRUE(settle([&] { return (got += coordinator.receive()) == "ping"; }));
}

TEST_F(LinkProxyTest, ALongOutageCutsAndRefusesUntilItIsOver) {
  const size_t link =
      proxy_.add_link(trace_of({{seconds(10)}, {seconds(2), 0.0, 0.0, Duration::zero()}, {seconds(10)}}));
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  pass(seconds(10));
  ASSERT_TRUE(settle([&] {
    device.receive();
    return device.was_reset();
  }));
  coordinator.receive();
  EXPECT_TRUE(coordinator.was_reset() || coordinator.ended());
  EXPECT_EQ(proxy_.counters(link).cuts, 1U);
  EXPECT_TRUE(proxy_.state(link).outage);

  TcpPeer refused = TcpPeer::connect_to(proxy_.port(link));
  if (refused.open()) {
    EXPECT_TRUE(settle([&] {
      refused.receive();
      return refused.was_reset() || refused.ended();
    }));
  }
  EXPECT_EQ(proxy_.counters(link).refused, 1U);
  EXPECT_EQ(proxy_.counters(link).connections, 1U);

  pass(seconds(2));
  const Ends again = connect(link);
  EXPECT_TRUE(again.device.open() && again.coordinator.open());
  EXPECT_EQ(proxy_.counters(link).connections, 2U);
  const std::vector<LinkNotice> notices = proxy_.take_notices();
  ASSERT_EQ(notices.size(), 2U);
  EXPECT_TRUE(notices[0].dark);
  EXPECT_FALSE(notices[1].dark);
  EXPECT_EQ(notices[1].at - notices[0].at, seconds(2));
  EXPECT_TRUE(proxy_.take_notices().empty());
}

TEST_F(LinkProxyTest, AShortOutageOnlyStalls) {
  const size_t link =
      proxy_.add_link(trace_of({{seconds(10)}, {milliseconds(500), 0.0, 0.0, Duration::zero()}, {seconds(10)}}));
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  pass(seconds(10));
  exhaust();
  device.send("patience");
  exhaust();
  EXPECT_EQ(coordinator.receive(), "");
  EXPECT_EQ(proxy_.counters(link).uplink_bytes, 0U);
  pass(milliseconds(500));
  std::string got;
  EXPECT_TRUE(settle([&] { return (got += coordinator.receive()) == "patience"; }));
  EXPECT_EQ(proxy_.counters(link).cuts, 0U);
}

TEST_F(LinkProxyTest, SurvivesAnAbsentAndAMovedCoordinator) {
  const size_t link = proxy_.add_link(trace_of({{seconds(600)}}));
  proxy_.clear_target();
  TcpPeer early = TcpPeer::connect_to(proxy_.port(link));
  EXPECT_TRUE(settle([&] {
    early.receive();
    return !early.open() || early.was_reset() || early.ended();
  }));
  EXPECT_EQ(proxy_.counters(link).refused, 1U);

  TcpServer gone;
  const uint16_t dead_port = gone.port();
  gone.close();
  proxy_.set_target("127.0.0.1", dead_port);
  TcpPeer hopeless = TcpPeer::connect_to(proxy_.port(link));
  EXPECT_TRUE(settle([&] {
    hopeless.receive();
    return hopeless.was_reset() || hopeless.ended();
  }));

  proxy_.set_target("127.0.0.1", server_.port());
  Ends ends = connect(link);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  device.send("hello");
  std::string got;
  EXPECT_TRUE(settle([&] { return (got += coordinator.receive()) == "hello"; }));
}

TEST_F(LinkProxyTest, LinksAreIndependent) {
  const size_t dark = proxy_.add_link(trace_of({{seconds(10), 0.0, 0.0, Duration::zero()}}));
  const size_t fine = proxy_.add_link(trace_of({{seconds(10)}}));
  EXPECT_NE(proxy_.port(dark), proxy_.port(fine));
  Ends ends = connect(fine);
  TcpPeer& device = ends.device;
  TcpPeer& coordinator = ends.coordinator;
  device.send("hello");
  std::string got;
  EXPECT_TRUE(settle([&] { return (got += coordinator.receive()) == "hello"; }));
  EXPECT_EQ(proxy_.counters(dark).uplink_bytes, 0U);
  EXPECT_EQ(proxy_.counters(fine).uplink_bytes, 5U);
  EXPECT_TRUE(proxy_.state(dark).cut);
}

TEST_F(LinkProxyTest, AnOffsetStartsWithinTheTrace) {
  const size_t link =
      proxy_.add_link(trace_of({{seconds(5), 100.0, 100.0, {}}, {seconds(5), 200.0, 200.0, {}}}), seconds(6));
  EXPECT_DOUBLE_EQ(proxy_.state(link).up_kbps, 200.0);
  EXPECT_EQ(proxy_.next_timeout(), now_ + seconds(4));
}

TEST_F(LinkProxyTest, BeginStartsTheTracesAnew) {
  const size_t link = proxy_.add_link(trace_of({{seconds(5), 100.0, 100.0, {}}, {seconds(5), 0.0, 0.0, {}}}));
  pass(seconds(6));
  proxy_.service();
  EXPECT_TRUE(proxy_.state(link).outage);
  proxy_.begin();
  EXPECT_DOUBLE_EQ(proxy_.state(link).up_kbps, 100.0);
  EXPECT_EQ(proxy_.next_timeout(), now_ + seconds(5));
}

TEST(LinkProxy, RefusesABadAddress) {
  EXPECT_THROW(LinkProxy("localhost", [] { return Instant{}; }), FleetError);
}

}  // namespace
}  // namespace runnel::fleet
