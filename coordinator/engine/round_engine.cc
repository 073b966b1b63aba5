#include "coordinator/engine/round_engine.h"

#include <algorithm>
#include <cmath>

#include "coordinator/engine/cohort.h"
#include "coordinator/engine/update_scale.h"
#include "runtime/codec/update_codec.h"

namespace runnel::coordinator {
namespace {

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
      return wire::Reason::kLimit;
    case Error::kUnsupported:
      return wire::Reason::kCodec;
    default:
      return wire::Reason::kMalformed;
  }
}

// The squared norm, summed in the order of the coordinates.
double energy(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * double{value};
  return sum;
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
      sums_(options.layout.parameter_count),
      robust_(options.plan.aggregation, options.layout.parameter_count, options.robust_bytes_max),
      rate_(options.plan, options.layout.parameter_count, snapshot.history),
      pace_(options.plan, snapshot.history),
      scratch_(options.layout.parameter_count) {
  if (snapshot.round_open) round_ = std::move(snapshot.round);
  exact_ = std::move(snapshot.exact);
  // Of use is what leads to the newest version without a gap.
  size_t first = snapshot.deltas.size();
  for (uint64_t version = model_.version; first > 0 && snapshot.deltas[first - 1].version == version; --version)
    --first;
  deltas_.assign(std::make_move_iterator(snapshot.deltas.begin() + static_cast<std::ptrdiff_t>(first)),
                 std::make_move_iterator(snapshot.deltas.end()));
  for (const LedgerEntry& entry : ledger) {
    uint64_t& last = last_accepted_[entry.device];
    if (entry.sequence <= last) continue;
    last = entry.sequence;
    if (entry.round <= rounds_closed_) rate_.handle_accepted(entry.device, entry.sample_count);
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
  RUNNEL_TRY(RobustAggregate::check(options.plan, options.layout.parameter_count, options.robust_bytes_max));
  Result<OptimizerState> optimizer = decode_state(snapshot.optimizer_state, options.layout.parameter_count);
  if (!optimizer) return optimizer.failure();
  const std::vector<UpdateRecord> accepted = std::move(snapshot.accepted);
  const bool round_open = snapshot.round_open;
  RoundEngine engine(options, std::move(snapshot), ledger);
  if (!optimizer->first.empty() && optimizer->optimizer != options.plan.server.optimizer) {
    engine.warnings_.push_back(
        std::string("the server's optimizer was ") + server_optimizer_name(optimizer->optimizer) + " and is " +
        server_optimizer_name(options.plan.server.optimizer) + " now: what it had learned about the steps is dropped");
  } else {
    engine.optimizer_ = std::move(*optimizer);
  }
  if (engine.rounds_closed_ >= options.plan.rounds) engine.phase_ = Phase::kFinished;
  if (!round_open) return engine;

  engine.phase_ = Phase::kOpen;
  engine.selected_.insert(engine.round_.selected.begin(), engine.round_.selected.end());
  for (const UpdateRecord& update : accepted) {
    UpdateRecord record;
    if (const auto bad = engine.add(update.device, update.sequence, update.blob, record); bad.has_value()) {
      return fail(Error::kCorrupt, "the stored update of %s in round %u: %s", update.device.c_str(), update.round,
                  bad->detail.c_str());
    }
  }
  engine.opened_at_ = now;
  engine.deadline_ = engine.deadline_after(now);
  engine.timers_.set(Timer::kDeadline, engine.deadline_);
  engine.consider(now);
  return engine;
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
  consider(now);
}

uint64_t RoundEngine::last_sequence(const std::string& device) const {
  const auto found = last_accepted_.find(device);
  return found == last_accepted_.end() ? 0 : found->second;
}

std::optional<plan::RoundPlan> RoundEngine::plan_for(const std::string& device, Instant now) const {
  if (phase_ != Phase::kOpen || !selected_.contains(device) || accepted_.contains(device)) return std::nullopt;
  plan::RoundPlan plan;
  plan.run = options_.run;
  plan.round = round_.round;
  plan.rounds = options_.plan.rounds;
  plan.model_version = round_.base_version;
  plan.seed = device_seed(options_.plan.seed, round_.round, device);
  plan.time_left = std::max(Duration::zero(), deadline_ - now);
  plan.training = options_.plan.training;
  plan.codec = options_.plan.codec;
  rate_.fill(device, plan);
  return plan;
}

std::optional<Rejection> RoundEngine::check_offer(const std::string& device, const wire::UpdateOffer& offer) const {
  if (offer.run != options_.run) return reject(wire::Reason::kUnknownRun, "the update is of another run");
  if (phase_ != Phase::kOpen || offer.round != round_.round) {
    const bool past = offer.round <= rounds_closed_;
    return reject(past ? wire::Reason::kRoundClosed : wire::Reason::kMalformed,
                  "round " + std::to_string(offer.round) + (past ? " is closed" : " is not open"));
  }
  if (offer.sequence <= last_sequence(device)) {
    return reject(wire::Reason::kMalformed, "sequence " + std::to_string(offer.sequence) + " is not above " +
                                                std::to_string(last_sequence(device)) + ", the newest accepted");
  }
  if (!selected_.contains(device)) return reject(wire::Reason::kMalformed, "the device is not in this round's cohort");
  if (accepted_.contains(device)) return reject(wire::Reason::kMalformed, "a second update for the same round");
  if (robust_.full()) return reject(wire::Reason::kRoundClosed, "the round has all updates that there is room for");
  return std::nullopt;
}

// Checks an update in full and adds it to the sums. Nothing changed if it is rejected.
std::optional<Rejection> RoundEngine::add(const std::string& device, uint64_t sequence, ByteView blob,
                                          UpdateRecord& record) {
  wire::Update update;
  if (const Failure bad = wire::decode_update(blob, update); !bad.ok())
    return reject(reason_of(bad.error()), bad.text());
  if (update.device != device) return reject(wire::Reason::kIdentity, "the update names another device");
  if (update.sequence != sequence)
    return reject(wire::Reason::kMalformed, "the update's sequence is not the one offered");
  if (update.run != options_.run) return reject(wire::Reason::kUnknownRun, "the update is of another run");
  if (update.round != round_.round)
    return reject(wire::Reason::kMalformed, "the update's round is not the one offered");
  if (update.model_version != round_.base_version) {
    return reject(wire::Reason::kUnknownModel,
                  "the update is against model version " + std::to_string(update.model_version));
  }
  const std::span<const plan::EncodedTensor> tensors(update.tensors.begin(), update.tensors.size());
  if (const Failure bad = codec::decode_update(options_.layout, tensors, scratch_); !bad.ok()) {
    return reject(reason_of(bad.error()), bad.text());
  }
  scale_update(scratch_,
               update_scale(options_.plan, round_.base_version - update.model_version, std::sqrt(energy(scratch_))));
  if (const Failure bad = sums_.add(scratch_, update.sample_count); !bad.ok())
    return reject(reason_of(bad.error()), bad.text());
  robust_.add(device, sequence, scratch_);

  record.round = update.round;
  record.merged_into = round_.round;
  record.device = device;
  record.sequence = sequence;
  record.model_version = update.model_version;
  record.sample_count = update.sample_count;
  record.mean_loss = update.mean_loss;
  record.coordinates = options_.layout.parameter_count;
  record.payload_bytes = 0;
  for (const plan::EncodedTensor& tensor : tensors) record.payload_bytes += tensor.payload.size();
  accepted_.insert(device);
  samples_of_[device] = update.sample_count;
  loss_of_[device] = static_cast<double>(update.mean_loss) * update.sample_count;
  energy_of_[device] = energy(scratch_) * update.sample_count;
  coordinates_ += record.coordinates;
  payload_bytes_ += record.payload_bytes;
  return std::nullopt;
}

std::optional<Rejection> RoundEngine::handle_update(Instant now, const std::string& device, uint64_t sequence,
                                                    ByteView blob) {
  wire::UpdateOffer offer;
  offer.run = options_.run;
  offer.round = round_.round;
  offer.sequence = sequence;
  if (auto bad = check_offer(device, offer); bad.has_value()) return bad;
  UpdateRecord record;
  if (auto bad = add(device, sequence, blob, record); bad.has_value()) return bad;
  record.blob.assign(blob.begin(), blob.end());
  waiting_.push_back(std::move(record));
  consider(now);
  return std::nullopt;
}

std::optional<Pace::Rest> RoundEngine::rest(const std::string& device, size_t connected, Instant now) const {
  if (phase_ != Phase::kOpen || plan_for(device, now).has_value()) return std::nullopt;
  return pace_.rest(device, round_.round, connected, now - opened_at_, std::max(Duration::zero(), deadline_ - now));
}

void RoundEngine::handle_resting(Instant now, const std::string& device, const Pace::Rest& rest) {
  pace_.handle_resting(device, rest, now);
  if (!rest.counts) selectable_.erase(device);
}

void RoundEngine::handle_timeout(Instant now) {
  for (const std::string& overdue : pace_.take_overdue(now)) selectable_.erase(overdue);
  if (timers_.take_expired(Timer::kStoreRetry, now)) in_flight_out_ = false;
  if (timers_.take_expired(Timer::kDeadline, now)) consider(now);
}

// Looks at everything that could move the round on.
void RoundEngine::consider(Instant now) {
  if (in_flight_ != nullptr) return;  // handle_stored() comes back here
  if (phase_ == Phase::kWaiting) {
    const size_t needed = std::max<size_t>({1, options_.plan.min_devices, pace_.needed(selectable_.size())});
    if (selectable_.size() >= needed) open_round(now);
    return;
  }
  if (phase_ != Phase::kOpen || !waiting_.empty()) return;
  if (accepted_.size() >= target_count() || robust_.full()) return prepare_close(now);
  if (deadline_ > now) return;
  if (accepted_.size() >= options_.plan.quorum) return prepare_close(now);
  extend(now);
}

void RoundEngine::open_round(Instant now) {
  const std::vector<std::string> candidates(selectable_.begin(), selectable_.end());
  size_t count = candidates.size();
  if (options_.plan.cohort != 0) {
    count = static_cast<size_t>(std::ceil(options_.plan.cohort * (1.0 + options_.plan.over_selection)));
  }
  OpenRound request;
  request.round.round = rounds_closed_ + 1;
  request.round.base_version = model_.version;
  request.round.selected = select_cohort(candidates, count, options_.plan.seed, request.round.round);
  opened_at_ = now;
  phase_ = Phase::kOpening;
  in_flight_ = std::make_unique<StoreRequest>(std::move(request));
}

void RoundEngine::prepare_close(Instant now) {
  CloseRound request;
  RoundResult& result = request.result;
  result.round = round_.round;
  result.participants = static_cast<uint32_t>(accepted_.size());
  result.sample_count = sums_.weight();
  double loss = 0.0;
  double energies = 0.0;
  for (const std::string& device : accepted_) {
    loss += loss_of_.at(device);
    energies += energy_of_.at(device);
  }
  result.mean_loss = loss / static_cast<double>(sums_.weight());
  result.update_energy = energies / static_cast<double>(sums_.weight());
  result.mean_energy = sums_.mean_energy();
  result.bits_per_coordinate = 8.0 * static_cast<double>(payload_bytes_) / static_cast<double>(coordinates_);
  result.seconds = static_cast<double>((now - opened_at_).count()) * 1e-6;
  move_model(result);
  if (std::string weak = robust_.weakness(); !weak.empty())
    warnings_.push_back("round " + std::to_string(round_.round) + ": " + weak);
  phase_ = Phase::kClosing;
  timers_.stop(Timer::kDeadline);
  in_flight_ = std::make_unique<StoreRequest>(std::move(request));
}

// What the coordinator has moves as the aggregate and the optimizer say; what devices hold follows as the downlink
// allows.
void RoundEngine::move_model(RoundResult& result) const {
  result.model.version = model_.version + 1;
  std::vector<float> exact(exact_model().begin(), exact_model().end());
  std::vector<double> aggregate(exact.size());
  if (robust_.needed()) {
    robust_.aggregate(aggregate);
  } else {
    sums_.mean(aggregate);
  }
  OptimizerState optimizer = optimizer_;  // that one has made the step when the step is stored
  server_step(options_.plan.server, aggregate, exact, optimizer);
  result.optimizer_state = encode_state(optimizer);
  if (!options_.plan.downlink.quantized()) {
    result.model.parameters = std::move(exact);
  } else {
    NextModel next = next_public_model(options_.plan.downlink, model_, exact);
    result.model.parameters = std::move(next.parameters);
    result.exact = std::move(exact);
    result.delta = std::move(next.delta);
  }
  const uint64_t kept = result.delta.version != 0 ? options_.plan.downlink.deltas : 0;
  result.oldest_delta = result.model.version + 1 - std::min(kept, result.model.version + 1);
}

// The deadline has passed without a quorum: what has arrived is kept, others are asked too, and the wait starts again.
void RoundEngine::extend(Instant now) {
  std::vector<std::string> candidates;
  std::set_difference(selectable_.begin(), selectable_.end(), selected_.begin(), selected_.end(),
                      std::back_inserter(candidates));
  extension_ =
      select_cohort(std::move(candidates), target_count() - accepted_.size(), options_.plan.seed, round_.round);
  warnings_.push_back("round " + std::to_string(round_.round) + ": " + std::to_string(accepted_.size()) + " of " +
                      std::to_string(options_.plan.quorum) + " updates at the deadline; extended, with " +
                      std::to_string(extension_.size()) + " more devices");
  deadline_ = deadline_after(now);
  timers_.set(Timer::kDeadline, deadline_);
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
  Result<OptimizerState> optimizer = decode_state(std::exchange(result.optimizer_state, {}), model_.parameters.size());
  RUNNEL_ASSERT(optimizer.ok());
  optimizer_ = std::move(*optimizer);
  if (result.delta.version != 0) deltas_.push_back(std::exchange(result.delta, {}));
  std::erase_if(deltas_, [&](const ModelDelta& delta) { return delta.version < result.oldest_delta; });
  Closed closed{std::move(result), {}};
  std::set_difference(selected_.begin(), selected_.end(), accepted_.begin(), accepted_.end(),
                      std::back_inserter(closed.missing));
  newly_closed_.push_back(std::move(closed));
  rate_.handle_closed(newly_closed_.back().result);
  pace_.handle_closed(newly_closed_.back().result.seconds);
  for (const auto& [device, samples] : samples_of_) rate_.handle_accepted(device, samples);
  sums_.reset();
  robust_.reset();
  samples_of_.clear();
  loss_of_.clear();
  energy_of_.clear();
  coordinates_ = payload_bytes_ = 0;
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
    plans_changed_ = true;
  } else if (auto* extension = std::get_if<ExtendRound>(done.get())) {
    selected_.insert(extension->selected.begin(), extension->selected.end());
    plans_changed_ = true;
  } else if (auto* accepted = std::get_if<AcceptUpdates>(done.get())) {
    for (const UpdateRecord& update : accepted->updates) {
      last_accepted_[update.device] = update.sequence;
      newly_accepted_.push_back({update.device, update.sequence});
    }
  } else if (auto* close = std::get_if<CloseRound>(done.get())) {
    end_round(std::move(close->result));
  }
  consider(now);
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
