// The fleet's certificates: one authority, a certificate for each device and for the coordinator, all EC P-256 in PEM.
//
// A certificate's role is its extended key usage (RFC 5280, 4.2.1.12): clientAuth alone is a device, serverAuth alone
// is a coordinator. Both channels ask for the exact role, so a stolen device key can never stand in for the
// coordinator. A certificate carries the name, the role and nothing more: both cross the air in each full handshake.
//
// Time: seconds since 1970-01-01 UTC, always passed in. Trust: every text may come from a file or a stranger; a failure
// names what is wrong. Threads: any, as long as no two share an Entropy.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/host/entropy.h"

namespace runnel::host {

enum class Role : uint8_t { kNone = 0, kDevice = 1, kCoordinator = 2, kAuthority = 3 };

const char* role_name(Role role);

struct CertificateInfo {
  std::string name;  // the common name
  Role role = Role::kNone;
  std::string serial;  // upper-case hexadecimal, without leading zero bytes
  int64_t not_before_s = 0;
  int64_t not_after_s = 0;                // the last second at which it is valid
  std::array<uint8_t, 32> fingerprint{};  // SHA-256 of the certificate's DER bytes
};

struct Validity {
  int64_t not_before_s = 0;
  int64_t not_after_s = 0;
};

// A fleet's root of trust. The key signs certificates and nothing else; it need not be on the coordinator's machine.
struct Authority {
  std::string certificate_pem;
  std::string key_pem;
};

// What one side of a channel has: the fleet's authority, its own certificate and the key that belongs to it.
struct Credentials {
  std::string ca_pem;
  std::string certificate_pem;
  std::string key_pem;
};

inline constexpr int64_t kDayS = 86'400;
inline constexpr int64_t kAuthorityValidityS = 3653 * kDayS;  // ten years

// [A-Za-z0-9._-]{1,63}: safe in a file name, a log line, a certificate and a URL.
bool valid_name(std::string_view name);

// "2026-01-31 12:00:00 UTC".
std::string utc_text(int64_t unix_s);

// Lower-case hexadecimal.
std::string hex_text(ByteView bytes);

// A new P-256 private key.
Result<std::string> create_private_key(Entropy& entropy);

// A new key and its self-signed certificate (CA:TRUE, path length 0), valid for ten years from `not_before_s`.
Result<Authority> create_authority(const std::string& fleet_name, int64_t not_before_s, Entropy& entropy);

// A certificate request for the key: what a device sends to whoever holds the authority. kInvalidArgument: the name.
Result<std::string> create_request(const std::string& key_pem, const std::string& name, Entropy& entropy);

// Signs a request. `name` is the common name to expect in it; empty accepts the request's own. The role is the signer's
// decision, never the request's. kUntrusted: the request's signature does not match its key. kInvalidArgument: the
// name, the role, or a validity that is empty or ends after the authority's.
Result<std::string> sign_request(const Authority& authority, const std::string& request_pem, const std::string& name,
                                 Role role, Validity validity, Entropy& entropy);

// A new key with a certificate from the authority, in one step.
Result<Credentials> create_credentials(const Authority& authority, const std::string& name, Role role,
                                       Validity validity, Entropy& entropy);

// Reads one certificate. kMalformed: not a certificate, or its name is not a valid_name.
Result<CertificateInfo> parse_certificate(const std::string& pem);

// Everything about credentials that can be known without a peer: each text parses, the key belongs to the certificate,
// the authority signed it, the role is `role`, and `now_s` lies within its validity (now_s 0: no clock, validity not
// looked at).
Result<CertificateInfo> check_credentials(const Credentials& credentials, Role role, int64_t now_s, Entropy& entropy);

// kOk, or kExpired with the day: "certificate of pump-7 expired 2026-01-01 00:00:00 UTC". `whose` opens the sentence.
Failure check_validity(const CertificateInfo& certificate, int64_t now_s, const char* whose);

}  // namespace runnel::host
