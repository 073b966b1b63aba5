#include "runtime/host/dtls_session.h"

#include <algorithm>
#include <utility>

#include "runtime/host/certificate.h"
#include "runtime/host/secure_channel.h"
#include "runtime/host/tls_compat.h"

namespace runnel::host {
namespace {

// A DTLS record (RFC 6347, 4.1): type 1 | version 2 | epoch 2 | sequence 6 | length 2 | fragment.
constexpr size_t kRecordHeaderBytes = 13;
constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kApplicationRecord = 23;
constexpr uint8_t kClientHello = 1;
constexpr size_t kOutputBytesMax = kMessageBytesMax - kMessageHeaderBytes;

struct Record {
  uint8_t type = 0;
  uint16_t epoch = 0;
  ByteView bytes;  // header and fragment
};

// Takes the first record off `rest`. False when what is left is not a whole record.
bool take_record(ByteView& rest, Record& record) {
  if (rest.size() < kRecordHeaderBytes || rest[1] != 0xFE) return false;
  const size_t bytes = kRecordHeaderBytes + static_cast<size_t>(rest[11] << 8 | rest[12]);
  if (bytes > rest.size()) return false;
  record.type = rest[0];
  record.epoch = static_cast<uint16_t>(rest[3] << 8 | rest[4]);
  record.bytes = rest.first(bytes);
  rest = rest.subspan(bytes);
  return true;
}

struct AlertText {
  int number;
  Error error;
  const char* words;
};

// The alerts that say something about who is asking (RFC 5246, 7.2.2).
constexpr AlertText kAlerts[] = {
    {40, Error::kUntrusted, "no common security parameters"},
    {42, Error::kUntrusted, "bad certificate"},
    {43, Error::kUntrusted, "certificate for another role"},
    {44, Error::kRevoked, "certificate revoked"},
    {45, Error::kExpired, "certificate expired or not valid yet"},
    {46, Error::kUntrusted, "certificate not acceptable"},
    {48, Error::kUntrusted, "certificate not signed by its fleet's CA"},
    {49, Error::kUnknownDevice, "access denied"},
};

}  // namespace

bool begins_with_client_hello(ByteView body) {
  Record record;
  return take_record(body, record) && record.type == kHandshakeRecord && record.epoch == 0 &&
         record.bytes.size() > kRecordHeaderBytes && record.bytes[kRecordHeaderBytes] == kClientHello;
}

Result<std::unique_ptr<DtlsSession>> DtlsSession::create(DtlsConfig& config) {
  std::unique_ptr<DtlsSession> session(new DtlsSession(config));
  RUNNEL_TRY(session->set_up());
  return session;
}

Failure DtlsSession::set_up() {
  ssl_ = std::make_unique<tls::SslContext>();
  int code = mbedtls_ssl_setup(ssl_->get(), config_.ssl());
  // No host name: the certificate's role is what a device checks. 3.6 wants to be told so.
  if (code == 0 && !config_.coordinator()) code = mbedtls_ssl_set_hostname(ssl_->get(), nullptr);
  if (code != 0) {
    ssl_.reset();
    return fail(Error::kNoMemory, "mbedTLS: no session: %s", tls::error_text(code).c_str());
  }
  mbedtls_ssl_set_bio(ssl_->get(), this, send_bytes, receive_bytes, nullptr);
  mbedtls_ssl_set_timer_cb(ssl_->get(), this, set_timer, get_timer);
  mbedtls_ssl_set_verify(ssl_->get(), verify, this);
  return Error::kOk;
}

bool DtlsSession::offer_session(ByteView saved) {
  tls::SslSession session;
  return mbedtls_ssl_session_load(session.get(), saved.data(), saved.size()) == 0 &&
         mbedtls_ssl_set_session(ssl_->get(), session.get()) == 0;
}

void DtlsSession::begin(Instant now) {
  now_ = now;
  run();
}

DtlsSession::Outcome DtlsSession::handle_records(ByteView body, Instant now) {
  now_ = now;
  Outcome outcome;
  std::vector<uint8_t> flight;
  Record record;
  while (phase_ != Phase::kDead && !body.empty()) {
    if (!take_record(body, record)) {
      ++outcome.dropped;
      break;
    }
    if (phase_ == Phase::kHandshake) {
      // Frames that overtake the end of a handshake are the sender's to repeat: keeping them would be a stranger's
      // memory.
      if (record.type == kApplicationRecord) {
        ++outcome.dropped;
      } else {
        flight.insert(flight.end(), record.bytes.begin(), record.bytes.end());
      }
      continue;
    }
    if (record.epoch == 0 || !wake()) {
      ++outcome.dropped;
      continue;
    }
    const size_t output_before = output_.size();
    const size_t plaintexts_before = plaintexts_.size();
    feed(record.bytes);
    // mbedTLS answers nothing, delivers nothing and ends nothing unless the record was authentic.
    const bool authentic =
        output_.size() != output_before || plaintexts_.size() != plaintexts_before || phase_ == Phase::kDead;
    outcome.authenticated = outcome.authenticated || authentic;
    if (!authentic) ++outcome.dropped;
  }
  if (!flight.empty() && phase_ == Phase::kHandshake) feed(flight);
  return outcome;
}

void DtlsSession::feed(ByteView datagram) {
  input_ = datagram;
  input_pending_ = true;
  run();
  input_pending_ = false;
  input_ = {};
}

void DtlsSession::run() {
  config_.active = this;
  // A timer that is due makes mbedTLS repeat its flight before it looks at the input; a second turn then does.
  for (int turn = 0; turn < 3; ++turn) {
    if (phase_ == Phase::kHandshake) run_handshake();
    if (phase_ == Phase::kEstablished) read_plaintexts();
    if (!input_pending_ || phase_ == Phase::kDead) break;
  }
  config_.active = nullptr;
}

void DtlsSession::run_handshake() {
  const int code = mbedtls_ssl_handshake(ssl_->get());
  if (code == 0) return finish_handshake();
  if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE) return;
  die(handshake_failure(code));
}

