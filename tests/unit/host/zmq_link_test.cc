// The links over the loopback: real sockets, no assumption about how fast they are.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <csignal>
#include <functional>
#include <string>

#include "runtime/base/rng.h"
#include "runtime/host/coordinator_link.h"
#include "runtime/host/device_link.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/host/stop_signal.h"
#include "runtime/host/zmq_link.h"
#include "tests/unit/host/channel_pair.h"

namespace runnel::host {
namespace {

using ::testing::HasSubstr;

constexpr int kTurns = 3000;  // of 10 ms: how long a test waits for what must come

class ZmqLinkTest : public ::testing::Test {
 protected:
  ZmqLinkTest() {
    auto created = ZmqContext::create();
    EXPECT_TRUE(created.ok());
    context_ = std::move(*created);
    coordinator_ = make_coordinator();
    EXPECT_TRUE(coordinator_->bind("tcp://127.0.0.1:*").ok());
    endpoint_ = coordinator_->endpoint();
  }

  std::unique_ptr<CoordinatorLink> make_coordinator() {
    auto created = CoordinatorLink::create(*context_, {});
    EXPECT_TRUE(created.ok()) << created.failure().text();
    return std::move(*created);
  }
  std::unique_ptr<DeviceLink> make_device(DeviceLink::Options options = {}) {
    auto created = DeviceLink::create(*context_, options);
    EXPECT_TRUE(created.ok()) << created.failure().text();
    return std::move(*created);
  }

  static bool wait_event(DeviceLink& device, LinkEvent wanted) {
    for (int turn = 0; turn < kTurns; ++turn) {
      for (LinkEvent event; device.poll_event(event);) {
        EXPECT_EQ(static_cast<int>(event), static_cast<int>(wanted));
        return event == wanted;
      }
      EXPECT_TRUE(device.wait(milliseconds(10)).ok());
    }
    return false;
  }
  bool coordinator_receives(RoutingId& from, Bytes& out) {
    for (int turn = 0; turn < kTurns; ++turn) {
      if (coordinator_->receive(from, out)) return true;
      EXPECT_TRUE(coordinator_->wait(milliseconds(10)).ok());
    }
    return false;
  }
  static bool device_receives(DeviceLink& device, Bytes& out) {
    for (int turn = 0; turn < kTurns; ++turn) {
      if (device.receive(out)) return true;
      EXPECT_TRUE(device.wait(milliseconds(10)).ok());
    }
    return false;
  }
  void expect_exchange(DeviceLink& device, const std::string& text) {
    ASSERT_EQ(device.send(bytes_of(text)), Error::kOk);
    RoutingId from;
    Bytes out;
    ASSERT_TRUE(coordinator_receives(from, out));
    EXPECT_EQ(out, bytes_of(text));
    ASSERT_EQ(coordinator_->send(from, bytes_of(text + "!")), Error::kOk);
    ASSERT_TRUE(device_receives(device, out));
    EXPECT_EQ(out, bytes_of(text + "!"));
  }
  int raw_connection() const {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(endpoint_.substr(endpoint_.rfind(':') + 1))));
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  std::unique_ptr<ZmqContext> context_;
  std::unique_ptr<CoordinatorLink> coordinator_;
  std::string endpoint_;
};

TEST_F(ZmqLinkTest, MessagesGoBothWays) {
  auto device = make_device();
  EXPECT_EQ(device->send(bytes_of("x")), Error::kUnreachable);
  ASSERT_TRUE(device->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*device, LinkEvent::kConnected));
  EXPECT_TRUE(device->connected());
  for (int i = 0; i < 20; ++i) expect_exchange(*device, "message " + std::to_string(i));
  expect_exchange(*device, std::string(kMessageBytesMax - 1, 'x'));
  EXPECT_EQ(device->counters().messages_sent, 21U);
}

TEST_F(ZmqLinkTest, WildcardAndZeroPortsAreResolved) {
  EXPECT_THAT(endpoint_, HasSubstr("tcp://127.0.0.1:"));
  EXPECT_EQ(endpoint_.find('*'), std::string::npos);
  auto other = make_coordinator();
  ASSERT_TRUE(other->bind("tcp://127.0.0.1:0").ok());
  EXPECT_NE(other->endpoint(), endpoint_);
  EXPECT_EQ(other->endpoint().find(":0", 10), std::string::npos);
}

TEST_F(ZmqLinkTest, APortInUseIsNamed) {
  auto other = make_coordinator();
  const Failure failure = other->bind(endpoint_);
  EXPECT_EQ(failure.error(), Error::kBusy);
  EXPECT_EQ(std::string(failure.text()), endpoint_ + " is in use");
}

