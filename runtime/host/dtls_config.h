// One side's DTLS settings, made from its credentials and shared by all its sessions: suites, certificates, the
// judgement over a peer's certificate, tickets. Internal to this room.
//
// Threads: one at a time; mbedTLS's callbacks reach the session being worked on through `active`.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/host/pki.h"
#include "runtime/host/session_ticket.h"
#include "runtime/host/tls_owned.h"

namespace runnel::host {

class DtlsSession;

class DtlsConfig {
 public:
  struct Settings {
    Role role = Role::kDevice;  // whose side this is
    Duration retransmit_first{};
    Duration retransmit_last{};
    std::function<int64_t()> unix_time_s;                  // 0 or empty: no calendar
    std::function<Failure(const CertificateInfo&)> admit;  // coordinator only; may be empty
    bool tickets = false;                                  // coordinator only
    TicketKey ticket_key{};
    Duration ticket_lifetime{};
  };

  static Result<std::unique_ptr<DtlsConfig>> create(const Credentials& credentials, Settings settings,
                                                    Entropy& entropy);

  const mbedtls_ssl_config* ssl() const { return ssl_.get(); }
  bool coordinator() const { return settings_.role == Role::kCoordinator; }
  const char* peer_word() const { return coordinator() ? "device" : "coordinator"; }
  const char* peer_certificate_word() const { return coordinator() ? "device certificate" : "coordinator certificate"; }

  // Everything about a peer's certificate that its signature does not settle: role, calendar, admission. Also asked at
  // a resumption, where no certificate is shown.
  Failure judge(const CertificateInfo& peer) const;
  Failure check_calendar(const CertificateInfo& certificate, const char* whose) const;

  DtlsSession* active = nullptr;

 private:
  DtlsConfig(Settings settings, Entropy& entropy) : settings_(std::move(settings)), entropy_(entropy) {}
  Failure load(const Credentials& credentials);
  int64_t now_s() const { return settings_.unix_time_s ? settings_.unix_time_s() : 0; }
  static int write_ticket(void* self, const mbedtls_ssl_session* session, unsigned char* start,
                          const unsigned char* end, size_t* bytes, uint32_t* lifetime_s);
  static int parse_ticket(void* self, mbedtls_ssl_session* session, unsigned char* bytes, size_t size);

  Settings settings_;
  Entropy& entropy_;
  tls::Certificate authority_;
  tls::Certificate certificate_;
  tls::PrivateKey key_;
  tls::SslConfig ssl_;
};

}  // namespace runnel::host
