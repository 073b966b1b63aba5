#include "fleet/run_recorder.h"

#include <gtest/gtest.h>

namespace runnel::fleet {
namespace {

RunConfig two_devices() {
  RunConfig config;
  config.devices = 2;
  return config;
}

RoundEvent round_event(uint32_t round) {
  RoundEvent event;
  event.round = round;
  event.participants = 2;
  return event;
}

TEST(RunRecorder, ARoundGetsTheBytesSinceTheOneBefore) {
  RunRecorder recorder(two_devices(), "x");
  LinkCounters counters;
  counters.uplink_bytes = 100;
  counters.downlink_bytes = 1000;
  recorder.link(0, counters, {});
  recorder.link(1, counters, {});
  EXPECT_TRUE(recorder.round(round_event(1), 2.0));
  counters.uplink_bytes = 150;
  recorder.link(1, counters, {});
  EXPECT_TRUE(recorder.round(round_event(2), 4.0));
  const RunRecord& record = recorder.record();
  ASSERT_EQ(record.rounds.size(), 2U);
  EXPECT_EQ(record.rounds[0].uplink_bytes, 200U);
  EXPECT_EQ(record.rounds[0].downlink_bytes, 2000U);
  EXPECT_EQ(record.rounds[1].uplink_bytes, 50U);
  EXPECT_EQ(record.rounds[1].downlink_bytes, 0U);
  EXPECT_EQ(record.uplink_bytes(), 250U);
}

TEST(RunRecorder, BytesSentAfterTheEndOfARoundBelongToTheNextOne) {
  RunRecorder recorder(two_devices(), "x");
  LinkCounters counters;
  counters.uplink_bytes = 100;
  recorder.link(0, counters, {});
  recorder.round_closed(1, 2.0);
  counters.uplink_bytes = 130;
  recorder.link(0, counters, {});
  EXPECT_TRUE(recorder.round(round_event(1), 3.0));  // its figures come late
  recorder.round_closed(2, 4.0);
  EXPECT_TRUE(recorder.round(round_event(2), 5.0));
  EXPECT_EQ(recorder.record().rounds[0].uplink_bytes, 100U);
  EXPECT_DOUBLE_EQ(recorder.record().rounds[0].ended_at_s, 2.0);
  EXPECT_EQ(recorder.record().rounds[1].uplink_bytes, 30U);
}

TEST(RunRecorder, ARepeatedRoundChangesNothing) {
  RunRecorder recorder(two_devices(), "x");
  EXPECT_TRUE(recorder.round(round_event(1), 2.0));
  EXPECT_FALSE(recorder.round(round_event(1), 3.0));
  EXPECT_EQ(recorder.record().rounds.size(), 1U);
  EXPECT_DOUBLE_EQ(recorder.record().rounds[0].ended_at_s, 2.0);
}

TEST(RunRecorder, OutagesOpenAndClose) {
  RunRecorder recorder(two_devices(), "x");
  recorder.link_notice(0, false, 0.5);  // nothing to close
  recorder.link_notice(0, true, 1.0);
  recorder.link_notice(0, true, 1.5);  // still the same
  recorder.link_notice(0, false, 3.0);
  recorder.link_notice(1, true, 4.0);
  recorder.close(5.0);
  const RunRecord& record = recorder.record();
  ASSERT_EQ(record.devices[0].outages.size(), 1U);
  EXPECT_DOUBLE_EQ(record.devices[0].outages[0].begin_s, 1.0);
  EXPECT_DOUBLE_EQ(record.devices[0].outages[0].end_s, 3.0);
  ASSERT_EQ(record.devices[1].outages.size(), 1U);
  EXPECT_DOUBLE_EQ(record.devices[1].outages[0].end_s, 5.0);
  EXPECT_DOUBLE_EQ(record.elapsed_s, 5.0);
}

TEST(RunRecorder, StatesFollowOneAnother) {
  RunRecorder recorder(two_devices(), "x");
  recorder.device_state(1, "training", 3, 1.0);
  recorder.device_state(1, "training", 3, 1.5);
  recorder.device_state(1, "stopped", 0, 2.0);
  const DeviceRecord& device = recorder.record().devices[1];
  EXPECT_EQ(device.name, "d01");
  EXPECT_EQ(device.state, "stopped");
  EXPECT_EQ(device.round, 3U);
  EXPECT_EQ(device.states.size(), 2U);
}

TEST(RunRecorder, AFloodOfWarningsIsCounted) {
  RunRecorder recorder(two_devices(), "x");
  for (size_t i = 0; i < RunRecorder::kWarningsMax + 5; ++i) recorder.warning("w");
  EXPECT_EQ(recorder.record().warnings.size(), RunRecorder::kWarningsMax);
  EXPECT_EQ(recorder.record().warnings.back(), "and 6 more");
}

TEST(CodecLabel, SaysWhatWasAskedFor) {
  RunConfig config;
  EXPECT_EQ(codec_label(config), "dithered, error");
  config.bits = 1.0;
  EXPECT_EQ(codec_label(config), "dithered, 1 bit");
  config.bits = 0.25;
  config.rotate = true;
  EXPECT_EQ(codec_label(config), "dithered, 0.25 bits, rotated");
  config.codec = "qsgd";
  config.bits.reset();
  config.rotate = false;
  config.levels = 10;
  config.error_feedback = true;
  EXPECT_EQ(codec_label(config), "qsgd, 10 levels, error feedback");
  config.codec = "fp32";
  EXPECT_EQ(codec_label(config), "fp32");
}

}  // namespace
}  // namespace runnel::fleet
