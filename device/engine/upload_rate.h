// What the device knows about its link and its spending, and how each update fared: the memory behind the rate
// controller's decisions.
//
// Time: passed in. Threads: one at a time. Memory: fixed, and a report for each update that waits; state()
// is what survives a restart.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/time.h"
#include "runtime/plan/round_plan.h"
#include "runtime/rate/rate_controller.h"

namespace runnel::device {

// How an update fared.
enum class UploadOutcome : uint8_t {
  kInTime,   // durable at the coordinator before the round's deadline
  kLate,     // the deadline had passed when its fate was known; see `carried`
  kRefused,  // for another reason than the time
  kKept,     // never sent: not even its coarsest form would have arrived in time
};
const char* upload_outcome_name(UploadOutcome outcome);

// One line for every update that was made, once its fate is known.
struct RateReport {
  uint32_t round = 0;
  rate::RateDecision decision;
  rate::Goodput goodput;       // as known when it was decided
  Duration time_left{};        // then
  uint64_t message_bytes = 0;  // of the Update message; 0 if it was kept
  double bits = 0.0;           // a coordinate, of the payload
  UploadOutcome outcome = UploadOutcome::kInTime;
  bool carried = false;  // what did not get there is in the next update
};

class UploadRate {
 public:
  static constexpr size_t kStateBytes =
      rate::GoodputEstimator::kStateBytes + rate::RateHistory::kStateBytes + sizeof(double);

  // Takes what state() gave before a restart; false, and knows nothing, if it is not that.
  bool restore(ByteView state);
  ByteView state();  // valid until the next call

  rate::GoodputEstimator& goodput() { return goodput_; }
  const rate::GoodputEstimator& goodput() const { return goodput_; }
  // True before the first round: what is known is the link alone.
  bool knows_only_goodput() const {
    return deadline_ == kNever && bandwidth_mean_ == 0.0 && backlog_bytes_ == 0.0 && !probing_ && kept_in_row_ == 0 &&
           round_time_ == Duration::zero() && training_began_ == Instant{} && open_.empty();
  }
  const rate::RateHistory& history() const { return history_; }

  // A round to take part in: its deadline counts from now.
  void handle_plan(Instant now, const plan::RoundPlan& plan);
  // The same round again, with a deadline that may be another.
  void handle_deadline(Instant now, const plan::RoundPlan& plan);
  void handle_training_started(Instant now) { training_began_ = now; }
  bool deadline_passed(Instant now) const { return now > deadline_; }
  // A further update on a plan whose deadline is of no account any more.
  void handle_no_deadline() { deadline_ = kNever; }

  // An upload was stopped with so many bytes sent and not acknowledged: until they are through, they are in the way of
  // the next one.
  void handle_given_up(Instant now, uint64_t bytes);
  // With the connection goes what was in its queue.
  void handle_link_down() { backlog_bytes_ = 0.0; }

  // What the link grants to an update that is ready now.
  rate::LinkLimits limits(Instant now) const;

  // The update of that plan was made: `message_bytes` 0 if it stays here.
  void handle_update(const plan::RoundPlan& plan, uint64_t sequence, const rate::RateDecision& decision,
                     uint64_t message_bytes, uint64_t payload_bytes, uint32_t coordinates, Instant now);
  // And this is what became of it; nullopt if it was made before a restart.
  std::optional<RateReport> handle_outcome(Instant now, uint64_t sequence, UploadOutcome outcome, bool carried);

 private:
  Instant deadline_of(Instant now, const plan::RoundPlan& plan) const;

  rate::GoodputEstimator goodput_;
  rate::RateHistory history_;
  Instant deadline_ = kNever;    // of the plan at hand
  double bandwidth_mean_ = 0.0;  // of the estimates that earlier updates were decided with, bytes a second; 0 = none
  double backlog_bytes_ = 0.0;   // given up at backlog_at_
  Instant backlog_at_{};
  bool probing_ = false;      // the last update was sent against the estimate, and was in time
  uint32_t kept_in_row_ = 0;  // updates that were not sent, since one was
  Duration round_time_{};     // its length, as far as this device saw it
  Instant training_began_{};
  // Of an update whose fate is not known.
  struct Open {
    uint64_t sequence = 0;
    Instant deadline = kNever;
    RateReport report;
  };
  std::vector<Open> open_;  // one for each update that waits in the outbox, at most
  std::array<uint8_t, kStateBytes> state_{};
};

}  // namespace runnel::device
