// A device's connection to the coordinator: one ZeroMQ DEALER socket for each attempt. The link itself never
// reconnects: when and how often to try again is the device engine's decision, and a fresh socket carries nothing over
// from the old one.
//
// Threads: one. Time: wait() sleeps, nothing else does. Trust: messages are a stranger's bytes; those of more than one
// part or beyond message_bytes_max are dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/host/zmq_link.h"

namespace runnel::host {

enum class LinkEvent : uint8_t {
  kConnected,      // frames can be sent
  kDisconnected,   // was connected, is not any more
  kConnectFailed,  // nobody there, no answer in time, or not a ZeroMQ peer
};

struct DeviceLinkCounters {
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
  uint64_t messages_dropped = 0;  // of several parts
  uint64_t connects = 0;          // attempts
};

class DeviceLink {
 public:
  struct Options {
    int queue_messages = 64;  // each way; send() is kBusy beyond
    int64_t message_bytes_max = 17'408;
    Duration connect_timeout = seconds(60);    // for TCP's handshake
    Duration handshake_timeout = seconds(60);  // for ZeroMQ's own greeting after it
    int keepalive_idle_s = 300;                // TCP keep-alive: silence before the first probe (0: none)
    int keepalive_interval_s = 60;
    int keepalive_count = 4;
    bool ipv6 = false;  // also use IPv6 addresses
  };

  // `context` must outlive the link.
  static Result<std::unique_ptr<DeviceLink>> create(ZmqContext& context, const Options& options);
  DeviceLink(const DeviceLink&) = delete;
  DeviceLink& operator=(const DeviceLink&) = delete;
  ~DeviceLink();

  // Begins a connection to "tcp://host:port", dropping an earlier one with all it had queued. The outcome is an event.
  // kInvalidArgument: not an endpoint. kIo: no socket to be had.
  Failure connect(const std::string& endpoint);
  // Drops the connection, if any, and everything queued or pending. No event follows.
  void close();

  // kUnreachable: not connected. kBusy: the queue is full; try again after the next wait(). kLimit: too long.
  Error send(ByteView message);
  // False when nothing has come. What came right before a disconnection may be lost.
  bool receive(std::vector<uint8_t>& out);
  bool poll_event(LinkEvent& out);

  // Sleeps until a message or an event is here, a descriptor of `extra` is readable, a signal came, or `timeout` has
  // passed (kForever: no limit). Fills `readable` of each.
  Failure wait(Duration timeout, std::span<WaitFd> extra = {});
  static constexpr Duration kForever = Duration::max();

  // For an owner of many links, who waits for all of them at once: what to wait for. Without `messages` only events
  // count: connected, disconnected. False: an event is here already, so that there is nothing to wait for.
  bool add_sockets(std::vector<void*>& sockets, bool messages) const;

  bool connected() const;
  const DeviceLinkCounters& counters() const;

 private:
  struct State;
  explicit DeviceLink(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace runnel::host
