#include "coordinator/engine/assignments.h"

#include <algorithm>

namespace runnel::coordinator {

// Puts an idle device where it belongs.
void Assignments::rest(const std::string& device, Work& work) {
  if (!work.available || work.assigned) return;
  if (work.done_round != 0 && work.done_round >= round_) {
    resting_.push_back(device);
  } else {
    idle_.emplace(work.since, device);
  }
}

void Assignments::release(Instant now, const std::string& device, Work& work) {
  if (!work.assigned) return;
  assigned_.erase({work.until, device});
  work.assigned = false;
  work.since = now;
  rest(device, work);
}

void Assignments::handle_available(Instant now, const std::string& device) {
  Work& work = work_[device];
  if (work.available) return;
  work.available = true;
  work.since = now;
  rest(device, work);
}

void Assignments::handle_away(const std::string& device) {
  const auto found = work_.find(device);
  if (found == work_.end() || !found->second.available) return;
  found->second.available = false;
  idle_.erase({found->second.since, device});
}

void Assignments::handle_settled(Instant now, const std::string& device, uint32_t round) {
  Work& work = work_[device];
  const bool was_idle = idle_.erase({work.since, device}) != 0;
  // A round that has not opened is a lie, or a mistake: it must not keep the device from work for ever.
  if (round <= round_) work.done_round = std::max(work.done_round, round);
  if (work.assigned) {
    release(now, device, work);
  } else if (was_idle) {
    rest(device, work);
  }
}

void Assignments::handle_found_working(const std::string& device, uint64_t version, Instant until) {
  Work& work = work_[device];
  if (work.assigned) return;
  idle_.erase({work.since, device});
  work.assigned = true;
  work.version = version;
  work.until = until;
  assigned_.emplace(until, device);
}

void Assignments::handle_round(Instant now, uint32_t round, uint64_t version_min) {
  round_ = round;
  for (const std::string& device : std::exchange(resting_, {})) {
    Work& work = work_.at(device);
    idle_.erase({work.since, device});
    rest(device, work);
  }
  std::vector<std::string> stale;
  for (const auto& [until, device] : assigned_) {
    if (work_.at(device).version < version_min) stale.push_back(device);
  }
  for (const std::string& device : stale) release(now, device, work_.at(device));
}

void Assignments::handle_timeout(Instant now) {
  while (!assigned_.empty() && assigned_.begin()->first <= now) {
    const std::string device = assigned_.begin()->second;
    release(now, device, work_.at(device));
  }
}

std::optional<std::string> Assignments::poll(uint64_t version, Instant until) {
  if (idle_.empty() || (concurrent_max_ != 0 && assigned_.size() >= concurrent_max_)) return std::nullopt;
  std::string device = idle_.begin()->second;
  idle_.erase(idle_.begin());
  Work& work = work_.at(device);
  work.assigned = true;
  work.version = version;
  work.until = until;
  assigned_.emplace(until, device);
  return device;
}

uint64_t Assignments::version(const std::string& device) const {
  const auto found = work_.find(device);
  return found == work_.end() || !found->second.assigned ? 0 : found->second.version;
}

std::optional<Instant> Assignments::until(const std::string& device) const {
  const auto found = work_.find(device);
  if (found == work_.end() || !found->second.assigned) return std::nullopt;
  return found->second.until;
}

}  // namespace runnel::coordinator
