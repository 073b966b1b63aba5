// One link over time: rows of constant rate and latency, one after another, starting over at the end.
//
// A rate of at most 1 kbit/s counts as an outage. An outage of a second or more cuts the connections that cross the
// link; a shorter one only stalls them. Neighbouring rows of outage are one outage.
//
// Time: positions are durations since the trace began; the caller owns the clock. Threads: immutable once built.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "runtime/base/time.h"

namespace runnel::fleet {

inline constexpr double kUnlimitedKbps = std::numeric_limits<double>::infinity();
inline constexpr double kOutageKbps = 1.0;  // this rate and below
inline constexpr Duration kCuttingOutage = seconds(1);

// kbps = 1000 bit/s.
struct LinkRow {
  Duration duration{};
  double down_kbps = kUnlimitedKbps;  // coordinator to device
  double up_kbps = kUnlimitedKbps;    // device to coordinator
  Duration latency{};                 // added, one way
};

struct LinkState {
  double down_kbps = kUnlimitedKbps;  // 0 in an outage
  double up_kbps = kUnlimitedKbps;    // 0 in an outage
  Duration latency{};
  bool outage = false;
  bool cut = false;      // in an outage that is long enough to break connections
  Duration remaining{};  // until this row ends; at least a microsecond
};

class RateTrace {
 public:
  // Throws FleetError when there is no row, a row's duration is not positive, or a number is negative or not a number.
  RateTrace(std::string name, std::vector<LinkRow> rows);

  const std::string& name() const { return name_; }
  Duration length() const { return ends_.back(); }
  const std::vector<LinkRow>& rows() const { return rows_; }

  // REQUIRES: position >= 0.
  LinkState at(Duration position) const;

 private:
  void mark_cuts();
  bool is_outage(size_t row) const { return rows_[row].down_kbps <= kOutageKbps || rows_[row].up_kbps <= kOutageKbps; }

  std::string name_;
  std::vector<LinkRow> rows_;
  std::vector<Duration> ends_;  // of each row, since the beginning
  std::vector<bool> cuts_;      // the row belongs to an outage of at least kCuttingOutage
};

}  // namespace runnel::fleet
