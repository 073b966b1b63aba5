// A DTLS peer that checks nothing and shows whatever certificate it was given: what a channel has to stand against.
// Straight mbedTLS, none of our channel code.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "runtime/host/secure_channel.h"
#include "runtime/host/tls_compat.h"
#include "runtime/host/tls_owned.h"
#include "tests/unit/host/test_fleet.h"

namespace runnel::host {

class HostilePeer {
 public:
  HostilePeer(const Credentials& shown, bool as_coordinator, bool show_certificate = true) {
    const auto text = [](const std::string& pem) { return reinterpret_cast<const unsigned char*>(pem.c_str()); };
    EXPECT_EQ(mbedtls_x509_crt_parse(certificate_.get(), text(shown.certificate_pem), shown.certificate_pem.size() + 1),
              0);
    // Forgets what the certificate says it is for: mbedTLS would not show it in another role.
    certificate_->MBEDTLS_PRIVATE(ext_types) = 0;
    EXPECT_EQ(tls::parse_private_key(key_.get(), shown.key_pem, Entropy::generate, &test_entropy()), 0);
    EXPECT_EQ(mbedtls_ssl_config_defaults(config_.get(), as_coordinator ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                          MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT),
              0);
    tls::allow_one_version_and_curve(config_.get());
    mbedtls_ssl_conf_authmode(config_.get(), MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(config_.get(), Entropy::generate, &test_entropy());
    if (as_coordinator) mbedtls_ssl_conf_dtls_cookies(config_.get(), nullptr, nullptr, nullptr);
    if (show_certificate) {
      EXPECT_EQ(mbedtls_ssl_conf_own_cert(config_.get(), certificate_.get(), key_.get()), 0);
    }
    EXPECT_EQ(mbedtls_ssl_setup(ssl_.get(), config_.get()), 0);
    mbedtls_ssl_set_bio(ssl_.get(), this, write, read, nullptr);
    mbedtls_ssl_set_timer_cb(
        ssl_.get(), this, [](void*, uint32_t, uint32_t) {}, [](void*) { return 0; });
  }

  // Takes a step with the records of one message; returns the records it answers, empty when it has none.
  std::vector<uint8_t> step(const std::vector<uint8_t>& records) {
    input_ = records;
    finished = mbedtls_ssl_handshake(ssl_.get()) == 0;
    return std::move(output_);
  }

  bool finished = false;

 private:
  static int write(void* self, const unsigned char* bytes, size_t size) {
    auto& output = static_cast<HostilePeer*>(self)->output_;
    output.insert(output.end(), bytes, bytes + size);
    return static_cast<int>(size);
  }
  static int read(void* self, unsigned char* bytes, size_t size) {
    auto& input = static_cast<HostilePeer*>(self)->input_;
    if (input.empty()) return MBEDTLS_ERR_SSL_WANT_READ;
    const size_t part = std::min(size, input.size());
    std::copy_n(input.begin(), part, bytes);
    input.clear();
    return static_cast<int>(part);
  }

  tls::Certificate certificate_;
  tls::PrivateKey key_;
  tls::SslConfig config_;
  tls::SslContext ssl_;
  std::vector<uint8_t> input_;
  std::vector<uint8_t> output_;
};

}  // namespace runnel::host
