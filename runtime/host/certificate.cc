#include "runtime/host/certificate.h"

#include <mbedtls/md.h>
#include <mbedtls/oid.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "runtime/host/tls_compat.h"

namespace runnel::host::tls {
namespace {

int64_t unix_seconds_of(const mbedtls_x509_time& time) {
  const std::chrono::year_month_day date{std::chrono::year(time.year),
                                         std::chrono::month(static_cast<unsigned>(time.mon)),
                                         std::chrono::day(static_cast<unsigned>(time.day))};
  const int64_t day = std::chrono::sys_days(date).time_since_epoch().count();
  return day * kDayS + time.hour * int64_t{3600} + time.min * int64_t{60} + time.sec;
}

std::string common_name(const mbedtls_x509_name& subject) {
  for (const mbedtls_x509_name* part = &subject; part != nullptr; part = part->next) {
    if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0) {
      return {reinterpret_cast<const char*>(part->val.p), part->val.len};
    }
  }
  return {};
}

Role role_of(const mbedtls_x509_crt& certificate) {
  const mbedtls_x509_sequence& usage = certificate.ext_key_usage;
  if (is_authority(certificate)) return Role::kAuthority;
  if (usage.buf.p == nullptr || usage.next != nullptr) return Role::kNone;
  if (MBEDTLS_OID_CMP(MBEDTLS_OID_CLIENT_AUTH, &usage.buf) == 0) return Role::kDevice;
  if (MBEDTLS_OID_CMP(MBEDTLS_OID_SERVER_AUTH, &usage.buf) == 0) return Role::kCoordinator;
  return Role::kNone;
}

std::string serial_text(const mbedtls_x509_buf& serial) {
  ByteView bytes(serial.p, serial.len);
  while (bytes.size() > 1 && bytes[0] == 0) bytes = bytes.subspan(1);
  std::string text = hex_text(bytes);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

// mbedTLS compares with the system's clock; ours is an argument.
int ignore_calendar(void*, mbedtls_x509_crt*, int, uint32_t* flags) {
  *flags &= ~kCalendarFlags;
  return 0;
}

}  // namespace

Failure parse_certificate(const std::string& pem, const char* whose, Certificate& out) {
  if (pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    return fail(Error::kMalformed, "%s: no PEM certificate in the text", whose);
  }
  const int code =
      mbedtls_x509_crt_parse(out.get(), reinterpret_cast<const unsigned char*>(pem.c_str()), pem.size() + 1);
  if (code < 0) return fail(Error::kMalformed, "%s: malformed: %s", whose, error_text(code).c_str());
  if (code > 0) return fail(Error::kMalformed, "%s: %d of its certificates are malformed", whose, code);
  if (out->next != nullptr) return fail(Error::kMalformed, "%s: more than one certificate in the text", whose);
  return Error::kOk;
}

Failure parse_private_key(const std::string& pem, const char* whose, Entropy& entropy, PrivateKey& out) {
  const int code = tls::parse_private_key(out.get(), pem, Entropy::generate, &entropy);
  if (code != 0) return fail(Error::kMalformed, "%s: not a PEM private key: %s", whose, error_text(code).c_str());
  if (mbedtls_pk_can_do(out.get(), MBEDTLS_PK_ECKEY) == 0 || mbedtls_pk_get_bitlen(out.get()) != 256) {
    return fail(Error::kUnsupported, "%s: not an EC P-256 key", whose);
  }
  return Error::kOk;
}

Result<CertificateInfo> describe_certificate(const mbedtls_x509_crt& certificate) {
  CertificateInfo info;
  info.name = common_name(certificate.subject);
  if (!valid_name(info.name)) return fail(Error::kMalformed, "certificate: its common name is not a valid name");
  info.role = role_of(certificate);
  info.serial = serial_text(certificate.serial);
  info.not_before_s = unix_seconds_of(certificate.valid_from);
  info.not_after_s = unix_seconds_of(certificate.valid_to);
  const int code = mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), certificate.raw.p, certificate.raw.len,
                              info.fingerprint.data());
  if (code != 0) return fail(Error::kUnsupported, "mbedTLS: SHA-256: %s", error_text(code).c_str());
  return info;
}

Failure chain_failure(uint32_t flags, const char* whose) {
  if ((flags & ~kCalendarFlags) == 0) return Error::kOk;
  if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
    return fail(Error::kUntrusted, "%s not signed by this fleet's CA", whose);
  }
  if ((flags & (MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE)) != 0) {
    return fail(Error::kUntrusted, "%s is for another role", whose);
  }
  if ((flags & MBEDTLS_X509_BADCERT_MISSING) != 0) return fail(Error::kUntrusted, "%s is missing", whose);
  return fail(Error::kUntrusted, "%s refused (mbedTLS verification flags 0x%x)", whose, static_cast<unsigned>(flags));
}

Failure check_chain(Certificate& certificate, Certificate& authority, const char* whose) {
  uint32_t flags = 0;
  const int code =
      mbedtls_x509_crt_verify_with_profile(certificate.get(), authority.get(), nullptr,
                                           &mbedtls_x509_crt_profile_suiteb, nullptr, &flags, ignore_calendar, nullptr);
  if (code == 0) return Error::kOk;
  if (code != MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
    return fail(Error::kUntrusted, "%s: %s", whose, error_text(code).c_str());
  }
  return chain_failure(flags, whose);
}

}  // namespace runnel::host::tls
