#include "device/training_task.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/wire/frame.h"

namespace runnel::device {
namespace {

// Independent streams from the one seed of this device in this round.
constexpr uint64_t kShufflePart = 1;
constexpr uint64_t kRoundingPart = 2;
constexpr uint64_t kTuningPart = 3;

// What encode() works with: both take it from here.
struct EncodingSizes {
  size_t scratch = 0;  // floats
  size_t payloads = 0;
};

EncodingSizes encoding_sizes(const plan::RoundPlan& plan, const plan::ModelLayout& layout) {
  return {std::max(codec::encode_update_scratch_count(plan.codec, layout), rate::decide_scratch_count(plan, layout)),
          std::max(codec::encoded_update_bytes_max(plan.codec, layout), rate::decide_output_bytes(plan, layout))};
}

// The payloads, the message around them, and the copy of it that is handed out; or, when those are gone, the update as
// it will be received.
size_t encoding_bytes(const plan::RoundPlan& plan, const plan::ModelLayout& layout) {
  const EncodingSizes sizes = encoding_sizes(plan, layout);
  const size_t message = sizes.payloads + wire::update_overhead_bytes_max(layout.tensors.size());
  const bool decodes = plan.codec.error_feedback || plan.training.scaffold_share > 0.0F;
  const size_t received = decodes ? layout.parameter_count * sizeof(float) : 0;
  return sizes.scratch * sizeof(float) + sizes.payloads + message + std::max(message, received);
}

}  // namespace

Failure TrainingTask::start(const plan::RoundPlan& plan, uint64_t sequence, ByteView model_message, Carried carried,
                            const rate::RateHistory& history, bool retry, std::span<const float> ahead) {
  stop();
  wire::Model model;
  RUNNEL_TRY(wire::decode_model(model_message, model));
  const Result<plan::ModelLayout> layout = plan::make_layout(model.spec);
  if (!layout) return layout.failure();
  // The block itself need not be aligned: one more line of cache covers that.
  train::MemoryLimits limits;
  limits.bytes_max = bytes_max_;
  const plan::ModelLayout shared = plan::shared_layout(*layout);
  MemoryBeside beside;
  beside.model = model_message.size();
  beside.begin = model.parameters.size() * sizeof(float);
  if (plan.codec.error_feedback || !carried.residual.empty()) beside.carried = shared.parameter_count * sizeof(float);
  beside.encoding = encoding_bytes(plan, shared);
  if (held_back_ != nullptr) {
    const Result<size_t> evaluation = OwnEvaluation::bytes_for(model.spec);
    if (!evaluation) return evaluation.failure();
    beside.evaluation = *evaluation;
  }
  const bool controlled = plan.training.scaffold_share > 0.0F && !retry;
  if (controlled && controls_ == nullptr)
    return fail(Error::kUnsupported, "a plan with control variates, and nowhere to keep them");
  if (controlled) beside.controls = ControlVariates::bytes_for(shared.parameter_count);
  limits.corrects = controlled;
  limits.bytes_beside = Arena::kAlignment + beside.total();
  const Result<train::MemoryPlan> memory = train::training_memory(model.spec, plan.training, limits);
  if (!memory) return Failure(memory.failure()).prefix("model \"%s\"", model.spec.name.c_str());
  const size_t block_bytes = memory->total_bytes + Arena::kAlignment;
  if (block_.size() != block_bytes) {
    block_ = {};
    block_.resize(block_bytes);
  }
  plan::TrainingSpec training = plan.training;
  training.learning_rate = plan::learning_rate_at(plan.training, plan.round, plan.rounds);
  Arena arena(block_);
  Result<train::Trainer> trainer = train::Trainer::create(model.spec, training, arena, limits);
  if (!trainer) return trainer.failure();
  if (!ahead.empty() && ahead.size() != layout->shared_count)
    return fail(Error::kShape, "%zu values for a model that shares %u parameters", ahead.size(), layout->shared_count);
  // A copy: the next model may come while this one is trained.
  begin_.assign(model.parameters.begin(), model.parameters.end());
  for (size_t i = 0; i < ahead.size(); ++i) begin_[i] = ahead[i] + begin_[i];
  local_count_ = layout->trained_count - layout->shared_count;
  if (local_ != nullptr && local_count_ > 0) {
    const std::span<const float> kept = local_->before(plan.run, sequence, local_count_);
    std::copy(kept.begin(), kept.end(), begin_.begin() + layout->shared_count);
  }
  correction_ = {};
  if (controlled) correction_ = controls_->begin(plan, sequence, model.parameters.first(layout->shared_count));
  RUNNEL_TRY(trainer->start(begin_, examples_, derive_key(plan.seed, kShufflePart), correction_));
  residual_ = std::move(carried.residual);
  if (plan.codec.error_feedback || !residual_.empty()) residual_.resize(layout->shared_count, 0.0F);
  trainer_.emplace(std::move(trainer).value());
  memory_ = *memory;
  beside_ = beside;
  layout_ = shared;
  plan_ = plan;
  history_ = history;
  retry_ = retry;
  sequence_ = sequence;
  spec_ = model.spec;
  training_ = training;
  limits_ = limits;
  phase_ = Phase::kTraining;
  evaluation_ = {};
  own_evaluation_.reset();
  if (held_back_ != nullptr && !retry) begin_evaluation(model.spec);
  return Error::kOk;
}

// That the model cannot be evaluated costs the evaluation, not the update.
void TrainingTask::begin_evaluation(const plan::ModelSpec& spec) {
  Result<OwnEvaluation> evaluation = OwnEvaluation::create(spec, *held_back_);
  if (!evaluation || !evaluation->start(begin_).ok()) return;
  own_evaluation_.emplace(std::move(evaluation).value());
  phase_ = Phase::kBefore;
}

// Fine-tuning has the trainer's memory to itself: it comes before the round's training, which then begins anew. False
// if it cannot be; that costs its figures, not the update.
bool TrainingTask::begin_tuning() {
  plan::TrainingSpec tuning = training_;
  tuning.local_steps = fine_tune_steps_;
  Arena arena(block_);
  Result<train::Trainer> trainer = train::Trainer::create(spec_, tuning, arena, limits_);
  if (!trainer) return false;
  trainer_.emplace(std::move(trainer).value());
  phase_ = Phase::kTuning;
  return trainer_->start(begin_, examples_, derive_key(plan_.seed, kTuningPart)).ok();
}

Failure TrainingTask::begin_training() {
  Arena arena(block_);
  Result<train::Trainer> trainer = train::Trainer::create(spec_, training_, arena, limits_);
  if (!trainer) return trainer.failure();
  trainer_.emplace(std::move(trainer).value());
  phase_ = Phase::kTraining;
  return trainer_->start(begin_, examples_, derive_key(plan_.seed, kShufflePart), correction_);
}

// A step of fine-tuning, or a batch of its evaluation; never the last of all.
Result<bool> TrainingTask::step_tuning() {
  bool over = phase_ == Phase::kTuned && evaluate_batch();
  if (phase_ == Phase::kTuning) {
    const Result<train::Progress> progress = trainer_->step();
    over = !progress;
    if (progress.ok() && *progress == train::Progress::kDone) {
      over = !own_evaluation_->start(trainer_->parameters()).ok();
      phase_ = Phase::kTuned;
    }
  }
  if (!over) return false;
  if (Failure bad = begin_training(); !bad.ok()) {
    stop();
    return bad;
  }
  return false;
}

// True when the model is done, one way or the other.
bool TrainingTask::evaluate_batch() {
  const Result<bool> done = own_evaluation_->step();
  if (done.ok() && !*done) return false;
  const plan::Scores scores = done.ok() ? own_evaluation_->scores() : plan::Scores{};
  if (!std::isfinite(scores.loss) || !std::isfinite(scores.value) || scores.examples == 0) {
    if (phase_ == Phase::kTuned) return true;
    evaluation_ = {};
    own_evaluation_.reset();
    return true;
  }
  const auto loss = static_cast<float>(scores.loss);
  const auto value = static_cast<float>(scores.value);
  if (phase_ == Phase::kBefore) {
    evaluation_ = {scores.metric, scores.examples, loss, value, loss, value};
  } else if (phase_ == Phase::kTuned) {
    evaluation_.tuned_steps = fine_tune_steps_;
    evaluation_.loss_tuned = loss;
    evaluation_.value_tuned = value;
  } else {
    evaluation_.loss_after = loss;
    evaluation_.value_after = value;
  }
  return true;
}

Result<bool> TrainingTask::step() {
  RUNNEL_ASSERT(active());
  if (retry_) return true;
  if (phase_ == Phase::kAfter) return evaluate_batch();
  if (phase_ == Phase::kTuning || phase_ == Phase::kTuned) return step_tuning();
  if (phase_ == Phase::kBefore) {
    if (!evaluate_batch()) return false;
    phase_ = Phase::kTraining;
    if (fine_tune_steps_ == 0 || !own_evaluation_.has_value() || begin_tuning()) return false;
    if (Failure bad = begin_training(); !bad.ok()) {
      stop();
      return bad;
    }
    return false;
  }
  const Result<train::Progress> progress = trainer_->step();
  if (!progress) {
    stop();
    return progress.failure();
  }
  if (*progress == train::Progress::kRunning) return false;
  if (!own_evaluation_.has_value() || !own_evaluation_->start(trainer_->parameters()).ok()) return true;
  phase_ = Phase::kAfter;
  return false;
}

Result<TrainedUpdate> TrainingTask::finish(const rate::LinkLimits& limits) {
  RUNNEL_ASSERT(active());
  // Before the update is stored: should the device die in between, it trains this one again from where it began.
  if (local_ != nullptr && local_count_ > 0 && !retry_) {
    const std::span<const float> kept = trainer_->local_parameters();
    if (Failure bad = local_->keep(plan_.run, sequence_, {kept.begin(), kept.end()}); !bad.ok()) {
      stop();
      return bad.prefix("the local layers are not kept");
    }
  }
  Result<TrainedUpdate> update = encode(limits);
  stop();
  return update;
}

Result<TrainedUpdate> TrainingTask::encode(const rate::LinkLimits& limits) {
  TrainedUpdate trained;
  std::span<const float> values = residual_;
  if (retry_) {
    if (residual_.empty()) return fail(Error::kNotFound, "nothing is left of the update that was kept");
  } else {
    values = trainer_->update();
    mean_loss_ = trainer_->mean_loss();
  }
  if (!retry_ && !residual_.empty()) {
    // Residual memory (Seide et al. 2014, Stich et al. 2018): send C(update + residual), keep what C lost.
    for (size_t i = 0; i < values.size(); ++i) residual_[i] += values[i];
    values = residual_;
  }
  const uint64_t seed = derive_key(plan_.seed, kRoundingPart);
  const EncodingSizes sizes = encoding_sizes(plan_, layout_);
  std::vector<float> scratch(sizes.scratch);
  std::vector<uint8_t> payloads(sizes.payloads);
  Result<rate::RateDecision> decision = rate::decide(plan_, layout_, values, history_, limits, seed, scratch, payloads);
  if (!decision) return decision.failure();
  trained.decision = *decision;
  trained.coordinates = layout_.parameter_count;
  if (!decision->fits() && plan_.rate.late == plan::LatePolicy::kKeep && !limits.probe) {
    trained.residual.assign(values.begin(), values.end());
    residual_.clear();
    bits_per_coordinate_ = 0.0;
    return trained;
  }

  wire::Update update;
  const bool per_layer = !decision->steps.empty();
  const Result<size_t> used =
      per_layer ? codec::encode_update_layers(decision->codec, {decision->steps.begin(), decision->steps.size()},
                                              layout_, values, seed, payloads, update.tensors, scratch)
                : codec::encode_update(decision->codec, layout_, values, seed, payloads, update.tensors, scratch);
  if (!used) return used.failure();
  RUNNEL_TRY(build_message(update, *used, trained));
  const bool controlled = !correction_.empty();
  if (!plan_.codec.error_feedback && !controlled) return trained;
  std::vector<float> received(layout_.parameter_count);
  RUNNEL_TRY(codec::decode_update(layout_, {update.tensors.begin(), update.tensors.size()}, received));
  if (controlled) {
    // What the coordinator gets to see: only then is its mean over devices what the next model tells them.
    correction_ = {};
    if (Failure bad = controls_->keep(plan_, sequence_, trainer_->moves(), trainer_->update(), received); !bad.ok())
      return bad.prefix("the control variates are not kept");
  }
  if (plan_.codec.error_feedback) {
    trained.residual = std::move(residual_);
    for (size_t i = 0; i < received.size(); ++i) trained.residual[i] -= received[i];
  }
  return trained;
}

// The Update message around the encoded tensors.
Failure TrainingTask::build_message(wire::Update& update, size_t payload_bytes, TrainedUpdate& trained) {
  update.run = plan_.run;
  update.device = device_;
  update.sequence = sequence_;
  update.round = plan_.round;
  update.model_version = plan_.model_version;
  // An update that is tried again weighs as much as when it was trained.
  const uint64_t trained_on = retry_ ? std::min<uint64_t>(examples_.example_count(),
                                                          uint64_t{trainer_->steps_total()} * plan_.training.batch_size)
                                     : trainer_->sample_count();
  update.sample_count = static_cast<uint32_t>(std::min<uint64_t>(trained_on, wire::kSampleCountMax));
  update.mean_loss = mean_loss_;
  update.evaluation = evaluation_;
  size_t first = 0;
  for (const plan::EncodedTensor& run : update.tensors) {
    RUNNEL_ASSERT(update.tensor_names.push_back(layout_.tensors[first].name.view()));
    first += run.tensors;
  }
  bits_per_coordinate_ = codec::bits_per_coordinate({update.tensors.begin(), update.tensors.size()});
  std::vector<uint8_t> memory(payload_bytes + wire::update_overhead_bytes_max(update.tensors.size()));
  const Result<ByteView> message = wire::build_update(update, memory);
  if (!message) return message.failure();
  trained.message.assign(message->begin(), message->end());
  trained.payload_bytes = payload_bytes;
  return Error::kOk;
}

}  // namespace runnel::device
