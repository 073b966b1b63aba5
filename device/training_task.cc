#include "device/training_task.h"

#include <algorithm>

#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/wire/frame.h"

namespace runnel::device {
namespace {

// Two independent streams from the one seed of this device in this round.
constexpr uint64_t kShufflePart = 1;
constexpr uint64_t kRoundingPart = 2;

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
  limits.bytes_max = arena_bytes_max_;
  limits.bytes_beside = Arena::kAlignment;
  const Result<train::MemoryPlan> memory = train::training_memory(model.spec, plan.training, limits);
  if (!memory) return Failure(memory.failure()).prefix("model \"%s\": ", model.spec.name.c_str());
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
  if (ahead.empty()) {
    RUNNEL_TRY(trainer->start(model.parameters, examples_, derive_key(plan.seed, kShufflePart)));
  } else {
    if (ahead.size() != model.parameters.size())
      return fail(Error::kShape, "%zu values for a model of %zu parameters", ahead.size(), model.parameters.size());
    begin_.assign(ahead.begin(), ahead.end());
    for (size_t i = 0; i < begin_.size(); ++i) begin_[i] += model.parameters[i];
    RUNNEL_TRY(trainer->start(begin_, examples_, derive_key(plan.seed, kShufflePart)));
  }
  residual_ = std::move(carried.residual);
  if (plan.codec.error_feedback || !residual_.empty()) residual_.resize(layout->parameter_count, 0.0F);
  trainer_.emplace(std::move(trainer).value());
  memory_ = *memory;
  layout_ = *layout;
  plan_ = plan;
  history_ = history;
  retry_ = retry;
  sequence_ = sequence;
  return Error::kOk;
}

Result<bool> TrainingTask::step() {
  RUNNEL_ASSERT(active());
  if (retry_) return true;
  const Result<train::Progress> progress = trainer_->step();
  if (!progress) {
    stop();
    return progress.failure();
  }
  return *progress != train::Progress::kRunning;
}

Result<TrainedUpdate> TrainingTask::finish(const rate::LinkLimits& limits) {
  RUNNEL_ASSERT(active());
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
  std::vector<float> scratch(
      std::max(codec::encode_update_scratch_count(plan_.codec, layout_), rate::decide_scratch_count(plan_, layout_)));
  std::vector<uint8_t> payloads(
      std::max(codec::encoded_update_bytes_max(plan_.codec, layout_), rate::decide_output_bytes(plan_, layout_)));
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
  if (plan_.codec.error_feedback) {
    std::vector<float> received(layout_.parameter_count);
    RUNNEL_TRY(codec::decode_update(layout_, {update.tensors.begin(), update.tensors.size()}, received));
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
