// A finished run of two devices for the tests of what is shown about it.
#pragma once

#include <string>

#include "fleet/run_recorder.h"

namespace runnel::fleet {

inline RunRecord sample_record(const std::string& codec = "qsgd", uint64_t bytes_a_round = 1000) {
  RunConfig config;
  config.devices = 2;
  config.rounds = 3;
  config.codec = codec;
  if (codec != "fp32") config.bits = 4;
  config.profile = "thin";
  RunRecorder recorder(config, codec_label(config));
  recorder.started({3, 1234, 1}, 1.0);
  LinkCounters counters;
  LinkState state;
  state.up_kbps = 420.0;
  state.down_kbps = 1500.0;
  for (uint32_t round = 1; round <= 3; ++round) {
    counters.uplink_bytes += bytes_a_round;
    counters.downlink_bytes += 50'000;
    counters.cuts = round / 2;
    for (size_t device = 0; device < 2; ++device) {
      recorder.link(device, counters, state);
      recorder.device_state(device, "training", round, round * 2.0 - 1.0);
      RateEvent rate;
      rate.round = round;
      rate.outcome = device == 1 && round == 2 ? "kept" : "in_time";
      rate.bound = device == 1 && round == 2 ? "coarsest" : "rule";
      rate.bits = 4.0;
      rate.step = 0.001;
      rate.predicted_bytes = 612.0;
      rate.message_bytes = rate.outcome == "kept" ? 0 : 617;
      if (round > 1) rate.goodput = rate.goodput_low = rate.goodput_high = 5000.0;
      if (round > 1) rate.link_bytes = 9000.0;
      rate.seconds_left = 12.5;
      recorder.rate(device, rate);
      recorder.device_state(device, "uploading", round, round * 2.0 - 0.5);
    }
    RoundEvent event;
    event.round = round;
    event.accuracy = 0.3 * round;
    event.loss = 2.0 / round;
    event.participants = 2;
    event.bits_per_coordinate = 4.12;
    event.seconds = 2.0;
    recorder.round(event, round * 2.0);
  }
  recorder.link_notice(1, true, 3.0);
  recorder.link_notice(1, false, 4.5);
  recorder.finished({3, 0.9, 0.667, "abc123", 1234, "accuracy", 0.9, {}}, 6.1);
  recorder.close(7.0);
  return recorder.record();
}

}  // namespace runnel::fleet
