// One end of one DTLS session without any I/O: records go in, records and plaintexts come out. Internal to this room;
// the two channels add the message grammar, the queues and the policy.
//
// What protects an established session from a stranger's bytes: records are cut apart here and handed to mbedTLS one by
// one (a torn tail of a message would otherwise wedge it), only encrypted records are handed over at all, and mbedTLS
// drops those that do not authenticate or come twice.
//
// Memory: about 40 KB while awake, about 1 KB asleep.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/host/dtls_config.h"
#include "runtime/host/tls_owned.h"

namespace runnel::host {

// True if a message's body begins with a first handshake message of a client: the only thing that may open a session.
bool begins_with_client_hello(ByteView body);

class DtlsSession {
 public:
  enum class Phase : uint8_t { kHandshake, kEstablished, kDead };

  // What one body did.
  struct Outcome {
    bool authenticated = false;  // at least one record of an established session was the peer's own
    uint32_t dropped = 0;        // records that were not
  };

  // `config` must outlive the session.
  static Result<std::unique_ptr<DtlsSession>> create(DtlsConfig& config);
  DtlsSession(const DtlsSession&) = delete;
  DtlsSession& operator=(const DtlsSession&) = delete;

  // Device only, before begin(): a session to resume, as export_session() gave it. False: not usable.
  bool offer_session(ByteView saved);
  // Device only: writes the first flight.
  void begin(Instant now);

  Outcome handle_records(ByteView body, Instant now);
  // Encrypts one record. REQUIRES: established, 1 to kPlaintextBytesMax bytes.
  Failure send(ByteView plaintext);
  void close_notify();

  // The records to send, all of one flight together; empty when there are none.
  std::vector<uint8_t> take_output();
  // The plaintexts received since the last call.
  std::vector<std::vector<uint8_t>> take_plaintexts();

  Instant next_timeout() const;
  void handle_timeout(Instant now);
  // The connection is gone: no repetition until the next one, and then at once.
  void pause();
  void repeat_flight(Instant now);

  Phase phase() const { return phase_; }
  bool resumed() const { return resumed_; }
  const Failure& failure() const { return failure_; }  // why it is dead
  const CertificateInfo& peer() const { return peer_; }

  // Device only, once established by a full handshake: bytes for offer_session(), empty when the coordinator gave no
  // ticket.
  std::vector<uint8_t> export_session();

  // Serialises an established session and frees its buffers. False, and still awake, while the last handshake flight
  // may have to be repeated. A sleeping session wakes by itself on use.
  bool sleep();
  bool asleep() const { return ssl_ == nullptr; }

  // For DtlsConfig's ticket callback.
  void resume_as(const CertificateInfo& peer) { peer_ = peer; }

 private:
  explicit DtlsSession(DtlsConfig& config) : config_(config) {}
  Failure set_up();
  bool wake();
  void feed(ByteView datagram);
  void run();
  void run_handshake();
  void read_plaintexts();
  void finish_handshake();
  void die(Failure failure);
  Failure handshake_failure(int code) const;

  static int send_bytes(void* self, const unsigned char* bytes, size_t size);
  static int receive_bytes(void* self, unsigned char* bytes, size_t size);
  static void set_timer(void* self, uint32_t intermediate_ms, uint32_t final_ms);
  static int get_timer(void* self);
  static int verify(void* self, mbedtls_x509_crt* certificate, int depth, uint32_t* flags);

  DtlsConfig& config_;
  std::unique_ptr<tls::SslContext> ssl_;
  Phase phase_ = Phase::kHandshake;
  bool certificate_seen_ = false;
  bool resumed_ = false;
  bool paused_ = false;
  Failure failure_ = Error::kOk;
  Failure verify_failure_ = Error::kOk;
  CertificateInfo peer_;

  Instant now_{};
  Instant timer_intermediate_ = kNever;
  Instant timer_final_ = kNever;

  ByteView input_;
  bool input_pending_ = false;
  std::vector<uint8_t> output_;
  std::vector<std::vector<uint8_t>> plaintexts_;
  std::vector<uint8_t> asleep_;
};

}  // namespace runnel::host
