// The estimator on generated links: steady, jittered, with steps, outages and pauses.
#include "runtime/rate/goodput_estimator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::rate {
namespace {

using State = std::array<uint8_t, GoodputEstimator::kStateBytes>;

constexpr double kMegabit = 125000.0;  // bytes a second
constexpr double kSlow = 3750.0;       // 30 kbit/s

// A link that carries bytes at a rate of each second's own, and answers after a round trip.
class Link {
 public:
  using RateAt = std::function<double(int64_t second)>;
  Link(RateAt rate_at, Duration round_trip) : rate_at_(std::move(rate_at)), round_trip_(round_trip) {}

  Instant now{};

  // When `bytes` that begin to leave at `begin` have left.
  Instant carried(Instant begin, double bytes) const {
    double at = static_cast<double>(begin.time_since_epoch().count());
    while (bytes > 0.0) {
      const double second = std::floor(at / 1e6);
      const double rate = rate_at_(static_cast<int64_t>(second));
      const double until = (second + 1.0) * 1e6;
      const double fits = rate * (until - at) / 1e6;
      if (fits >= bytes) return Instant(Duration(std::llround(at + bytes / rate * 1e6)));
      bytes -= fits;
      at = until;
    }
    return begin;
  }

  // Sends an update in chunks; `seen` after each acknowledgement. Returns how long it took.
  Duration upload(GoodputEstimator& goodput, uint64_t bytes, const std::function<void()>& seen = {}) {
    const Instant begin = now;
    goodput.handle_sent(now);
    Instant left = now;
    for (uint64_t sent = 0; sent < bytes;) {
      const uint64_t chunk = std::min<uint64_t>(1024, bytes - sent);
      left = carried(left, static_cast<double>(chunk));
      sent += chunk;
      now = left + round_trip_;
      goodput.handle_acknowledged(now, chunk, sent == bytes);
      if (seen) seen();
    }
    return now - begin;
  }

 private:
  RateAt rate_at_;
  Duration round_trip_;
};

Link::RateAt constant(double rate) {
  return [rate](int64_t) { return rate; };
}

// Log-normal seconds that depend on those before them, as fading does.
std::vector<double> jittered_rates(double median, double sigma, size_t seconds, uint64_t seed) {
  Rng rng(seed);
  std::vector<double> rates(seconds);
  double state = rng.normal();
  for (double& rate : rates) {
    state = 0.7 * state + std::sqrt(1.0 - 0.49) * rng.normal();
    rate = median * std::exp(sigma * state);
  }
  return rates;
}

TEST(Goodput, KnowsNothingAtFirst) {
  const GoodputEstimator goodput;
  EXPECT_FALSE(goodput.estimate().known());
  EXPECT_EQ(goodput.bytes_within(seconds(1)), std::numeric_limits<double>::infinity());
  EXPECT_EQ(goodput.time_for(1e6), Duration{});
}

TEST(Goodput, FindsTheRateAndTheRoundTripOfASteadyLink) {
  for (const double rate : {kSlow, kMegabit, 1e8}) {
    for (const int64_t round_trip_ms : {0, 50, 1500}) {
      GoodputEstimator goodput;
      Link link(constant(rate), milliseconds(round_trip_ms));
      for (int i = 0; i < 20; ++i) {
        goodput.handle_round_trip(milliseconds(round_trip_ms));
        link.upload(goodput, static_cast<uint64_t>(std::max(200000.0, 4.0 * rate)));
        link.now += seconds(7);
      }
      const Goodput found = goodput.estimate();
      EXPECT_NEAR(found.bytes_per_second / rate, 1.0, 0.1) << rate << " " << round_trip_ms;
      EXPECT_NEAR(found.mean / rate, 1.0, 0.1);
      EXPECT_LE(found.low, found.bytes_per_second);
      EXPECT_GE(found.high, found.bytes_per_second);
      EXPECT_EQ(found.round_trip, milliseconds(round_trip_ms));
      const double within = goodput.bytes_within(seconds(10));
      EXPECT_NEAR(within, found.bytes_per_second * (10.0 - 1e-3 * static_cast<double>(round_trip_ms)), 1.0);
      EXPECT_NEAR(static_cast<double>(goodput.time_for(within).count()), 1e7, 10.0);
    }
  }
}

TEST(Goodput, IsConservativeOnAJitteredLink) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const double sigma = seed % 2 == 0 ? 0.3 : 0.6;
    const std::vector<double> rates = jittered_rates(seed < 4 ? kMegabit : 8000.0, sigma, 40000, seed);
    Link link([&](int64_t second) { return rates[static_cast<size_t>(second) % rates.size()]; }, milliseconds(80));
    GoodputEstimator goodput;
    Rng rng(seed + 100);
    int kept = 0;
    constexpr int kUpdates = 200;
    double promised = 0.0;
    double took = 0.0;
    for (int i = 0; i < kUpdates; ++i) {
      goodput.handle_round_trip(milliseconds(80));
      const uint64_t bytes = 20000 + rng.below(150000);
      const bool known = goodput.estimate().known();
      const Duration estimate = goodput.time_for(static_cast<double>(bytes));
      const Duration actual = link.upload(goodput, bytes);
      link.now += seconds(static_cast<int64_t>(1 + rng.below(60)));
      if (!known) continue;
      kept += actual <= estimate ? 1 : 0;
      promised += static_cast<double>(estimate.count());
      took += static_cast<double>(actual.count());
    }
    EXPECT_GE(kept, kUpdates * 7 / 10) << seed;
    EXPECT_LE(promised, 4.0 * took) << seed << ": not by promising nothing";
  }
}

