// One round after another, synchronous or buffered (docs/rounds.md): who takes part, which updates count, when the
// model moves on.
//
// Knows nothing of sessions or frames. What it decides is durable before anybody hears of it: each poll_store() is one
// transaction, carried out by the caller and reported with handle_stored(); nothing else is decided meanwhile.
// Order: open (stored) -> accept updates (stored, then acknowledged) -> close with the new model (stored) -> next.
// Memory: the model twice (thrice with a quantized downlink, and its deltas), 8 bytes a parameter for the sums, what
// the server's optimizer remembers, and the updates that wait for the disk. Whatever the number of updates, unless the
// aggregation method needs all of them at once: then 4 bytes a parameter and update, up to a bound.
// An update counts in the round that is open when it is complete, which may be a later one than it was trained for.
// Threads: one at a time. Trust: updates come from devices and are checked before they touch the sums.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/engine/assignments.h"
#include "coordinator/engine/counted_updates.h"
#include "coordinator/engine/pace.h"
#include "coordinator/engine/public_model.h"
#include "coordinator/engine/rate_planner.h"
#include "coordinator/engine/robust_aggregate.h"
#include "coordinator/engine/round_sums.h"
#include "coordinator/engine/server_optimizer.h"
#include "coordinator/engine/store_request.h"
#include "coordinator/store/store.h"
#include "runtime/base/time.h"
#include "runtime/base/timer_table.h"
#include "runtime/wire/frame.h"

namespace runnel::coordinator {

// Why an update does not count, in the protocol's terms.
struct Rejection {
  wire::Reason reason = wire::Reason::kUnspecified;
  std::string detail;
};

struct RoundOptions {
  uint64_t run = 0;
  FleetPlan plan;
  plan::ModelLayout layout;
  uint64_t robust_bytes_max =
      RobustAggregate::kBytesMaxDefault;    // of a round's updates, where the method needs them all
  Duration store_retry_after = seconds(2);  // pause before a transaction that the disk refused is tried again
  // Operations of an aggregation that are done without looking at anything else: about 20 ms of a desktop's core.
  uint64_t aggregate_slice = 32ULL << 20;
};

class RoundEngine {
 public:
  enum class Phase : uint8_t { kWaiting, kOpening, kOpen, kClosing, kFinished };

  // Goes on from a snapshot and the ledger: the accepted updates of an open round are added to the sums again.
  // kCorrupt when the snapshot does not fit the layout or an accepted update does not decode, kOutOfRange when the
  // plan's rounds need more memory than robust_bytes_max.
  static Result<RoundEngine> create(const RoundOptions& options, Snapshot snapshot,
                                    const std::vector<LedgerEntry>& ledger, Instant now);

  // A device that can be selected from now on, or no longer.
  void handle_device(Instant now, const std::string& name, bool selectable);
  // It can be reached again, or no longer. Who is drawn for a synchronous round may be away.
  void handle_reachable(Instant now, const std::string& device, bool reachable);
  // The device has nothing under way any more: its update of `round` is refused for good or, with 0, it begins anew.
  void handle_settled(Instant now, const std::string& device, uint32_t round);
  // The device has an update of that round under way, of which bytes came just now.
  void handle_bytes(Instant now, const std::string& device, uint32_t round);

  // Whether an offered update could count, in the open round or the next: nullopt if so; a rejection otherwise. An
  // update that counts already is neither: is_accepted() says so first.
  std::optional<Rejection> check_offer(const std::string& device, const wire::UpdateOffer& offer) const;

  // False between two rounds, and while the open one holds all that it can: a whole update then has to wait.
  bool takes_updates() const;

  // A whole Update message, of which `checksum` is the CRC-32C. On success it waits for the disk; its device is
  // acknowledged by taking it from poll_accepted(). kBusy unless takes_updates().
  std::optional<Rejection> handle_update(Instant now, const std::string& device, uint64_t sequence, ByteBuffer blob,
                                         uint32_t checksum);

  void handle_timeout(Instant now);
  Instant next_timeout() const {
    return std::min({timers_.next_timeout(), pace_.next_overdue(), assignments_.next_timeout()});
  }

  // How long a device may be away that has nothing to do, of `connected` that are there; nullopt: it had better stay.
  std::optional<Pace::Rest> rest(const std::string& device, size_t connected, Instant now) const;
  // It was told so.
  void handle_resting(Instant now, const std::string& device, const Pace::Rest& rest);

  // The next transaction, or nullptr when there is none or one is under way. The caller may set the times in it; it
  // stays valid until handle_stored().
  StoreRequest* poll_store(Instant now);
  void handle_stored(Instant now, const Failure& failure);

  // What happened since the last call, each once.
  struct Accepted {
    std::string device;
    uint64_t sequence;
    bool late = false;  // trained for an earlier round
  };
  std::optional<Accepted> poll_accepted();
  struct Closed {
    RoundResult result;
    std::vector<std::string> missing;  // selected, but without an update when the round closed
  };
  std::optional<Closed> poll_closed();
  std::optional<std::string> poll_warning();
  // True once after the set of devices that should have a plan has changed, in synchronous rounds; in buffered ones, a
  // device that should have one now.
  bool take_plans_changed() { return std::exchange(plans_changed_, false); }
  std::optional<std::string> poll_assigned();

