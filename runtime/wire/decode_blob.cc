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

Result<plan::LayerKind> convert_kind(uint32_t index, schema::LayerKind kind) {
  switch (kind) {
    case schema::LayerKind::dense:
      return plan::LayerKind::kDense;
    case schema::LayerKind::conv2d:
      return plan::LayerKind::kConv2d;
    case schema::LayerKind::max_pool2d:
      return plan::LayerKind::kMaxPool2d;
    case schema::LayerKind::avg_pool2d:
      return plan::LayerKind::kAvgPool2d;
    case schema::LayerKind::relu:
      return plan::LayerKind::kRelu;
    case schema::LayerKind::flatten:
      return plan::LayerKind::kFlatten;
    case schema::LayerKind::none:
      break;
  }
  return fail(Error::kUnsupported, "Model.spec.layers[%u]: kind %u is not known here", index,
              static_cast<unsigned>(kind));
}

Failure convert_spec(const schema::ModelSpec& from, plan::ModelSpec& to) {
  RUNNEL_TRY(check_text("Model.spec.name", text_of(from.name()), static_cast<uint32_t>(to.name.capacity())));
  RUNNEL_ASSERT(to.name.assign(text_of(from.name())));
  to.input = {from.input_channels(), from.input_height(), from.input_width()};
  to.classes = from.classes();
  if (from.layers() == nullptr) return fail(Error::kMalformed, "Model.spec has no layers");
  for (uint32_t i = 0; i < from.layers()->size(); ++i) {
    const schema::Layer& layer = *from.layers()->Get(i);
    const Result<plan::LayerKind> kind = convert_kind(i, layer.kind());
    if (!kind) return kind.failure();
    if (!to.layers.push_back({*kind,
                              layer.units(),
                              {layer.kernel_height(), layer.kernel_width()},
                              {layer.stride_height(), layer.stride_width()},
                              {layer.padding_height(), layer.padding_width()}})) {
      return fail(Error::kLimit, "Model.spec has more than %u layers", plan::kLayersMax);
    }
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
