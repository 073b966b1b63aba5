#include "device/port/board_training.h"

#include <algorithm>

#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "runtime/codec/available.h"
#include "runtime/codec/update_codec.h"
#include "runtime/rate/rate_controller.h"

namespace runnel::port {
namespace {

// As in the Linux device: two independent streams from the one seed of this device in this round.
constexpr uint64_t kShufflePart = 1;
constexpr uint64_t kRoundingPart = 2;

// A Result holds its value beside a failure's text; that is for a moment on the stack, not under all that follows.
__attribute__((noinline)) Failure find_layout(const plan::ModelSpec& spec, plan::ModelLayout& layout) {
  const Result<plan::ModelLayout> found = plan::make_layout(spec);
  if (!found) return found.failure();
  layout = *found;
  return Error::kOk;
}
__attribute__((noinline)) void keep_shared(plan::ModelLayout& layout) {
  layout = plan::shared_layout(layout);
}

// What compressing takes: floats, and bytes of payloads.
size_t scratch_count(const plan::RoundPlan& plan, const plan::ModelLayout& layout) {
  return std::max(codec::encode_update_scratch_count(plan.codec, layout), rate::decide_scratch_count(plan, layout));
}
size_t payload_bytes(const plan::RoundPlan& plan, const plan::ModelLayout& layout) {
  return std::max(codec::encoded_update_bytes_max(plan.codec, layout), rate::decide_output_bytes(plan, layout));
}

}  // namespace

Failure BoardTraining::start(const device::StartTraining& request) {
  stop();
  const plan::RoundPlan& plan = request.plan;
  if (plan.codec.error_feedback || request.retry || !request.carried.residual.empty() || !request.ahead.empty())
    return fail(Error::kUnsupported, "a plan whose updates make up for earlier ones");
  if (plan.training.scaffold_share > 0.0F) return fail(Error::kUnsupported, "a plan with control variates");
  if (!codec::is_available(plan.codec.codec))
    return fail(Error::kUnsupported, "%s is not in this build", plan::codec_name(plan.codec.codec));
  wire::Model model;
  RUNNEL_TRY(wire::decode_model(request.model, model));
  RUNNEL_TRY(find_layout(model.spec, layout_));
  if (layout_.trained_count != layout_.shared_count)
    return fail(Error::kUnsupported, "a model with layers that stay on the device");
  train::MemoryLimits limits;
  limits.bytes_max = block_.size();
  plan::TrainingSpec training = plan.training;
  training.learning_rate = plan::learning_rate_at(plan.training, plan.round, plan.rounds);
  Arena arena(block_);
  if (Failure bad = trainer_.arrange(model.spec, layout_, training, arena, limits); !bad.ok())
    return bad.prefix("model \"%s\"", model.spec.name.c_str());
  RUNNEL_TRY(trainer_.start(model.parameters, examples_, derive_key(plan.seed, kShufflePart)));
  keep_shared(layout_);
  plan_ = plan;
  const uint64_t needed = uint64_t{scratch_count(plan, layout_)} * sizeof(float) + payload_bytes(plan, layout_);
  if (needed > room().size()) {
    return fail(Error::kNoMemory, "%s: %llu bytes to compress in, %zu are free", plan::codec_name(plan.codec.codec),
                static_cast<unsigned long long>(needed), room().size());
  }
  history_ = request.history;
  sequence_ = request.sequence;
  active_ = true;
  return Error::kOk;
}

Result<bool> BoardTraining::step() {
  RUNNEL_ASSERT(active());
  const Result<train::Progress> progress = trainer_.step();
  if (!progress) {
    stop();
    return progress.failure();
  }
  return *progress != train::Progress::kRunning;
}

// The activations come first in the block, and when it is trained nobody needs them any more; behind the trainer's part
// it is free too. The longer of the two serves.
MutableByteView BoardTraining::room() const {
  const MutableByteView before = block_.first(memory().activation_bytes);
  const MutableByteView behind = block_.subspan(memory().total_bytes);
  return before.size() >= behind.size() ? before : behind;
}

Result<device::TrainedUpdate> BoardTraining::finish(const rate::LinkLimits& limits) {
  RUNNEL_ASSERT(active());
  stop();
  device::TrainedUpdate trained;
  const std::span<const float> values = trainer_.update();
  mean_loss_ = trainer_.mean_loss();
  // Floats first: they want to be aligned.
  const MutableByteView free = room();
  const size_t floats = scratch_count(plan_, layout_);
  const std::span<float> scratch(reinterpret_cast<float*>(free.data()), floats);
  const MutableByteView payloads = free.subspan(floats * sizeof(float), payload_bytes(plan_, layout_));
  if (const Failure bad = decide(values, limits, scratch, payloads, trained.decision); !bad.ok()) return bad;
  if (const Failure bad = encode(values, scratch, payloads, trained); !bad.ok()) return bad;
  return trained;
}

Failure BoardTraining::decide(std::span<const float> values, const rate::LinkLimits& limits, std::span<float> scratch,
                              MutableByteView payloads, rate::RateDecision& decision) const {
  const uint64_t seed = derive_key(plan_.seed, kRoundingPart);
  const Result<rate::RateDecision> made =
      rate::decide(plan_, layout_, values, history_, limits, seed, scratch, payloads);
  if (!made) return made.failure();
  decision = *made;
  return Error::kOk;
}

Failure BoardTraining::encode(std::span<const float> values, std::span<float> scratch, MutableByteView payloads,
                              device::TrainedUpdate& trained) {
  const rate::RateDecision& decision = trained.decision;
  const uint64_t seed = derive_key(plan_.seed, kRoundingPart);
  trained.coordinates = layout_.parameter_count;
  wire::Update update;
  const bool per_layer = !decision.steps.empty();
  const Result<size_t> used =
      per_layer ? codec::encode_update_layers(decision.codec, {decision.steps.begin(), decision.steps.size()}, layout_,
                                              values, seed, payloads, update.tensors, scratch)
                : codec::encode_update(decision.codec, layout_, values, seed, payloads, update.tensors, scratch);
  if (!used) return used.failure();
  trained.payload_bytes = *used;
  update.run = plan_.run;
  update.device = device_;
  update.sequence = sequence_;
  update.round = plan_.round;
  update.model_version = plan_.model_version;
  update.sample_count = std::min(trainer_.sample_count(), wire::kSampleCountMax);
  update.mean_loss = mean_loss_;
  size_t first = 0;
  for (const plan::EncodedTensor& run : update.tensors) {
    RUNNEL_ASSERT(update.tensor_names.push_back(layout_.tensors[first].name.view()));
    first += run.tensors;
  }
  // In the place of the values, which are compressed now; if that is long enough.
  const MutableByteView own = block_.subspan(memory().activation_bytes, memory().parameter_bytes);
  const size_t bytes_max = (*used + wire::update_overhead_bytes_max(update.tensors.size()) + 7) / 8 * 8;
  std::vector<uint8_t> other;
  if (own.size() < bytes_max) other.resize(bytes_max);
  const Result<ByteView> message = wire::build_update(update, other.empty() ? own : MutableByteView(other));
  if (!message) return message.failure();
  trained.message.assign(message->begin(), message->end());
  return Error::kOk;
}

}  // namespace runnel::port
