#include "fleet/token_bucket.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/error.h"

namespace runnel::fleet {
namespace {

// kbit/s over microseconds: one kbit/s is 1/8000 byte a microsecond.
constexpr double kBytesPerKbpsUs = 1.0 / 8000.0;
constexpr double kBurstUs = 50'000.0;
constexpr double kQuantumUs = 10'000.0;
constexpr double kQuantumBytesMin = 64.0;

}  // namespace

TokenBucket::TokenBucket(Instant now, double rate_kbps) : rate_kbps_(0.0), grown_at_(now) {
  set_rate(now, rate_kbps);
  if (rate_kbps > 0.0) tokens_bytes_ = burst_bytes_;
}

bool TokenBucket::unlimited() const {
  return std::isinf(rate_kbps_);
}

void TokenBucket::set_rate(Instant now, double rate_kbps) {
  grow(now);
  const bool was_unlimited = unlimited();
  rate_kbps_ = rate_kbps;
  burst_bytes_ = unlimited() ? 0.0 : std::max(kBurstBytesMin, rate_kbps * kBurstUs * kBytesPerKbpsUs);
  if (was_unlimited) tokens_bytes_ = burst_bytes_;
  tokens_bytes_ = rate_kbps > 0.0 ? std::min(tokens_bytes_, burst_bytes_) : 0.0;
}

void TokenBucket::grow(Instant now) {
  const auto elapsed_us = static_cast<double>((now - grown_at_).count());
  grown_at_ = now;
  if (unlimited()) return;
  tokens_bytes_ = std::min(tokens_bytes_ + rate_kbps_ * elapsed_us * kBytesPerKbpsUs, burst_bytes_);
}

uint64_t TokenBucket::available_bytes(Instant now) {
  grow(now);
  if (unlimited()) return std::numeric_limits<uint64_t>::max();
  return static_cast<uint64_t>(tokens_bytes_);
}

void TokenBucket::take(uint64_t bytes) {
  if (unlimited()) return;
  RUNNEL_ASSERT(static_cast<double>(bytes) <= tokens_bytes_);
  tokens_bytes_ -= static_cast<double>(bytes);
}

Instant TokenBucket::ready_at(Instant now) {
  grow(now);
  if (unlimited()) return now;
  if (rate_kbps_ <= 0.0) return kNever;
  const double bytes_per_us = rate_kbps_ * kBytesPerKbpsUs;
  const double wanted = std::max(kQuantumBytesMin, bytes_per_us * kQuantumUs) - tokens_bytes_;
  if (wanted <= 0.0) return now;
  return now + Duration(static_cast<int64_t>(std::ceil(wanted / bytes_per_us)));
}

}  // namespace runnel::fleet
