// Channels of both sides joined by memory instead of a network: tests carry each message by hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/host/coordinator_channels.h"
#include "runtime/host/device_channel.h"
#include "tests/unit/host/test_fleet.h"

namespace runnel::host {

using Bytes = std::vector<uint8_t>;

inline Bytes bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

inline RoutingId routing(uint8_t number) {
  const uint8_t bytes[5] = {0, 1, 2, 3, number};
  RoutingId id;
  EXPECT_TRUE(id.assign(bytes));
  return id;
}

inline std::vector<Bytes> messages_of(DeviceChannel& device) {
  std::vector<Bytes> all;
  for (Bytes message; device.poll_message(message);) all.push_back(message);
  return all;
}

struct Sent {
  RoutingId to;
  Bytes message;
};

inline std::vector<Sent> messages_of(CoordinatorChannels& coordinator) {
  std::vector<Sent> all;
  for (Sent sent; coordinator.poll_message(sent.to, sent.message);) all.push_back(sent);
  return all;
}

template <typename Event, typename Channel>
std::vector<Event> events_of(Channel& channel) {
  std::vector<Event> all;
  for (Event event; channel.poll_event(event);) all.push_back(event);
  return all;
}

class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() {
    device_options.unix_time_s = [this] { return device_clock_s; };
    coordinator_options.unix_time_s = [this] { return coordinator_clock_s; };
    coordinator_options.ticket_key.fill(7);
  }

  std::unique_ptr<DeviceChannel> make_device(const Credentials& credentials) {
    auto created = DeviceChannel::create(credentials, device_options, test_entropy());
    EXPECT_TRUE(created.ok()) << created.failure().text();
    return created.ok() ? std::move(*created) : nullptr;
  }
  std::unique_ptr<CoordinatorChannels> make_coordinator(const Credentials& credentials) {
    auto created = CoordinatorChannels::create(credentials, coordinator_options, test_entropy());
    EXPECT_TRUE(created.ok()) << created.failure().text();
    return created.ok() ? std::move(*created) : nullptr;
  }
  void make_both() {
    device = make_device(test_fleet().device);
    coordinator = make_coordinator(test_fleet().coordinator);
  }

  // Carries messages both ways until none is left; the device's connection has the routing id `route`.
  void carry() {
    for (bool moved = true; moved;) {
      moved = false;
      for (const Bytes& message : messages_of(*device)) {
        coordinator->handle_message(route, message, now);
        moved = true;
      }
      for (const Sent& sent : messages_of(*coordinator)) {
        if (sent.to == route) device->handle_message(sent.message, now);
        moved = true;
      }
    }
  }
  void connect() {
    device->handle_connected(now);
    carry();
  }
  void reconnect(uint8_t number) {
    device->handle_disconnected();
    route = routing(number);
    connect();
  }
  // A full round: connected, established, and the coordinator's session in `session`.
  void establish() {
    connect();
    ASSERT_TRUE(device->established());
    const auto events = events_of<CoordinatorEvent>(*coordinator);
    ASSERT_FALSE(events.empty());
    ASSERT_EQ(events.back().kind, CoordinatorEvent::Kind::kOpened);
    session = events.back().session;
    events_of<ChannelEvent>(*device);
  }

  // What arrives of `text` at the other side, if anything.
  std::optional<Bytes> device_says(const std::string& text) {
    EXPECT_TRUE(device->send(bytes_of(text)).ok());
    carry();
    return coordinator_heard();
  }
  std::optional<Bytes> coordinator_heard() {
    Bytes out;
    SessionId from = 0;
    if (!coordinator->poll_plaintext(from, out)) return {};
    session = from;
    return out;
  }
  std::optional<Bytes> coordinator_says(const std::string& text) {
    EXPECT_TRUE(coordinator->send(session, bytes_of(text)).ok());
    carry();
    Bytes out;
    if (!device->poll_plaintext(out)) return {};
    return out;
  }
  void expect_talk(const std::string& text) {
    EXPECT_EQ(device_says(text + " up"), bytes_of(text + " up"));
    EXPECT_EQ(coordinator_says(text + " down"), bytes_of(text + " down"));
  }

  int64_t device_clock_s = kToday;
  int64_t coordinator_clock_s = kToday;
  Instant now = Instant(seconds(1000));
  RoutingId route = routing(1);
  DeviceChannel::Options device_options;
  CoordinatorChannels::Options coordinator_options;
  std::unique_ptr<DeviceChannel> device;
  std::unique_ptr<CoordinatorChannels> coordinator;
  SessionId session = 0;
};

}  // namespace runnel::host
