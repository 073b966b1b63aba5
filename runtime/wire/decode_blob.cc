#include <cmath>

#include "runtime/wire/check_text.h"
#include "runtime/wire/flatbuffer_memory.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/generated_headers.h"

namespace runnel::wire {
namespace {

Failure check_blob(const char* what, ByteView bytes) {
  RUNNEL_ASSERT(reinterpret_cast<uintptr_t>(bytes.data()) % 8 == 0);
  if (bytes.size() > kBlobBytesMax) return fail(Error::kLimit, "%s of %zu bytes", what, bytes.size());
  if (bytes.size() < 12) return fail(Error::kTruncated, "%s of %zu bytes is too short", what, bytes.size());
  return Error::kOk;
}

Failure convert_tensor(uint32_t index, const schema::Tensor& from, Update& update) {
  const std::string_view name = text_of(from.name());
  // Checked before it is quoted anywhere: a control character in a refusal would make the refusal itself malformed.
  if (Failure bad = check_text("name", name, kNameBytesMax); !bad.ok()) return bad.prefix("Update.tensors[%u]", index);
  plan::EncodedTensor to;
  to.codec = static_cast<plan::CodecId>(from.codec());
  if (static_cast<uint8_t>(to.codec) >= plan::kCodecCount) {
    return fail(Error::kUnsupported, "Update.tensors[%u]: codec %u is not known here", index,
                static_cast<unsigned>(from.codec()));
  }
  to.count = from.count();
  if (to.count > plan::kParametersMax)
    return fail(Error::kLimit, "Update.tensors[%u] claims %u coordinates", index, to.count);
  to.bits = from.bits();
  to.levels = from.levels();
  to.bucket = from.bucket();
  to.scale = from.scale();
  if (!std::isfinite(to.scale) || to.scale < 0.0F) {
    return fail(std::isfinite(to.scale) ? Error::kOutOfRange : Error::kNotFinite,
                "Update.tensors[%u] \"%.*s\": scale %g must be finite and not negative", index,
                static_cast<int>(name.size()), name.data(), static_cast<double>(to.scale));
  }
  to.coder = static_cast<plan::Coder>(from.coder());
  if (static_cast<uint8_t>(to.coder) >= plan::kCoderCount) {
    return fail(Error::kUnsupported, "Update.tensors[%u]: coder %u is not known here", index,
                static_cast<unsigned>(from.coder()));
  }
  to.tensors = from.tensors();
  if (to.tensors == 0 || to.tensors > plan::kTensorsMax) {
    return fail(Error::kOutOfRange, "Update.tensors[%u] says that it holds %u tensors", index, unsigned{to.tensors});
  }
  to.rotated = from.rotated();
  to.keep = from.keep();
  if (!std::isfinite(to.keep) || to.keep <= 0.0F || to.keep > 1.0F) {
    return fail(std::isfinite(to.keep) ? Error::kOutOfRange : Error::kNotFinite,
                "Update.tensors[%u]: keep %g is not in (0, 1]", index, static_cast<double>(to.keep));
  }
  to.seed = from.seed();
  to.payload = bytes_of(from.payload());
  if (!update.tensors.push_back(to) || !update.tensor_names.push_back(name)) {
    return fail(Error::kLimit, "Update has more than %u tensors", plan::kTensorsMax);
  }
  return Error::kOk;
}

// An enum's value, or kUnsupported: a newer peer may know more of them.
template <typename To, typename From>
Failure convert_enum(const char* what, From from, uint8_t first, uint8_t last, To& to) {
  const auto number = static_cast<uint8_t>(from);
  if (number < first || number > last)
    return fail(Error::kUnsupported, "%s %u is not known here", what, unsigned{number});
  to = static_cast<To>(number);
  return Error::kOk;
}

Failure convert_layer(const schema::Layer& from, plan::LayerSpec& to) {
  RUNNEL_TRY(convert_enum("kind", from.kind(), 1, plan::kLayerKindLast, to.kind));
  RUNNEL_TRY(convert_enum("sharing", from.sharing(), 0, plan::kSharingCount - 1, to.sharing));
  to.units = from.units();
  to.kernel = {from.kernel_height(), from.kernel_width()};
  to.stride = {from.stride_height(), from.stride_width()};
  to.padding = {from.padding_height(), from.padding_width()};
  to.groups = from.groups();
  to.bias = !from.no_bias();
  to.every_step = from.every_step();
  to.value = from.value();
  to.vocabulary = from.vocabulary();
  if (from.shape() != nullptr) {
    if (from.shape()->size() != 3) return fail(Error::kMalformed, "a shape of %u sides", from.shape()->size());
    to.shape = {from.shape()->Get(0), from.shape()->Get(1), from.shape()->Get(2)};
  }
  if (from.name() != nullptr) {
    RUNNEL_TRY(check_text("name", text_of(from.name()), static_cast<uint32_t>(to.name.capacity())));
    RUNNEL_ASSERT(to.name.assign(text_of(from.name())));
  }
  if (from.inputs() == nullptr) return Error::kOk;
  for (const uint16_t input : *from.inputs()) {
    if (!to.inputs.push_back(input)) return fail(Error::kLimit, "more than %u inputs", plan::kJoinMax);
  }
  return Error::kOk;
}

Failure convert_spec(const schema::ModelSpec& from, plan::ModelSpec& to) {
  RUNNEL_TRY(check_text("Model.spec.name", text_of(from.name()), static_cast<uint32_t>(to.name.capacity())));
  RUNNEL_ASSERT(to.name.assign(text_of(from.name())));
  to.input = {from.input_channels(), from.input_height(), from.input_width()};
  to.classes = from.classes();
  if (from.layers() == nullptr) return fail(Error::kMalformed, "Model.spec has no layers");
  for (uint32_t i = 0; i < from.layers()->size(); ++i) {
    plan::LayerSpec layer;
    if (Failure bad = convert_layer(*from.layers()->Get(i), layer); !bad.ok())
      return bad.prefix("Model.spec.layers[%u]", i);
    if (!to.layers.push_back(layer)) return fail(Error::kLimit, "Model.spec has more than %u layers", plan::kLayersMax);
  }
  RUNNEL_TRY(convert_enum("Model.spec.loss", from.loss(), 0, plan::kLossKindCount - 1, to.loss.kind));
  RUNNEL_TRY(convert_enum("Model.spec.target", from.target(), 0, plan::kTargetKindCount - 1, to.loss.target));
  to.loss.label_smoothing = from.label_smoothing();
  to.loss.huber_delta = from.huber_delta();
  return Error::kOk;
}

Failure convert_evaluation(const schema::Evaluation& from, plan::LocalEvaluation& to) {
  if (from.metric() == 0 || from.metric() > plan::kMetricLast)
    return fail(Error::kOutOfRange, "Update.evaluation.metric %u is not known", from.metric());
  if (from.examples() == 0 || from.examples() > kSampleCountMax)
    return fail(Error::kOutOfRange, "Update.evaluation.examples is %u", from.examples());
  to = {static_cast<plan::Metric>(from.metric()),
        from.examples(),
        from.loss_before(),
        from.value_before(),
        from.loss_after(),
        from.value_after(),
        from.tuned_steps(),
        from.loss_tuned(),
        from.value_tuned()};
  if (to.tuned_steps > plan::kFineTuneStepsMax)
    return fail(Error::kOutOfRange, "Update.evaluation.tuned_steps is %u", to.tuned_steps);
  for (const float value :
       {to.loss_before, to.value_before, to.loss_after, to.value_after, to.loss_tuned, to.value_tuned}) {
    if (!std::isfinite(value)) return fail(Error::kNotFinite, "Update.evaluation has a value that is not finite");
  }
  return Error::kOk;
}

}  // namespace

Failure decode_update(ByteView bytes, Update& update) {
  RUNNEL_TRY(check_blob("an update", bytes));
  if (!schema::UpdateBufferHasIdentifier(bytes.data())) {
    return fail(Error::kMalformed, "not an update: its identifier is not RNLU");
  }
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), kDepthMax, kTablesMax);
  if (!schema::VerifyUpdateBuffer(verifier))
    return fail(Error::kMalformed, "an update whose offsets do not hold together");
  const schema::Update& from = *schema::GetUpdate(bytes.data());
  update = Update{};
  update.run = from.run();
  update.device = text_of(from.device());
  RUNNEL_TRY(check_text("Update.device", update.device, kNameBytesMax));
  update.sequence = from.sequence();
  update.round = from.round();
  update.model_version = from.model_version();
  update.sample_count = from.sample_count();
  if (update.sample_count == 0 || update.sample_count > kSampleCountMax) {
    return fail(Error::kOutOfRange, "Update.sample_count is %u, it must be 1..%u", update.sample_count,
                kSampleCountMax);
  }
  update.mean_loss = from.mean_loss();
  if (!std::isfinite(update.mean_loss)) return fail(Error::kNotFinite, "Update.mean_loss is not finite");
  if (from.evaluation() != nullptr) RUNNEL_TRY(convert_evaluation(*from.evaluation(), update.evaluation));
  if (from.tensors() == nullptr) return fail(Error::kMalformed, "Update has no tensors");
  for (uint32_t i = 0; i < from.tensors()->size(); ++i) RUNNEL_TRY(convert_tensor(i, *from.tensors()->Get(i), update));
  return Error::kOk;
}

