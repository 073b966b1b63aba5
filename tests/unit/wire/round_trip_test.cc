// What is built decodes to the same values, whatever they are within their limits.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "runtime/wire/frame.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/describe.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

template <typename T>
T any() {
  return *rc::gen::arbitrary<T>();
}

// At most `bytes_max` printable or non-ASCII bytes.
std::string any_text(size_t bytes_max) {
  const size_t size = *rc::gen::inRange<size_t>(0, bytes_max + 1);
  std::string text(size, ' ');
  for (char& c : text) {
    const int byte = *rc::gen::inRange(0x20, 0x100);
    c = static_cast<char>(byte == 0x7F ? 0x20 : byte);
  }
  return text;
}

std::vector<uint8_t> any_payload() {
  const size_t size =
      *rc::gen::oneOf(rc::gen::inRange<size_t>(1, 40), rc::gen::element<size_t>(1, 4096, kChunkBytesMax));
  return std::vector<uint8_t>(size, any<uint8_t>());
}

float any_real(float low, float high) {
  const auto part = static_cast<float>(*rc::gen::inRange(0, 1 << 20)) / static_cast<float>(1 << 20);
  return low + (high - low) * part;
}

void expect_round_trip(const Message& message) {
  FrameBuilder builder;
  const ByteView built = builder.build(message);
  RC_ASSERT(built.size() <= kFrameBytesMax);
  const ExactBytes bytes(built);
  const Result<Message> decoded = decode_frame(bytes.view());
  if (!decoded) RC_FAIL(decoded.failure().text());
  RC_ASSERT(describe(*decoded) == describe(message));
}

RC_GTEST_PROP(RoundTrip, Hello, ()) {
  const std::string device = any_text(kNameBytesMax);
  const std::string software = any_text(kTextBytesMax);
  Hello message;
  message.protocol_max = any<uint16_t>();
  message.unavailable = any<bool>();
  message.protocol_min = static_cast<uint16_t>(*rc::gen::inRange<uint32_t>(0, message.protocol_max + 1U));
  message.device = device;
  message.software = software;
  for (uint32_t i = *rc::gen::inRange<uint32_t>(0, kCodecsMax + 1); i > 0; --i) {
    RC_ASSERT(message.codecs.push_back(any<uint8_t>()));
  }
  message.frame_bytes_max = any<uint32_t>();
  message.held_run = any<uint64_t>();
  message.held_model_version = any<uint64_t>();
  expect_round_trip(message);
}

RC_GTEST_PROP(RoundTrip, Welcome, ()) {
  const std::string software = any_text(kTextBytesMax);
  Welcome message;
  message.protocol = any<uint16_t>();
  message.software = software;
  message.run = any<uint64_t>();
  message.rounds = any<uint32_t>();
  message.chunk_bytes_max = *rc::gen::inRange<uint32_t>(1, kChunkBytesMax + 1);
  message.window_bytes = message.chunk_bytes_max + *rc::gen::inRange<uint32_t>(0, 1U << 30);
  message.ping_after_ms = any<uint32_t>();
  message.last_sequence = any<uint64_t>();
  message.offer_bytes_max = *rc::gen::inRange<uint32_t>(0, kChunkBytesMax + 1);
  expect_round_trip(message);
}

