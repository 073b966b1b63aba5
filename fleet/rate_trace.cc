#include "fleet/rate_trace.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

bool valid_rate(double kbps) {
  return !std::isnan(kbps) && kbps >= 0.0;
}

}  // namespace

RateTrace::RateTrace(std::string name, std::vector<LinkRow> rows) : name_(std::move(name)), rows_(std::move(rows)) {
  if (rows_.empty()) throw FleetError("trace " + name_ + " has no rows");
  Duration end{};
  for (const LinkRow& row : rows_) {
    if (row.duration <= Duration::zero()) throw FleetError("trace " + name_ + ": a row's duration must be positive");
    if (!valid_rate(row.down_kbps) || !valid_rate(row.up_kbps) || row.latency < Duration::zero()) {
      throw FleetError("trace " + name_ + ": a rate or a latency is negative or not a number");
    }
    end += row.duration;
    ends_.push_back(end);
  }
  mark_cuts();
}

void RateTrace::mark_cuts() {
  const size_t count = rows_.size();
  cuts_.assign(count, false);
  size_t first = 0;  // a row that is no outage, so that no outage is seen in two halves
  while (first < count && is_outage(first)) ++first;
  if (first == count) {
    cuts_.assign(count, true);  // always dark
    return;
  }
  for (size_t step = 0; step < count;) {
    Duration outage{};
    size_t run = 0;
    while (step + run < count && is_outage((first + step + run) % count)) {
      outage += rows_[(first + step + run) % count].duration;
      ++run;
    }
    for (size_t i = 0; i < run; ++i) cuts_[(first + step + i) % count] = outage >= kCuttingOutage;
    step += std::max<size_t>(run, 1);
  }
}

LinkState RateTrace::at(Duration position) const {
  const Duration within{position.count() % length().count()};
  const auto end = std::upper_bound(ends_.begin(), ends_.end(), within);
  const auto row = static_cast<size_t>(end - ends_.begin());
  LinkState state;
  state.latency = rows_[row].latency;
  state.outage = is_outage(row);
  state.cut = cuts_[row];
  state.down_kbps = state.outage ? 0.0 : rows_[row].down_kbps;
  state.up_kbps = state.outage ? 0.0 : rows_[row].up_kbps;
  state.remaining = *end - within;
  return state;
}

}  // namespace runnel::fleet
