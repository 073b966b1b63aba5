// A device for load: the real connection, secure channel and frames, but nothing is trained and nothing is kept.
//
// Threads: one at a time. Time: passed in. Memory: about 60 KB while connected (an open DTLS session, ZeroMQ's
// buffers).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/made_up_update.h"
#include "runtime/host/device_bundle.h"
#include "runtime/host/device_channel.h"
#include "runtime/host/device_link.h"
#include "runtime/wire/frame.h"

namespace runnel::bench {

class LoadDevice {
 public:
  enum class State : uint8_t { kAway, kConnecting, kWelcomed };
  static constexpr uint32_t kChunkBytes = 4096;  // as a device makes them that does not know its link yet

  // Throws std::runtime_error. A session of an earlier time is taken from `session_path`, and kept there.
  LoadDevice(host::ZmqContext& context, host::Entropy& entropy, const host::DeviceBundle& bundle,
             std::string session_path);

  void connect(const std::string& endpoint);
  // Drops the connection; the session stays.
  void disconnect();
  // Does whatever can be done now, without waiting.
  void service(Instant now);

  // Sends `update` for the round that the newest plan asks for, in chunks and windows as the coordinator said.
  // REQUIRES: plan().
  void upload(const MadeUpUpdate& update, Instant now);

  State state() const { return state_; }
  // Not while it waits for the turn that it was given.
  bool busy() const { return state_ == State::kConnecting || (!blob_.empty() && !offer_again_); }
  const std::optional<plan::RoundPlan>& plan() const { return plan_; }
  uint64_t updates_durable() const { return updates_durable_; }
  uint64_t refusals() const { return refusals_; }
  const host::ChannelCounters& counters() const { return channel_->counters(); }

 private:
  void handle_frame(ByteView bytes, Instant now);
  void take_acknowledgement(const wire::UpdateAck& ack);
  void send(const wire::Message& message);
  void send_hello();
  void send_offer();
  void send_chunks();
  void flush();

  std::string name_;
  std::string session_path_;
  std::unique_ptr<host::DeviceLink> link_;
  std::unique_ptr<host::DeviceChannel> channel_;
  std::string endpoint_;
  State state_ = State::kAway;
  bool greeted_ = false;
  std::optional<plan::RoundPlan> plan_;
  uint32_t chunk_bytes_ = 0;
  uint32_t window_bytes_ = 0;
  uint64_t sequence_ = 0;  // of the newest update
  std::vector<uint8_t> blob_;
  uint64_t sent_bytes_ = 0;
  uint64_t received_bytes_ = 0;  // by the coordinator
  bool offered_ = false;         // and answered
  std::optional<Instant> offer_again_;
  uint64_t updates_durable_ = 0;
  uint64_t refusals_ = 0;
  std::vector<uint8_t> message_;
  std::vector<uint8_t> unsent_;
};

}  // namespace runnel::bench
