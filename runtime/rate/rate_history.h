// What a device remembers of a run's earlier rounds to plan the bytes of the coming ones: what it spent, and how the
// norm of its updates develops. A plain value; it is stored with the update that changed it.
#pragma once

#include <cstdint>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::rate {

struct RateHistory {
  static constexpr size_t kStateBytes = 64;

  uint64_t run = 0;               // the rest belongs to this run
  uint32_t round = 0;             // last one that counted, 1-based; 0 = none
  uint32_t updates = 0;           // made in this run, all-zero ones apart
  uint64_t bytes_spent = 0;       // Update messages of this run
  double log_norm = 0.0;          // smoothed ln ||g_t||, REQUIRES updates > 0
  double log_decay = 0.0;         // smoothed change of it a round
  double payload_overhead = 0.0;  // smoothed bytes of an Update message beyond its payloads

  // Takes a finished round into account. An update that was kept on the device spends 0 bytes.
  void add(uint64_t run_id, uint32_t round_number, double norm, uint64_t message_bytes, double overhead_bytes);

  // Expected ||g|| of a later round, from that of the present one, which is not in the history yet: the smoothed level
  // carried on with its trend, which fades over some thirty rounds. `norm` if there is no history.
  double forecast_norm(double norm, uint32_t rounds_ahead) const;
  // The same trend followed back: what ||g|| was so many rounds ago.
  double norm_ago(double norm, uint32_t rounds_back) const;

  void save(MutableByteView state) const;              // REQUIRES: kStateBytes
  static Result<RateHistory> restore(ByteView state);  // kCorrupt

  bool operator==(const RateHistory&) const = default;
};

}  // namespace runnel::rate
