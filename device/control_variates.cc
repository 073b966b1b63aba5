#include "device/control_variates.h"

#include <algorithm>
#include <utility>

#include "runtime/tensor/reduce.h"
#include "runtime/train/scaffold.h"

namespace runnel::device {
namespace {

constexpr size_t kHead = 3;  // the round of the model; scaffold_weight() and scaffold_rate() of the training from it

// The three parts of a state.
struct Parts {
  explicit Parts(std::span<float> state)
      : model(state.subspan(kHead, (state.size() - kHead) / 3)),
        global(state.subspan(kHead + model.size(), model.size())),
        local(state.last(model.size())) {}
  std::span<float> model, global, local;
};

// How far the fleet's rounds from `first` to before `end` move a model along a gradient of one.
double reach_of(const plan::RoundPlan& plan, uint32_t first, uint32_t end, double weight) {
  double reach = 0.0;
  for (uint32_t round = first; round < end; ++round)
    reach += weight * double{plan::learning_rate_at(plan.training, round, plan.rounds)};
  return reach;
}

}  // namespace

std::span<const float> ControlVariates::begin(const plan::RoundPlan& plan, uint64_t sequence,
                                              std::span<const float> model) {
  const size_t count = model.size();
  const std::span<const float> kept = kept_.before(plan.run, sequence, kHead + 3 * count);
  state_.assign(kept.begin(), kept.end());
  state_.resize(kHead + 3 * count, 0.0F);
  correction_.assign(count, 0.0F);
  const Parts parts(state_);
  const uint32_t round =
      state_[0] >= 1.0F && state_[0] < static_cast<float>(plan.round) ? static_cast<uint32_t>(state_[0]) : 0;
  if (round > 0) {
    const double reach = reach_of(plan, round, plan.round, double{state_[1]});
    if (reach > 0.0 && state_[2] > 0.0F) {
      train::scaffold_global_control(parts.model, model, reach,
                                     double{plan.training.scaffold_share} * double{state_[2]}, plan.round - round,
                                     parts.global);
    }
  }
  train::scaffold_correction(parts.global, parts.local, correction_);
  // Numbers of a model that has run away must not outlive it.
  if (!tensor::all_finite(state_) || !tensor::all_finite(correction_)) {
    std::ranges::fill(state_, 0.0F);
    std::ranges::fill(correction_, 0.0F);
  }
  std::ranges::copy(model, parts.model.begin());
  return correction_;
}

Failure ControlVariates::keep(const plan::RoundPlan& plan, uint64_t sequence, uint32_t steps,
                              std::span<const float> update, std::span<const float> arrived) {
  const double weight = train::scaffold_weight(steps, plan.training.momentum);
  const double reach = reach_of(plan, plan.round, plan.round + 1, weight);
  const double rate = train::scaffold_rate(update, arrived);
  const Parts parts(state_);
  if (reach > 0.0) train::scaffold_local_control(parts.global, arrived, reach, rate, parts.local);
  state_[0] = static_cast<float>(plan.round);
  state_[1] = static_cast<float>(weight);
  state_[2] = static_cast<float>(rate);
  correction_ = {};
  return kept_.keep(plan.run, sequence, std::exchange(state_, {}));
}

}  // namespace runnel::device
