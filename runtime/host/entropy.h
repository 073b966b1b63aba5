// The host's cryptographic random numbers: keys, session ids, serial numbers, and the seed of every other generator.
//
// A CTR_DRBG (AES-256, NIST SP 800-90A) of mbedTLS, seeded from the operating system.
//
// Threads: one at a time. An Entropy outlives everything that was given a reference to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::host {

class Entropy {
 public:
  // kIo when the operating system gives no randomness.
  static Result<std::unique_ptr<Entropy>> create();

  Entropy(const Entropy&) = delete;
  Entropy& operator=(const Entropy&) = delete;
  ~Entropy();

  // Never gives fewer or worse bytes: should the source fail, the process stops (keys from a broken source are worse).
  void fill(MutableByteView out);
  uint64_t next_u64();

  // mbedTLS's random callback; `self` is an Entropy. Non-zero on failure.
  static int generate(void* self, unsigned char* out, size_t bytes);

 private:
  struct State;
  explicit Entropy(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace runnel::host