void DtlsSession::finish_handshake() {
  resumed_ = !certificate_seen_;
  if (resumed_ && !config_.coordinator()) {
    // The coordinator showed no certificate now; the one of the first handshake is part of the session.
    const mbedtls_x509_crt* certificate = mbedtls_ssl_get_peer_cert(ssl_->get());
    if (certificate == nullptr) return die(fail(Error::kUntrusted, "saved session: no coordinator certificate in it"));
    auto peer = tls::describe_certificate(*certificate);
    if (!peer) return die(peer.failure());
    peer_ = *peer;
    if (Failure judgement = config_.judge(peer_); !judgement.ok()) return die(judgement);
  }
  if (config_.coordinator()) tls::forget_peer_certificate(ssl_->get());
  phase_ = Phase::kEstablished;
}

void DtlsSession::read_plaintexts() {
  if (input_.empty()) return;
  for (;;) {
    // A plaintext is shorter than its record. Read to where it will stay: it is copied often enough within mbedTLS.
    std::vector<uint8_t> plaintext(input_.size());
    const int code = mbedtls_ssl_read(ssl_->get(), plaintext.data(), plaintext.size());
    if (code > 0) {
      plaintext.resize(static_cast<size_t>(code));
      plaintexts_.push_back(std::move(plaintext));
      if (!input_pending_ && mbedtls_ssl_check_pending(ssl_->get()) == 0) return;
      continue;
    }
    if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE || code == MBEDTLS_ERR_SSL_TIMEOUT)
      return;
    if (code == 0 || code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
      return die(fail(Error::kUnreachable, "the %s closed the session", config_.peer_word()));
    }
    return die(fail(Error::kMalformed, "session ended: %s", tls::error_text(code).c_str()));
  }
}

Failure DtlsSession::send(ByteView plaintext) {
  RUNNEL_ASSERT(phase_ == Phase::kEstablished);
  if (!wake()) return fail(Error::kNoMemory, "session: %s", failure_.text());
  const int code = mbedtls_ssl_write(ssl_->get(), plaintext.data(), plaintext.size());
  if (code == static_cast<int>(plaintext.size())) return Error::kOk;
  return fail(Error::kIo, "mbedTLS: encrypting a frame: %s", tls::error_text(code).c_str());
}

void DtlsSession::close_notify() {
  if (phase_ == Phase::kEstablished && wake()) static_cast<void>(mbedtls_ssl_close_notify(ssl_->get()));
}

std::vector<uint8_t> DtlsSession::take_output() {
  return std::exchange(output_, {});
}

std::vector<std::vector<uint8_t>> DtlsSession::take_plaintexts() {
  return std::exchange(plaintexts_, {});
}

Instant DtlsSession::next_timeout() const {
  return phase_ == Phase::kHandshake && !paused_ ? timer_final_ : kNever;
}

void DtlsSession::handle_timeout(Instant now) {
  now_ = now;
  if (next_timeout() <= now) run();
}

void DtlsSession::pause() {
  paused_ = true;
}

void DtlsSession::repeat_flight(Instant now) {
  paused_ = false;
  now_ = now;
  if (phase_ != Phase::kHandshake) return;
  timer_intermediate_ = timer_final_ = now;
  run();
}

std::vector<uint8_t> DtlsSession::export_session() {
  tls::SslSession session;
  if (phase_ != Phase::kEstablished || asleep() || mbedtls_ssl_get_session(ssl_->get(), session.get()) != 0) return {};
  if (!tls::has_ticket(*session.get())) return {};
  size_t bytes = 0;
  static_cast<void>(mbedtls_ssl_session_save(session.get(), nullptr, 0, &bytes));  // says how much it takes
  std::vector<uint8_t> saved(bytes);
  if (mbedtls_ssl_session_save(session.get(), saved.data(), saved.size(), &bytes) != 0) return {};
  return saved;
}

