// The coordinator's ends of all secure channels (the grammar and the reasons are in secure_channel.h). Messages with
// the routing id they came from and `now` go in; messages with the routing id they go to, plaintexts, events and the
// next wake-up time come out.
//
// Threads: one at a time. Memory: a session in use holds about 45 KB (record buffers of mbedTLS). Only the
// awake_sessions_max most recently used ones keep them, and for as long as they are in use; the others are serialised
// to about 1 KB and woken by their next record (about 50 us). Everything is bounded: sessions, half-open handshakes,
// queues. Time: `now` for timers, unix_time_s for certificates and tickets. Trust: a message is a stranger's until it
// authenticates; before that it can only cost a bounded handshake.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/host/pki.h"
#include "runtime/host/routing_id.h"
#include "runtime/host/secure_channel.h"

namespace runnel::host {

struct CoordinatorEvent {
  enum class Kind : uint8_t {
    kOpened,  // a session stands. In plaintext mode `device` has no name: who it is, is for the first frame to claim
    kClosed,  // a session that was open is gone; `failure` says why (a newer session of the same device: kDuplicate)
    kFailed,  // a handshake came to nothing; `failure` says why, `device` is filled as far as it was known
  };
  Kind kind = Kind::kFailed;
  SessionId session = 0;
  bool resumed = false;
  CertificateInfo device;
  Failure failure = Error::kOk;
};

class CoordinatorChannels {
 public:
  static constexpr size_t kTicketKeyBytes = 32;

  struct Options {
    bool plaintext = false;                     // insecure: frames travel as they are, nobody is who they say
    size_t sessions_max = 20'000;               // open sessions; the one heard from least recently gives way
    size_t awake_sessions_max = 4096;           // of those, the ones that keep their record buffers
    Duration awake_idle_max = seconds(10);      // without a record from the device or to it, they are freed too
    size_t half_open_max = 256;                 // handshakes under way; the oldest gives way
    Duration half_open_timeout = seconds(180);  // from a handshake's first message to its end
    Duration retransmit_first = seconds(12);    // as on the device; longer, so that the device is the first to repeat
    Duration retransmit_last = seconds(90);
    size_t queued_messages_max = 64;      // outgoing messages not yet taken, per session; send() is kBusy beyond
    size_t queued_plaintexts_max = 4096;  // received frames not yet taken, of all sessions; records beyond are dropped
    size_t queued_events_max =
        4096;  // not yet taken; `failed` ones beyond are only counted, the others are always kept
    uint32_t hints_per_second_max = 2000;               // unknown_session messages, of all peers together
    Duration ticket_lifetime = seconds(30 * kDayS);     // a resumption later than that is a full handshake
    std::array<uint8_t, kTicketKeyBytes> ticket_key{};  // random, secret, kept over restarts; all zero: no tickets
    // Seconds since 1970 UTC. Required unless plaintext.
    std::function<int64_t()> unix_time_s;
    // Asked at each handshake, full or resumed, after the certificate was found good: kOk lets the device in, anything
    // else refuses it (kRevoked and others reach the device as different alerts). Must not call back into this object.
    std::function<Failure(const CertificateInfo&)> admit;
  };

  // Fails when the credentials are not good for a coordinator (see check_credentials). `entropy` must outlive this.
  static Result<std::unique_ptr<CoordinatorChannels>> create(const Credentials& credentials, Options options,
                                                             Entropy& entropy);
  CoordinatorChannels(const CoordinatorChannels&) = delete;
  CoordinatorChannels& operator=(const CoordinatorChannels&) = delete;
  ~CoordinatorChannels();

  void handle_message(const RoutingId& from, ByteView message, Instant now);

  // One frame, 1 to kPlaintextBytesMax bytes. kNotFound: no such open session. kBusy: its queue is full. kLimit: too
  // long or empty. Nothing is queued on failure.
  Failure send(SessionId id, ByteView plaintext);

  // Ends a session, telling the device; it may come back with a new handshake. No event. Unknown ids are ignored.
  void close(SessionId id);

  bool poll_message(RoutingId& to, std::vector<uint8_t>& out);
  bool poll_plaintext(SessionId& session, std::vector<uint8_t>& out);
  bool poll_event(CoordinatorEvent& out);

  Instant next_timeout() const;
  void handle_timeout(Instant now);

  // The identity behind an open session; null when there is none. Valid until the next call that is not const.
  const CertificateInfo* device_of(SessionId id) const;

  size_t open_sessions() const;
  size_t awake_sessions() const;
  size_t half_open_sessions() const;
  const ChannelCounters& counters() const;

 private:
  struct State;
  explicit CoordinatorChannels(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace runnel::host
