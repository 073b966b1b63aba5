#include "runtime/host/session_ticket.h"

#include <mbedtls/gcm.h>

#include <string_view>

#include "runtime/host/tls_owned.h"

namespace runnel::host {
namespace {

// nonce | ciphertext | tag, the plaintext being
//   version 1 | suite 2 | master 48 | issued 8 | not before 8 | not after 8 | fingerprint 32 | serial length 1 | serial
//   | name length 1 | name
constexpr uint8_t kTicketVersion = 1;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr size_t kFixedBytes = 1 + 2 + tls::kMasterSecretBytes + 8 + 8 + 8 + 32;

using Gcm = tls::Owned<mbedtls_gcm_context, mbedtls_gcm_init, mbedtls_gcm_free>;

uint8_t nibble(char digit) {
  return static_cast<uint8_t>(digit >= 'A' ? digit - 'A' + 10 : digit - '0');
}

std::vector<uint8_t> serial_bytes(std::string_view hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(nibble(hex[i]) << 4 | nibble(hex[i + 1])));
  }
  return bytes;
}

std::string serial_text(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text;
  for (const uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

template <typename T>
void append(std::vector<uint8_t>& out, T value) {
  uint8_t bytes[sizeof value];
  store_le(bytes, value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

std::vector<uint8_t> encode(const SessionTicket& ticket) {
  std::vector<uint8_t> out;
  out.push_back(kTicketVersion);
  append(out, ticket.secret.suite);
  out.insert(out.end(), ticket.secret.master, ticket.secret.master + tls::kMasterSecretBytes);
  append(out, ticket.issued_s);
  append(out, ticket.device.not_before_s);
  append(out, ticket.device.not_after_s);
  out.insert(out.end(), ticket.device.fingerprint.begin(), ticket.device.fingerprint.end());
  const std::vector<uint8_t> serial = serial_bytes(ticket.device.serial);
  out.push_back(static_cast<uint8_t>(serial.size()));
  out.insert(out.end(), serial.begin(), serial.end());
  out.push_back(static_cast<uint8_t>(ticket.device.name.size()));
  out.insert(out.end(), ticket.device.name.begin(), ticket.device.name.end());
  return out;
}

Result<SessionTicket> decode(ByteView in) {
  if (in.size() < kFixedBytes + 2) return Error::kTruncated;
  if (in[0] != kTicketVersion) return Error::kVersion;
  SessionTicket ticket;
  const uint8_t* at = in.data() + 1;
  ticket.secret.suite = load_le<uint16_t>(at);
  std::memcpy(ticket.secret.master, at + 2, tls::kMasterSecretBytes);
  at += 2 + tls::kMasterSecretBytes;
  ticket.issued_s = load_le<int64_t>(at);
  ticket.device.not_before_s = load_le<int64_t>(at + 8);
  ticket.device.not_after_s = load_le<int64_t>(at + 16);
  std::memcpy(ticket.device.fingerprint.data(), at + 24, 32);
  ByteView rest = in.subspan(kFixedBytes);
  const size_t serial_size = rest[0];
  if (!range_within(1, serial_size + 1, rest.size())) return Error::kTruncated;
  ticket.device.serial = serial_text(rest.subspan(1, serial_size));
  rest = rest.subspan(1 + serial_size);
  if (rest.size() != 1U + rest[0]) return Error::kTruncated;
  ticket.device.name.assign(reinterpret_cast<const char*>(rest.data()) + 1, rest[0]);
  if (!valid_name(ticket.device.name)) return Error::kMalformed;
  ticket.device.role = Role::kDevice;  // no other is ever let in
  return ticket;
}

int set_key(Gcm& gcm, const TicketKey& key) {
  return mbedtls_gcm_setkey(gcm.get(), MBEDTLS_CIPHER_ID_AES, key.data(), static_cast<unsigned>(key.size() * 8));
}

}  // namespace

Result<std::vector<uint8_t>> seal_ticket(const TicketKey& key, const SessionTicket& ticket, Entropy& entropy) {
  std::vector<uint8_t> plain = encode(ticket);
  std::vector<uint8_t> sealed(kNonceBytes + plain.size() + kTagBytes);
  entropy.fill(MutableByteView(sealed).first(kNonceBytes));
  Gcm gcm;
  int code = set_key(gcm, key);
  if (code == 0) {
    code = mbedtls_gcm_crypt_and_tag(gcm.get(), MBEDTLS_GCM_ENCRYPT, plain.size(), sealed.data(), kNonceBytes, nullptr,
                                     0, plain.data(), sealed.data() + kNonceBytes, kTagBytes,
                                     sealed.data() + kNonceBytes + plain.size());
  }
  mbedtls_platform_zeroize(plain.data(), plain.size());
  if (code != 0) return fail(Error::kUnsupported, "mbedTLS: sealing a ticket: %s", tls::error_text(code).c_str());
  return sealed;
}

Result<SessionTicket> open_ticket(const TicketKey& key, ByteView sealed) {
  if (sealed.size() < kNonceBytes + kTagBytes + kFixedBytes) return Error::kTruncated;
  const size_t plain_bytes = sealed.size() - kNonceBytes - kTagBytes;
  std::vector<uint8_t> plain(plain_bytes);
  Gcm gcm;
  int code = set_key(gcm, key);
  if (code == 0) {
    code = mbedtls_gcm_auth_decrypt(gcm.get(), plain_bytes, sealed.data(), kNonceBytes, nullptr, 0,
                                    sealed.data() + kNonceBytes + plain_bytes, kTagBytes, sealed.data() + kNonceBytes,
                                    plain.data());
  }
  if (code != 0) return Error::kChecksum;
  Result<SessionTicket> ticket = decode(plain);
  mbedtls_platform_zeroize(plain.data(), plain.size());
  return ticket;
}

}  // namespace runnel::host
