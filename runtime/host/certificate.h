// Reading certificates and keys with mbedTLS. Internal to this room: pki.h is what others use.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/host/pki.h"
#include "runtime/host/tls_owned.h"

namespace runnel::host::tls {

// `whose` opens each sentence: "device certificate", "fleet CA".
Failure parse_certificate(const std::string& pem, const char* whose, Certificate& out);
Failure parse_private_key(const std::string& pem, const char* whose, Entropy& entropy, PrivateKey& out);

// kMalformed: no valid common name.
Result<CertificateInfo> describe_certificate(const mbedtls_x509_crt& certificate);

// What mbedTLS found wrong with a certificate's chain, the calendar aside (the caller's clock decides that).
inline constexpr uint32_t kCalendarFlags = MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE;
Failure chain_failure(uint32_t flags, const char* whose);

// kOk, or kUntrusted: the authority did not sign it.
Failure check_chain(Certificate& certificate, Certificate& authority, const char* whose);

}  // namespace runnel::host::tls
