// Links that follow a trace: how long frames take, what outages do to uploads, what the report says of bytes and time.
#include <gtest/gtest.h>

#include "fleet/simulator/simulated_link.h"
#include "tests/sim/small_fleet.h"

namespace runnel::fleet {
namespace {

constexpr Instant at_ms(int64_t ms) {
  return Instant(milliseconds(ms));
}

LinkRow row(int64_t ms, double up_kbps, int64_t latency_ms = 0) {
  return {milliseconds(ms), 2.0 * up_kbps, up_kbps, milliseconds(latency_ms)};
}

TEST(SimulatedLink, AFrameTakesWhatTheRowsUnderItCarry) {
  const RateTrace trace("t", {row(1000, 80, 100), row(1000, 40, 200)});
  SimulatedLink link(trace, Duration::zero());
  EXPECT_EQ(link.send(Way::kUp, at_ms(0), 5000), at_ms(600));     // 40,000 bits at 80 kbit/s, and 100 ms
  EXPECT_EQ(link.send(Way::kUp, at_ms(100), 7500), at_ms(1700));  // waits; 40,000 bits in row 1, 20,000 in row 2
  EXPECT_EQ(link.send(Way::kDown, at_ms(100), 5000), at_ms(450));
  EXPECT_EQ(link.send(Way::kUp, at_ms(1950), 500), at_ms(2125));  // 50 ms of row 2, then row 1 anew: 25 ms
  EXPECT_EQ(link.bytes_sent(Way::kUp), 13'000U);
  EXPECT_EQ(link.bytes_sent(Way::kDown), 5000U);
}

TEST(SimulatedLink, TheTraceBeginsWhereItIsTold) {
  const RateTrace trace("t", {row(1000, 80), row(1000, 40)});
  SimulatedLink link(trace, milliseconds(900));
  EXPECT_EQ(link.send(Way::kUp, at_ms(0), 1500), at_ms(200));  // 8,000 bits in 100 ms, 4,000 more at 40 kbit/s
}

TEST(SimulatedLink, FramesArriveInOrderWhenTheLatencyFalls) {
  const RateTrace trace("t", {row(1000, 80, 900), row(1000, 80, 10)});
  SimulatedLink link(trace, Duration::zero());
  EXPECT_EQ(link.send(Way::kUp, at_ms(950), 500), at_ms(1900));
  EXPECT_EQ(link.send(Way::kUp, at_ms(1000), 500), at_ms(1900));  // 1060 ms without the frame before it
}

TEST(SimulatedLink, AShortOutageStallsAndALongOneIsDark) {
  const RateTrace trace("t", {row(1000, 80), row(500, 0), row(1000, 80), row(2000, 0)});
  SimulatedLink link(trace, Duration::zero());
  EXPECT_FALSE(link.dark(at_ms(1200)));
  EXPECT_TRUE(link.dark(at_ms(2500)));
  EXPECT_EQ(link.next_change(at_ms(0)), at_ms(2500));
  EXPECT_EQ(link.next_change(at_ms(2500)), at_ms(4500));
  EXPECT_EQ(link.send(Way::kUp, at_ms(900), 2000), at_ms(1600));
}

TEST(SimulatedLink, WhatHadNotLeftWhenTheConnectionBrokeIsNotCounted) {
  const RateTrace trace("t", {row(10'000, 80)});
  SimulatedLink link(trace, Duration::zero());
  link.send(Way::kUp, at_ms(0), 5000);
  link.send(Way::kUp, at_ms(0), 5000);
  link.send(Way::kUp, at_ms(0), 5000);
  link.drop(at_ms(750));
  EXPECT_EQ(link.bytes_sent(Way::kUp), 7500U);
  EXPECT_EQ(link.send(Way::kUp, at_ms(800), 1000), at_ms(900));
}

TEST(SimulatedLink, ALinkThatIsAlwaysDarkCarriesNothing) {
  const RateTrace trace("t", {row(1000, 0), row(1000, 0.5)});
  SimulatedLink link(trace, milliseconds(300));
  EXPECT_EQ(link.send(Way::kUp, at_ms(0), 1), kNever);
  EXPECT_EQ(link.bytes_sent(Way::kUp), 0U);
  EXPECT_EQ(link.next_change(at_ms(0)), kNever);
}

TEST(SimulatedLink, AFrameIsWrappedInRecordZeroMqFrameAndSegments) {
  EXPECT_EQ(wire_bytes(100, {}), 100U + 9 + 13 + 16 + 2 + 40);
  EXPECT_EQ(wire_bytes(217, {}), 255U + 2 + 40);
  EXPECT_EQ(wire_bytes(218, {}), 256U + 9 + 40);
  EXPECT_EQ(wire_bytes(4096, {}), 4096U + 38 + 9 + 3 * 40);
  FrameOverhead none;
  none.record_bytes = none.segment_header_bytes = 0;
  EXPECT_EQ(wire_bytes(1000, none), 1009U);
}

// One device whose update is 3.1 KB, on one link.
struct OneDevice : SmallFleet {
  explicit OneDevice(const RateTrace& trace) : SmallFleet(1, 1) {
    options.model.layers[0].units = 64;
    options.plan.codec.codec = plan::CodecId::kFp32;
    options.plan.rounds = 1;
    options.plan.downlink.bits = 0.0;
    options.plan.deadline_seconds = 1000.0;
    options.links = {&trace};
  }
};

uint64_t uplink_of(const SimulationReport& report) {
  return report.history.back().uplink_bytes.front();
}

TEST(LinksSimulation, AnOutageCutsAndTheUploadGoesOnWhereItStopped) {
  const RateTrace steady("steady", {row(10'000, 8, 50)});
  const RateTrace broken("broken", {row(5000, 8, 50), row(1500, 0)});
  OneDevice calm(steady);
  OneDevice cut(broken);
  const SimulationReport reference = simulate(calm.options);
  const SimulationReport report = simulate(cut.options);
  ASSERT_TRUE(report.finished && reference.finished);
  EXPECT_TRUE(report.violations.empty());
  EXPECT_EQ(reference.cuts, 0U);
  EXPECT_GE(report.cuts, 1U);  // handshake, model and update take more than 7 s of signal
  EXPECT_EQ(report.model, reference.model);
  EXPECT_GT(report.elapsed, reference.elapsed + milliseconds(1500));
  // Each connection costs its handshake, a greeting, an offer and at most what was under way.
  EXPECT_GT(uplink_of(report), uplink_of(reference));
  EXPECT_LT(uplink_of(report), uplink_of(reference) + report.cuts * 1500);
}

TEST(LinksSimulation, TheSessionIsMadeOnceAndItsHandshakeIsCounted) {
  const RateTrace steady("steady", {row(10'000, 800, 50)});
  OneDevice fleet(steady);
  const SimulationReport report = simulate(fleet.options);
  uint64_t handshakes = 0;
  for (const Flight& flight : connection_flights()) handshakes += flight.way == Way::kUp ? flight.bytes : 0;
  for (const Flight& flight : session_flights()) handshakes += flight.way == Way::kUp ? flight.bytes : 0;
  EXPECT_EQ(handshakes, 287U + 839U);
  // Frames have at least record, header and segment around them.
  EXPECT_GT(uplink_of(report), report.uplink_bytes + handshakes + 10 * (38 + 2 + 40));
  EXPECT_LT(uplink_of(report), report.uplink_bytes + handshakes + 30 * (38 + 9 + 40));
  // Ten one-way trips of 50 ms before the first frame.
  EXPECT_GT(report.history.front().closed_at, milliseconds(600));
}

TEST(LinksSimulation, TrainingTakesItsStepsTimes) {
  const RateTrace fast("fast", {row(10'000, 1e6)});
  OneDevice fleet(fast);
  fleet.options.plan.training.local_steps = 50;
  fleet.options.training_seconds_per_step = 0.1;
  fleet.options.speed_spread = 1.0;
  const Duration even = simulate(fleet.options).history.front().closed_at;
  EXPECT_GT(even, seconds(5));
  EXPECT_LT(even, milliseconds(5200));
  fleet.options.speed_spread = 2.0;
  const Duration drawn = simulate(fleet.options).history.front().closed_at;
  EXPECT_NE(drawn, even);
  EXPECT_GT(drawn, milliseconds(2500));
  EXPECT_LT(drawn, milliseconds(10'200));
}

// Devices on quick links but for the last, which is too slow for the deadline.
struct Mixed : SmallFleet {
  explicit Mixed(uint64_t seed) : SmallFleet(seed) {
    options.links = {&broken, &quick, &broken, &slow};
    options.plan.deadline_seconds = 8.0;
    options.plan.downlink.bits = 0.0;
    options.training_seconds_per_step = 0.02;
    options.on_round = [this](const SimulatedRound& round, std::span<const float> model) {
      rounds.push_back(round.round);
      last_model.assign(model.begin(), model.end());
    };
  }
  const RateTrace quick{"quick", {row(10'000, 200, 20)}};
  const RateTrace broken{"broken", {row(3000, 200, 20), row(1200, 0)}};
  const RateTrace slow{"slow", {row(10'000, 1.2, 20)}};
  std::vector<uint32_t> rounds;
  std::vector<float> last_model;
};

TEST(LinksSimulation, EveryRoundIsReported) {
  Mixed fleet(3);
  const SimulationReport report = simulate(fleet.options);
  ASSERT_TRUE(report.finished);
  EXPECT_TRUE(report.violations.empty());
  EXPECT_EQ(fleet.rounds, (std::vector<uint32_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(fleet.last_model, report.model);
  ASSERT_EQ(report.history.size(), 6U);
  uint64_t counted = 0;
  Duration before{};
  for (const SimulatedRound& round : report.history) {
    counted += round.counted;
    EXPECT_EQ(round.counted + round.missed.size() + round.absent, 4U);
    EXPECT_TRUE(round.missed == std::vector<uint32_t>{3} || round.absent > 0) << "round " << round.round;
    EXPECT_GT(round.closed_at, before);
    EXPECT_GT(round.mean_loss, 0.0);
    before = round.closed_at;
  }
  EXPECT_EQ(counted, report.updates_counted);
}

TEST(LinksSimulation, TheSameSeedGivesTheSameReport) {
  Mixed once(5);
  Mixed again(5);
  Mixed other(6);
  const SimulationReport first = simulate(once.options);
  const SimulationReport second = simulate(again.options);
  const SimulationReport third = simulate(other.options);
  ASSERT_EQ(first.history.size(), second.history.size());
  for (size_t i = 0; i < first.history.size(); ++i) {
    EXPECT_EQ(first.history[i].closed_at, second.history[i].closed_at);
    EXPECT_EQ(first.history[i].uplink_bytes, second.history[i].uplink_bytes);
    EXPECT_EQ(first.history[i].downlink_bytes, second.history[i].downlink_bytes);
    EXPECT_EQ(first.history[i].missed, second.history[i].missed);
  }
  EXPECT_EQ(first.model, second.model);
  EXPECT_NE(first.elapsed, third.elapsed);
}

}  // namespace
}  // namespace runnel::fleet
