// How fast this device's link carries bytes that are acknowledged: a conservative quantile over recent stretches of
// busy time, with its uncertainty.
//
// Only time in which bytes were under way counts: a device that had nothing to send says nothing about its link, while
// one whose bytes were not acknowledged, or whose link broke under them, was slow. Stretches are cut at every
// acknowledgement or lost link, and joined until nothing is under way and they carry kSampleBytesMin, or until they
// last kSampleTimeMin. The time of one round trip, which does not depend on the bytes, is estimated apart from the
// rest. A slow stretch counts at once, even the unfinished one; a fast one only as one of many. Time: passed in.
// Memory: a fixed ring of samples. Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"

namespace runnel::rate {

struct Goodput {
  double bytes_per_second = 0.0;  // the conservative quantile; 0 = nothing known yet
  double low = 0.0;               // 10 % quantile
  double high = 0.0;              // 90 % quantile
  double mean = 0.0;              // bytes over busy time, of all samples in memory
  Duration round_trip{};          // of a frame and its answer, its upper quartile
  uint32_t samples = 0;
  bool known() const { return bytes_per_second > 0.0; }
};

class GoodputEstimator {
 public:
  static constexpr uint32_t kSamplesMax = 32;
  static constexpr uint32_t kRoundTripsMax = 8;
  static constexpr size_t kStateBytes = 32 + kSamplesMax * 8 + kRoundTripsMax * 4;
  static constexpr uint64_t kSampleBytesMin = 16384;
  static constexpr Duration kSampleTimeMin = milliseconds(2000);

  // `quantile`: which share of the samples, newer ones weighing more, may lie below the estimate.
  explicit GoodputEstimator(double quantile = 0.25) : quantile_(quantile) {}

  // Bytes went out and nothing was under way before: busy time begins. Harmless if it has begun already.
  void handle_sent(Instant now);
  // So many further bytes are acknowledged; `all` if nothing is under way any more, which ends busy time.
  void handle_acknowledged(Instant now, uint64_t bytes, bool all);
  // The link broke: the busy time so far counts; what follows counts again only when bytes go out. `pending` = bytes
  // are still to be sent, so that the outage itself counts as slow time until the next acknowledgement.
  void handle_lost(Instant now, bool pending);
  // An upload's time was over before so many of its bytes, sent, were acknowledged: the link carried fewer than all of
  // them. Half of them are taken to have arrived. Ends busy time; one that was too short to tell is forgotten.
  void handle_given_up(Instant now, uint64_t bytes);
  // The answer to a frame of a few bytes took this long.
  void handle_round_trip(Duration took);

  Goodput estimate() const;

  // Bytes that will be acknowledged within `time`, by the conservative estimate; infinity when nothing is known.
  double bytes_within(Duration time) const;
  // The other way round; zero when nothing is known.
  Duration time_for(double bytes) const;

  // For a restart. restore() takes what save() gave; kCorrupt, and nothing changed, for anything else. What was under
  // way when it was saved is not: the restored estimator waits for bytes to go out.
  void save(MutableByteView state) const;  // REQUIRES: kStateBytes
  Failure restore(ByteView state);
  // The same in as many bytes as there are samples to keep, for very many estimators that know little.
  size_t save_short(MutableByteView state) const;  // how many bytes; REQUIRES: kStateBytes
  Failure restore_short(ByteView state);
  // True while busy time is counted, which no saved state has.
  bool busy() const { return busy_; }

 private:
  struct Sample {
    uint32_t bytes = 0;
    uint32_t busy_us = 0;  // without round trips; at least 1
    double rate() const { return 1e6 * bytes / busy_us; }
  };
  // Busy time of which no sample has been made yet.
  struct Stretch {
    uint64_t bytes = 0;
    uint64_t busy_us = 0;
    uint32_t starts = 0;  // times that it began from rest, each of which waits for a round trip
  };

  static constexpr size_t kStateHeaderBytes = kStateBytes - kSamplesMax * 8 - kRoundTripsMax * 4;
  void count_busy_time(Instant now);
  void close_stretch();
  bool jumps() const;
  void forget_before_jump();
  const Sample& newest(uint32_t age) const { return samples_[(next_ + kSamplesMax - 1 - age) % kSamplesMax]; }
  double sample_quantile(double share) const;
  double conservative_rate() const;
  Duration round_trip_quantile(uint32_t numerator, uint32_t denominator) const;
  uint64_t transfer_us(const Stretch& stretch) const;

  double quantile_;
  std::array<Sample, kSamplesMax> samples_{};
  uint32_t count_ = 0;
  uint32_t next_ = 0;
  std::array<uint32_t, kRoundTripsMax> round_trips_us_{};
  uint32_t round_trip_count_ = 0;
  uint32_t round_trip_next_ = 0;
  Stretch open_;
  bool busy_ = false;
  Instant busy_since_{};
};

}  // namespace runnel::rate
