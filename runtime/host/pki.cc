#include "runtime/host/pki.h"

#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/oid.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/host/certificate.h"
#include "runtime/host/tls_compat.h"

namespace runnel::host {
namespace {

constexpr size_t kPemBytesMax = 4096;
constexpr size_t kSerialBytes = 16;

struct CivilTime {
  int year;
  unsigned month, day;
  int hour, minute, second;
};

CivilTime civil(int64_t unix_s) {
  const std::chrono::sys_seconds instant{std::chrono::seconds(unix_s)};
  const std::chrono::sys_days midnight = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date{midnight};
  const std::chrono::hh_mm_ss clock{instant - midnight};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count())};
}

// The years that a certificate written here can express without doubt.
constexpr int64_t kUnix2000S = 946'684'800;
constexpr int64_t kUnix9999S = 253'370'764'800;

// "YYYYMMDDhhmmss", as mbedTLS wants it.
std::string asn1_text(int64_t unix_s) {
  const CivilTime t = civil(unix_s);
  char text[48];
  std::snprintf(text, sizeof text, "%04d%02u%02u%02d%02d%02d", t.year, t.month, t.day, t.hour, t.minute, t.second);
  return text;
}

Failure tls_failure(const char* doing, int code) {
  return fail(Error::kUnsupported, "mbedTLS: %s: %s", doing, tls::error_text(code).c_str());
}

Failure check_name(const std::string& name, const char* whose) {
  if (valid_name(name)) return Error::kOk;
  return fail(Error::kInvalidArgument, "%s: a name is 1 to 63 of A-Z a-z 0-9 . _ -", whose);
}

Failure check_period(Validity validity) {
  if (validity.not_before_s < kUnix2000S || validity.not_after_s >= kUnix9999S) {
    return fail(Error::kInvalidArgument, "validity: years 2000 to 9998 only");
  }
  if (validity.not_after_s <= validity.not_before_s) {
    return fail(Error::kInvalidArgument, "validity: ends before it begins");
  }
  return Error::kOk;
}

Result<std::string> key_to_pem(tls::PrivateKey& key) {
  std::string pem(kPemBytesMax, '\0');
  const int code = mbedtls_pk_write_key_pem(key.get(), reinterpret_cast<unsigned char*>(pem.data()), pem.size());
  if (code != 0) return tls_failure("writing a private key", code);
  pem.resize(pem.find('\0'));
  return pem;
}

struct CertificatePlan {
  std::string subject;
  std::string issuer;
  Role role = Role::kNone;
  Validity validity;
};

// extKeyUsage ::= SEQUENCE { OBJECT IDENTIFIER id-kp-serverAuth (…3.1) or id-kp-clientAuth (…3.2) }, in DER.
constexpr uint8_t kServerAuth[] = {0x30, 0x0A, 0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
constexpr uint8_t kClientAuth[] = {0x30, 0x0A, 0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};

int set_extensions(mbedtls_x509write_cert* certificate, Role role) {
  if (role == Role::kAuthority) {
    const int code = mbedtls_x509write_crt_set_basic_constraints(certificate, 1, 0);
    if (code != 0) return code;
    return mbedtls_x509write_crt_set_key_usage(certificate, MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN);
  }
  const int code = mbedtls_x509write_crt_set_key_usage(certificate, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
  if (code != 0) return code;
  const uint8_t* usage = role == Role::kCoordinator ? kServerAuth : kClientAuth;
  return mbedtls_x509write_crt_set_extension(certificate, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                             MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0, usage,
                                             sizeof kServerAuth);
}

Result<std::string> write_certificate(const CertificatePlan& plan, mbedtls_pk_context* subject_key,
                                      mbedtls_pk_context* issuer_key, Entropy& entropy) {
  tls::CertificateWriter writer;
  mbedtls_x509write_crt_set_version(writer.get(), MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(writer.get(), MBEDTLS_MD_SHA256);
  mbedtls_x509write_crt_set_subject_key(writer.get(), subject_key);
  mbedtls_x509write_crt_set_issuer_key(writer.get(), issuer_key);

  uint8_t serial[kSerialBytes];
  entropy.fill(serial);
  serial[0] = static_cast<uint8_t>((serial[0] & 0x7F) | 0x40);  // positive, and always 16 bytes long
  int code = tls::set_serial(writer.get(), serial);
  if (code == 0) code = mbedtls_x509write_crt_set_subject_name(writer.get(), ("CN=" + plan.subject).c_str());
  if (code == 0) code = mbedtls_x509write_crt_set_issuer_name(writer.get(), ("CN=" + plan.issuer).c_str());
  if (code == 0) {
    code = mbedtls_x509write_crt_set_validity(writer.get(), asn1_text(plan.validity.not_before_s).c_str(),
                                              asn1_text(plan.validity.not_after_s).c_str());
  }
  if (code == 0) code = set_extensions(writer.get(), plan.role);
  std::string pem(kPemBytesMax, '\0');
  if (code == 0) {
    code = mbedtls_x509write_crt_pem(writer.get(), reinterpret_cast<unsigned char*>(pem.data()), pem.size(),
                                     Entropy::generate, &entropy);
  }
  if (code != 0) return tls_failure("writing a certificate", code);
  pem.resize(pem.find('\0'));
  return pem;
}

Failure generate_key(tls::PrivateKey& key, Entropy& entropy) {
  int code = mbedtls_pk_setup(key.get(), mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
  if (code == 0) {
    code = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key.get()), Entropy::generate, &entropy);
  }
  return code == 0 ? Failure(Error::kOk) : tls_failure("making a private key", code);
}

// Whoever made the request holds its key; mbedTLS's parser does not look.
Failure check_request_signature(tls::Request& request) {
  if (tls::signature_hash_of(*request.get()) != MBEDTLS_MD_SHA256) {
    return fail(Error::kUnsupported, "certificate request: not signed with SHA-256");
  }
  uint8_t hash[32];
  int code = mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), request->cri.p, request->cri.len, hash);
  const ByteView signature = tls::signature_of(*request.get());
  if (code == 0) {
    code = mbedtls_pk_verify(&request->pk, MBEDTLS_MD_SHA256, hash, sizeof hash, signature.data(), signature.size());
  }
  if (code != 0) return fail(Error::kUntrusted, "certificate request: its signature does not match its key");
  return Error::kOk;
}

