#include "runtime/host/sha256.h"

#include <mbedtls/md.h>

#include <array>

#include "runtime/base/error.h"
#include "runtime/host/pki.h"

namespace runnel::host {

std::string sha256_hex(ByteView bytes) {
  std::array<uint8_t, 32> digest{};
  // The generic interface is the one that mbedTLS 2.28 and 3.6 share.
  const mbedtls_md_info_t* sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
  static constexpr uint8_t kNothing = 0;
  const uint8_t* data = bytes.empty() ? &kNothing : bytes.data();
  RUNNEL_ASSERT(sha256 != nullptr && mbedtls_md(sha256, data, bytes.size(), digest.data()) == 0);
  return hex_text(digest);
}

}  // namespace runnel::host
