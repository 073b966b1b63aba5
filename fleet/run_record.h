// What is known about a run, while it goes on and after it: the one value behind the live view, the JSON and the
// report.
//
// Bytes are TCP payload as it crossed the emulated links, handshakes and retries of the programs included. Times are
// seconds since the devices were started.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fleet/event_stream.h"
#include "fleet/link_proxy.h"
#include "fleet/run_config.h"

namespace runnel::fleet {

struct RoundRecord {
  uint32_t round = 0;
  std::optional<double> accuracy;
  std::optional<double> loss;
  std::optional<double> value;  // of the run's metric; of old programs absent
  std::optional<double> judged() const { return value ? value : accuracy; }
  uint32_t participants = 0;
  uint64_t uplink_bytes = 0;  // of all devices, since the round before ended
  uint64_t downlink_bytes = 0;
  double bits_per_coordinate = 0.0;
  double duration_s = 0.0;  // as the coordinator measured it
  double ended_at_s = 0.0;
};

struct StateChange {
  double at_s = 0.0;
  std::string state;
};

struct Outage {
  double begin_s = 0.0;
  double end_s = -1.0;  // negative while it lasts
};

// How well a shaped link followed its profile.
struct MeasuredLink {
  MeasuredRate up;
  MeasuredRate down;
  uint64_t drops = 0;
};

struct DeviceRecord {
  std::string name;
  std::string state = "starting";  // as the device reports it, or starting, stopped
  uint32_t round = 0;
  LinkCounters link;
  LinkState link_state;
  std::optional<MeasuredLink> measured;  // where the kernel shapes and counts
  uint64_t rss_bytes_max = 0;
  uint64_t arena_bytes = 0;
  uint64_t updates_acknowledged = 0;
  uint32_t restarts = 0;
  std::vector<StateChange> states;
  std::vector<Outage> outages;
  std::vector<RateEvent> rates;             // one for each update whose fate is known
  std::optional<EvaluatedEvent> evaluated;  // the newest one, where it keeps examples back
};

struct RunRecord {
  std::string label;  // "qsgd, 4 bits"
  RunConfig config;
  double elapsed_s = 0.0;
  double training_began_s = 0.0;  // when the coordinator started the first round
  uint32_t rounds_planned = 0;
  uint64_t parameters = 0;
  std::vector<RoundRecord> rounds;
  std::vector<DeviceRecord> devices;
  bool finished = false;
  double finished_at_s = 0.0;  // the model is final; what follows is the farewell to the devices
  std::optional<double> accuracy;
  std::optional<double> loss;
  std::string metric = "accuracy";  // by which the model is judged
  std::optional<double> value;
  std::optional<double> judged() const { return value ? value : accuracy; }
  std::vector<std::vector<uint64_t>> confusion;  // of the last model: [true class][found class]
  std::string model_sha256;
  uint64_t coordinator_rss_bytes_max = 0;
  uint32_t coordinator_restarts = 0;
  std::vector<std::string> warnings;

  uint64_t uplink_bytes() const {
    uint64_t sum = 0;
    for (const DeviceRecord& device : devices) sum += device.link.uplink_bytes;
    return sum;
  }
  uint64_t downlink_bytes() const {
    uint64_t sum = 0;
    for (const DeviceRecord& device : devices) sum += device.link.downlink_bytes;
    return sum;
  }
};

// "qsgd, 4 bits" or "fp32".
std::string codec_label(const RunConfig& config);

}  // namespace runnel::fleet