  Phase phase() const { return phase_; }
  Instant created_at() const { return created_at_; }
  uint32_t round() const { return round_.round; }
  uint32_t rounds_closed() const { return rounds_closed_; }
  const ModelRecord& model() const { return model_; }  // the newest version: what the open round starts from
  // Durable: it has counted or will count in the open round.
  bool is_accepted(const std::string& device, uint64_t sequence) const { return counts_.is_durable(device, sequence); }
  // What must never happen: the update that was decoded last is added to the sums once more. For planted_bug.h.
  void count_newest_again();
  // In the sums, and on its way to the disk.
  bool is_waiting(const std::string& device, uint64_t sequence) const { return counts_.is_waiting(device, sequence); }
  // True while a transaction of this engine is with the caller, or ready for it.
  bool is_storing() const { return in_flight_ != nullptr && !timers_.is_set(Timer::kStoreRetry); }
  uint64_t waiting_bytes() const { return waiting_bytes_; }  // of the messages that wait for the disk
  // The unfinished uploads of the snapshot, for whoever looks after them.
  std::vector<UploadPart> take_uploads() { return std::exchange(uploads_, {}); }
  // The deltas that lead to model() in devices, ascending without a gap; empty when only the full model does.
  std::span<const ModelDelta> model_deltas() const { return deltas_; }
  // The model as trained, of which model() is what devices hold of it; the same without a quantized downlink.
  std::span<const float> exact_model() const { return exact_.empty() ? model_.parameters : exact_; }
  // Of the newest durable update of that device; 0 when there is none.
  uint64_t last_sequence(const std::string& device) const { return counts_.last_sequence(device); }
  // The plan for a device that should train now; nullopt when it has nothing to do.
  std::optional<plan::RoundPlan> plan_for(const std::string& device, Instant now) const;
  // The version of the model that a round's plans say, however long ago; 0 for one that has not opened.
  uint64_t version_of(uint32_t round) const;
  size_t selected_count() const { return selected_.size(); }
  size_t accepted_count() const { return sums_.count(); }
  size_t selectable_count() const { return selectable_.size(); }
  size_t away_count() const { return pace_.away_count(); }  // told when to come back, and not overdue

 private:
  enum class Timer : uint8_t { kDeadline, kGrace, kStoreRetry, kAggregate, kCount };

  RoundEngine(const RoundOptions& options, Snapshot snapshot, const std::vector<LedgerEntry>& ledger);
  std::optional<Rejection> check_identity(const std::string& device, const wire::UpdateOffer& offer) const;
  std::optional<Rejection> read(const std::string& device, uint64_t sequence, ByteView blob,
                                wire::Update& update) const;
  std::optional<Rejection> add(const std::string& device, const wire::Update& update, UpdateRecord& record);
  bool buffered() const { return options_.plan.policy.policy == plan::RoundPolicy::kBuffered; }
  uint64_t versions_behind(uint32_t round) const;
  void open_round(Instant now);
  void assign(Instant now);
  bool may_open() const;
  bool has_all() const;
  size_t counted() const { return buffered() ? sums_.count() : accepted_.size(); }
  bool holds_for_uploads(Instant now);
  void consider(Instant now);
  void prepare_close(Instant now);
  void aggregate(Instant now);
  void move_model(std::span<const double> aggregate, RoundResult& result) const;
  void extend(Instant now);
  void end_round(RoundResult result);
  size_t target_count() const;
  size_t cohort_count(size_t candidates) const;
  Instant deadline_after(Instant now) const;

  RoundOptions options_;
  TimerTable<Timer> timers_;
  Phase phase_ = Phase::kWaiting;
  uint32_t rounds_closed_ = 0;
  ModelRecord model_;
  std::vector<float> exact_;  // empty: model_ is exact
  std::vector<ModelDelta> deltas_;
  RoundRecord round_;
  Instant created_at_{};
  Instant opened_at_{};
  Instant deadline_ = kNever;
  std::set<std::string> selectable_;
  std::set<std::string> selected_;
  std::set<std::string> accepted_;  // devices whose update of the open round is in the sums
  CountedUpdates counts_;
  RoundSums sums_;
  OptimizerState optimizer_;
  RatePlanner rate_;
  Pace pace_;
  std::vector<float> scratch_;

  std::vector<UpdateRecord> waiting_;  // accepted, not yet handed to the disk
  uint64_t waiting_bytes_ = 0;         // of these and of those under way
  std::vector<UploadPart> uploads_;
  Assignments assignments_;  // buffered rounds
  std::vector<std::string> newly_assigned_;
  std::map<std::string, Instant> uploading_;  // synchronous rounds with a grace: selected, and when bytes came last
  Instant could_close_at_ = kNever;
  RoundResult closing_;  // while its aggregate is being made
  std::vector<std::string> extension_;
  std::unique_ptr<StoreRequest> in_flight_;  // handed out, or to be tried again
  bool in_flight_out_ = false;
  bool plans_changed_ = false;
  std::vector<Accepted> newly_accepted_;
  std::vector<Closed> newly_closed_;
  std::vector<std::string> warnings_;
};

}  // namespace runnel::coordinator