RC_GTEST_PROP(RoundTrip, RoundPlan, ()) {
  RoundPlan message;
  message.plan.run = any<uint64_t>();
  message.plan.rounds = *rc::gen::inRange<uint32_t>(1, 1000001);
  message.plan.round = *rc::gen::inRange<uint32_t>(1, message.plan.rounds + 1);
  message.plan.model_version = any<uint64_t>();
  message.model_bytes = *rc::gen::inRange<uint64_t>(1, kBlobBytesMax + 1);
  message.plan.seed = any<uint64_t>();
  message.delta_from = any<uint64_t>();
  message.plan.time_left = milliseconds(*rc::gen::inRange<int64_t>(0, 366LL * 86400 * 1000 + 1));
  message.plan.training.learning_rate = any_real(1e-9F, 100.0F);
  message.plan.training.momentum = any_real(0.0F, 0.9999F);
  message.plan.training.weight_decay = any_real(0.0F, 1.0F);
  message.plan.training.proximal_mu = any_real(0.0F, 100.0F);
  message.plan.training.batch_size = *rc::gen::inRange<uint32_t>(1, 4097);
  message.plan.training.local_epochs = *rc::gen::inRange<uint32_t>(1, 1001);
  message.plan.training.local_steps = *rc::gen::inRange<uint32_t>(0, 1000001);
  message.plan.codec.codec = static_cast<plan::CodecId>(*rc::gen::inRange<int>(0, plan::kCodecCount));
  const bool exponential =
      message.plan.codec.codec == plan::CodecId::kNuqsgd || message.plan.codec.codec == plan::CodecId::kNuqsgdInf;
  message.plan.codec.levels = *rc::gen::inRange<uint32_t>(1, exponential ? 31 : 32768);
  message.plan.codec.bucket = *rc::gen::inRange<uint32_t>(8, 1048577);
  message.plan.codec.exact_coordinates_max = *rc::gen::inRange<uint32_t>(0, 65537);
  message.plan.codec.coder = static_cast<plan::Coder>(*rc::gen::inRange<int>(0, plan::kCoderCount));
  message.plan.codec.step = any<bool>() ? 0.0F : any_real(1e-30F, 10.0F);
  message.plan.codec.bits = any_real(0.1F, 4.0F);
  message.plan.codec.rotate = any<bool>();
  message.plan.codec.error_feedback = any<bool>();
  message.plan.codec.keep = any_real(1e-4F, 1.0F);
  message.plan.training.schedule = static_cast<plan::Schedule>(*rc::gen::inRange<int>(0, plan::kScheduleCount));
  message.plan.training.learning_rate_end = any_real(1e-9F, 100.0F);
  message.plan.training.optimizer = static_cast<plan::Optimizer>(*rc::gen::inRange<int>(0, plan::kOptimizerCount));
  message.plan.training.beta1 = any_real(0.0F, 0.9999F);
  message.plan.training.beta2 = any_real(0.0F, 0.999999F);
  message.plan.training.epsilon = any_real(1e-12F, 1.0F);
  message.plan.training.clip_norm = any_real(0.0F, 1e9F);
  message.plan.training.accumulate = *rc::gen::inRange<uint32_t>(1, 1025);
  message.plan.training.warmup_rounds = *rc::gen::inRange<uint32_t>(0, 1000001);
  plan::RateSpec& rate = message.plan.rate;
  rate.mode = static_cast<plan::RateMode>(*rc::gen::inRange<int>(0, plan::kRateModeCount));
  rate.contraction = any_real(0.01F, 1.0F);
  rate.k = any<bool>() ? 0.0F : any_real(1e-6F, 1e6F);
  rate.error_share = any_real(1e-6F, 0.999F);
  rate.budget_bytes = *rc::gen::inRange<uint64_t>(1, (1ULL << 48) + 1);
  rate.resolution = any_real(1e-12F, 1e6F);
  rate.weight_ratio = any_real(1e-6F, 1e6F);
  rate.deadline = any<bool>();
  rate.save_time = any<bool>();
  rate.per_layer = any<bool>();
  rate.late = any<bool>() ? plan::LatePolicy::kKeep : plan::LatePolicy::kSend;
  rate.step_ratio_max = any_real(1.0F, 1e9F);
  message.plan.policy = *rc::gen::element(plan::RoundPolicy::kSync, plan::RoundPolicy::kBuffered);
  if (plan::TrainingSpec& t = message.plan.training; *rc::gen::inRange<int>(0, 4) == 0) {
    t.scaffold_share = any_real(0.001F, 1.0F);
    t.local_steps = std::max(t.local_steps, 1U);
    t.optimizer = plan::Optimizer::kSgd;
    t.proximal_mu = t.clip_norm = 0.0F;
    message.plan.policy = plan::RoundPolicy::kSync;
  }
  message.plan.staleness_max = *rc::gen::inRange<uint32_t>(0, 1001);
  message.plan.offline_updates = *rc::gen::inRange<uint32_t>(0, 17);
  expect_round_trip(message);
}