Failure decode_model(ByteView bytes, Model& model) {
  RUNNEL_TRY(check_blob("a model", bytes));
  if (!schema::ModelBufferHasIdentifier(bytes.data()))
    return fail(Error::kMalformed, "not a model: its identifier is not RNLM");
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), kDepthMax, kTablesMax);
  if (!schema::VerifyModelBuffer(verifier))
    return fail(Error::kMalformed, "a model whose offsets do not hold together");
  const schema::Model& from = *schema::GetModel(bytes.data());
  model = Model{};
  model.run = from.run();
  model.model_version = from.model_version();
  if (from.spec() == nullptr || from.parameters() == nullptr)
    return fail(Error::kMalformed, "Model lacks its spec or parameters");
  RUNNEL_TRY(convert_spec(*from.spec(), model.spec));
  const Result<plan::ModelLayout> layout = plan::make_layout(model.spec);
  if (!layout) return layout.failure();
  model.parameters = {from.parameters()->data(), from.parameters()->size()};
  if (model.parameters.size() != layout->parameter_count) {
    return fail(Error::kShape, "Model carries %zu parameters, its layers need %u", model.parameters.size(),
                layout->parameter_count);
  }
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    if (!std::isfinite(model.parameters[i])) return fail(Error::kNotFinite, "Model.parameters[%zu] is not finite", i);
  }
  return Error::kOk;
}

}  // namespace runnel::wire
