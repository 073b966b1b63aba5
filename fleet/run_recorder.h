// Turns events and link counters into a RunRecord. Pure: no clock, no process, no socket.
//
// Time: seconds since the devices were started, passed in. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "fleet/event_stream.h"
#include "fleet/link_proxy.h"
#include "fleet/run_record.h"

namespace runnel::fleet {

class RunRecorder {
 public:
  static constexpr size_t kWarningsMax = 200;  // later ones are counted in the last entry

  // The record starts with the configuration and one named device after another.
  explicit RunRecorder(const RunConfig& config, std::string label);

  RunRecord& record() { return record_; }
  const RunRecord& record() const { return record_; }

  void started(const StartedEvent& event, double now_s);

  // A round has ended: it gets the bytes since the one before. Call link() with fresh counters before.
  void round_closed(uint32_t round, double now_s);

  // The round's figures. False when they are known already (a restarted coordinator may repeat itself); the record is
  // then unchanged. A round that nobody announced as closed ends now.
  bool round(const RoundEvent& event, double now_s);
  void finished(const FinishedEvent& event, double now_s);

  void device_state(size_t device, const std::string& state, uint32_t round, double now_s);
  void evaluated(size_t device, const EvaluatedEvent& event);
  void rate(size_t device, const RateEvent& event) { record_.devices[device].rates.push_back(event); }
  void link(size_t device, const LinkCounters& counters, const LinkState& state);
  void link_notice(size_t device, bool dark, double now_s);
  void warning(const std::string& text);

  // Closes what is still open: outages end, the clock stops.
  void close(double now_s);

 private:
  RunRecord record_;
  struct RoundEnd {
    uint64_t uplink_bytes = 0;  // during the round
    uint64_t downlink_bytes = 0;
    double at_s = 0.0;
  };
  std::map<uint32_t, RoundEnd> round_ends_;
  uint64_t uplink_bytes_before_ = 0;
  uint64_t downlink_bytes_before_ = 0;
  size_t warnings_dropped_ = 0;
};

}  // namespace runnel::fleet
