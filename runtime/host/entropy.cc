#include "runtime/host/entropy.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>

#include <algorithm>
#include <utility>

#include "runtime/host/tls_compat.h"

namespace runnel::host {

struct Entropy::State {
  State() {
    mbedtls_entropy_init(&source);
    mbedtls_ctr_drbg_init(&generator);
  }
  ~State() {
    mbedtls_ctr_drbg_free(&generator);
    mbedtls_entropy_free(&source);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  mbedtls_entropy_context source;
  mbedtls_ctr_drbg_context generator;
};

Entropy::Entropy(std::unique_ptr<State> state) : state_(std::move(state)) {}
Entropy::~Entropy() = default;

Result<std::unique_ptr<Entropy>> Entropy::create() {
  RUNNEL_TRY(tls::start_crypto());
  auto state = std::make_unique<State>();
  static constexpr unsigned char kPersonalization[] = "runnel";
  const int code = mbedtls_ctr_drbg_seed(&state->generator, mbedtls_entropy_func, &state->source, kPersonalization,
                                         sizeof kPersonalization - 1);
  if (code != 0) return fail(Error::kIo, "no randomness from the operating system: %s", tls::error_text(code).c_str());
  return std::unique_ptr<Entropy>(new Entropy(std::move(state)));
}

int Entropy::generate(void* self, unsigned char* out, size_t bytes) {
  mbedtls_ctr_drbg_context& generator = static_cast<Entropy*>(self)->state_->generator;
  while (bytes > 0) {
    const size_t part = std::min<size_t>(bytes, MBEDTLS_CTR_DRBG_MAX_REQUEST);
    if (const int code = mbedtls_ctr_drbg_random(&generator, out, part); code != 0) return code;
    out += part;
    bytes -= part;
  }
  return 0;
}

void Entropy::fill(MutableByteView out) {
  RUNNEL_ASSERT(generate(this, out.data(), out.size()) == 0);
}

uint64_t Entropy::next_u64() {
  uint8_t bytes[8];
  fill(bytes);
  return load_le<uint64_t>(bytes);
}

}  // namespace runnel::host
