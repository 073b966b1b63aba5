// The device's end of a secure channel (the grammar and the reasons are in secure_channel.h). Messages and `now` go in;
// messages, plaintexts, events and the next wake-up time come out.
//
// Usage: handle_connected() whenever a connection stands, handle_disconnected() when it is gone. Feed what the link
// receives to handle_message(), then drain poll_message(), poll_plaintext() and poll_event(). After a `failed` event
// the channel is idle: drop the connection, wait as the retry policy says, connect again.
//
// Threads: one at a time. Memory: about 45 KB of heap while a session exists (two 16 KB record buffers of mbedTLS),
// bounded queues on top. Time: every call that may act on it takes `now`. Trust: every message is a stranger's until it
// authenticates.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/host/pki.h"
#include "runtime/host/secure_channel.h"

namespace runnel::host {

struct ChannelEvent {
  enum class Kind : uint8_t {
    kEstablished,  // frames can be sent; `resumed` tells which kind of handshake it was
    kFailed,       // the handshake failed, `failure` says why; the channel is idle until the next handle_connected()
    kSessionLost,  // the coordinator has closed or forgotten the session; a new handshake follows by itself
  };
  Kind kind = Kind::kFailed;
  bool resumed = false;
  Failure failure = Error::kOk;
};

class DeviceChannel {
 public:
  struct Options {
    bool plaintext = false;                  // insecure: frames travel as they are, nobody is who they say
    Duration retransmit_first = seconds(8);  // silence after which a handshake flight is sent again, doubled each time
    Duration retransmit_last = seconds(60);  // the longest such silence; after it the handshake fails (kTimeout)
    Duration hint_interval = seconds(30);    // between two handshakes that unknown_session messages may cause
    size_t queued_messages_max = 64;         // outgoing messages not yet taken; send() is kBusy beyond
    size_t queued_plaintexts_max = 64;       // received frames not yet taken; records beyond are dropped
    // Seconds since 1970 UTC, or 0 while the calendar is unknown: then validity periods are not checked. Empty: always
    // 0.
    std::function<int64_t()> unix_time_s;
    std::vector<uint8_t> saved_session;  // what save_session() gave before the restart; empty or stale is fine
  };

  // Fails when the credentials are not good for a device (see check_credentials). In plaintext mode they are not looked
  // at. `entropy` must outlive the channel.
  static Result<std::unique_ptr<DeviceChannel>> create(const Credentials& credentials, Options options,
                                                       Entropy& entropy);
  DeviceChannel(const DeviceChannel&) = delete;
  DeviceChannel& operator=(const DeviceChannel&) = delete;
  ~DeviceChannel();

  // A new connection stands: an established session just goes on, a handshake under way repeats its last flight, and
  // without either a handshake starts (abbreviated if a session is at hand).
  void handle_connected(Instant now);
  // The connection is gone: handshake timers stand still until the next one.
  void handle_disconnected();
  void handle_message(ByteView message, Instant now);

  // One frame, 1 to kPlaintextBytesMax bytes. kWrongType: not established. kBusy: the queue is full. kLimit: too long
  // or empty. Nothing is queued on failure. An established session accepts frames without a connection too; they wait.
  Failure send(ByteView plaintext);

  bool poll_message(std::vector<uint8_t>& out);
  bool poll_plaintext(std::vector<uint8_t>& out);
  bool poll_event(ChannelEvent& out);

  Instant next_timeout() const;
  void handle_timeout(Instant now);

  bool established() const;
  SessionId session_id() const;  // 0 before the first handshake
  // The coordinator's certificate, once established (empty name in plaintext mode).
  const CertificateInfo& coordinator() const;

  // What a restarted device needs for an abbreviated handshake, about 1 KB; empty when there is none. It holds a
  // secret: store it as safely as the private key. Worth storing once per established event that is not `resumed`.
  std::vector<uint8_t> save_session() const;

  const ChannelCounters& counters() const;

 private:
  struct State;
  explicit DeviceChannel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace runnel::host
