#include "runtime/host/dtls_config.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/host/certificate.h"
#include "runtime/host/dtls_session.h"
#include "runtime/host/tls_compat.h"

namespace runnel::host {
namespace {

// In order of preference, on both sides. All are forward secret and authenticated encryption.
constexpr int kSuites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                           MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 0};

}  // namespace

Result<std::unique_ptr<DtlsConfig>> DtlsConfig::create(const Credentials& credentials, Settings settings,
                                                       Entropy& entropy) {
  const int64_t now_s = settings.unix_time_s ? settings.unix_time_s() : 0;
  auto own = check_credentials(credentials, settings.role, now_s, entropy);
  if (!own) return own.failure();
  std::unique_ptr<DtlsConfig> config(new DtlsConfig(std::move(settings), entropy));
  RUNNEL_TRY(config->load(credentials));
  return config;
}

Failure DtlsConfig::load(const Credentials& credentials) {
  RUNNEL_TRY(tls::parse_certificate(credentials.ca_pem, "fleet CA", authority_));
  RUNNEL_TRY(tls::parse_certificate(credentials.certificate_pem, "certificate", certificate_));
  RUNNEL_TRY(tls::parse_private_key(credentials.key_pem, "key", entropy_, key_));

  mbedtls_ssl_config* ssl = ssl_.get();
  int code = mbedtls_ssl_config_defaults(ssl, coordinator() ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                         MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT);
  if (code == 0) code = mbedtls_ssl_conf_own_cert(ssl, certificate_.get(), key_.get());
  if (code != 0) return fail(Error::kUnsupported, "mbedTLS: %s", tls::error_text(code).c_str());
  tls::allow_one_version_and_curve(ssl);
  mbedtls_ssl_conf_ciphersuites(ssl, kSuites);
  mbedtls_ssl_conf_cert_profile(ssl, &mbedtls_x509_crt_profile_suiteb);
  mbedtls_ssl_conf_ca_chain(ssl, authority_.get(), nullptr);
  mbedtls_ssl_conf_authmode(ssl, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_rng(ssl, Entropy::generate, &entropy_);
  const auto limit_ms = [](Duration duration) {
    return static_cast<uint32_t>(std::clamp<int64_t>(to_ms(duration), 1, 1 << 30));
  };
  mbedtls_ssl_conf_handshake_timeout(ssl, limit_ms(settings_.retransmit_first), limit_ms(settings_.retransmit_last));
  mbedtls_ssl_conf_dtls_anti_replay(ssl, MBEDTLS_SSL_ANTI_REPLAY_ENABLED);
  mbedtls_ssl_conf_dtls_badmac_limit(ssl, 0);  // forged records are dropped for ever, and never end a session
#if defined(MBEDTLS_SSL_ENCRYPT_THEN_MAC)
  mbedtls_ssl_conf_encrypt_then_mac(ssl, MBEDTLS_SSL_ETM_DISABLED);  // means nothing for AEAD, costs 4 bytes
#endif
#if defined(MBEDTLS_SSL_RENEGOTIATION)
  mbedtls_ssl_conf_renegotiation(ssl, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
  if (coordinator()) {
    mbedtls_ssl_conf_dtls_cookies(ssl, nullptr, nullptr, nullptr);
    mbedtls_ssl_conf_cert_req_ca_list(ssl, MBEDTLS_SSL_CERT_REQ_CA_LIST_DISABLED);
    if (settings_.tickets) mbedtls_ssl_conf_session_tickets_cb(ssl, write_ticket, parse_ticket, this);
  } else {
    mbedtls_ssl_conf_session_tickets(ssl, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
  }
  return Error::kOk;
}

Failure DtlsConfig::check_calendar(const CertificateInfo& certificate, const char* whose) const {
  const int64_t now = now_s();
  return now == 0 ? Failure(Error::kOk) : check_validity(certificate, now, whose);
}

Failure DtlsConfig::judge(const CertificateInfo& peer) const {
  const Role wanted = coordinator() ? Role::kDevice : Role::kCoordinator;
  if (peer.role != wanted) {
    return fail(Error::kUntrusted, "certificate of %s has the role %s where a %s was expected", peer.name.c_str(),
                role_name(peer.role), role_name(wanted));
  }
  RUNNEL_TRY(check_calendar(peer, peer_certificate_word()));
  return settings_.admit ? settings_.admit(peer) : Failure(Error::kOk);
}

int DtlsConfig::write_ticket(void* self, const mbedtls_ssl_session* session, unsigned char* start,
                             const unsigned char* end, size_t* bytes, uint32_t* lifetime_s) {
  const auto* config = static_cast<DtlsConfig*>(self);
  RUNNEL_ASSERT(config->active != nullptr);
  const SessionTicket ticket{tls::secret_of(*session), config->now_s(), config->active->peer()};
  const auto sealed = seal_ticket(config->settings_.ticket_key, ticket, config->entropy_);
  if (!sealed || sealed.value().size() > static_cast<size_t>(end - start)) return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
  std::memcpy(start, sealed.value().data(), sealed.value().size());
  *bytes = sealed.value().size();
  *lifetime_s = static_cast<uint32_t>(std::clamp<int64_t>(to_ms(config->settings_.ticket_lifetime) / 1000, 0,
                                                          7 * kDayS));  // a hint, with RFC 8446's upper bound
  return 0;
}

// Any failure here means: no resumption, a full handshake instead. There the reason comes out, certificate in hand.
int DtlsConfig::parse_ticket(void* self, mbedtls_ssl_session* session, unsigned char* bytes, size_t size) {
  auto* config = static_cast<DtlsConfig*>(self);
  RUNNEL_ASSERT(config->active != nullptr);
  const auto ticket = open_ticket(config->settings_.ticket_key, {bytes, size});
  if (!ticket) return MBEDTLS_ERR_SSL_INVALID_MAC;
  const int64_t age_s = config->now_s() - ticket.value().issued_s;
  if (age_s * 1000 > to_ms(config->settings_.ticket_lifetime)) return MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
  if (std::find(std::begin(kSuites), std::end(kSuites), ticket.value().secret.suite) == std::end(kSuites)) {
    return MBEDTLS_ERR_SSL_INVALID_MAC;
  }
  if (!config->judge(ticket.value().device).ok()) return MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
  tls::set_secret(session, ticket.value().secret);
  config->active->resume_as(ticket.value().device);
  return 0;
}

}  // namespace runnel::host