TEST(Goodput, FallsAtOnceAndRecoversOverSomeSamples) {
  double rate = kMegabit;
  Link link([&](int64_t) { return rate; }, milliseconds(60));
  GoodputEstimator goodput;
  for (int i = 0; i < 10; ++i) {
    goodput.handle_round_trip(milliseconds(60));
    link.upload(goodput, 100000);
    link.now += seconds(5);
  }
  EXPECT_NEAR(goodput.estimate().bytes_per_second / kMegabit, 1.0, 0.1);

  rate = kSlow;
  uint64_t acknowledged = 0;
  uint64_t seen_at = 0;
  link.upload(goodput, 60000, [&] {
    acknowledged += 1024;
    if (seen_at == 0 && goodput.estimate().bytes_per_second < 2.0 * kSlow) seen_at = acknowledged;
  });
  EXPECT_GT(seen_at, 0U);
  EXPECT_LE(seen_at, 8192U) << "of 60000 bytes";
  EXPECT_NEAR(goodput.estimate().bytes_per_second / kSlow, 1.0, 0.1);

  rate = kMegabit;
  int updates = 0;
  while (updates < 20 && goodput.estimate().bytes_per_second < 0.5 * kMegabit) {
    link.upload(goodput, 100000);
    ++updates;
  }
  EXPECT_GE(updates, 1);
  EXPECT_LE(updates, 16);
}

TEST(Goodput, ALostLinkIsASlowOne) {
  Link link(constant(kMegabit), milliseconds(60));
  GoodputEstimator goodput;
  for (int i = 0; i < 5; ++i) link.upload(goodput, 100000);
  const double before = goodput.estimate().bytes_per_second;

  GoodputEstimator gave_up = goodput;
  gave_up.handle_sent(link.now);
  gave_up.handle_lost(link.now + seconds(8), false);
  EXPECT_LT(gave_up.estimate().bytes_per_second, 0.01 * before);
  EXPECT_GT(gave_up.estimate().bytes_per_second, 0.0) << "0 would mean that nothing is known";

  // With bytes left to send the outage goes on counting until an acknowledgement.
  GoodputEstimator waits = goodput;
  waits.handle_sent(link.now);
  waits.handle_lost(link.now + seconds(1), true);
  const double lost = waits.estimate().bytes_per_second;
  waits.handle_acknowledged(link.now + seconds(100), 1024, true);
  EXPECT_LT(waits.estimate().bytes_per_second, 0.05 * lost);
  EXPECT_LT(waits.estimate().bytes_per_second, 80.0);
}

TEST(Goodput, PausesHaveNoEffectAtAll) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    GoodputEstimator busy;
    GoodputEstimator idle;
    Instant now_busy{};
    Instant now_idle{};
    for (int i = 0; i < 60; ++i) {
      const bool lost = rng.below(8) == 0;
      const Duration took(static_cast<int64_t>(1 + rng.below(5000000)));
      const uint64_t bytes = rng.below(40000);
      now_idle += seconds(static_cast<int64_t>(rng.below(100000)));
      for (auto [goodput, now] : {std::pair{&busy, &now_busy}, std::pair{&idle, &now_idle}}) {
        goodput->handle_sent(*now);
        *now += took;
        if (lost) {
          goodput->handle_lost(*now, false);
        } else {
          goodput->handle_acknowledged(*now, bytes, true);
        }
      }
      if (rng.below(4) == 0) idle.handle_lost(now_idle + seconds(3), false);  // with nothing under way
      EXPECT_EQ(busy.estimate().bytes_per_second, idle.estimate().bytes_per_second);
      EXPECT_EQ(busy.estimate().mean, idle.estimate().mean);
    }
    EXPECT_GT(busy.estimate().samples, 5U);
  }
}

