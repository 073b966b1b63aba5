// The coordinator's socket: one ZeroMQ ROUTER, one TCP connection a device, thousands of them.
//
// Threads: one. Time: wait() sleeps, nothing else does. Trust: messages are a stranger's bytes. Those of more than one
// part, or from a peer that chose itself a name longer than RoutingId holds, are dropped and counted; bytes that are
// not ZeroMQ's protocol, or too long a message, cost the peer its connection and touch nobody else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/host/routing_id.h"
#include "runtime/host/zmq_link.h"

namespace runnel::host {

struct CoordinatorLinkCounters {
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
  uint64_t messages_dropped = 0;  // of several parts, or from a peer with too long a name
  uint64_t sends_unreachable = 0;
  uint64_t sends_busy = 0;
};

class CoordinatorLink {
 public:
  struct Options {
    int queue_messages = 32;  // for each peer, each way; send() to it is kBusy beyond
    int64_t message_bytes_max = 17'408;
    int backlog = 4096;                        // connections that the kernel holds until they are accepted
    size_t peers_max = 16'384;                 // raises this process's limit on open files as far as it may
    Duration handshake_timeout = seconds(60);  // for ZeroMQ's greeting; a silent connection is dropped after it
    int keepalive_idle_s = 300;
    int keepalive_interval_s = 60;
    int keepalive_count = 4;
    bool ipv6 = false;  // also listen on IPv6 addresses
  };

  // `context` must outlive the link.
  static Result<std::unique_ptr<CoordinatorLink>> create(ZmqContext& context, const Options& options);
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;
  ~CoordinatorLink();

  // "tcp://0.0.0.0:5555"; port "*" or 0 takes a free one. kBusy: "tcp://...:5555 is in use". kInvalidArgument: not an
  // endpoint of this machine. May be called for several endpoints.
  Failure bind(const std::string& endpoint);
  // The last endpoint bound, with the port that was taken: "tcp://127.0.0.1:40123". Empty before bind().
  const std::string& endpoint() const;

  // kUnreachable: that connection is gone. kBusy: its queue is full. kLimit: too long.
  Error send(const RoutingId& to, ByteView message);
  // False when nothing has come.
  bool receive(RoutingId& from, std::vector<uint8_t>& out);

  // Sleeps until a message is here, a descriptor of `extra` is readable, a signal came, or `timeout` has passed
  // (kForever: no limit). Fills `readable` of each.
  Failure wait(Duration timeout, std::span<WaitFd> extra = {});
  static constexpr Duration kForever = Duration::max();

  const CoordinatorLinkCounters& counters() const;

 private:
  struct State;
  explicit CoordinatorLink(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace runnel::host
