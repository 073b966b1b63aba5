// Connections, sessions, and what becomes of a frame on its way.
#include <cmath>

#include "fleet/simulator/world.h"

namespace runnel::fleet {

bool World::blocked(const SimulatedDevice& device) const {
  return now_ < device.blocked_until || engine_ == nullptr || (device.link && device.link->dark(now_));
}

void World::connect(SimulatedDevice& device) {
  const uint64_t connection = ++device.connection;
  device.connecting = true;
  if (device.link) return shake_hands(device, connection, connection_flights());
  after(between(options_.faults.latency_min, options_.faults.latency_max) * 2, [this, &device, connection] {
    if (!device.connecting || device.connection != connection) return;
    if (blocked(device)) return give_up_connecting(device);
    device.connecting = false;
    set_up(device);
  });
}

// A session outlives its connections, but neither side's restart.
bool World::needs_session(const SimulatedDevice& device) const {
  return device.session_boot != device.boot || device.session_coordinator_boot != coordinator_boot_;
}

void World::set_up(SimulatedDevice& device) {
  device.connected = true;
  device.free_at = {now_, now_};
  if (needs_session(device)) {
    device.session = rng_.next_u64();
    device.session_boot = device.boot;
    device.session_coordinator_boot = coordinator_boot_;
    sessions_[device.session] = &device;
    engine_->handle_session_opened(now_, device.session, device.name);
  }
  process_of(device)->engine->handle_session_up(now_);
  drain_device(device);
}

// The rest of the handshakes of a connection over a link with a trace.
void World::shake_hands(SimulatedDevice& device, uint64_t connection, std::span<const Flight> flights) {
  if (!device.connecting || device.connection != connection) return;
  if (blocked(device)) {
    after(options_.faults.latency_min, [this, &device, connection] {
      if (device.connecting && device.connection == connection) give_up_connecting(device);
    });
    return;
  }
  const Instant next = device.link->send(flights.front().way, now_, flights.front().bytes);
  at(next, [this, &device, connection, flights] {
    if (flights.size() > 1) return shake_hands(device, connection, flights.subspan(1));
    if (!device.connecting || device.connection != connection) return;
    const bool had_session = flights.data() + flights.size() == session_flights().data() + session_flights().size();
    if (engine_ != nullptr && !had_session && needs_session(device)) {
      return shake_hands(device, connection, session_flights());
    }
    if (engine_ == nullptr) return give_up_connecting(device);
    device.connecting = false;
    set_up(device);
  });
}

void World::give_up_connecting(SimulatedDevice& device) {
  disconnect(device);
  process_of(device)->engine->handle_link_down(now_, "no connection");
  drain_device(device);
}

void World::disconnect(SimulatedDevice& device) {
  device.connected = device.connecting = false;
  if (device.link) device.link->drop(now_);
  ++device.connection;
}

void World::break_connection(SimulatedDevice& device, const char* why) {
  if (device.connecting && device.powered()) return give_up_connecting(device);
  if (!device.connected) return;
  ++report_.cuts;
  say(device.name, why);
  disconnect(device);
  if (process_of(device) == nullptr) return;
  device.process->engine->handle_link_down(now_, why);
  drain_device(device);
}

// Ends connections where the link's outages begin, for as long as they last.
void World::follow_outages(SimulatedDevice& device) {
  if (device.link->dark(now_)) break_connection(device, "no signal");
  at(device.link->next_change(now_), [this, &device] { follow_outages(device); });
}

Instant World::arrival(SimulatedDevice& device, Way way, size_t bytes) {
  const uint64_t on_wire = wire_bytes(bytes, options_.overhead);
  if (device.link) return device.link->send(way, now_, on_wire);
  device.constant_bytes[static_cast<size_t>(way)] += on_wire;
  const auto airtime =
      Duration(static_cast<int64_t>(1e6 * static_cast<double>(bytes) / options_.faults.bytes_per_second));
  Instant& link_free = device.free_at[static_cast<size_t>(way)];
  link_free = std::max(link_free, now_) + airtime;
  const FaultModel& faults = options_.faults;
  if (faults.latency_max == faults.latency_min) return link_free + faults.latency_min;
  // The order of frames on one connection is kept.
  Instant& arrived = device.arrived[static_cast<size_t>(way)];
  arrived = std::max(arrived, link_free + between(faults.latency_min, faults.latency_max));
  return arrived;
}

void World::send(SimulatedDevice& device, Way way, ByteView bytes) {
  (way == Way::kUp ? report_.uplink_bytes : report_.downlink_bytes) += bytes.size();
  if (!device.connected) return;
  const Instant arrives = arrival(device, way, bytes.size());
  const auto frame = std::make_shared<const std::vector<uint8_t>>(bytes.begin(), bytes.end());
  if (way == Way::kDown) count_model_message(*frame, report_);
  const FaultModel& faults = options_.faults;
  // Beyond its connection, which is why these look at the session alone.
  const auto again = [&] {
    at(arrives + between(Duration(1), faults.delay_max),
       [this, &device, way, frame, session = device.session] { deliver(device, way, session, *frame); });
  };
  if (chance(faults.frames_repeated)) {
    ++report_.frames_repeated;
    again();
  }
  if (chance(faults.frames_lost)) {
    ++report_.frames_lost;
    return;
  }
  if (chance(faults.frames_delayed)) {
    ++report_.frames_delayed;
    return again();
  }
  at(arrives, [this, &device, way, frame, connection = device.connection, session = device.session] {
    if (device.connection == connection) deliver(device, way, session, *frame);
  });
}

void World::say_frame(const SimulatedDevice& device, Way way, ByteView frame) {
  if (!options_.on_line) return;
  const Result<wire::Message> message = wire::decode_frame(frame);
  std::string what = message.ok() ? wire::message_name(*message) : "malformed frame";
  const auto add = [&what](const char* name, uint64_t value) {
    what += std::string(" ") + name + " " + std::to_string(value);
  };
  if (const auto* offer = message.ok() ? std::get_if<wire::UpdateOffer>(&*message) : nullptr) {
    add("sequence", offer->sequence);
    add("round", offer->round);
    add("bytes", offer->total_bytes);
  } else if (const auto* ack = message.ok() ? std::get_if<wire::UpdateAck>(&*message) : nullptr) {
    add("sequence", ack->sequence);
    what += ack->state == wire::UpdateState::kDurable ? " durable" : " receiving";
    add("bytes", ack->received_bytes);
  } else if (const auto* plan = message.ok() ? std::get_if<wire::RoundPlan>(&*message) : nullptr) {
    add("round", plan->plan.round);
    add("version", plan->plan.model_version);
  } else if (const auto* refusal = message.ok() ? std::get_if<wire::Refusal>(&*message) : nullptr) {
    add("sequence", refusal->sequence);
    what += std::string(" ") + wire::reason_name(refusal->reason) + " \"" + std::string(refusal->detail) + "\"";
    add("retry_after_ms", refusal->retry_after_ms);
  } else if (const auto* chunk = message.ok() ? std::get_if<wire::UpdateChunk>(&*message) : nullptr) {
    add("sequence", chunk->sequence);
    add("offset", chunk->offset);
  }
  say(device.name, (way == Way::kUp ? "> " : "< ") + what);
}

void World::deliver(SimulatedDevice& device, Way way, uint64_t session, ByteView bytes) {
  if (engine_ == nullptr || !device.connected || device.session != session) return;
  say_frame(device, way, bytes);
  if (way == Way::kDown) return hand_to_device(device, bytes);
  engine_->handle_frame(now_, session, bytes);
  drain_coordinator();
}

}  // namespace runnel::fleet