RC_GTEST_PROP(RoundTrip, ModelRequest,
              (uint64_t run, uint64_t version, uint64_t offset, uint32_t bytes, uint64_t held)) {
  expect_round_trip(ModelRequest{run, version, offset, bytes, held});
}

RC_GTEST_PROP(RoundTrip, ModelChunk, (uint64_t version, uint64_t base)) {
  const std::vector<uint8_t> payload = any_payload();
  const uint64_t total = *rc::gen::inRange<uint64_t>(payload.size(), kBlobBytesMax + 1);
  const uint64_t offset = *rc::gen::inRange<uint64_t>(0, total - payload.size() + 1);
  expect_round_trip(ModelChunk{version, offset, total, payload, base});
}

RC_GTEST_PROP(RoundTrip, UpdateOffer, (uint64_t run, uint64_t sequence, uint32_t round, uint32_t checksum)) {
  RC_PRE(sequence != 0U);
  expect_round_trip(UpdateOffer{run, sequence, round, *rc::gen::inRange<uint64_t>(1, kBlobBytesMax + 1), checksum});
  const std::vector<uint8_t> whole = any_payload();
  expect_round_trip(UpdateOffer{run, sequence, round, whole.size(), checksum, whole});
}

RC_GTEST_PROP(RoundTrip, UpdateChunk, (uint64_t sequence)) {
  const std::vector<uint8_t> payload = any_payload();
  expect_round_trip(UpdateChunk{sequence, *rc::gen::inRange<uint64_t>(0, kBlobBytesMax - payload.size() + 1), payload});
}

RC_GTEST_PROP(RoundTrip, UpdateAck, (uint64_t sequence, bool durable, uint64_t received)) {
  expect_round_trip(UpdateAck{sequence, durable ? UpdateState::kDurable : UpdateState::kReceiving, received});
}

// Reasons of a newer peer come through as they are.
RC_GTEST_PROP(RoundTrip, Refusal, (uint16_t reason, uint64_t sequence, uint32_t retry_after_ms)) {
  const std::string detail = any_text(kTextBytesMax);
  expect_round_trip(Refusal{static_cast<Reason>(reason), detail, sequence, retry_after_ms});
}

RC_GTEST_PROP(RoundTrip, PingPongAndBye, (uint64_t nonce, bool finished)) {
  expect_round_trip(Ping{nonce});
  expect_round_trip(Pong{nonce});
  expect_round_trip(Bye{finished ? ByeCause::kFinished : ByeCause::kLeaving, any<uint32_t>()});
}

