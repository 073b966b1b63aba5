#include "fleet/run_recorder.h"

#include <algorithm>
#include <utility>

#include "fleet/program_arguments.h"

namespace runnel::fleet {

RunRecorder::RunRecorder(const RunConfig& config, std::string label) {
  record_.label = std::move(label);
  record_.config = config;
  record_.rounds_planned = config.rounds;
  record_.devices.resize(config.devices);
  for (uint32_t i = 0; i < config.devices; ++i) record_.devices[i].name = device_name(i, config.devices);
}

void RunRecorder::started(const StartedEvent& event, double now_s) {
  record_.rounds_planned = event.rounds;
  record_.parameters = event.parameters;
  if (record_.training_began_s == 0.0) record_.training_began_s = std::max(now_s, 0.0);
}

void RunRecorder::round_closed(uint32_t round, double now_s) {
  if (round_ends_.contains(round)) return;
  const uint64_t uplink = record_.uplink_bytes();
  const uint64_t downlink = record_.downlink_bytes();
  round_ends_[round] = {uplink - uplink_bytes_before_, downlink - downlink_bytes_before_, now_s};
  uplink_bytes_before_ = uplink;
  downlink_bytes_before_ = downlink;
}

bool RunRecorder::round(const RoundEvent& event, double now_s) {
  const bool known = std::any_of(record_.rounds.begin(), record_.rounds.end(),
                                 [&](const RoundRecord& each) { return each.round == event.round; });
  if (known) return false;
  round_closed(event.round, now_s);
  const RoundEnd& end = round_ends_.at(event.round);
  RoundRecord round;
  round.round = event.round;
  round.accuracy = event.accuracy;
  round.loss = event.loss;
  round.value = event.value;
  if (event.value) record_.metric = event.metric;
  round.participants = event.participants;
  round.uplink_bytes = end.uplink_bytes;
  round.downlink_bytes = end.downlink_bytes;
  round.bits_per_coordinate = event.bits_per_coordinate;
  round.duration_s = event.seconds;
  round.ended_at_s = end.at_s;
  record_.rounds.push_back(round);
  return true;
}

void RunRecorder::finished(const FinishedEvent& event, double now_s) {
  record_.finished = true;
  record_.finished_at_s = now_s;
  record_.accuracy = event.accuracy;
  record_.loss = event.loss;
  record_.value = event.value;
  if (event.value) record_.metric = event.metric;
  record_.confusion = event.confusion;
  record_.model_sha256 = event.model_sha256;
  record_.parameters = event.parameters;
}

void RunRecorder::device_state(size_t device, const std::string& state, uint32_t round, double now_s) {
  DeviceRecord& entry = record_.devices[device];
  entry.state = state;
  entry.round = std::max(entry.round, round);
  if (entry.states.empty() || entry.states.back().state != state) entry.states.push_back({now_s, state});
}

void RunRecorder::evaluated(size_t device, const EvaluatedEvent& event) {
  record_.devices[device].evaluated = event;
}

void RunRecorder::link(size_t device, const LinkCounters& counters, const LinkState& state) {
  record_.devices[device].link = counters;
  record_.devices[device].link_state = state;
}

void RunRecorder::link_notice(size_t device, bool dark, double now_s) {
  std::vector<Outage>& outages = record_.devices[device].outages;
  const bool open = !outages.empty() && outages.back().end_s < 0.0;
  if (dark && !open) outages.push_back({now_s, -1.0});
  if (!dark && open) outages.back().end_s = now_s;
}

void RunRecorder::warning(const std::string& text) {
  if (record_.warnings.size() < kWarningsMax) {
    record_.warnings.push_back(text);
    return;
  }
  record_.warnings.back() = "and " + std::to_string(++warnings_dropped_ + 1) + " more";
}

void RunRecorder::close(double now_s) {
  record_.elapsed_s = now_s;
  for (DeviceRecord& device : record_.devices) {
    if (!device.outages.empty() && device.outages.back().end_s < 0.0) device.outages.back().end_s = now_s;
  }
}

}  // namespace runnel::fleet