bool DtlsSession::sleep() {
  if (phase_ != Phase::kEstablished || asleep() || !output_.empty()) return false;
  size_t bytes = 0;
  if (mbedtls_ssl_context_save(ssl_->get(), nullptr, 0, &bytes) != MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL) return false;
  std::vector<uint8_t> saved(bytes);
  if (mbedtls_ssl_context_save(ssl_->get(), saved.data(), saved.size(), &bytes) != 0) return false;
  asleep_ = std::move(saved);
  ssl_.reset();
  return true;
}

// The saved state is the only copy of the record numbers and leaves memory never, so none is ever used twice.
bool DtlsSession::wake() {
  if (!asleep()) return true;
  if (Failure failure = set_up(); !failure.ok()) return die(failure), false;
  const int code = mbedtls_ssl_context_load(ssl_->get(), asleep_.data(), asleep_.size());
  mbedtls_platform_zeroize(asleep_.data(), asleep_.size());
  asleep_ = {};
  if (code != 0)
    return die(fail(Error::kCorrupt, "mbedTLS: waking a session: %s", tls::error_text(code).c_str())), false;
  mbedtls_ssl_set_bio(ssl_->get(), this, send_bytes, receive_bytes, nullptr);
  mbedtls_ssl_set_timer_cb(ssl_->get(), this, set_timer, get_timer);
  return true;
}

void DtlsSession::die(Failure failure) {
  phase_ = Phase::kDead;
  failure_ = failure;
}

Failure DtlsSession::handshake_failure(int code) const {
  if (!verify_failure_.ok()) return verify_failure_;
  if (code == MBEDTLS_ERR_SSL_TIMEOUT)
    return fail(Error::kTimeout, "handshake: no answer from the %s", config_.peer_word());
  if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
    const int number = tls::received_alert(*ssl_->get());
    for (const AlertText& alert : kAlerts) {
      if (alert.number == number) {
        return fail(alert.error, "handshake: refused by the %s: %s (alert %d)", config_.peer_word(), alert.words,
                    number);
      }
    }
    return fail(Error::kUntrusted, "handshake: ended by the %s (alert %d)", config_.peer_word(), number);
  }
  return fail(Error::kMalformed, "handshake with the %s: %s", config_.peer_word(), tls::error_text(code).c_str());
}

int DtlsSession::send_bytes(void* self, const unsigned char* bytes, size_t size) {
  auto& output = static_cast<DtlsSession*>(self)->output_;
  // A flight is far smaller; what would not fit is lost like a message, and repeated like one.
  if (size <= kOutputBytesMax - output.size()) output.insert(output.end(), bytes, bytes + size);
  return static_cast<int>(size);
}

int DtlsSession::receive_bytes(void* self, unsigned char* bytes, size_t size) {
  auto* session = static_cast<DtlsSession*>(self);
  if (!session->input_pending_) return MBEDTLS_ERR_SSL_WANT_READ;
  session->input_pending_ = false;
  const size_t part = std::min(size, session->input_.size());
  std::copy_n(session->input_.data(), part, bytes);
  return static_cast<int>(part);
}

void DtlsSession::set_timer(void* self, uint32_t intermediate_ms, uint32_t final_ms) {
  auto* session = static_cast<DtlsSession*>(self);
  session->timer_intermediate_ = final_ms == 0 ? kNever : session->now_ + milliseconds(intermediate_ms);
  session->timer_final_ = final_ms == 0 ? kNever : session->now_ + milliseconds(final_ms);
}

int DtlsSession::get_timer(void* self) {
  const auto* session = static_cast<DtlsSession*>(self);
  if (session->timer_final_ == kNever) return -1;
  if (session->now_ >= session->timer_final_) return 2;
  return session->now_ >= session->timer_intermediate_ ? 1 : 0;
}

int DtlsSession::verify(void* self, mbedtls_x509_crt* certificate, int depth, uint32_t* flags) {
  auto* session = static_cast<DtlsSession*>(self);
  const DtlsConfig& config = session->config_;
  session->certificate_seen_ = true;
  *flags &= ~tls::kCalendarFlags;
  Failure failure = tls::chain_failure(*flags, config.peer_certificate_word());
  auto info = tls::describe_certificate(*certificate);
  if (failure.ok() && !info) failure = info.failure();
  if (depth == 0 && info) session->peer_ = *info;
  if (failure.ok()) failure = depth == 0 ? config.judge(*info) : config.check_calendar(*info, "fleet CA certificate");
  if (failure.ok()) return 0;

  // The flags decide which alert the peer gets to see.
  if (failure.error() == Error::kExpired) *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
  if (failure.error() == Error::kRevoked) *flags |= MBEDTLS_X509_BADCERT_REVOKED;
  if (*flags == 0) {
    const bool right_role = info.ok() && info->role == (config.coordinator() ? Role::kDevice : Role::kCoordinator);
    *flags |= right_role ? MBEDTLS_X509_BADCERT_OTHER : MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
  }
  if (session->verify_failure_.ok()) session->verify_failure_ = failure;
  return 0;
}

}  // namespace runnel::host
