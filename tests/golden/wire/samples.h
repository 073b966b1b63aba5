// The messages that stand in schemas/golden, as values: one of each kind, with a number of its own in every field.
//
// A sample never changes, for its bytes are in the hands of every build there ever was. What is new gets a new sample.
#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/wire/messages.h"

namespace runnel::wire::samples {

inline constexpr uint64_t kRun = 0x1122334455667788ULL;
inline constexpr std::array<uint8_t, 5> kModelPart = {0xDE, 0xAD, 0xBE, 0xEF, 0x01};
inline constexpr std::array<uint8_t, 7> kUpdatePart = {1, 2, 3, 4, 5, 6, 7};

struct FrameSample {
  const char* file;
  Message message;
};

inline Hello hello() {
  Hello hello;
  hello.protocol_min = 1;
  hello.protocol_max = 3;
  hello.device = "pump-0042";
  hello.software = "runnel-device 0.1.0";
  for (const uint8_t codec : {uint8_t{0}, uint8_t{1}}) RUNNEL_ASSERT(hello.codecs.push_back(codec));
  hello.frame_bytes_max = 15360;
  hello.held_run = kRun;
  hello.held_model_version = 4;
  return hello;
}

inline Welcome welcome() {
  Welcome welcome;
  welcome.protocol = 1;
  welcome.software = "runnel-coordinator 0.1.0";
  welcome.run = kRun;
  welcome.rounds = 30;
  welcome.chunk_bytes_max = 4096;
  welcome.window_bytes = 32768;
  welcome.ping_after_ms = 300000;
  welcome.last_sequence = 6;
  return welcome;
}

inline RoundPlan round_plan() {
  RoundPlan message;
  message.model_bytes = 552;
  message.plan.run = kRun;
  message.plan.round = 5;
  message.plan.rounds = 30;
  message.plan.model_version = 5;
  message.plan.seed = 0x0123456789ABCDEFULL;
  message.plan.time_left = seconds(600);
  message.plan.training = {0.125F, 0.5F, 0.0078125F, 0.25F, 16, 2, 40};
  message.plan.codec = {plan::CodecId::kQsgd, 7, 128, 64};
  message.plan.codec.bits = 2.0F;  // what an absent field means
  message.plan.rate.deadline = false;
  message.plan.rate.error_share = 0.05F;
  return message;
}

inline std::vector<FrameSample> frames() {
  return {
      {"hello.rnl", hello()},
      {"welcome.rnl", welcome()},
      {"round_plan.rnl", round_plan()},
      {"model_request.rnl", ModelRequest{kRun, 5, 65536, 4096}},
      {"model_chunk.rnl", ModelChunk{5, 8192, 65000, kModelPart}},
      {"update_offer.rnl", UpdateOffer{kRun, 7, 5, 1234, 0xE3069283U}},
      {"update_chunk.rnl", UpdateChunk{7, 1000, kUpdatePart}},
      {"update_ack.rnl", UpdateAck{7, UpdateState::kDurable, 1234}},
      {"refusal.rnl", Refusal{Reason::kRoundClosed, "round 5 is closed", 7, 250}},
      {"ping.rnl", Ping{0x0102030405060708ULL}},
      {"pong.rnl", Pong{0x0102030405060708ULL}},
      {"bye.rnl", Bye{ByeCause::kFinished}},
  };
}

// What a plan says since there are codecs with a step.
inline RoundPlan round_plan_dithered() {
  RoundPlan message = round_plan();
  plan::CodecSpec& codec = message.plan.codec;
  codec.codec = plan::CodecId::kDithered;
  codec.coder = plan::Coder::kModel;
  codec.step = 0.03125F;
  codec.bits = 1.5F;
  codec.rotate = true;
  codec.error_feedback = true;
  codec.keep = 0.75F;
  return message;
}

// And since there are rules for how fine an update is.
inline RoundPlan round_plan_rate() {
  RoundPlan message = round_plan_dithered();
  message.plan.training.schedule = plan::Schedule::kCosine;
  message.plan.training.learning_rate_end = 0.0625F;
  plan::RateSpec& rate = message.plan.rate;
  rate.mode = plan::RateMode::kBudget;
  rate.contraction = 0.875F;
  rate.k = 24.0F;
  rate.error_share = 0.25F;
  rate.budget_bytes = 98765;
  rate.resolution = 0.125F;
  rate.weight_ratio = 1.5F;
  rate.deadline = true;
  rate.save_time = true;
  rate.per_layer = true;
  rate.late = plan::LatePolicy::kSend;
  rate.step_ratio_max = 32.0F;
  return message;
}

// And since small things travel within their announcement.
inline Welcome welcome_offers() {
  Welcome message = welcome();
  message.offer_bytes_max = 4096;
  return message;
}
inline RoundPlan round_plan_push() {
  RoundPlan message = round_plan_rate();
  message.delta_from = 4;
  return message;
}

// And since updates may come when it suits the device.
inline Hello hello_unavailable() {
  Hello message = hello();
  message.unavailable = true;
  return message;
}
inline RoundPlan round_plan_buffered() {
  RoundPlan message = round_plan_push();
  message.plan.policy = plan::RoundPolicy::kBuffered;
  message.plan.staleness_max = 20;
  message.plan.offline_updates = 3;
  return message;
}

// And since devices have more than one optimizer.
inline RoundPlan round_plan_optimizer() {
  RoundPlan message = round_plan_buffered();
  plan::TrainingSpec& training = message.plan.training;
  training.optimizer = plan::Optimizer::kAdamW;
  training.beta1 = 0.75F;
  training.beta2 = 0.96875F;
  training.epsilon = 0x1p-20F;
  training.clip_norm = 2.5F;
  training.accumulate = 4;
  training.warmup_rounds = 3;
  return message;
}

// And since devices have control variates.
inline RoundPlan round_plan_scaffold() {
  RoundPlan message = round_plan_rate();
  plan::TrainingSpec& training = message.plan.training;
  training.local_steps = 20;
  training.proximal_mu = 0.0F;
  training.scaffold_share = 0.375F;
  return message;
}

// A second frame of a kind that frames() has, from the day on which its table grew.
inline std::vector<FrameSample> grown_frames() {
  return {{"round_plan_dithered.rnl", round_plan_dithered()},
          {"round_plan_rate.rnl", round_plan_rate()},
          {"welcome_offers.rnl", welcome_offers()},
          {"round_plan_push.rnl", round_plan_push()},
          {"update_offer_whole.rnl", UpdateOffer{kRun, 7, 5, sizeof kUpdatePart, 0xE3069283U, kUpdatePart}},
          {"model_request_held.rnl", ModelRequest{kRun, 5, 4096, 8192, 3}},
          {"model_chunk_delta.rnl", ModelChunk{5, 2, 300, kModelPart, 3}},
          {"hello_unavailable.rnl", hello_unavailable()},
          {"round_plan_buffered.rnl", round_plan_buffered()},
          {"update_offer_version.rnl", UpdateOffer{kRun, 7, 5, 1234, 0xE3069283U, {}, 4}},
          {"refusal_stale.rnl", Refusal{Reason::kStale, "24 versions behind, 20 count", 7, 0}},
          {"round_plan_optimizer.rnl", round_plan_optimizer()},
          {"round_plan_scaffold.rnl", round_plan_scaffold()},
          {"bye_come_back.rnl", Bye{ByeCause::kLeaving, 90000}}};
}

// A network with a layer of every kind: 1x6x6 -> conv 2x6x6 -> relu -> max pool 2x3x3 -> average pool 2x1x1 -> flatten
// -> dense 2. Its 26 parameters are k/16 - 0.5 for k = 0, 1, ...
inline plan::ModelSpec spec() {
  using plan::LayerKind;
  plan::ModelSpec spec;
  RUNNEL_ASSERT(spec.name.assign("golden"));
  spec.input = {1, 6, 6};
  spec.classes = 2;
  for (const plan::LayerSpec& layer : {plan::LayerSpec{LayerKind::kConv2d, 2, {3, 3}, {1, 1}, {1, 1}},
                                       plan::LayerSpec{LayerKind::kRelu, 0, {0, 0}, {1, 1}, {0, 0}},
                                       plan::LayerSpec{LayerKind::kMaxPool2d, 0, {2, 2}, {2, 2}, {0, 0}},
                                       plan::LayerSpec{LayerKind::kAvgPool2d, 0, {3, 3}, {1, 1}, {0, 0}},
                                       plan::LayerSpec{LayerKind::kFlatten, 0, {0, 0}, {1, 1}, {0, 0}},
                                       plan::LayerSpec{LayerKind::kDense, 2, {0, 0}, {1, 1}, {0, 0}}}) {
    RUNNEL_ASSERT(spec.layers.push_back(layer));
  }
  return spec;
}

inline std::vector<float> parameters() {
  std::vector<float> values(26);
  for (size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(k) / 16.0F - 0.5F;
  return values;
}

// `parameters` must outlive the model.
inline Model model(const std::vector<float>& parameters) {
  Model model;
  model.run = kRun;
  model.model_version = 5;
  model.spec = spec();
  model.parameters = parameters;
  return model;
}

// A graph with one of each field that the first models did not have: a sequence of 4 tokens, a recurrent layer, a sum
// of two branches, a frozen and a local part, smoothed labels.
inline plan::ModelSpec graph_spec() {
  using plan::LayerKind;
  plan::ModelSpec spec;
  RUNNEL_ASSERT(spec.name.assign("graph"));
  spec.input = {1, 1, 4};
  spec.classes = 2;
  spec.loss.label_smoothing = 0.125F;
  spec.loss.huber_delta = 2.0F;
  const auto add = [&](plan::LayerSpec layer, std::string_view name, std::initializer_list<uint16_t> inputs) {
    RUNNEL_ASSERT(layer.name.assign(name));
    for (const uint16_t input : inputs) RUNNEL_ASSERT(layer.inputs.push_back(input));
    RUNNEL_ASSERT(spec.layers.push_back(layer));
  };
  plan::LayerSpec embedding{LayerKind::kEmbedding, 2};
  embedding.vocabulary = 3;
  embedding.sharing = plan::Sharing::kFrozen;
  add(embedding, "tokens", {});
  plan::LayerSpec gru{LayerKind::kGru, 2};
  gru.every_step = true;
  gru.bias = false;
  add(gru, "memory", {});
  add({LayerKind::kAdd}, "sum", {1, 2});
  plan::LayerSpec leaky{LayerKind::kLeakyRelu};
  leaky.value = 0.25F;
  add(leaky, "", {3});
  plan::LayerSpec reshape{LayerKind::kReshape};
  reshape.shape = {2, 2, 2};
  add(reshape, "", {});
  plan::LayerSpec conv{LayerKind::kConv2d, 2, {1, 1}};
  conv.groups = 2;
  conv.sharing = plan::Sharing::kLocal;
  add(conv, "head", {});
  return spec;
}

inline std::vector<float> graph_parameters() {
  std::vector<float> values;
  for (int i = 0; i < 24 + 4 + 6; ++i) values.push_back(static_cast<float>(i) / 8.0F);
  return values;
}

inline Model graph_model(const std::vector<float>& parameters) {
  Model model;
  model.run = kRun;
  model.model_version = 6;
  model.spec = graph_spec();
  model.parameters = parameters;
  return model;
}

// The multiples -1, 0, 1, -1, 0, ... of 1/64.
inline constexpr std::array<uint8_t, 16> kDeltaPayload = {0x00, 0x80, 0x00, 0x00, 0x30, 0x82, 0x01, 0x00,
                                                          0xC8, 0x43, 0xB3, 0x80, 0x2B, 0x84, 0xFF, 0x94};

// From an older version to the model above.
inline ModelDelta delta() {
  ModelDelta delta;
  delta.run = kRun;
  delta.base_version = 3;
  delta.model_version = 5;
  delta.checksum = 0x533D039CU;
  delta.multiples.codec = plan::CodecId::kDeadzone;
  delta.multiples.coder = plan::Coder::kModel;
  delta.multiples.count = 26;
  delta.multiples.scale = 0.015625F;
  delta.multiples.payload = kDeltaPayload;
  return delta;
}

// fp32 payloads: little-endian floats, so 1.0 is 00 00 80 3f.
inline constexpr std::array<uint8_t, 8> kTwoFloats = {0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0xBF};  // 1, -0.5
inline constexpr std::array<uint8_t, 16> kFourFloats = {0x00, 0x00, 0x80, 0x3E, 0x00, 0x00, 0x80, 0xBE,
                                                        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3F};
inline constexpr std::array<uint8_t, 72> kEighteenFloats = {};
// 18 coordinates, 7 levels, buckets of 8: three norms, then Elias codes.
inline constexpr std::array<uint8_t, 24> kQsgdPayload = {0x76, 0xA4, 0x12, 0x3E, 0x41, 0x83, 0x13, 0x3E,
                                                         0x00, 0x00, 0xA0, 0x3D, 0x55, 0xCD, 0xA8, 0xDA,
                                                         0x05, 0x1A, 0x13, 0x57, 0x26, 0x84, 0x2C, 0xDC};

inline void add_tensor(Update& update, std::string_view name, const plan::EncodedTensor& tensor) {
  RUNNEL_ASSERT(update.tensors.push_back(tensor) && update.tensor_names.push_back(name));
}

// An update of the model above; its largest tensor is `first`.
inline Update update_of(const plan::EncodedTensor& first) {
  Update update;
  update.run = kRun;
  update.device = "pump-0042";
  update.sequence = 7;
  update.round = 5;
  update.model_version = 5;
  update.sample_count = 600;
  update.mean_loss = 0.75F;
  add_tensor(update, "0.conv2d.weight", first);
  add_tensor(update, "0.conv2d.bias", {plan::CodecId::kFp32, 2, 32, 0, 0, 1.0F, kTwoFloats});
  add_tensor(update, "5.dense.weight", {plan::CodecId::kFp32, 4, 32, 0, 0, 0.5F, kFourFloats});
  add_tensor(update, "5.dense.bias", {plan::CodecId::kFp32, 2, 32, 0, 0, 1.0F, kTwoFloats});
  return update;
}

inline Update update_fp32() {
  return update_of({plan::CodecId::kFp32, 18, 32, 0, 0, 0.0F, kEighteenFloats});
}
inline Update update_qsgd() {
  return update_of({plan::CodecId::kQsgd, 18, 4, 7, 8, 0x1.270682p-3F, kQsgdPayload});
}

// All tensors as one run. The payload is no code that any decoder takes: here only the wire is looked at.
inline Update update_run() {
  Update update = update_of({});
  update.tensors.clear();
  update.tensor_names.clear();
  plan::EncodedTensor run{plan::CodecId::kTrellis, 26, 0, 0, 0, 0.03125F, kUpdatePart};
  run.coder = plan::Coder::kModel;
  run.tensors = 4;
  run.rotated = true;
  run.keep = 0.5F;
  run.seed = 0xFEDCBA9876543210ULL;
  add_tensor(update, "0.conv2d.weight", run);
  return update;
}

// What the device found on examples of its own, before and after training, and fine-tuned for itself.
inline Update update_tuned() {
  Update update = update_fp32();
  update.evaluation = {plan::Metric::kRmse, 40, 0.75F, 0.5F, 0.625F, 0.375F, 25, 0.5F, 0.25F};
  return update;
}

}  // namespace runnel::wire::samples