TEST_F(ZmqLinkTest, BadEndpointsAreNamed) {
  auto device = make_device();
  for (const char* bad : {"", "nonsense", "tcp://", "tcp://host", "udp://127.0.0.1:5", "inproc://x"}) {
    EXPECT_EQ(device->connect(bad).error(), Error::kInvalidArgument) << bad;
    EXPECT_EQ(coordinator_->bind(bad).error(), Error::kInvalidArgument) << bad;
  }
  EXPECT_EQ(coordinator_->bind("tcp://203.0.113.7:5555").error(), Error::kInvalidArgument) << "not this machine's";
}

TEST_F(ZmqLinkTest, NobodyThereIsAnEvent) {
  // A port that is taken, so that nobody else gets it, and at which nobody listens.
  const int taken = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string nobody = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  auto device = make_device();
  ASSERT_TRUE(device->connect(nobody).ok());
  EXPECT_TRUE(wait_event(*device, LinkEvent::kConnectFailed));
  EXPECT_EQ(device->send(bytes_of("x")), Error::kUnreachable);
  ASSERT_TRUE(device->connect(endpoint_).ok()) << "the same link may try elsewhere";
  ASSERT_TRUE(wait_event(*device, LinkEvent::kConnected));
  expect_exchange(*device, "hello");
  close(taken);
}

TEST_F(ZmqLinkTest, ACoordinatorThatGoesIsAnEventAndOneThatComesBackIsFound) {
  auto device = make_device();
  ASSERT_TRUE(device->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*device, LinkEvent::kConnected));
  expect_exchange(*device, "before");
  coordinator_.reset();
  ASSERT_TRUE(wait_event(*device, LinkEvent::kDisconnected));
  EXPECT_FALSE(device->connected());
  EXPECT_EQ(device->send(bytes_of("x")), Error::kUnreachable);

  coordinator_ = make_coordinator();
  Failure bound = Error::kBusy;
  for (int turn = 0; turn < kTurns && bound.error() == Error::kBusy; ++turn) {
    bound = coordinator_->bind(endpoint_);
    EXPECT_TRUE(coordinator_->wait(milliseconds(bound.ok() ? 0 : 10)).ok());
  }
  ASSERT_TRUE(bound.ok()) << bound.text();
  LinkEvent event{};
  EXPECT_FALSE(device->poll_event(event)) << "it does not reconnect by itself";
  ASSERT_TRUE(device->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*device, LinkEvent::kConnected));
  expect_exchange(*device, "after");
}

TEST_F(ZmqLinkTest, ADeviceThatWentIsUnreachable) {
  auto device = make_device();
  ASSERT_TRUE(device->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*device, LinkEvent::kConnected));
  ASSERT_EQ(device->send(bytes_of("hello")), Error::kOk);
  RoutingId from;
  Bytes out;
  ASSERT_TRUE(coordinator_receives(from, out));
  device->close();
  Error error = Error::kOk;
  for (int turn = 0; turn < kTurns && error != Error::kUnreachable; ++turn) {
    error = coordinator_->send(from, bytes_of("anyone?"));
    EXPECT_TRUE(coordinator_->wait(milliseconds(10)).ok());
  }
  EXPECT_EQ(error, Error::kUnreachable);
  RoutingId unknown;
  const uint8_t name[] = {1, 2, 3, 4, 5};
  ASSERT_TRUE(unknown.assign(name));
  EXPECT_EQ(coordinator_->send(unknown, bytes_of("x")), Error::kUnreachable);
}

TEST_F(ZmqLinkTest, AFullQueueIsBusyNotMemory) {
  auto device = make_device({.queue_messages = 4});
  ASSERT_TRUE(device->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*device, LinkEvent::kConnected));
  const Bytes large(kMessageBytesMax, 1);
  Error error = Error::kOk;
  int sent = 0;
  while (error == Error::kOk && sent < 10'000) {  // nobody reads at the other end
    error = device->send(large);
    sent += error == Error::kOk ? 1 : 0;
  }
  EXPECT_EQ(error, Error::kBusy);
  EXPECT_EQ(device->send(Bytes(18 * 1024)), Error::kLimit);
  RoutingId from;
  Bytes out;
  for (int i = 0; i < sent; ++i) ASSERT_TRUE(coordinator_receives(from, out)) << i << " of " << sent;
}

