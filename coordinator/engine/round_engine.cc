#include "coordinator/engine/round_engine.h"

#include <algorithm>
#include <cmath>

#include "coordinator/engine/cohort.h"
#include "coordinator/engine/update_scale.h"
#include "runtime/codec/update_codec.h"

namespace runnel::coordinator {
namespace {

// An upload of which bytes came this recently is still moving.
constexpr Duration kUploadMoves = seconds(5);

Rejection reject(wire::Reason reason, std::string detail) {
  return {reason, std::move(detail)};
}

wire::Reason reason_of(Error error) {
  switch (error) {
    case Error::kShape:
      return wire::Reason::kShape;
    case Error::kNotFinite:
      return wire::Reason::kNotFinite;
    case Error::kLimit:
    case Error::kOutOfRange:
      return wire::Reason::kLimit;
    case Error::kUnsupported:
      return wire::Reason::kCodec;
    default:
      return wire::Reason::kMalformed;
  }
}

template <typename T>
std::optional<T> take_first(std::vector<T>& items) {
  if (items.empty()) return std::nullopt;
  std::optional<T> first(std::move(items.front()));
  items.erase(items.begin());
  return first;
}

}  // namespace

RoundEngine::RoundEngine(const RoundOptions& options, Snapshot snapshot, const std::vector<LedgerEntry>& ledger)
    : options_(options),
      rounds_closed_(snapshot.rounds_closed),
      model_(std::move(snapshot.model)),
      sums_(options.plan.aggregation, options.layout.shared_count, options.robust_bytes_max),
      rate_(options.plan, options.layout.shared_count, snapshot.history),
      pace_(options.plan, snapshot.history),
      scratch_(options.layout.shared_count),
      assignments_(options.plan.cohort) {
  if (snapshot.round_open) round_ = std::move(snapshot.round);
  uploads_ = std::move(snapshot.uploads);
  exact_ = std::move(snapshot.exact);
  // Of use is what leads to the newest version without a gap.
  size_t first = snapshot.deltas.size();
  for (uint64_t version = model_.version; first > 0 && snapshot.deltas[first - 1].version == version; --version)
    --first;
  deltas_.assign(std::make_move_iterator(snapshot.deltas.begin() + static_cast<std::ptrdiff_t>(first)),
                 std::make_move_iterator(snapshot.deltas.end()));
  for (const LedgerEntry& entry : ledger) {
    if (entry.sequence > last_sequence(entry.device) && entry.merged_into <= rounds_closed_)
      rate_.handle_accepted(entry.device, entry.sample_count);
    counts_.note_durable(entry.device, entry.sequence);
    counts_.note_round(entry.device, entry.round);
  }
}

Result<RoundEngine> RoundEngine::create(const RoundOptions& options, Snapshot snapshot,
                                        const std::vector<LedgerEntry>& ledger, Instant now) {
  if (snapshot.model.parameters.size() != options.layout.parameter_count) {
    return fail(Error::kCorrupt, "the stored model has %zu parameters, its description %u",
                snapshot.model.parameters.size(), options.layout.parameter_count);
  }
  if (!snapshot.exact.empty() && snapshot.exact.size() != snapshot.model.parameters.size()) {
    return fail(Error::kCorrupt, "the stored exact model has %zu parameters, the model %zu", snapshot.exact.size(),
                snapshot.model.parameters.size());
  }
  if (options.layout.shared_count == 0) return fail(Error::kInvalidArgument, "the model shares no layer");
  RUNNEL_TRY(RobustAggregate::check(options.plan, options.layout.shared_count, options.robust_bytes_max));
  const std::vector<uint8_t> optimizer_state = std::move(snapshot.optimizer_state);
  const std::vector<UpdateRecord> accepted = std::move(snapshot.accepted);
  const bool round_open = snapshot.round_open;
  RoundEngine engine(options, std::move(snapshot), ledger);
  engine.created_at_ = now;
  Result<OptimizerState> optimizer =
      resume_state(options.plan.server, optimizer_state, options.layout.shared_count, engine.warnings_);
  if (!optimizer) return optimizer.failure();
  engine.optimizer_ = std::move(*optimizer);
  if (engine.rounds_closed_ >= options.plan.rounds) engine.phase_ = Phase::kFinished;
  if (!round_open) return engine;

  engine.phase_ = Phase::kOpen;
  engine.selected_.insert(engine.round_.selected.begin(), engine.round_.selected.end());
  engine.assignments_.handle_round(now, engine.round_.round, 0);
  for (const UpdateRecord& stored : accepted) {
    wire::Update update;
    UpdateRecord record;
    auto bad = engine.read(stored.device, stored.sequence, stored.blob, update);
    if (!bad.has_value() && update.round > engine.round_.round)
      bad = reject(wire::Reason::kMalformed, "it is of a later round");
    if (!bad.has_value()) bad = engine.add(stored.device, update, record);
    if (bad.has_value()) {
      return fail(Error::kCorrupt, "the stored update of %s in round %u: %s", stored.device.c_str(), stored.merged_into,
                  bad->detail.c_str());
    }
    engine.assignments_.handle_settled(now, stored.device, stored.round);
  }
  engine.opened_at_ = now;
  // A round that was opened as a buffered one has no cohort: it ends with what it has or, if that is nothing, gets a
  // cohort as if its deadline had passed.
  if (engine.selected_.empty()) engine.selected_ = engine.accepted_;
  const bool nobody = !engine.buffered() && engine.selected_.empty();
  engine.deadline_ = nobody ? now : engine.deadline_after(now);
  engine.timers_.set(Timer::kDeadline, engine.deadline_);
  engine.consider(now);
  return engine;
}

// Devices that a round asks, of so many that are there.
size_t RoundEngine::cohort_count(size_t candidates) const {
  if (options_.plan.cohort == 0) return candidates;
  return static_cast<size_t>(std::ceil(options_.plan.cohort * (1.0 + options_.plan.over_selection)));
}

Instant RoundEngine::deadline_after(Instant now) const {
  return now + Duration(static_cast<int64_t>(options_.plan.deadline_seconds * 1e6));
}

size_t RoundEngine::target_count() const {
  return options_.plan.cohort == 0 ? selected_.size() : std::min<size_t>(options_.plan.cohort, selected_.size());
}

void RoundEngine::handle_device(Instant now, const std::string& name, bool selectable) {
  if (selectable) {
    pace_.handle_back(name);
    selectable_.insert(name);
  } else {
    selectable_.erase(name);
  }
  if (buffered()) {
    selectable ? assignments_.handle_available(now, name) : assignments_.handle_away(name);
    assign(now);
  }
  consider(now);
}

void RoundEngine::handle_reachable(Instant now, const std::string& device, bool reachable) {
  if (!buffered()) return;
  if (!reachable) {
    assignments_.handle_away(device);
  } else if (selectable_.contains(device)) {
    assignments_.handle_available(now, device);
    assign(now);
  }
}

void RoundEngine::handle_settled(Instant now, const std::string& device, uint32_t round) {
  uploading_.erase(device);
  if (buffered()) {
    assignments_.handle_settled(now, device, round);
    assign(now);
  }
  consider(now);
}

void RoundEngine::handle_bytes(Instant now, const std::string& device, uint32_t round) {
  if (buffered()) {
    assignments_.handle_found_working(device, version_of(round), deadline_after(now));
  } else if (options_.plan.policy.grace_seconds > 0.0 && phase_ == Phase::kOpen && round == round_.round &&
             selected_.contains(device) && !accepted_.contains(device)) {
    uploading_[device] = now;
  }
}

// --- which updates count ---

void RoundEngine::count_newest_again() {
  UpdateRecord record;
  record.sequence = sums_.count() + 1;
  record.sample_count = 1;
  static_cast<void>(sums_.add(record, scratch_).ok());
}

uint64_t RoundEngine::version_of(uint32_t round) const {
  const uint32_t next = rounds_closed_ + 1;  // it starts from model_
  return round == 0 || round > next || next - round >= model_.version ? 0 : model_.version - (next - round);
}

// Behind the round in which an update of that round would count if it were complete now.
uint64_t RoundEngine::versions_behind(uint32_t round) const {
  const bool next = phase_ == Phase::kClosing || (phase_ == Phase::kOpen && !takes_updates());
  return uint64_t{rounds_closed_} + (next ? 2 : 1) - round;
}

bool RoundEngine::takes_updates() const {
  if (phase_ != Phase::kOpen || sums_.full()) return false;
  return !buffered() || sums_.count() < options_.plan.policy.buffer;
}

std::optional<plan::RoundPlan> RoundEngine::plan_for(const std::string& device, Instant now) const {
  if (phase_ != Phase::kOpen) return std::nullopt;
  Instant until = deadline_;
  if (buffered()) {
    const std::optional<Instant> assigned = assignments_.until(device);
    if (!assigned.has_value() || assignments_.version(device) != round_.base_version) return std::nullopt;
    until = *assigned;
  } else if (!selected_.contains(device) || accepted_.contains(device)) {
    return std::nullopt;
  }
  plan::RoundPlan plan;
  plan.run = options_.run;
  plan.round = round_.round;
  plan.rounds = options_.plan.rounds;
  plan.model_version = round_.base_version;
  plan.seed = device_seed(options_.plan.seed, round_.round, device);
  plan.time_left = std::max(Duration::zero(), until - now);
  plan.training = options_.plan.training;
  plan.codec = options_.plan.codec;
  plan.policy = options_.plan.policy.policy;
  plan.staleness_max = options_.plan.policy.staleness_max;
  plan.offline_updates = buffered() ? options_.plan.policy.offline_updates : 0;
  rate_.fill(device, plan);
  return plan;
}

std::optional<Rejection> RoundEngine::check_offer(const std::string& device, const wire::UpdateOffer& offer) const {
  if (offer.run != options_.run) return reject(wire::Reason::kUnknownRun, "the update is of another run");
  if (phase_ == Phase::kFinished) return reject(wire::Reason::kRoundClosed, "the run is finished");
  const bool opened = phase_ == Phase::kOpen || phase_ == Phase::kClosing;
  if (offer.round == 0 || offer.round > rounds_closed_ + (opened ? 1 : 0))
    return reject(wire::Reason::kMalformed, "round " + std::to_string(offer.round) + " is not open");
  const uint64_t behind = versions_behind(offer.round);
  const uint32_t staleness_max = options_.plan.policy.staleness_max;
  if (behind > staleness_max) {
    if (staleness_max == 0)
      return reject(wire::Reason::kRoundClosed, "round " + std::to_string(offer.round) + " is closed");
    return reject(wire::Reason::kStale, "the update started from model version " +
                                            std::to_string(version_of(offer.round)) + ", " + std::to_string(behind) +
                                            " behind; it counts up to " + std::to_string(staleness_max));
  }
  if (offer.model_version != 0 && offer.model_version != version_of(offer.round)) {
    return reject(wire::Reason::kUnknownModel,
                  "the update is against model version " + std::to_string(offer.model_version) + ", round " +
                      std::to_string(offer.round) + " started from " + std::to_string(version_of(offer.round)));
  }
  return check_identity(device, offer);
}

// One update a device and round; more of a round if the plan let the device go on by itself. Rounds never go back: an
// update of a round before the newest that counted would be a second one.
std::optional<Rejection> RoundEngine::check_identity(const std::string& device, const wire::UpdateOffer& offer) const {
  const CountedUpdates::OfDevice counted = counts_.of(device);
  const uint64_t newest = std::max(counted.sequence, counted.waiting);
  if (offer.sequence <= newest) {
    return reject(wire::Reason::kMalformed, "sequence " + std::to_string(offer.sequence) + " is not above " +
                                                std::to_string(newest) + ", the newest accepted");
  }
  if (!buffered() && offer.round == round_.round && phase_ == Phase::kOpen) {
    if (!selected_.contains(device))
      return reject(wire::Reason::kMalformed, "the device is not in this round's cohort");
    if (accepted_.contains(device)) return reject(wire::Reason::kMalformed, "a second update for the same round");
  }
  const uint32_t of_round_max = buffered() ? 1 + options_.plan.policy.offline_updates : 1;
  if (offer.round < counted.round || (offer.round == counted.round && counted.of_round >= of_round_max)) {
    return reject(wire::Reason::kMalformed, "an update of round " + std::to_string(offer.round) + " after " +
                                                std::to_string(counted.of_round) + " of round " +
                                                std::to_string(counted.round));
  }
  return std::nullopt;
}

// The message as that device's update; whether it counts now is another question.
std::optional<Rejection> RoundEngine::read(const std::string& device, uint64_t sequence, ByteView blob,
                                           wire::Update& update) const {
  if (const Failure bad = wire::decode_update(blob, update); !bad.ok())
    return reject(reason_of(bad.error()), bad.text());
  if (update.device != device) return reject(wire::Reason::kIdentity, "the update names another device");
  if (update.sequence != sequence)
    return reject(wire::Reason::kMalformed, "the update's sequence is not the one offered");
  if (update.run != options_.run) return reject(wire::Reason::kUnknownRun, "the update is of another run");
  if (update.model_version == 0 || update.model_version != version_of(update.round)) {
    return reject(wire::Reason::kUnknownModel,
                  "the update is against model version " + std::to_string(update.model_version));
  }
  return std::nullopt;
}

// Adds an update that counts to the sums, scaled as its staleness and the plan say. Nothing changed if its values are
// rejected.
std::optional<Rejection> RoundEngine::add(const std::string& device, const wire::Update& update, UpdateRecord& record) {
  const std::span<const plan::EncodedTensor> tensors(update.tensors.begin(), update.tensors.size());
  if (const Failure bad = codec::decode_update(plan::shared_layout(options_.layout), tensors, scratch_); !bad.ok()) {
    return reject(reason_of(bad.error()), bad.text());
  }
  double energy = squared_norm(scratch_);
  const uint64_t behind = round_.base_version - update.model_version;
  // What is not finite is named by the sums.
  const float scale = std::isfinite(energy) ? update_scale(options_.plan, behind, std::sqrt(energy)) : 1.0F;
  if (scale != 1.0F) {
    scale_update(scratch_, scale);
    energy = squared_norm(scratch_);
  }

  record.round = update.round;
  record.merged_into = round_.round;
  record.device = device;
  record.sequence = update.sequence;
  record.model_version = update.model_version;
  record.sample_count = update.sample_count;
  record.mean_loss = update.mean_loss;
  const plan::LocalEvaluation& found = update.evaluation;
  record.evaluation = {update.round,       device,
                       update.sequence,    static_cast<uint8_t>(found.metric),
                       found.examples,     found.loss_before,
                       found.value_before, found.loss_after,
                       found.value_after,  found.tuned_steps,
                       found.loss_tuned,   found.value_tuned};
  record.coordinates = options_.layout.shared_count;
  record.payload_bytes = 0;
  for (const plan::EncodedTensor& tensor : tensors) record.payload_bytes += tensor.payload.size();
  if (const Failure bad = sums_.add(record, scratch_, energy); !bad.ok())
    return reject(reason_of(bad.error()), bad.text());
  if (update.round == round_.round) accepted_.insert(device);
  return std::nullopt;
}

std::optional<Rejection> RoundEngine::handle_update(Instant now, const std::string& device, uint64_t sequence,
                                                    ByteBuffer blob, uint32_t checksum) {
  // Not in add(): what was acknowledged before a restart has its place.
  if (!takes_updates()) return reject(wire::Reason::kBusy, "no room for another update in this round");
  wire::Update update;
  if (auto bad = read(device, sequence, blob, update); bad.has_value()) return bad;
  wire::UpdateOffer offer;
  offer.run = update.run;
  offer.round = update.round;
  offer.sequence = sequence;
  offer.model_version = update.model_version;
  if (auto bad = check_offer(device, offer); bad.has_value()) return bad;
  UpdateRecord record;
  if (auto bad = add(device, update, record); bad.has_value()) return bad;
  waiting_bytes_ += blob.size();
  record.blob = std::move(blob);
  record.checksum = checksum;
  counts_.note_waiting(device, sequence, update.round);
  uploading_.erase(device);
  waiting_.push_back(std::move(record));
  consider(now);
  return std::nullopt;
}

std::optional<Pace::Rest> RoundEngine::rest(const std::string& device, size_t connected, Instant now) const {
  if (phase_ != Phase::kOpen || plan_for(device, now).has_value()) return std::nullopt;
  if (assignments_.until(device).has_value()) return std::nullopt;  // on an older plan
  return pace_.rest(device, round_.round, connected, now - opened_at_, std::max(Duration::zero(), deadline_ - now));
}

void RoundEngine::handle_resting(Instant now, const std::string& device, const Pace::Rest& rest) {
  pace_.handle_resting(device, rest, now);
  if (buffered()) assignments_.handle_away(device);
  if (!rest.counts) selectable_.erase(device);
}

void RoundEngine::handle_timeout(Instant now) {
  for (const std::string& overdue : pace_.take_overdue(now)) selectable_.erase(overdue);
  if (timers_.take_expired(Timer::kStoreRetry, now)) in_flight_out_ = false;
  if (buffered()) {
    assignments_.handle_timeout(now);
    assign(now);
  }
  if (timers_.take_expired(Timer::kAggregate, now)) aggregate(now);
  const bool grace_over = timers_.take_expired(Timer::kGrace, now);
  if (timers_.take_expired(Timer::kDeadline, now) || grace_over) consider(now);
}

// --- rounds ---

// Plans of the newest version for those who have nothing else to do. Not when the version is about to be replaced.
void RoundEngine::assign(Instant now) {
  if (!takes_updates()) return;
  while (auto device = assignments_.poll(round_.base_version, deadline_after(now)))
    newly_assigned_.push_back(std::move(*device));
}

bool RoundEngine::may_open() const {
  // Buffered rounds go on without anybody there: updates may still come.
  if (buffered() && rounds_closed_ > 0) return true;
  const size_t needed = std::max<size_t>({1, options_.plan.min_devices, pace_.needed(selectable_.size())});
  return selectable_.size() >= needed;
}

bool RoundEngine::has_all() const {
  if (sums_.full()) return true;
  if (buffered()) return sums_.count() >= options_.plan.policy.buffer;
  return !selected_.empty() && accepted_.size() >= target_count();
}

// A round that could close waits for uploads that are moving, up to the grace.
bool RoundEngine::holds_for_uploads(Instant now) {
  if (uploading_.empty() || sums_.full()) return false;
  could_close_at_ = std::min(could_close_at_, now);
  const Instant end = could_close_at_ + Duration(static_cast<int64_t>(options_.plan.policy.grace_seconds * 1e6));
  Instant moving_until{};
  for (const auto& [device, last] : uploading_) moving_until = std::max(moving_until, last + kUploadMoves);
  const Instant until = std::min(end, moving_until);
  if (until <= now) return false;
  timers_.set(Timer::kGrace, until);
  return true;
}

// Looks at everything that could move the round on.
void RoundEngine::consider(Instant now) {
  if (in_flight_ != nullptr) return;  // handle_stored() comes back here
  if (phase_ == Phase::kWaiting) {
    if (may_open()) open_round(now);
    return;
  }
  if (phase_ != Phase::kOpen || !waiting_.empty()) return;
  if (!has_all()) {
    if (deadline_ > now) return;
    if (counted() < options_.plan.quorum) return extend(now);
  }
  if (!holds_for_uploads(now)) prepare_close(now);
}

void RoundEngine::open_round(Instant now) {
  const std::vector<std::string> candidates(selectable_.begin(), selectable_.end());
  const size_t count = cohort_count(candidates.size());
  OpenRound request;
  request.round.round = rounds_closed_ + 1;
  request.round.base_version = model_.version;
  if (!buffered()) request.round.selected = select_cohort(candidates, count, options_.plan.seed, request.round.round);
  opened_at_ = now;
  phase_ = Phase::kOpening;
  in_flight_ = std::make_unique<StoreRequest>(std::move(request));
}

void RoundEngine::prepare_close(Instant now) {
  closing_ = {};
  closing_.round = round_.round;
  closing_.seconds = static_cast<double>((now - opened_at_).count()) * 1e-6;
  phase_ = Phase::kClosing;
  timers_.stop(Timer::kDeadline);
  timers_.stop(Timer::kGrace);
  aggregate(now);
}

// A slice of it at a time: whoever drives this answers its devices in between.
void RoundEngine::aggregate(Instant now) {
  if (!sums_.prepare(options_.aggregate_slice)) {
    timers_.set(Timer::kAggregate, now);
    return;
  }
  CloseRound request{std::exchange(closing_, {})};
  move_model(sums_.close(request.result), request.result);
  if (std::string weak = sums_.weakness(); !weak.empty())
    warnings_.push_back("round " + std::to_string(round_.round) + ": " + weak);
  in_flight_ = std::make_unique<StoreRequest>(std::move(request));
}

// What the coordinator has moves as the optimizer says; what devices hold follows as the downlink allows.
void RoundEngine::move_model(std::span<const double> aggregate, RoundResult& result) const {
  std::vector<float> exact(exact_model().begin(), exact_model().end());
  OptimizerState optimizer = optimizer_;  // that one has made the step when the step is stored
  const auto rate_of = [&](uint32_t round) {
    return static_cast<double>(plan::learning_rate_at(options_.plan.training, round, options_.plan.rounds));
  };
  const double rate_ratio = round_.round > 1 ? rate_of(round_.round) / rate_of(round_.round - 1) : 1.0;
  server_step(options_.plan.server, aggregate, std::span(exact).first(options_.layout.shared_count), optimizer,
              rate_ratio);
  result.optimizer_state = encode_state(optimizer);
  follow(options_.plan.downlink, options_.layout.shared_count, model_, std::move(exact), result);
}

// The deadline has passed without a quorum: what has arrived is kept, others are asked too, and the wait starts again.
void RoundEngine::extend(Instant now) {
  deadline_ = deadline_after(now);
  timers_.set(Timer::kDeadline, deadline_);
  const std::string counts = "round " + std::to_string(round_.round) + ": " + std::to_string(counted()) + " of " +
                             std::to_string(options_.plan.quorum) + " updates at the deadline; extended";
  if (buffered()) {
    warnings_.push_back(counts);
    return;
  }
  std::vector<std::string> candidates;
  std::set_difference(selectable_.begin(), selectable_.end(), selected_.begin(), selected_.end(),
                      std::back_inserter(candidates));
  const size_t missing = selected_.empty() ? cohort_count(candidates.size()) : target_count() - accepted_.size();
  extension_ = select_cohort(std::move(candidates), missing, options_.plan.seed, round_.round);
  warnings_.push_back(counts + ", with " + std::to_string(extension_.size()) + " more devices");
  plans_changed_ = true;  // those who have the plan hear of the new deadline
  if (!extension_.empty()) in_flight_ = std::make_unique<StoreRequest>(ExtendRound{round_.round, extension_});
}

StoreRequest* RoundEngine::poll_store(Instant now) {
  consider(now);
  if (in_flight_ == nullptr && !waiting_.empty())
    in_flight_ = std::make_unique<StoreRequest>(AcceptUpdates{std::exchange(waiting_, {})});
  if (in_flight_ == nullptr || in_flight_out_) return nullptr;
  in_flight_out_ = true;
  return in_flight_.get();
}

void RoundEngine::end_round(RoundResult result) {
  rounds_closed_ = result.round;
  model_ = result.model;
  exact_ = std::move(result.exact);
  Result<OptimizerState> optimizer =
      decode_state(std::exchange(result.optimizer_state, {}), options_.layout.shared_count);
  RUNNEL_ASSERT(optimizer.ok());
  optimizer_ = std::move(*optimizer);
  if (result.delta.version != 0) deltas_.push_back(std::exchange(result.delta, {}));
  std::erase_if(deltas_, [&](const ModelDelta& delta) { return delta.version < result.oldest_delta; });
  Closed closed{std::move(result), {}};
  if (!buffered()) {
    std::set_difference(selected_.begin(), selected_.end(), accepted_.begin(), accepted_.end(),
                        std::back_inserter(closed.missing));
  }
  newly_closed_.push_back(std::move(closed));
  rate_.handle_closed(newly_closed_.back().result);
  pace_.handle_closed(newly_closed_.back().result.seconds);
  for (const auto& [identity, update] : sums_.updates()) rate_.handle_accepted(identity.first, update.sample_count);
  sums_.reset();
  uploading_.clear();
  could_close_at_ = kNever;
  selected_.clear();
  accepted_.clear();
  phase_ = rounds_closed_ >= options_.plan.rounds ? Phase::kFinished : Phase::kWaiting;
}

void RoundEngine::handle_stored(Instant now, const Failure& failure) {
  RUNNEL_ASSERT(in_flight_ != nullptr && in_flight_out_);
  if (!failure.ok()) {
    // The world's fault, not the round's: nothing is acknowledged, and the same transaction is tried again.
    warnings_.push_back(std::string("not stored (") + error_name(failure.error()) + "): " + failure.text());
    timers_.set(Timer::kStoreRetry, now + options_.store_retry_after);
    return;
  }
  in_flight_out_ = false;
  const std::unique_ptr<StoreRequest> done = std::move(in_flight_);
  if (auto* open = std::get_if<OpenRound>(done.get())) {
    round_ = std::move(open->round);
    selected_ = {round_.selected.begin(), round_.selected.end()};
    phase_ = Phase::kOpen;
    deadline_ = deadline_after(now);
    timers_.set(Timer::kDeadline, deadline_);
    const uint64_t oldest =
        round_.base_version - std::min<uint64_t>(options_.plan.policy.staleness_max, round_.base_version);
    assignments_.handle_round(now, round_.round, oldest);
    plans_changed_ = !buffered();
  } else if (auto* extension = std::get_if<ExtendRound>(done.get())) {
    selected_.insert(extension->selected.begin(), extension->selected.end());
    plans_changed_ = true;
  } else if (auto* accepted = std::get_if<AcceptUpdates>(done.get())) {
    for (const UpdateRecord& update : accepted->updates) {
      counts_.note_durable(update.device, update.sequence);
      waiting_bytes_ -= update.blob.size();
      newly_accepted_.push_back({update.device, update.sequence, update.round < update.merged_into});
      if (buffered()) assignments_.handle_settled(now, update.device, update.round);
    }
  } else if (auto* close = std::get_if<CloseRound>(done.get())) {
    end_round(std::move(close->result));
  }
  if (buffered()) assign(now);
  consider(now);
}

std::optional<std::string> RoundEngine::poll_assigned() {
  return take_first(newly_assigned_);
}

std::optional<RoundEngine::Accepted> RoundEngine::poll_accepted() {
  return take_first(newly_accepted_);
}
std::optional<RoundEngine::Closed> RoundEngine::poll_closed() {
  return take_first(newly_closed_);
}
std::optional<std::string> RoundEngine::poll_warning() {
  return take_first(warnings_);
}

}  // namespace runnel::coordinator
