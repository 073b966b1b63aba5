// What a token bucket filter of the kernel has to be told so that a link follows its trace, and how far it did: pure
// arithmetic, no kernel here.
//
// A filter that is changed begins with a full bucket: a burst for nothing. So its settings do not change more often
// than a burst is small against what the link carries meanwhile (rows are put together to their mean), and the rate is
// lower by what the burst adds. An outage drops what is to be sent; what waits in the queue stays there.
//
// Time: positions within the trace. Threads: values only. Rates are of Ethernet frames, headers included; a trace's
// latency is not emulated, for which the filter has no means.
#pragma once

#include <cstdint>

#include "fleet/rate_trace.h"
#include "fleet/run_record.h"

namespace runnel::fleet {

// One link for a stretch of time.
struct LinkSetting {
  Duration length{};
  double down_kbps = 0.0;
  double up_kbps = 0.0;
  bool outage = false;
};

// From `position` on: at least as long as a change needs to be worth it, but never across the beginning or the end of
// an outage. REQUIRES: position >= 0.
LinkSetting next_setting(const RateTrace& trace, Duration position);

// The parameters of one filter.
struct QueueSetting {
  uint32_t rate_bytes_per_s = 0;
  uint32_t burst_bytes = 0;
  uint32_t limit_bytes = 0;  // what waits at most; the rest is dropped
};

QueueSetting queue_setting(double kbps, const LinkSetting& setting);

// What a link following its trace carries in [from, to), in bytes of the two directions.
struct CarriedBytes {
  double up = 0.0;
  double down = 0.0;
};
CarriedBytes carried_bytes(const RateTrace& trace, Duration from, Duration to);

// What the kernel counted on one filter.
struct QueueCounters {
  uint64_t bytes = 0;  // sent, frames
  uint32_t backlog_bytes = 0;
  uint64_t drops = 0;
};

// Compares what crossed a link with what its trace says, in those moments when more waited to be sent: only then does
// the link, and not the sender, set the pace.
class RateMeter {
 public:
  explicit RateMeter(const RateTrace& trace) : trace_(trace) {}

  // Counters at a position. An interval counts for a direction if something waited at both of its ends and it touches
  // no outage.
  void sample(Duration position, const QueueCounters& up, const QueueCounters& down);

  const MeasuredRate& up() const { return up_; }
  const MeasuredRate& down() const { return down_; }

 private:
  const RateTrace& trace_;
  bool begun_ = false;
  Duration last_position_{};
  QueueCounters last_up_;
  QueueCounters last_down_;
  MeasuredRate up_;
  MeasuredRate down_;
};

}  // namespace runnel::fleet