TEST_F(ZmqLinkTest, RawBytesFromAStrangerDisturbNobody) {
  auto device = make_device();
  ASSERT_TRUE(device->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*device, LinkEvent::kConnected));
  expect_exchange(*device, "before");
  Rng rng(3);
  for (int i = 0; i < 30; ++i) {
    const int fd = raw_connection();
    Bytes rubbish(1 + rng.below(2000));
    for (uint8_t& byte : rubbish) byte = static_cast<uint8_t>(rng.next_u64());
    if (i % 3 == 1) {  // ZMTP's own signature, then rubbish
      const uint8_t greeting[] = {0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3};
      std::copy_n(greeting, std::min(sizeof greeting, rubbish.size()), rubbish.begin());
    }
    if (i % 3 == 2) rubbish.assign({'G', 'E', 'T', ' ', '/', '\r', '\n', '\r', '\n'});
    EXPECT_EQ(write(fd, rubbish.data(), rubbish.size()), static_cast<ssize_t>(rubbish.size()));
    expect_exchange(*device, "in between " + std::to_string(i));
    close(fd);
  }
  expect_exchange(*device, "after");
}

TEST_F(ZmqLinkTest, MessagesOfSeveralPartsAndLongNamesAreDropped) {
  void* hostile_context = zmq_ctx_new();
  void* hostile = zmq_socket(hostile_context, ZMQ_DEALER);
  const int no_linger = 0;
  zmq_setsockopt(hostile, ZMQ_LINGER, &no_linger, sizeof no_linger);
  ASSERT_EQ(zmq_connect(hostile, endpoint_.c_str()), 0);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(zmq_send(hostile, "a", 1, ZMQ_SNDMORE), 1);
    ASSERT_EQ(zmq_send(hostile, "b", 1, ZMQ_SNDMORE), 1);
    ASSERT_EQ(zmq_send(hostile, "c", 1, 0), 1);
  }
  ASSERT_EQ(zmq_send(hostile, "good", 4, 0), 4);
  RoutingId from;
  Bytes out;
  ASSERT_TRUE(coordinator_receives(from, out));
  EXPECT_EQ(out, bytes_of("good"));
  EXPECT_EQ(coordinator_->counters().messages_dropped, 3U);

  void* named = zmq_socket(hostile_context, ZMQ_DEALER);
  zmq_setsockopt(named, ZMQ_LINGER, &no_linger, sizeof no_linger);
  const std::string long_name(200, 'n');
  ASSERT_EQ(zmq_setsockopt(named, ZMQ_ROUTING_ID, long_name.data(), long_name.size()), 0);
  ASSERT_EQ(zmq_connect(named, endpoint_.c_str()), 0);
  ASSERT_EQ(zmq_send(named, "named", 5, 0), 5);
  for (int turn = 0; turn < kTurns && coordinator_->counters().messages_dropped == 3; ++turn) {
    EXPECT_FALSE(coordinator_->receive(from, out));
    EXPECT_TRUE(coordinator_->wait(milliseconds(10)).ok());
  }
  EXPECT_EQ(coordinator_->counters().messages_dropped, 4U);

  zmq_close(named);
  zmq_close(hostile);
  zmq_ctx_term(hostile_context);
}

