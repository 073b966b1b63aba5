#include "runtime/rate/goodput_estimator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/crc32c.h"

namespace runnel::rate {
namespace {

constexpr uint8_t kVersion = 1;
constexpr double kWeightKept = 0.917004043204671;  // 2^(-1/8): a sample's weight halves with each eight newer ones
// A link that was this many times faster than the estimate for so many samples in a row is another link now.
constexpr double kJump = 4.0;
constexpr uint32_t kJumpSamples = 3;
// Of a stretch that took mostly round trips, it is known only that the link was no slower than this share of it says.
constexpr uint64_t kTransferShareMin = 4;
// An unfinished stretch says something once it has lasted this long. What is on its way then is more than what was
// acknowledged: one packet more, which also keeps an outage from looking like a link of no bytes at all.
constexpr uint64_t kOpenTimeMinUs = 400000;
constexpr uint64_t kPacketBytes = 1024;
constexpr uint64_t kOpenBytesMax = uint64_t{1} << 40;
constexpr uint64_t kOpenTimeMaxUs = uint64_t{1} << 41;  // 25 days

uint32_t saturated(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
}

}  // namespace

void GoodputEstimator::handle_sent(Instant now) {
  if (busy_) return;
  busy_ = true;
  busy_since_ = now;
  if (open_.starts < UINT16_MAX) ++open_.starts;
}

void GoodputEstimator::count_busy_time(Instant now) {
  if (now > busy_since_) {
    open_.busy_us = std::min(kOpenTimeMaxUs, open_.busy_us + static_cast<uint64_t>((now - busy_since_).count()));
  }
  busy_since_ = now;
}

void GoodputEstimator::handle_acknowledged(Instant now, uint64_t bytes, bool all) {
  // Bytes that no busy time belongs to, for example after a restart, say nothing.
  if (!busy_) return;
  count_busy_time(now);
  open_.bytes = std::min(kOpenBytesMax, open_.bytes + std::min(bytes, kOpenBytesMax));
  busy_ = !all;
  // Seconds of one upload are much alike: a whole one, or its next two seconds, is one sample. So is a small one that
  // was far too fast for what is known: updates may be small because the link was bad.
  const bool whole = all && (open_.bytes >= kSampleBytesMin || jumps());
  const bool long_enough = open_.busy_us >= static_cast<uint64_t>(kSampleTimeMin.count());
  if (whole || (long_enough && open_.bytes > 0)) close_stretch();
}

void GoodputEstimator::handle_lost(Instant now, bool pending) {
  if (busy_) count_busy_time(now);
  if (!busy_ && pending) handle_sent(now);
  busy_ = pending;
}

void GoodputEstimator::handle_given_up(Instant now, uint64_t bytes) {
  if (busy_) count_busy_time(now);
  busy_ = false;
  open_.bytes = std::min(kOpenBytesMax, open_.bytes + std::min(bytes, kOpenBytesMax) / 2);
  if (open_.busy_us >= kOpenTimeMinUs && open_.bytes > 0) {
    close_stretch();
  } else {
    open_ = Stretch{};
  }
}

void GoodputEstimator::handle_round_trip(Duration took) {
  round_trips_us_[round_trip_next_] = saturated(static_cast<uint64_t>(std::max<int64_t>(0, took.count())));
  round_trip_next_ = (round_trip_next_ + 1) % kRoundTripsMax;
  round_trip_count_ = std::min(round_trip_count_ + 1, kRoundTripsMax);
}

// Subtracting too much would make the link look fast: the lower quartile.
uint64_t GoodputEstimator::transfer_us(const Stretch& stretch) const {
  const auto latency = static_cast<uint64_t>(round_trip_quantile(1, 4).count()) * stretch.starts;
  const uint64_t least = std::max<uint64_t>(1, stretch.busy_us / kTransferShareMin);
  return latency >= stretch.busy_us ? least : std::max(least, stretch.busy_us - latency);
}

// Whether the unfinished stretch, all acknowledged, was much faster than what is known.
bool GoodputEstimator::jumps() const {
  if (count_ == 0 || open_.bytes == 0) return false;
  const double rate = 1e6 * static_cast<double>(open_.bytes) / static_cast<double>(transfer_us(open_));
  return rate > kJump * sample_quantile(quantile_);
}

// What was known of a worse link is forgotten once it has clearly become a better one.
void GoodputEstimator::forget_before_jump() {
  if (count_ <= kJumpSamples) return;
  const double known = sample_quantile(quantile_);
  for (uint32_t age = 0; age < kJumpSamples; ++age) {
    if (newest(age).rate() <= kJump * known) return;
  }
  count_ = kJumpSamples;
}

void GoodputEstimator::close_stretch() {
  const Stretch stretch = open_;
  open_ = Stretch{};
  const uint64_t transfer = transfer_us(stretch);
  Sample sample{saturated(stretch.bytes), saturated(transfer)};
  if (transfer > UINT32_MAX) {
    const double share = static_cast<double>(UINT32_MAX) / static_cast<double>(transfer);
    sample.bytes = std::max(1U, saturated(static_cast<uint64_t>(static_cast<double>(stretch.bytes) * share)));
  }
  // Mostly round trips: the link may be much faster than this. It counts only where it raises what is known.
  const bool only_bound = transfer <= stretch.busy_us / kTransferShareMin + 1;
  if (only_bound && count_ > 0 && sample.rate() <= conservative_rate()) return;
  samples_[next_] = sample;
  next_ = (next_ + 1) % kSamplesMax;
  count_ = std::min(count_ + 1, kSamplesMax);
  forget_before_jump();
}

// The least rate that samples of at least `share` of the weight do not exceed.
double GoodputEstimator::sample_quantile(double share) const {
  std::array<uint8_t, kSamplesMax> by_rate;
  std::array<double, kSamplesMax> weights;
  double total = 0.0;
  double weight = 1.0;
  for (uint32_t age = 0; age < count_; ++age) {
    by_rate[age] = static_cast<uint8_t>(age);
    weights[age] = weight;
    total += weight;
    weight *= kWeightKept;
  }
  std::sort(by_rate.begin(), by_rate.begin() + count_,
            [&](uint8_t a, uint8_t b) { return newest(a).rate() < newest(b).rate(); });
  double sum = 0.0;
  for (uint32_t i = 0; i < count_; ++i) {
    sum += weights[by_rate[i]];
    if (sum >= share * total) return newest(by_rate[i]).rate();
  }
  return count_ > 0 ? newest(by_rate[count_ - 1]).rate() : 0.0;
}

double GoodputEstimator::conservative_rate() const {
  double rate = std::numeric_limits<double>::infinity();
  if (count_ > 0) rate = std::min(sample_quantile(quantile_), newest(0).rate());
  // The unfinished stretch may only lower what is known, or be all that is known.
  if (open_.busy_us >= kOpenTimeMinUs) {
    const uint64_t transfer = transfer_us(open_);
    const bool only_bound = transfer <= open_.busy_us / kTransferShareMin + 1;
    if (!only_bound) {
      rate = std::min(rate, 1e6 * static_cast<double>(open_.bytes + kPacketBytes) / static_cast<double>(transfer));
    }
  }
  return std::isfinite(rate) ? rate : 0.0;
}

Duration GoodputEstimator::round_trip_quantile(uint32_t numerator, uint32_t denominator) const {
  if (round_trip_count_ == 0) return Duration{};
  std::array<uint32_t, kRoundTripsMax> sorted;
  for (uint32_t i = 0; i < kRoundTripsMax; ++i) sorted[i] = i < round_trip_count_ ? round_trips_us_[i] : UINT32_MAX;
  std::sort(sorted.begin(), sorted.end());
  const uint32_t at = std::min(round_trip_count_ - 1, round_trip_count_ * numerator / denominator);
  return Duration(sorted[at]);
}

Goodput GoodputEstimator::estimate() const {
  Goodput goodput;
  goodput.bytes_per_second = conservative_rate();
  goodput.round_trip = round_trip_quantile(3, 4);
  goodput.samples = count_;
  if (count_ == 0) {
    goodput.low = goodput.high = goodput.mean = goodput.bytes_per_second;
    return goodput;
  }
  goodput.low = std::min(sample_quantile(0.1), goodput.bytes_per_second);
  goodput.high = sample_quantile(0.9);
  double bytes = 0.0;
  double busy_us = 0.0;
  for (uint32_t age = 0; age < count_; ++age) {
    bytes += newest(age).bytes;
    busy_us += newest(age).busy_us;
  }
  goodput.mean = 1e6 * bytes / busy_us;
  return goodput;
}

double GoodputEstimator::bytes_within(Duration time) const {
  const double rate = conservative_rate();
  if (rate <= 0.0) return std::numeric_limits<double>::infinity();
  const Duration transfer = time - round_trip_quantile(3, 4);
  return std::max(0.0, 1e-6 * static_cast<double>(transfer.count()) * rate);
}

Duration GoodputEstimator::time_for(double bytes) const {
  const double rate = conservative_rate();
  if (rate <= 0.0) return Duration{};
  const double us = std::ceil(1e6 * std::max(0.0, bytes) / rate);
  return round_trip_quantile(3, 4) + Duration(static_cast<int64_t>(std::min(us, 1e17)));
}

void GoodputEstimator::save(MutableByteView state) const {
  RUNNEL_ASSERT(state.size() >= kStateBytes);
  uint8_t* out = state.data();
  std::memset(out, 0, kStateBytes);
  out[4] = kVersion;
  out[5] = static_cast<uint8_t>(count_);
  out[6] = static_cast<uint8_t>(round_trip_count_);
  store_le(out + 8, open_.bytes);
  store_le(out + 16, open_.busy_us);
  store_le(out + 24, open_.starts);
  uint8_t* at = out + 32;
  // The oldest first, wherever the ring stands.
  for (uint32_t age = count_; age-- > 0; at += 8) {
    store_le(at, newest(age).bytes);
    store_le(at + 4, newest(age).busy_us);
  }
  at = out + 32 + kSamplesMax * 8;
  for (uint32_t age = round_trip_count_; age-- > 0; at += 4) {
    store_le(at, round_trips_us_[(round_trip_next_ + kRoundTripsMax - 1 - age) % kRoundTripsMax]);
  }
  store_le(out, crc32c(ByteView(out + 4, kStateBytes - 4)));
}

size_t GoodputEstimator::save_short(MutableByteView state) const {
  save(state);
  const size_t samples_end = kStateHeaderBytes + count_ * 8;
  std::memmove(state.data() + samples_end, state.data() + kStateHeaderBytes + kSamplesMax * 8, round_trip_count_ * 4);
  return samples_end + round_trip_count_ * 4;
}

Failure GoodputEstimator::restore_short(ByteView state) {
  if (state.size() < kStateHeaderBytes) return fail(Error::kCorrupt, "goodput state of %zu bytes", state.size());
  const size_t samples_end = kStateHeaderBytes + size_t{state[5]} * 8;
  const size_t round_trips = size_t{state[6]} * 4;
  if (state[5] > kSamplesMax || state[6] > kRoundTripsMax || state.size() != samples_end + round_trips)
    return fail(Error::kCorrupt, "goodput state: %zu bytes and its counts", state.size());
  std::array<uint8_t, kStateBytes> whole{};
  std::copy_n(state.data(), samples_end, whole.data());
  std::copy_n(state.data() + samples_end, round_trips, whole.data() + kStateHeaderBytes + kSamplesMax * 8);
  return restore(whole);
}

Failure GoodputEstimator::restore(ByteView state) {
  if (state.size() != kStateBytes) return fail(Error::kCorrupt, "goodput state of %zu bytes", state.size());
  const uint8_t* in = state.data();
  if (load_le<uint32_t>(in) != crc32c(state.subspan(4))) return fail(Error::kCorrupt, "goodput state: checksum");
  if (in[4] != kVersion || in[5] > kSamplesMax || in[6] > kRoundTripsMax) {
    return fail(Error::kCorrupt, "goodput state: version or counts");
  }
  GoodputEstimator restored(quantile_);
  restored.count_ = in[5];
  restored.next_ = restored.count_ % kSamplesMax;
  restored.round_trip_count_ = in[6];
  restored.round_trip_next_ = restored.round_trip_count_ % kRoundTripsMax;
  restored.open_ = {load_le<uint64_t>(in + 8), load_le<uint64_t>(in + 16), load_le<uint32_t>(in + 24)};
  const Stretch& open = restored.open_;
  if (open.bytes > kOpenBytesMax || open.busy_us > kOpenTimeMaxUs || open.starts > UINT16_MAX) {
    return fail(Error::kCorrupt, "goodput state: unfinished stretch out of range");
  }
  for (uint32_t i = 0; i < restored.count_; ++i) {
    const Sample sample{load_le<uint32_t>(in + 32 + 8 * i), load_le<uint32_t>(in + 36 + 8 * i)};
    if (sample.bytes == 0 || sample.busy_us == 0) return fail(Error::kCorrupt, "goodput state: sample %u", i);
    restored.samples_[i] = sample;
  }
  for (uint32_t i = 0; i < restored.round_trip_count_; ++i) {
    restored.round_trips_us_[i] = load_le<uint32_t>(in + 32 + 8 * kSamplesMax + 4 * i);
  }
  *this = restored;
  return Error::kOk;
}

}  // namespace runnel::rate
