// Everything in which mbedTLS 2.28 (Debian 12) and 3.6 (Debian 13) differ for us. No other file asks for the version.
//
// The few private members used here have no accessor in one of the two: the alert's number, the secret of a session,
// which our own small ticket carries instead of the peer's whole certificate, and that certificate, to let go of it.
#pragma once

#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <mbedtls/x509_csr.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <mbedtls/private_access.h>
#if defined(MBEDTLS_PSA_CRYPTO_C)
#include <psa/crypto.h>
#endif
#elif !defined(MBEDTLS_PRIVATE)
#define MBEDTLS_PRIVATE(member) member
#endif

namespace runnel::host::tls {

using RandomFunction = int (*)(void*, unsigned char*, size_t);

inline constexpr size_t kMasterSecretBytes = 48;

// mbedTLS's own sentence and number.
inline std::string error_text(int code) {
  char words[120] = {};
  mbedtls_strerror(code, words, sizeof words);
  char number[16] = {};
  std::snprintf(number, sizeof number, " (-0x%04x)", static_cast<unsigned>(-code));
  return std::string(words) + number;
}

// 3.6 may do its work through PSA, which has to be started once in a process. 2.28 needs nothing.
inline Failure start_crypto() {
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && defined(MBEDTLS_PSA_CRYPTO_C)
  if (psa_crypto_init() != PSA_SUCCESS) return fail(Error::kIo, "mbedTLS: psa_crypto_init failed");
#endif
  return Error::kOk;
}

// `text` is a PEM text with its terminating zero.
inline int parse_private_key(mbedtls_pk_context* key, const std::string& text, RandomFunction random, void* state) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.c_str());
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
  return mbedtls_pk_parse_key(key, bytes, text.size() + 1, nullptr, 0, random, state);
#else
  static_cast<void>(random);
  static_cast<void>(state);
  return mbedtls_pk_parse_key(key, bytes, text.size() + 1, nullptr, 0);
#endif
}

inline bool keys_match(const mbedtls_pk_context* public_key, const mbedtls_pk_context* private_key,
                       RandomFunction random, void* state) {
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
  return mbedtls_pk_check_pair(public_key, private_key, random, state) == 0;
#else
  static_cast<void>(random);
  static_cast<void>(state);
  return mbedtls_pk_check_pair(public_key, private_key) == 0;
#endif
}

// `serial` is big-endian, at most 20 bytes, its top bit clear.
inline int set_serial(mbedtls_x509write_cert* certificate, ByteView serial) {
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
  unsigned char bytes[20] = {};
  if (serial.size() > sizeof bytes) return MBEDTLS_ERR_X509_BAD_INPUT_DATA;
  std::memcpy(bytes, serial.data(), serial.size());
  return mbedtls_x509write_crt_set_serial_raw(certificate, bytes, serial.size());
#else
  mbedtls_mpi number;
  mbedtls_mpi_init(&number);
  int code = mbedtls_mpi_read_binary(&number, serial.data(), serial.size());
  if (code == 0) code = mbedtls_x509write_crt_set_serial(certificate, &number);
  mbedtls_mpi_free(&number);
  return code;
#endif
}

inline bool is_authority(const mbedtls_x509_crt& certificate) {
  return certificate.MBEDTLS_PRIVATE(ca_istrue) != 0;
}

// The signature of a certificate request and what it signs with; parsing alone does not check it.
inline ByteView signature_of(const mbedtls_x509_csr& request) {
  const mbedtls_x509_buf& signature = request.MBEDTLS_PRIVATE(sig);
  return {signature.p, signature.len};
}
inline mbedtls_md_type_t signature_hash_of(const mbedtls_x509_csr& request) {
  return request.MBEDTLS_PRIVATE(sig_md);
}

// DTLS 1.2 and nothing else, P-256 with SHA-256 and nothing else: fewer bytes in each hello, and nothing to downgrade
// to.
inline void allow_one_version_and_curve(mbedtls_ssl_config* config) {
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
  mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
  mbedtls_ssl_conf_max_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
  static const uint16_t kGroups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
  static const uint16_t kSignatures[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_NONE};
  mbedtls_ssl_conf_groups(config, kGroups);
  mbedtls_ssl_conf_sig_algs(config, kSignatures);
#else
  mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
  mbedtls_ssl_conf_max_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
  static const mbedtls_ecp_group_id kCurves[] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_NONE};
  static const int kHashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_NONE};
  mbedtls_ssl_conf_curves(config, kCurves);
  mbedtls_ssl_conf_sig_hashes(config, kHashes);
#endif
}

// The number of the fatal alert that has just been read. Only meaningful right after
// MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE.
inline int received_alert(const mbedtls_ssl_context& context) {
  const unsigned char* message = context.MBEDTLS_PRIVATE(in_msg);
  return message == nullptr ? 0 : message[1];
}

// Whether the coordinator gave a ticket: without one a saved session is of no use.
inline bool has_ticket(const mbedtls_ssl_session& session) {
  return session.MBEDTLS_PRIVATE(ticket_len) > 0;
}

// Lets go of the peer's certificate once it has been judged: a session that is put to sleep and woken again would save
// and parse it each time.
inline void forget_peer_certificate(mbedtls_ssl_context* context) {
#if defined(MBEDTLS_SSL_KEEP_PEER_CERTIFICATE)
  mbedtls_ssl_session* session = context->MBEDTLS_PRIVATE(session);
  if (session == nullptr || session->MBEDTLS_PRIVATE(peer_cert) == nullptr) return;
  mbedtls_x509_crt_free(session->MBEDTLS_PRIVATE(peer_cert));
  mbedtls_free(session->MBEDTLS_PRIVATE(peer_cert));
  session->MBEDTLS_PRIVATE(peer_cert) = nullptr;
#else
  static_cast<void>(context);
#endif
}

// What a ticket has to carry so that a session can be continued with it.
struct SessionSecret {
  SessionSecret() = default;
  SessionSecret(const SessionSecret&) = default;
  SessionSecret& operator=(const SessionSecret&) = default;
  ~SessionSecret() { mbedtls_platform_zeroize(master, sizeof master); }

  uint16_t suite = 0;
  uint8_t master[kMasterSecretBytes] = {};
};

inline SessionSecret secret_of(const mbedtls_ssl_session& session) {
  SessionSecret secret;
  secret.suite = static_cast<uint16_t>(session.MBEDTLS_PRIVATE(ciphersuite));
  static_assert(sizeof session.MBEDTLS_PRIVATE(master) == kMasterSecretBytes);
  std::memcpy(secret.master, session.MBEDTLS_PRIVATE(master), kMasterSecretBytes);
  return secret;
}

// REQUIRES: `session` is freshly initialised. Makes it a server's TLS 1.2 session.
inline void set_secret(mbedtls_ssl_session* session, const SessionSecret& secret) {
  session->MBEDTLS_PRIVATE(ciphersuite) = secret.suite;
  std::memcpy(session->MBEDTLS_PRIVATE(master), secret.master, kMasterSecretBytes);
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
  session->MBEDTLS_PRIVATE(tls_version) = MBEDTLS_SSL_VERSION_TLS1_2;
  session->MBEDTLS_PRIVATE(endpoint) = MBEDTLS_SSL_IS_SERVER;
#endif
}

}  // namespace runnel::host::tls
