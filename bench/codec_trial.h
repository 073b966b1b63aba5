// Runs this library's schemes over a vector: bits, error, bias and speed of each point of a sweep.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/named_values.h"
#include "bench/trial_row.h"
#include "runtime/plan/round_plan.h"

namespace runnel::bench {

struct SweepPoint {
  std::string scheme;
  std::string parameter;
  plan::CodecSpec spec;
  bool typical = false;  // the one that short tables show, and that is also measured beyond 2^20 coordinates
};

// Every scheme over 0.25 to 8 bits a coordinate, or what of it the scheme can reach.
const std::vector<SweepPoint>& sweep();

struct TrialOptions {
  int seeds = 8;             // decodes that NMSE and bias are averaged over
  double seconds_min = 0.2;  // of timing a row; 0 = no timing
};

// What kept a point from being measured, for the reader.
struct Skipped {
  std::string reason;
};

// Nothing and a reason if this build has not got the scheme or the coder, or cannot encode this vector.
std::optional<TrialRow> run_trial(const NamedValues& data, const SweepPoint& point, const TrialOptions& options,
                                  Skipped& skipped);

// A round of 64 updates at four bits, added up in one pass: their NMSE is that of the mean, the speed that of all 64.
std::optional<TrialRow> run_round_trial(const NamedValues& data, double seconds_min);

// The rotation alone, there and back, as a row of the table.
TrialRow run_rotation_trial(const NamedValues& data, double seconds_min);

}  // namespace runnel::bench