TEST(Goodput, SmallUpdatesOverALongRoundTripAreNoSlowLink) {
  GoodputEstimator goodput;
  Link link(constant(kMegabit), milliseconds(1000));
  for (int i = 0; i < 8; ++i) {
    goodput.handle_round_trip(milliseconds(1000));
    link.upload(goodput, 400000);
  }
  const double before = goodput.estimate().bytes_per_second;
  EXPECT_NEAR(before / kMegabit, 1.0, 0.1);
  for (int i = 0; i < 60; ++i) link.upload(goodput, 700);
  EXPECT_DOUBLE_EQ(goodput.estimate().bytes_per_second, before);
  EXPECT_NEAR(static_cast<double>(goodput.time_for(700.0).count()), 1e6 + 5600.0, 1000.0);
}

TEST(Goodput, ReadsBackWhatItWrote) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Rng rng(seed);
    GoodputEstimator goodput;
    Instant now{};
    const uint64_t events = rng.below(200);
    for (uint64_t i = 0; i < events; ++i) {
      now += Duration(static_cast<int64_t>(rng.below(2000000)));
      switch (rng.below(5)) {
        case 0:
          goodput.handle_sent(now);
          break;
        case 1:
          goodput.handle_round_trip(Duration(static_cast<int64_t>(rng.below(900000))));
          break;
        case 2:
          goodput.handle_lost(now, rng.below(2) == 0);
          break;
        default:
          goodput.handle_acknowledged(now, rng.below(30000), rng.below(3) == 0);
          break;
      }
    }
    goodput.handle_lost(now, false);
    State state;
    goodput.save(state);
    GoodputEstimator restored;
    ASSERT_TRUE(restored.restore(state).ok());
    State again;
    restored.save(again);
    EXPECT_EQ(state, again);
    State shorter;
    const size_t bytes_kept = goodput.save_short(shorter);
    EXPECT_LE(bytes_kept, shorter.size());
    GoodputEstimator from_short;
    ASSERT_TRUE(from_short.restore_short(ByteView(shorter).first(bytes_kept)).ok());
    from_short.save(again);
    EXPECT_EQ(state, again);
    // And they go on alike.
    for (int i = 0; i < 40; ++i) {
      goodput.handle_sent(now);
      restored.handle_sent(now);
      now += milliseconds(300);
      const uint64_t bytes = rng.below(60000);
      goodput.handle_acknowledged(now, bytes, true);
      restored.handle_acknowledged(now, bytes, true);
      EXPECT_EQ(goodput.estimate().bytes_per_second, restored.estimate().bytes_per_second);
      EXPECT_EQ(goodput.estimate().round_trip, restored.estimate().round_trip);
    }
  }
}

TEST(Goodput, RefusesWhatItDidNotWrite) {
  GoodputEstimator goodput;
  Link link(constant(kMegabit), milliseconds(10));
  for (int i = 0; i < 9; ++i) link.upload(goodput, 50000);
  State state;
  goodput.save(state);
  EXPECT_EQ(goodput.restore(ByteView(state).first(100)).error(), Error::kCorrupt);
  Rng rng(4);
  for (int trial = 0; trial < 1000; ++trial) {
    State hostile = state;
    hostile[static_cast<size_t>(rng.below(hostile.size()))] ^= static_cast<uint8_t>(1 + rng.below(255));
    EXPECT_EQ(goodput.restore(hostile).error(), Error::kCorrupt);
  }
  State shorter;
  const size_t bytes_kept = goodput.save_short(shorter);
  for (size_t bytes = 0; bytes <= shorter.size(); ++bytes) {
    if (bytes == bytes_kept) continue;
    EXPECT_EQ(goodput.restore_short(ByteView(shorter).first(bytes)).error(), Error::kCorrupt);
  }
  for (size_t i = 0; i < bytes_kept; ++i) {
    State hostile = shorter;
    hostile[i] ^= static_cast<uint8_t>(1 + rng.below(255));
    EXPECT_EQ(goodput.restore_short(ByteView(hostile).first(bytes_kept)).error(), Error::kCorrupt) << i;
  }
  State after;
  goodput.save(after);
  EXPECT_EQ(state, after) << "a refused state changes nothing";
}

TEST(Goodput, AClockThatStandsStillOrGoesBackDoesNoHarm) {
  GoodputEstimator goodput;
  Instant now{seconds(100)};
  for (int i = 0; i < 10; ++i) {
    goodput.handle_sent(now);
    goodput.handle_acknowledged(now - seconds(1), 100000, true);
  }
  EXPECT_TRUE(std::isfinite(goodput.estimate().bytes_per_second));
  EXPECT_TRUE(std::isfinite(goodput.estimate().mean));
  goodput.handle_round_trip(seconds(-3));
  EXPECT_EQ(goodput.estimate().round_trip, Duration{});
}

}  // namespace
}  // namespace runnel::rate
