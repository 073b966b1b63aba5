#include "coordinator/engine/pace.h"

#include <algorithm>
#include <cmath>

#include "coordinator/engine/cohort.h"
#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

constexpr size_t kRoundsRemembered = 5;
constexpr Duration kComeBackMax = seconds(86400);
constexpr Duration kLatenessAllowed = seconds(60);

Duration from_seconds(double value) {
  return Duration(static_cast<int64_t>(std::min(value, 1e9) * 1e6));
}

double to_seconds(Duration value) {
  return static_cast<double>(value.count()) * 1e-6;
}

}  // namespace

Pace::Pace(const FleetPlan& plan, const std::vector<RoundHistory>& history)
    : spec_(plan.pace), cohort_(plan.cohort), over_selection_(plan.over_selection), seed_(plan.seed) {
  const size_t first = history.size() - std::min(history.size(), kRoundsRemembered);
  for (size_t i = first; i < history.size(); ++i) handle_closed(history[i].result.seconds);
}

void Pace::handle_closed(double seconds) {
  seconds_.push_back(seconds);
  if (seconds_.size() > kRoundsRemembered) seconds_.pop_front();
}

size_t Pace::wanted() const {
  return static_cast<size_t>(std::ceil(cohort_ * (1.0 + over_selection_)));
}

std::optional<Pace::Rest> Pace::rest(const std::string& device, uint32_t round, size_t connected, Duration elapsed,
                                     Duration time_left) const {
  if (!spec_.come_back || seconds_.empty()) return std::nullopt;
  std::vector<double> sorted(seconds_.begin(), seconds_.end());
  std::sort(sorted.begin(), sorted.end());
  const double typical = sorted[sorted.size() / 2];
  const double until_next = std::min(std::max(typical - to_seconds(elapsed), 0.0), to_seconds(time_left));
  Rng rng(device_seed(seed_, round, device));
  const double spread = rng.uniform();

  const size_t devices = std::max(connected, away_.size());  // a session outlives its connection
  const double rounds_away = cohort_ == 0 ? 0.0 : static_cast<double>(devices) / (2.0 * static_cast<double>(wanted()));
  Rest rest;
  if (rounds_away < 2.0) {
    rest.come_back = from_seconds(until_next * (1.0 + 0.25 * spread));
  } else {
    rest.come_back = from_seconds(until_next + typical * (rounds_away - 1.0) * (0.5 + spread));
    rest.counts = false;
  }
  if (rest.come_back < from_seconds(spec_.come_back_seconds)) return std::nullopt;
  rest.come_back = std::min(rest.come_back, kComeBackMax);
  return rest;
}

void Pace::handle_resting(const std::string& device, const Rest& rest, Instant now) {
  handle_back(device);
  const Instant overdue = now + rest.come_back + rest.come_back / 4 + kLatenessAllowed;
  away_[device] = {overdue, rest.counts};
  if (!rest.counts) ++coming_;
  next_overdue_ = std::min(next_overdue_, overdue);
}

void Pace::handle_back(const std::string& device) {
  const auto found = away_.find(device);
  if (found == away_.end()) return;
  if (!found->second.counts) --coming_;
  away_.erase(found);
}

std::vector<std::string> Pace::take_overdue(Instant now) {
  std::vector<std::string> overdue;
  if (now < next_overdue_) return overdue;
  next_overdue_ = kNever;
  for (auto it = away_.begin(); it != away_.end();) {
    if (it->second.overdue > now) {
      next_overdue_ = std::min(next_overdue_, it->second.overdue);
      ++it;
      continue;
    }
    if (it->second.counts) {
      overdue.push_back(it->first);
    } else {
      --coming_;
    }
    it = away_.erase(it);
  }
  return overdue;
}

size_t Pace::needed(size_t selectable) const {
  if (!spec_.come_back || cohort_ == 0) return 0;
  return std::min(wanted(), selectable + coming_);
}

}  // namespace runnel::coordinator
