#include "coordinator/config/model_file.h"
#include "coordinator/config/model_file_keys.h"
#include "runtime/host/toml_table.h"

namespace runnel::coordinator {
namespace {

using plan::Extent;
using plan::LayerKind;
using plan::LayerSpec;
using plan::Shape;

void add(std::string& text, const char* key, const std::string& value) {
  text.append(key).append(" = ").append(value).append("\n");
}

std::string shape_text(const Shape& shape) {
  std::string text = "[" + std::to_string(shape.channels);
  if (shape.height != 1 || shape.width != 1)
    text += ", " + std::to_string(shape.height) + ", " + std::to_string(shape.width);
  return text + "]";
}

std::string extent_text(Extent extent, bool sequence) {
  if (sequence || extent.height == extent.width) return std::to_string(extent.width);
  return "[" + std::to_string(extent.height) + ", " + std::to_string(extent.width) + "]";
}

// The name a file would use: an alias where the layer is one.
struct Wording {
  std::string kind;
  bool sequence = false;
  bool depthwise = false;
};

Wording wording_of(const LayerSpec& layer, const Shape& input) {
  Wording words{plan::layer_kind_name(layer.kind)};
  if ((keys_of(layer.kind) & kKernelKey) == 0) return words;
  words.sequence = input.height == 1 && input.width > 1 && layer.kernel.height == 1 && layer.stride.height == 1 &&
                   layer.padding.height == 0;
  words.depthwise = layer.kind == LayerKind::kConv2d && layer.groups > 1 && layer.groups == input.channels;
  for (const LayerAlias& alias : kLayerAliases) {
    if (alias.kind == layer.kind && alias.sequence == words.sequence && alias.depthwise == words.depthwise)
      words.kind = alias.name;
  }
  return words;
}

void add_window(std::string& text, const LayerSpec& layer, const Wording& words) {
  add(text, "kernel", extent_text(layer.kernel, words.sequence));
  if (layer.stride != (is_pool(layer.kind) ? layer.kernel : Extent{1, 1}))
    add(text, "stride", extent_text(layer.stride, words.sequence));
  if (layer.padding != Extent{0, 0}) add(text, "padding", extent_text(layer.padding, words.sequence));
}

void add_inputs(std::string& text, const plan::ModelSpec& spec, const LayerSpec& layer) {
  if (layer.inputs.empty()) return;
  std::string names;
  for (const uint16_t source : layer.inputs) {
    names += names.empty() ? "" : ", ";
    if (source == 0) {
      names += "\"input\"";
    } else {
      const auto& name = spec.layers[source - 1U].name;
      names += host::toml_quoted(name.empty() ? "#" + std::to_string(source - 1U) : std::string(name.view()));
    }
  }
  add(text, "inputs", layer.inputs.size() == 1 ? names : "[" + names + "]");
}

void add_layer(std::string& text, const plan::ModelSpec& spec, const LayerSpec& layer, const Shape& input) {
  const unsigned keys = keys_of(layer.kind);
  const Wording words = wording_of(layer, input);
  text += "\n[[layer]]\n";
  add(text, "kind", host::toml_quoted(words.kind));
  if (!layer.name.empty()) add(text, "name", host::toml_quoted(layer.name.view()));
  add_inputs(text, spec, layer);
  if ((keys & kUnitsKey) != 0 && !(words.depthwise && layer.units == layer.groups))
    add(text, "units", std::to_string(layer.units));
  if ((keys & kVocabularyKey) != 0) add(text, "vocabulary", std::to_string(layer.vocabulary));
  if ((keys & kKernelKey) != 0) add_window(text, layer, words);
  const bool says_groups = layer.kind == LayerKind::kGroupNorm || (layer.groups != 1 && !words.depthwise);
  if ((keys & kGroupsKey) != 0 && says_groups) add(text, "groups", std::to_string(layer.groups));
  if ((keys & kShapeKey) != 0) add(text, "shape", shape_text(layer.shape));
  if ((keys & kBiasKey) != 0 && !layer.bias) add(text, "bias", "false");
  if ((keys & kEveryStepKey) != 0 && layer.every_step) add(text, "every_step", "true");
  const bool says_value = layer.kind == LayerKind::kDropout || layer.value != value_default(layer.kind);
  if ((keys & kValueKey) != 0 && says_value) add(text, value_key(layer.kind), host::toml_float(layer.value));
  if (layer.sharing != plan::Sharing::kShared)
    add(text, "sharing", host::toml_quoted(plan::sharing_name(layer.sharing)));
}

void add_loss(std::string& text, const plan::LossSpec& loss) {
  if (loss == plan::LossSpec{}) return;
  const bool softmax = loss.kind == plan::LossKind::kSoftmaxCrossEntropy;
  std::string inner = "kind = " + host::toml_quoted(plan::loss_kind_name(loss.kind));
  if (!softmax && loss.target != plan::TargetKind::kValues)
    inner += ", target = " + host::toml_quoted(plan::target_kind_name(loss.target));
  if (softmax && loss.label_smoothing != 0.0F) inner += ", label_smoothing = " + host::toml_float(loss.label_smoothing);
  if (loss.kind == plan::LossKind::kHuber) inner += ", delta = " + host::toml_float(loss.huber_delta);
  add(text, "loss", "{ " + inner + " }");
}

}  // namespace

std::string model_file_toml(const plan::ModelSpec& spec) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  RUNNEL_ASSERT(layout.ok());
  std::string text;
  add(text, "name", host::toml_quoted(spec.name.view()));
  add(text, "input", shape_text(spec.input));
  const bool softmax = spec.loss.kind == plan::LossKind::kSoftmaxCrossEntropy;
  add(text, softmax ? "classes" : "outputs", std::to_string(spec.classes));
  add_loss(text, spec.loss);
  for (uint32_t index = 0; index < spec.layers.size(); ++index) {
    const uint32_t source = plan::source_of(spec, index, 0);
    add_layer(text, spec, spec.layers[index], source == 0 ? spec.input : layout->outputs[source - 1]);
  }
  return text;
}

}  // namespace runnel::coordinator
