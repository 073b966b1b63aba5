#include "fleet/simulator/witness.h"

#include <algorithm>

#include "fleet/simulator/fault_free_run.h"
#include "fleet/simulator/replay.h"

namespace runnel::fleet {
namespace {

constexpr size_t kBrokenMax = 20;

std::string name_of(const std::string& device, uint64_t sequence) {
  return "update " + std::to_string(sequence) + " of " + device;
}

// True if an update depends on nothing but its plan, its device's data and the model that it started from, so that it
// can be made again from the ledger.
bool can_be_trained_again(const coordinator::FleetPlan& plan) {
  return plan.training.scaffold_share == 0.0F && !plan.codec.error_feedback && !plan.rate.deadline &&
         plan.rate.mode == plan::RateMode::kFixed && plan.policy.policy == plan::RoundPolicy::kSync &&
         plan.policy.staleness_max == 0 && plan.aggregation.method == coordinator::AggregationMethod::kMean &&
         plan.aggregation.clip_norm == 0.0 && plan.server.optimizer == coordinator::ServerOptimizer::kAvg &&
         plan.server.learning_rate == 1.0;
}

}  // namespace

void Witness::broken(Promise promise, std::string what) {
  if (broken_.size() >= kBrokenMax) return;
  const bool known = std::any_of(broken_.begin(), broken_.end(),
                                 [&](const auto& each) { return each.promise == promise && each.what == what; });
  if (!known) broken_.push_back({promise, std::move(what)});
}

void Witness::accepted(const std::vector<coordinator::UpdateRecord>& updates) {
  for (const coordinator::UpdateRecord& update : updates) {
    const Identity identity(update.device, update.sequence);
    const std::string name = name_of(update.device, update.sequence);
    if (!counted_.insert(identity).second) broken(Promise::kCountedOnce, name + " was stored again");
    if (refused_.contains(identity)) broken(Promise::kRefusedDoesNotCount, name + " was refused, then counted");
    if (carried_.contains(identity)) broken(Promise::kCarriedDoesNotCount, name + " was carried on, then counted");
    if (keep_updates_) updates_.push_back(update);
  }
}

void Witness::closed(const coordinator::RoundRecord& record, const coordinator::RoundResult& result) {
  if (keep_updates_) rounds_.push_back({record, result.model.parameters});
}

void Witness::acknowledged(const std::string& device, uint64_t sequence, bool stored) {
  acknowledged_.insert({device, sequence});
  if (!stored)
    broken(Promise::kAcknowledgedIsDurable,
           device + " was told so of update " + std::to_string(sequence) + ": it is not");
}

void Witness::refused(const std::string& device, uint64_t sequence) {
  refused_.insert({device, sequence});
  if (counted_.contains({device, sequence}))
    broken(Promise::kRefusedDoesNotCount, name_of(device, sequence) + " counted, then was refused");
}

void Witness::carried(const std::string& device, uint64_t sequence) {
  carried_.insert({device, sequence});
  if (counted_.contains({device, sequence}))
    broken(Promise::kCarriedDoesNotCount, name_of(device, sequence) + " counted, and is made up for");
}

void Witness::check_at_end(const SimulationOptions& options, const plan::ModelLayout& layout,
                           const std::vector<coordinator::LedgerEntry>& ledger, const std::vector<float>& model) {
  std::map<Identity, uint32_t> times;
  for (const coordinator::LedgerEntry& entry : ledger) ++times[{entry.device, entry.sequence}];
  for (const auto& [identity, count] : times) {
    if (count > 1) broken(Promise::kCountedOnce, name_of(identity.first, identity.second) + " is in the ledger twice");
  }
  for (const Identity& identity : acknowledged_) {
    if (!times.contains(identity))
      broken(Promise::kNothingForgotten, name_of(identity.first, identity.second) + " is not in the ledger any more");
  }
  if (!keep_updates_) return;
  if (auto different = differs_without_faults(options, layout, *this); different.has_value())
    broken(Promise::kSameAsWithoutFaults, std::move(*different));
  if (!can_be_trained_again(options.plan)) return;
  ReplayInputs inputs{kSimulatedRun, options.plan, options.model, layout, options.examples, {}};
  for (size_t i = 0; i < options.examples.size(); ++i) inputs.names.push_back(simulated_device_name(i));
  const Result<std::vector<float>> replayed = replay(inputs, ledger, static_cast<uint32_t>(rounds_.size()));
  if (!replayed) {
    broken(Promise::kSameWhenTrainedAgain, std::string("they cannot be made again: ") + replayed.failure().text());
  } else if (*replayed != model) {
    broken(Promise::kSameWhenTrainedAgain, "it is another one");
  }
}

}  // namespace runnel::fleet