std::string request_name(const mbedtls_x509_csr& request) {
  for (const mbedtls_x509_name* part = &request.subject; part != nullptr; part = part->next) {
    if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0) {
      return {reinterpret_cast<const char*>(part->val.p), part->val.len};
    }
  }
  return {};
}

}  // namespace

const char* role_name(Role role) {
  switch (role) {
    case Role::kNone:
      return "none";
    case Role::kDevice:
      return "device";
    case Role::kCoordinator:
      return "coordinator";
    case Role::kAuthority:
      return "authority";
  }
  return "none";
}

bool valid_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), allowed);
}

std::string utc_text(int64_t unix_s) {
  const CivilTime t = civil(unix_s);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d UTC", t.year, t.month, t.day, t.hour, t.minute,
                t.second);
  return text;
}

std::string hex_text(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

Result<std::string> create_private_key(Entropy& entropy) {
  tls::PrivateKey key;
  RUNNEL_TRY(generate_key(key, entropy));
  return key_to_pem(key);
}

Result<Authority> create_authority(const std::string& fleet_name, int64_t not_before_s, Entropy& entropy) {
  RUNNEL_TRY(check_name(fleet_name, "fleet"));
  const Validity validity{not_before_s, not_before_s + kAuthorityValidityS};
  RUNNEL_TRY(check_period(validity));
  tls::PrivateKey key;
  RUNNEL_TRY(generate_key(key, entropy));
  auto key_pem = key_to_pem(key);
  if (!key_pem) return key_pem.failure();
  auto certificate =
      write_certificate({fleet_name, fleet_name, Role::kAuthority, validity}, key.get(), key.get(), entropy);
  if (!certificate) return certificate.failure();
  return Authority{std::move(*certificate), std::move(*key_pem)};
}

Result<std::string> create_request(const std::string& key_pem, const std::string& name, Entropy& entropy) {
  RUNNEL_TRY(check_name(name, "certificate request"));
  tls::PrivateKey key;
  RUNNEL_TRY(tls::parse_private_key(key_pem, "key", entropy, key));
  tls::RequestWriter writer;
  mbedtls_x509write_csr_set_key(writer.get(), key.get());
  mbedtls_x509write_csr_set_md_alg(writer.get(), MBEDTLS_MD_SHA256);
  int code = mbedtls_x509write_csr_set_subject_name(writer.get(), ("CN=" + name).c_str());
  std::string pem(kPemBytesMax, '\0');
  if (code == 0) {
    code = mbedtls_x509write_csr_pem(writer.get(), reinterpret_cast<unsigned char*>(pem.data()), pem.size(),
                                     Entropy::generate, &entropy);
  }
  if (code != 0) return tls_failure("writing a certificate request", code);
  pem.resize(pem.find('\0'));
  return pem;
}

Result<std::string> sign_request(const Authority& authority, const std::string& request_pem, const std::string& name,
                                 Role role, Validity validity, Entropy& entropy) {
  if (role != Role::kDevice && role != Role::kCoordinator) {
    return fail(Error::kInvalidArgument, "certificate: the role is device or coordinator");
  }
  RUNNEL_TRY(check_period(validity));

  tls::Certificate ca;
  tls::PrivateKey ca_key;
  RUNNEL_TRY(tls::parse_certificate(authority.certificate_pem, "fleet CA", ca));
  RUNNEL_TRY(tls::parse_private_key(authority.key_pem, "fleet CA's key", entropy, ca_key));
  auto ca_info = tls::describe_certificate(*ca.get());
  if (!ca_info) return ca_info.failure();
  if (ca_info->role != Role::kAuthority)
    return fail(Error::kInvalidArgument, "fleet CA: not an authority's certificate");
  if (!tls::keys_match(&ca->pk, ca_key.get(), Entropy::generate, &entropy)) {
    return fail(Error::kInvalidArgument, "fleet CA: the key does not match the certificate");
  }
  if (validity.not_after_s > ca_info->not_after_s) {
    return fail(Error::kInvalidArgument, "validity: ends after the fleet CA's own, %s",
                utc_text(ca_info->not_after_s).c_str());
  }

  tls::Request request;
  const int code = mbedtls_x509_csr_parse(request.get(), reinterpret_cast<const unsigned char*>(request_pem.c_str()),
                                          request_pem.size() + 1);
  if (code != 0) return fail(Error::kMalformed, "certificate request: malformed: %s", tls::error_text(code).c_str());
  if (mbedtls_pk_can_do(&request->pk, MBEDTLS_PK_ECKEY) == 0 || mbedtls_pk_get_bitlen(&request->pk) != 256) {
    return fail(Error::kUnsupported, "certificate request: not an EC P-256 key");
  }
  RUNNEL_TRY(check_request_signature(request));
  const std::string requested = request_name(*request.get());
  RUNNEL_TRY(check_name(requested, "certificate request"));
  if (!name.empty() && requested != name) {
    return fail(Error::kInvalidArgument, "certificate request: is for %s, not for %s", requested.c_str(), name.c_str());
  }
  return write_certificate({requested, ca_info->name, role, validity}, &request->pk, ca_key.get(), entropy);
}

Result<Credentials> create_credentials(const Authority& authority, const std::string& name, Role role,
                                       Validity validity, Entropy& entropy) {
  auto key = create_private_key(entropy);
  if (!key) return key.failure();
  auto request = create_request(*key, name, entropy);
  if (!request) return request.failure();
  auto certificate = sign_request(authority, *request, name, role, validity, entropy);
  if (!certificate) return certificate.failure();
  return Credentials{authority.certificate_pem, std::move(*certificate), std::move(*key)};
}

Result<CertificateInfo> parse_certificate(const std::string& pem) {
  tls::Certificate certificate;
  RUNNEL_TRY(tls::parse_certificate(pem, "certificate", certificate));
  return tls::describe_certificate(*certificate.get());
}

Result<CertificateInfo> check_credentials(const Credentials& credentials, Role role, int64_t now_s, Entropy& entropy) {
  const std::string whose = std::string(role_name(role)) + " certificate";
  tls::Certificate ca;
  tls::Certificate certificate;
  tls::PrivateKey key;
  RUNNEL_TRY(tls::parse_certificate(credentials.ca_pem, "fleet CA", ca));
  RUNNEL_TRY(tls::parse_certificate(credentials.certificate_pem, whose.c_str(), certificate));
  RUNNEL_TRY(
      tls::parse_private_key(credentials.key_pem, (std::string(role_name(role)) + " key").c_str(), entropy, key));
  if (!tls::is_authority(*ca.get())) return fail(Error::kUntrusted, "fleet CA: not an authority's certificate");
  auto info = tls::describe_certificate(*certificate.get());
  if (!info) return info;
  if (!tls::keys_match(&certificate->pk, key.get(), Entropy::generate, &entropy)) {
    return fail(Error::kInvalidArgument, "%s of %s: the key does not match it", whose.c_str(), info->name.c_str());
  }
  RUNNEL_TRY(tls::check_chain(certificate, ca, whose.c_str()));
  if (info->role != role) {
    return fail(Error::kUntrusted, "%s of %s: its role is %s", whose.c_str(), info->name.c_str(),
                role_name(info->role));
  }
  if (now_s != 0) {
    auto ca_info = tls::describe_certificate(*ca.get());
    if (!ca_info) return ca_info;
    RUNNEL_TRY(check_validity(*ca_info, now_s, "fleet CA certificate"));
    RUNNEL_TRY(check_validity(*info, now_s, whose.c_str()));
  }
  return info;
}

Failure check_validity(const CertificateInfo& certificate, int64_t now_s, const char* whose) {
  if (now_s > certificate.not_after_s) {
    return fail(Error::kExpired, "%s of %s expired %s", whose, certificate.name.c_str(),
                utc_text(certificate.not_after_s).c_str());
  }
  if (now_s < certificate.not_before_s) {
    return fail(Error::kExpired, "%s of %s is not valid before %s (it is now %s)", whose, certificate.name.c_str(),
                utc_text(certificate.not_before_s).c_str(), utc_text(now_s).c_str());
  }
  return Error::kOk;
}

}  // namespace runnel::host