RC_GTEST_PROP(RoundTrip, Update, ()) {
  const std::string device = any_text(kNameBytesMax);
  const size_t count = *rc::gen::oneOf(rc::gen::inRange<size_t>(0, 4), rc::gen::just(size_t{plan::kTensorsMax}));
  std::vector<std::string> names(count);
  std::vector<std::vector<uint8_t>> payloads(count);
  Update update;
  update.run = any<uint64_t>();
  update.device = device;
  update.sequence = any<uint64_t>();
  update.round = any<uint32_t>();
  update.model_version = any<uint64_t>();
  update.sample_count = *rc::gen::inRange<uint32_t>(1, kSampleCountMax + 1);
  update.mean_loss = any_real(-10.0F, 10.0F);
  size_t payload_bytes = 0;
  for (size_t i = 0; i < count; ++i) {
    names[i] = count > 4 ? std::string(kNameBytesMax, 'n') : any_text(kNameBytesMax);
    payloads[i] = std::vector<uint8_t>(*rc::gen::inRange<size_t>(0, 30), any<uint8_t>());
    payload_bytes += payloads[i].size();
    plan::EncodedTensor tensor{static_cast<plan::CodecId>(i % plan::kCodecCount),
                               *rc::gen::inRange<uint32_t>(0, plan::kParametersMax + 1),
                               any<uint8_t>(),
                               any<uint32_t>(),
                               any<uint32_t>(),
                               any_real(0.0F, 1e6F),
                               payloads[i]};
    tensor.coder = static_cast<plan::Coder>(*rc::gen::inRange<int>(0, plan::kCoderCount));
    tensor.tensors = *rc::gen::inRange<uint16_t>(1, plan::kTensorsMax + 1);
    tensor.rotated = any<bool>();
    tensor.keep = any_real(1e-4F, 1.0F);
    tensor.seed = any<uint64_t>();
    samples::add_tensor(update, names[i], tensor);
  }
  std::vector<uint8_t> memory(update_overhead_bytes_max(count) + payload_bytes);
  const Result<ByteView> built = build_update(update, memory);
  RC_ASSERT(built.ok());
  const ExactBytes bytes(*built);
  Update decoded;
  const Failure bad = decode_update(bytes.view(), decoded);
  if (!bad.ok()) RC_FAIL(bad.text());
  RC_ASSERT(describe(decoded) == describe(update));
}

RC_GTEST_PROP(RoundTrip, Model, ()) {
  Model model;
  model.run = any<uint64_t>();
  model.model_version = any<uint64_t>();
  RC_ASSERT(model.spec.name.assign(any_text(47)));
  model.spec.input = {*rc::gen::inRange<uint32_t>(1, 50), 1, 1};
  model.spec.classes = *rc::gen::inRange<uint32_t>(2, 10);
  const size_t hidden = *rc::gen::oneOf(rc::gen::inRange<size_t>(0, 4), rc::gen::just(size_t{plan::kLayersMax} - 1));
  for (size_t i = 0; i < hidden; ++i) {
    plan::LayerSpec layer{i < 8 ? plan::LayerKind::kDense : plan::LayerKind::kLeakyRelu};
    if (i < 8) layer.units = *rc::gen::inRange<uint32_t>(1, 12);
    layer.bias = any<bool>();
    layer.value = any_real(0.0F, 1.0F);
    layer.groups = any<uint32_t>();
    layer.vocabulary = any<uint32_t>();
    layer.every_step = any<bool>();
    layer.sharing = static_cast<plan::Sharing>(*rc::gen::inRange<int>(0, plan::kSharingCount));
    RC_ASSERT(layer.name.assign(any_text(23)));
    if (any<bool>()) RC_ASSERT(layer.inputs.push_back(static_cast<uint16_t>(i)));
    RC_ASSERT(model.spec.layers.push_back(layer));
  }
  model.spec.loss.label_smoothing = any_real(0.0F, 0.9F);
  model.spec.loss.huber_delta = any_real(0.1F, 10.0F);
  RC_ASSERT(model.spec.layers.push_back({plan::LayerKind::kDense, model.spec.classes, {}, {1, 1}, {}}));
  const Result<plan::ModelLayout> layout = plan::make_layout(model.spec);
  RC_ASSERT(layout.ok());
  const std::vector<float> parameters(layout->parameter_count, any_real(-3.0F, 3.0F));
  model.parameters = parameters;

  std::vector<uint8_t> memory(model_bytes_max(model.spec, parameters.size()));
  const Result<ByteView> built = build_model(model, memory);
  RC_ASSERT(built.ok());
  const ExactBytes bytes(*built);
  Model decoded;
  const Failure bad = decode_model(bytes.view(), decoded);
  if (!bad.ok()) RC_FAIL(bad.text());
  RC_ASSERT(describe(decoded) == describe(model));
}

}  // namespace
}  // namespace runnel::wire
