#include "bench/channel_fleet.h"

#include <stdexcept>

namespace runnel::bench {
namespace {

constexpr int64_t kToday = 1'800'000'000;

template <typename T>
T take(Result<T> result) {
  if (!result) throw std::runtime_error(result.failure().text());
  return std::move(result).value();
}

}  // namespace

ChannelFleet::ChannelFleet(const Options& options)
    : entropy_(take(host::Entropy::create())), devices_(options.devices) {
  const host::Authority authority = take(host::create_authority("bench", kToday - host::kDayS, *entropy_));
  const host::Validity validity{kToday - host::kDayS, kToday + host::kDayS};
  host::CoordinatorChannels::Options channels;
  channels.awake_sessions_max = options.awake_sessions_max;
  channels.queued_plaintexts_max = options.queued_plaintexts_max;
  channels.ticket_key.fill(7);
  channels.unix_time_s = [] { return kToday; };
  coordinator_ = take(host::CoordinatorChannels::create(
      take(host::create_credentials(authority, "coordinator", host::Role::kCoordinator, validity, *entropy_)),
      std::move(channels), *entropy_));
  for (size_t i = 0; i < devices_.size(); ++i) {
    Device& device = devices_[i];
    device.name = "device-" + std::to_string(i);
    device.credentials =
        take(host::create_credentials(authority, device.name, host::Role::kDevice, validity, *entropy_));
    make_channel(device, {});
    device.channel->handle_connected(now());
    for (int turn = 0; turn < 8; ++turn) {
      carry_up(i);
      carry_down();
    }
    device.session = device.channel->session_id();
    if (!device.channel->established()) throw std::runtime_error("no session");
  }
  coordinator_seconds_ = 0.0;
}

void ChannelFleet::make_channel(Device& device, std::vector<uint8_t> saved) {
  host::DeviceChannel::Options options;
  options.unix_time_s = [] { return kToday; };
  options.saved_session = std::move(saved);
  device.channel = take(host::DeviceChannel::create(device.credentials, std::move(options), *entropy_));
}

host::RoutingId ChannelFleet::address(size_t i) const {
  uint8_t bytes[8];
  store_le(bytes, static_cast<uint32_t>(i));
  store_le(bytes + 4, devices_[i].moves);
  host::RoutingId id;
  static_cast<void>(id.assign(bytes));
  return id;
}

void ChannelFleet::move(size_t i) {
  devices_[i].channel->handle_disconnected();
  ++devices_[i].moves;
  devices_[i].channel->handle_connected(now());
}

void ChannelFleet::carry_up(size_t i) {
  const host::RoutingId from = address(i);
  while (devices_[i].channel->poll_message(message_)) {
    const double begin = thread_seconds();
    coordinator_->handle_message(from, message_, now());
    coordinator_seconds_ += thread_seconds() - begin;
  }
}

void ChannelFleet::send_up(size_t i) {
  const host::RoutingId from = address(i);
  while (devices_[i].channel->poll_message(message_)) on_the_way_.emplace_back(from, message_);
}

void ChannelFleet::carry_down() {
  for (host::CoordinatorEvent event; coordinator_->poll_event(event);) {
  }
  host::RoutingId to;
  std::vector<uint8_t> plaintext;
  while (coordinator_->poll_message(to, message_)) {
    const size_t i = load_le<uint32_t>(to.view().data());
    devices_[i].channel->handle_message(message_, now());
    while (devices_[i].channel->poll_plaintext(plaintext)) {
    }
    for (host::ChannelEvent event; devices_[i].channel->poll_event(event);) {
    }
  }
}

void ChannelFleet::settle() {
  for (size_t i = 0; i < devices_.size(); ++i) carry_up(i);
  carry_down();
}

bool ChannelFleet::resume(size_t i) {
  Device& device = devices_[i];
  make_channel(device, device.channel->save_session());
  const uint64_t before = coordinator_->counters().handshakes_resumed;
  device.channel->handle_connected(now());
  for (int turn = 0; turn < 4; ++turn) {
    carry_up(i);
    carry_down();
  }
  device.session = device.channel->session_id();
  return coordinator_->counters().handshakes_resumed == before + 1;
}

}  // namespace runnel::bench
