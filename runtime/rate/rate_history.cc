#include "runtime/rate/rate_history.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/crc32c.h"

namespace runnel::rate {
namespace {

constexpr uint32_t kVersion = 1;
constexpr double kLevelGain = 0.5;
constexpr double kDecayGain = 0.25;
constexpr double kDecayMax = 0.7;  // a factor of two a round: beyond, it was a jump and not a trend
constexpr double kDamping = 0.97;  // a trend of the last rounds holds for some thirty more
constexpr double kOverheadGain = 0.5;
constexpr double kLogNormMax = 200.0;  // fp32 ends at 89, and a norm of many of them not far beyond

// Sum of kDamping^i over the rounds to come.
double damped(uint32_t rounds) {
  return (1.0 - std::pow(kDamping, rounds)) / (1.0 - kDamping);
}

double follow_trend(const RateHistory& history, double norm, uint32_t rounds, double direction) {
  if (history.updates == 0 || rounds == 0 || !(norm > 0.0)) return norm;
  // What add() would make of the norm if it were the next round's. One update alone tells nothing of a trend.
  const double expected = history.log_norm + history.log_decay;
  const double miss = std::log(norm) - expected;
  const double level = expected + kLevelGain * miss;
  const double decay =
      history.updates < 2 ? 0.0 : std::clamp(history.log_decay + kDecayGain * miss, -kDecayMax, kDecayMax);
  return std::exp(std::clamp(level + direction * decay * damped(rounds), -kLogNormMax, kLogNormMax));
}

}  // namespace

void RateHistory::add(uint64_t run_id, uint32_t round_number, double norm, uint64_t message_bytes,
                      double overhead_bytes) {
  if (run_id != run) {
    const double overhead = payload_overhead;  // of the message's form, which is the same in every run
    *this = RateHistory{};
    run = run_id;
    payload_overhead = overhead;
  }
  bytes_spent = message_bytes > UINT64_MAX - bytes_spent ? UINT64_MAX : bytes_spent + message_bytes;
  if (std::isfinite(overhead_bytes) && overhead_bytes > 0.0) {
    payload_overhead = payload_overhead > 0.0 ? payload_overhead + kOverheadGain * (overhead_bytes - payload_overhead)
                                              : overhead_bytes;
  }
  const uint32_t previous = round;
  round = std::max(round, round_number);
  if (!std::isfinite(norm) || norm <= 0.0) return;
  const double log_now = std::clamp(std::log(norm), -kLogNormMax, kLogNormMax);
  if (updates == 0) {
    log_norm = log_now;
  } else {
    const double rounds = std::max(1.0, static_cast<double>(round_number) - static_cast<double>(previous));
    const double expected = log_norm + log_decay * rounds;
    const double miss = log_now - expected;
    log_norm = expected + kLevelGain * miss;
    log_decay = std::clamp(log_decay + kDecayGain * miss / rounds, -kDecayMax, kDecayMax);
  }
  log_norm = std::clamp(log_norm, -kLogNormMax, kLogNormMax);
  if (updates < UINT32_MAX) ++updates;
}

double RateHistory::forecast_norm(double norm, uint32_t rounds_ahead) const {
  return follow_trend(*this, norm, rounds_ahead, 1.0);
}

double RateHistory::norm_ago(double norm, uint32_t rounds_back) const {
  return follow_trend(*this, norm, rounds_back, -1.0);
}

void RateHistory::save(MutableByteView state) const {
  RUNNEL_ASSERT(state.size() >= kStateBytes);
  uint8_t* out = state.data();
  std::memset(out, 0, kStateBytes);
  store_le<uint32_t>(out, kVersion);
  store_le(out + 4, round);
  store_le(out + 8, run);
  store_le(out + 16, bytes_spent);
  store_le(out + 24, log_norm);
  store_le(out + 32, log_decay);
  store_le(out + 40, payload_overhead);
  store_le(out + 48, updates);
  store_le(out + 60, crc32c(ByteView(out, 60)));
}

Result<RateHistory> RateHistory::restore(ByteView state) {
  if (state.size() != kStateBytes) return fail(Error::kCorrupt, "rate history of %zu bytes", state.size());
  const uint8_t* in = state.data();
  if (load_le<uint32_t>(in + 60) != crc32c(state.first(60))) return fail(Error::kCorrupt, "rate history: checksum");
  if (load_le<uint32_t>(in) != kVersion) return fail(Error::kCorrupt, "rate history: version");
  RateHistory history;
  history.round = load_le<uint32_t>(in + 4);
  history.run = load_le<uint64_t>(in + 8);
  history.bytes_spent = load_le<uint64_t>(in + 16);
  history.log_norm = load_le<double>(in + 24);
  history.log_decay = load_le<double>(in + 32);
  history.payload_overhead = load_le<double>(in + 40);
  history.updates = load_le<uint32_t>(in + 48);
  // A comparison with NaN is false.
  const bool valid = std::abs(history.log_norm) <= kLogNormMax && std::abs(history.log_decay) <= kDecayMax &&
                     history.payload_overhead >= 0.0 && history.payload_overhead <= 1e9;
  if (!valid) return fail(Error::kCorrupt, "rate history: numbers out of range");
  return history;
}

}  // namespace runnel::rate
