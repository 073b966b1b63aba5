#include "device/engine/upload_rate.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace runnel::device {
namespace {

// UpdateOffer and the record and packet headers around it. What chunks add is in the goodput already, which counts
// payload bytes alone.
constexpr double kOfferBytes = 200.0;
// Time set aside for the coordinator's disk and for a retransmission: this share of what is left, at least that much.
constexpr double kReserveShare = 0.1;
constexpr Duration kReserveMin = milliseconds(200);
// After so many updates that were kept, one is sent all the same: a link that carries nothing tells nothing.
constexpr uint32_t kKeptInRowMax = 2;
constexpr size_t kOpenMax = 64;
constexpr double kSmoothing = 0.1;  // weight of the newest estimate in the usual bandwidth

}  // namespace

const char* upload_outcome_name(UploadOutcome outcome) {
  switch (outcome) {
    case UploadOutcome::kInTime:
      return "in_time";
    case UploadOutcome::kLate:
      return "late";
    case UploadOutcome::kRefused:
      return "refused";
    case UploadOutcome::kKept:
      return "kept";
  }
  return "unknown";
}

bool UploadRate::restore(ByteView state) {
  if (state.size() != kStateBytes) return false;
  rate::GoodputEstimator goodput;
  const Result<rate::RateHistory> history =
      rate::RateHistory::restore(state.subspan(rate::GoodputEstimator::kStateBytes, rate::RateHistory::kStateBytes));
  const auto mean = std::bit_cast<double>(load_le<uint64_t>(&state[kStateBytes - sizeof(double)]));
  if (!(mean >= 0.0 && std::isfinite(mean)) || !history.ok() ||
      !goodput.restore(state.first(rate::GoodputEstimator::kStateBytes)).ok())
    return false;
  goodput_ = goodput;
  history_ = *history;
  bandwidth_mean_ = mean;
  return true;
}

ByteView UploadRate::state() {
  const MutableByteView bytes(state_);
  goodput_.save(bytes.first(rate::GoodputEstimator::kStateBytes));
  history_.save(bytes.subspan(rate::GoodputEstimator::kStateBytes, rate::RateHistory::kStateBytes));
  store_le<uint64_t>(&state_[kStateBytes - sizeof(double)], std::bit_cast<uint64_t>(bandwidth_mean_));
  return state_;
}

void UploadRate::handle_plan(Instant now, const plan::RoundPlan& plan) {
  training_began_ = now;
  round_time_ = plan.time_left;
  deadline_ = deadline_of(now, plan);
}

void UploadRate::handle_deadline(Instant now, const plan::RoundPlan& plan) {
  deadline_ = deadline_of(now, plan);
  for (Open& open : open_) {
    if (open.report.round == plan.round) open.deadline = deadline_;
  }
}

// Time left was counted from when the plan was sent.
Instant UploadRate::deadline_of(Instant now, const plan::RoundPlan& plan) const {
  return now + plan.time_left - std::min(plan.time_left, goodput_.estimate().round_trip / 2);
}

void UploadRate::handle_given_up(Instant now, uint64_t bytes) {
  goodput_.handle_given_up(now, bytes);
  backlog_bytes_ = static_cast<double>(bytes);
  backlog_at_ = now;
}

rate::LinkLimits UploadRate::limits(Instant now) const {
  rate::LinkLimits limits;
  limits.goodput = goodput_.estimate();
  limits.bandwidth_mean = bandwidth_mean_;
  limits.overhead_bytes = kOfferBytes;
  limits.probe = probing_ || kept_in_row_ >= kKeptInRowMax;
  if (deadline_ == kNever) return limits;
  limits.time_left = std::max(Duration::zero(), deadline_ - now);
  const auto share = Duration(static_cast<int64_t>(kReserveShare * static_cast<double>(limits.time_left.count())));
  const Duration usable = limits.time_left - std::max(share, kReserveMin);
  if (usable <= Duration::zero()) {
    limits.bytes_max = 0.0;
    return limits;
  }
  const double gone = limits.goodput.bytes_per_second * 1e-6 * static_cast<double>((now - backlog_at_).count());
  limits.bytes_max = std::max(0.0, goodput_.bytes_within(usable) - std::max(0.0, backlog_bytes_ - gone));
  // Kimad: communication has what computing leaves of a round, half of it for each direction.
  const Duration computing = now - training_began_;
  limits.round_bytes = goodput_.bytes_within(std::max(Duration::zero(), round_time_ - computing) / 2);
  return limits;
}

void UploadRate::handle_update(const plan::RoundPlan& plan, uint64_t sequence, const rate::RateDecision& decision,
                               uint64_t message_bytes, uint64_t payload_bytes, uint32_t coordinates, Instant now) {
  const uint64_t overhead = message_bytes - std::min(message_bytes, payload_bytes);
  history_.add(plan.run, plan.round, decision.norm, message_bytes, static_cast<double>(overhead));
  const double bandwidth = goodput_.estimate().bytes_per_second;
  if (bandwidth > 0.0)
    bandwidth_mean_ = bandwidth_mean_ == 0.0 ? bandwidth : bandwidth_mean_ + kSmoothing * (bandwidth - bandwidth_mean_);
  RateReport report;
  report.round = plan.round;
  report.decision = decision;
  report.goodput = goodput_.estimate();
  report.time_left = deadline_ == kNever ? Duration::zero() : std::max(Duration::zero(), deadline_ - now);
  report.message_bytes = message_bytes;
  report.bits = coordinates == 0 || message_bytes == 0
                    ? 0.0
                    : 8.0 * static_cast<double>(payload_bytes) / static_cast<double>(coordinates);
  if (open_.size() == kOpenMax) open_.erase(open_.begin());
  open_.push_back({sequence, deadline_, report});
  kept_in_row_ = message_bytes == 0 ? kept_in_row_ + 1 : 0;
}

std::optional<RateReport> UploadRate::handle_outcome(Instant now, uint64_t sequence, UploadOutcome outcome,
                                                     bool carried) {
  const auto open =
      std::find_if(open_.begin(), open_.end(), [&](const Open& each) { return each.sequence == sequence; });
  if (open == open_.end()) return std::nullopt;
  RateReport report = open->report;
  report.outcome = outcome == UploadOutcome::kInTime && now > open->deadline ? UploadOutcome::kLate : outcome;
  report.carried = carried;
  open_.erase(open);
  probing_ = report.outcome == UploadOutcome::kInTime && report.decision.bound == rate::RateBound::kCoarsest;
  return report;
}

}  // namespace runnel::device
