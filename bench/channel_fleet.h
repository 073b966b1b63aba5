// Secure channels of a coordinator and many devices, joined by memory instead of a network: what the sessions
// themselves cost, and how long the coordinator's part of it takes.
//
// Threads: one. Time: the processor's, of this thread, and only while the coordinator works (CoordinatorTimer).
#pragma once

#include <time.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/host/coordinator_channels.h"
#include "runtime/host/device_channel.h"

namespace runnel::bench {

inline double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class ChannelFleet {
 public:
  struct Options {
    size_t devices = 64;
    size_t awake_sessions_max = 256;
    size_t queued_plaintexts_max = 4096;
  };
  // Makes certificates for all and opens all sessions. Throws std::runtime_error.
  explicit ChannelFleet(const Options& options);

  size_t size() const { return devices_.size(); }
  host::CoordinatorChannels& coordinator() { return *coordinator_; }
  host::DeviceChannel& device(size_t i) { return *devices_[i].channel; }
  const std::string& name(size_t i) const { return devices_[i].name; }
  host::SessionId session(size_t i) const { return devices_[i].session; }

  // A new connection for device i: what it sends from now on comes from another address.
  void move(size_t i);
  host::RoutingId address(size_t i) const;

  // Hands everything that the device has to send to the coordinator.
  void carry_up(size_t i);
  // The same in two steps: what devices send is on its way, and then all of it arrives, with `taken` called after each
  // message. So what a device's own work costs, and does to the caches, is no part of the coordinator's.
  void send_up(size_t i);
  template <typename Taken>
  void arrive(const Taken& taken) {
    for (const auto& [from, message] : on_the_way_) {
      coordinator_->handle_message(from, message, now());
      taken();
    }
    on_the_way_.clear();
  }
  // Hands everything that the coordinator has to send to the devices, dropping their plaintexts.
  void carry_down();
  // Both, until nothing is left.
  void settle();
  // Device i forgets its session but not its ticket, and opens another by an abbreviated handshake; true if it was one.
  bool resume(size_t i);

  // Of the coordinator, in carry_up() and resume().
  double coordinator_seconds() const { return coordinator_seconds_; }
  Instant now() const { return Instant(seconds(1000)); }

 private:
  struct Device {
    std::string name;
    host::Credentials credentials;
    std::unique_ptr<host::DeviceChannel> channel;
    host::SessionId session = 0;
    uint32_t moves = 0;
  };
  void make_channel(Device& device, std::vector<uint8_t> saved);

  std::unique_ptr<host::Entropy> entropy_;
  std::unique_ptr<host::CoordinatorChannels> coordinator_;
  std::vector<Device> devices_;
  double coordinator_seconds_ = 0.0;
  std::vector<uint8_t> message_;
  std::vector<std::pair<host::RoutingId, std::vector<uint8_t>>> on_the_way_;
};

}  // namespace runnel::bench