TEST_F(ZmqLinkTest, ATooLongMessageCostsThePeerItsConnectionOnly) {
  auto good = make_device();
  ASSERT_TRUE(good->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*good, LinkEvent::kConnected));
  auto bad = make_device({.message_bytes_max = 1 << 20});
  ASSERT_TRUE(bad->connect(endpoint_).ok());
  ASSERT_TRUE(wait_event(*bad, LinkEvent::kConnected));
  ASSERT_EQ(bad->send(Bytes(100'000)), Error::kOk);
  EXPECT_TRUE(wait_event(*bad, LinkEvent::kDisconnected));
  expect_exchange(*good, "still here");
}

TEST_F(ZmqLinkTest, WaitSeesFurtherDescriptorsAndComesBackOnSignals) {
  auto device = make_device();
  const int fd = eventfd(0, EFD_NONBLOCK);
  ASSERT_GE(fd, 0);
  WaitFd extra[] = {{fd, true}};
  ASSERT_TRUE(device->wait(Duration::zero(), extra).ok());
  EXPECT_FALSE(extra[0].readable);
  ASSERT_EQ(eventfd_write(fd, 1), 0);
  ASSERT_TRUE(device->wait(DeviceLink::kForever, extra).ok());
  EXPECT_TRUE(extra[0].readable);
  ASSERT_TRUE(coordinator_->wait(CoordinatorLink::kForever, extra).ok());
  EXPECT_TRUE(extra[0].readable);
  close(fd);

  static volatile std::sig_atomic_t rang = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { rang = 1; };
  ASSERT_EQ(sigaction(SIGALRM, &action, nullptr), 0);
  ualarm(20'000, 20'000);  // repeated, should the first one come before the wait
  ASSERT_TRUE(coordinator_->wait(CoordinatorLink::kForever).ok());
  ualarm(0, 0);
  EXPECT_EQ(rang, 1);
}

TEST_F(ZmqLinkTest, ASecureSessionOutlivesItsConnectionsAndTheCoordinator) {
  MonotonicClock clock;
  CoordinatorChannels::Options options;
  options.unix_time_s = [] { return kToday; };
  options.ticket_key.fill(3);
  auto channels = CoordinatorChannels::create(test_fleet().coordinator, options, test_entropy());
  ASSERT_TRUE(channels.ok());
  std::unique_ptr<CoordinatorChannels> coordinator = std::move(*channels);
  auto created = DeviceChannel::create(test_fleet().device, {}, test_entropy());
  ASSERT_TRUE(created.ok());
  DeviceChannel& channel = **created;
  auto link = make_device();

  const auto pump = [&](const std::function<bool()>& done) {
    for (int turn = 0; turn < kTurns; ++turn) {
      if (done()) return true;
      RoutingId peer;
      Bytes message;
      for (LinkEvent event; link->poll_event(event);) {
        if (event == LinkEvent::kConnected) channel.handle_connected(clock.now());
        if (event != LinkEvent::kConnected) channel.handle_disconnected();
      }
      while (link->receive(message)) channel.handle_message(message, clock.now());
      while (link->connected() && channel.poll_message(message)) static_cast<void>(link->send(message));
      while (coordinator_->receive(peer, message)) coordinator->handle_message(peer, message, clock.now());
      while (coordinator->poll_message(peer, message)) static_cast<void>(coordinator_->send(peer, message));
      EXPECT_TRUE(link->wait(milliseconds(5)).ok());
    }
    return false;
  };
  const auto talk = [&](const std::string& text) {
    if (!pump([&] { return channel.send(bytes_of(text)).ok(); })) return false;
    SessionId session = 0;
    Bytes heard;
    if (!pump([&] { return coordinator->poll_plaintext(session, heard); })) return false;
    if (heard != bytes_of(text) || !coordinator->send(session, heard).ok()) return false;
    return pump([&] { return channel.poll_plaintext(heard); }) && heard == bytes_of(text);
  };

  ASSERT_TRUE(link->connect(endpoint_).ok());
  ASSERT_TRUE(talk("first connection"));
  for (int i = 0; i < 3; ++i) {
    link->close();
    channel.handle_disconnected();
    ASSERT_TRUE(link->connect(endpoint_).ok());
    ASSERT_TRUE(talk("connection " + std::to_string(i)));
  }
  EXPECT_EQ(channel.counters().handshakes_started, 1U);

  // The coordinator restarts: sockets and sessions are gone, the ticket key is not.
  coordinator_.reset();
  auto again = CoordinatorChannels::create(test_fleet().coordinator, options, test_entropy());
  ASSERT_TRUE(again.ok());
  coordinator = std::move(*again);
  coordinator_ = make_coordinator();
  Failure bound = Error::kBusy;
  for (int turn = 0; turn < kTurns && bound.error() == Error::kBusy; ++turn) {
    bound = coordinator_->bind(endpoint_);
    EXPECT_TRUE(coordinator_->wait(milliseconds(bound.ok() ? 0 : 10)).ok());
  }
  ASSERT_TRUE(bound.ok());
  ASSERT_TRUE(pump([&] { return !link->connected(); }));
  ASSERT_TRUE(link->connect(endpoint_).ok());
  ASSERT_TRUE(pump([&] { return link->connected(); }));
  ASSERT_TRUE(channel.send(bytes_of("who is there?")).ok());  // lost; answered by a hint
  ASSERT_TRUE(pump([&] { return channel.counters().handshakes_resumed == 1; }));
  ASSERT_TRUE(talk("after the restart"));
}

// Else a program that is told to stop a moment before it waits would sleep on until something else happens.
TEST_F(ZmqLinkTest, AStopThatCameJustBeforeTheWaitEndsIt) {
  const auto before_int = std::signal(SIGINT, SIG_DFL);
  const auto before_term = std::signal(SIGTERM, SIG_DFL);
  install_stop_signals();
  std::raise(SIGTERM);
  EXPECT_TRUE(stop_requested());
  EXPECT_TRUE(coordinator_->wait(DeviceLink::kForever).ok());
  // Once: what a program does in its last moments may wait again.
  int quick = 0;
  for (int i = 0; i < 20; ++i) {
    WaitFd nothing;
    nothing.fd = stop_signal_fd();
    nothing.want_read = true;
    EXPECT_TRUE(wait_on_sockets({}, milliseconds(1), {&nothing, 1}).ok());
    quick += nothing.readable ? 1 : 0;
  }
  EXPECT_EQ(quick, 0);
  std::signal(SIGINT, before_int);
  std::signal(SIGTERM, before_term);
}

}  // namespace
}  // namespace runnel::host
