// How long something takes on a machine that is busy with other things too: the best of several repetitions.
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace runnel::bench {

template <typename Work>
double seconds_of(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The same in time that this process had a processor: what others do on the machine counts only as far as they share
// its caches.
template <typename Work>
double processor_seconds_of(const Work& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double begin = now();
  work();
  return now() - begin;
}

struct Throughput {
  double encode_gbps = 0.0;
  double decode_gbps = 0.0;
  double memcpy_gbps = 0.0;
};

// Runs encode, decode and a copy of `values` in turn: once to warm up, then at least three times and for
// `seconds_min`, but no longer than for 20 of those. All three see the same weather, so their ratios hold on a machine
// that others use too.
template <typename Encode, typename Decode>
Throughput measure_throughput(std::span<const float> values, double seconds_min, const Encode& encode,
                              const Decode& decode) {
  constexpr int kRepetitionsMin = 3;
  std::vector<float> copy(values.size());
  double best_encode = std::numeric_limits<double>::infinity();
  double best_decode = best_encode;
  double best_copy = best_encode;
  double total = 0.0;
  for (int i = -1; i < kRepetitionsMin || total < seconds_min; ++i) {
    const double encoding = seconds_of(encode);
    const double decoding = seconds_of(decode);
    const double copying = seconds_of([&] {
      std::memcpy(copy.data(), values.data(), values.size_bytes());
      asm volatile("" : : "r"(copy.data()) : "memory");
    });
    if (i < 0) continue;
    best_encode = std::min(best_encode, encoding);
    best_decode = std::min(best_decode, decoding);
    best_copy = std::min(best_copy, copying);
    total += encoding + decoding + copying;
    if (total > 20.0 * seconds_min) break;
  }
  const double gigabytes = static_cast<double>(values.size_bytes()) / 1e9;
  return {gigabytes / best_encode, gigabytes / best_decode, gigabytes / best_copy};
}

}  // namespace runnel::bench
