#include "coordinator/config/model_file.h"

#include <algorithm>

#include "coordinator/config/model_file_keys.h"
#include "coordinator/config/partial_model.h"
#include "runtime/host/pki.h"
#include "runtime/host/toml_table.h"

namespace runnel::coordinator {
namespace {

using host::TomlTable;
using plan::Extent;
using plan::LayerKind;
using plan::LayerSpec;

struct NamedKey {
  LayerKey key;
  const char* name;
};
constexpr std::array kKeyNames = {
    NamedKey{kUnitsKey, "units"},           NamedKey{kKernelKey, "kernel"}, NamedKey{kStrideKey, "stride"},
    NamedKey{kPaddingKey, "padding"},       NamedKey{kGroupsKey, "groups"}, NamedKey{kBiasKey, "bias"},
    NamedKey{kEveryStepKey, "every_step"},  NamedKey{kShapeKey, "shape"},   NamedKey{kSharingKey, "sharing"},
    NamedKey{kVocabularyKey, "vocabulary"},
};
constexpr std::array kValueNames = {"rate", "slope", "epsilon"};

// How the file calls the layer, and what that means.
struct Kind {
  std::string name;
  LayerKind kind = LayerKind::kRelu;
  bool sequence = false;
  bool depthwise = false;
};

Failure read_kind(TomlTable& table, Kind& kind) {
  RUNNEL_TRY(table.read("kind", kind.name));
  if (!table.has("kind")) return table.at("kind", Error::kMalformed, "is missing");
  std::string known;
  for (uint8_t number = 1; number <= plan::kLayerKindLast; ++number) {
    kind.kind = static_cast<LayerKind>(number);
    if (kind.name == plan::layer_kind_name(kind.kind)) return Error::kOk;
    known.append(number == 1 ? "" : ", ").append(plan::layer_kind_name(kind.kind));
  }
  for (const LayerAlias& alias : kLayerAliases) {
    if (kind.name == alias.name) {
      kind.kind = alias.kind;
      kind.sequence = alias.sequence;
      kind.depthwise = alias.depthwise;
      return Error::kOk;
    }
    known.append(", ").append(alias.name);
  }
  // The wrong word first: a failure's text has an end, and the list of kinds is long.
  return table.at("kind", Error::kUnknownName, "'" + kind.name.substr(0, 40) + "' is none of " + known);
}

Failure check_keys(const TomlTable& table, const Kind& kind) {
  const unsigned depthwise_away = kind.depthwise ? kGroupsKey : 0U;
  const unsigned takes = keys_of(kind.kind) & ~depthwise_away;
  const unsigned needs = keys_required(kind.kind) & ~(kind.depthwise ? unsigned{kUnitsKey} : 0U);
  for (const NamedKey& named : kKeyNames) {
    const bool there = table.has(named.name);
    if (there && (takes & named.key) == 0) return table.at(named.name, Error::kUnknownName, "is not for " + kind.name);
    if (!there && (needs & named.key) != 0) return table.at(named.name, Error::kMalformed, "is missing");
  }
  const std::string_view value = (takes & kValueKey) != 0 ? value_key(kind.kind) : "";
  for (const char* name : kValueNames) {
    if (table.has(name) && name != value) return table.at(name, Error::kUnknownName, "is not for " + kind.name);
  }
  if ((needs & kValueKey) != 0 && !table.has(value)) return table.at(value, Error::kMalformed, "is missing");
  return Error::kOk;
}

Failure read_extent(TomlTable& table, const char* key, bool sequence, uint32_t other, Extent& extent) {
  std::vector<uint32_t> numbers;
  RUNNEL_TRY(table.read(key, sequence ? 1 : 2, numbers));
  if (!table.has(key)) return Error::kOk;
  if (numbers.empty())
    return table.at(key, Error::kMalformed, sequence ? "must be one number" : "must be one number or [height, width]");
  extent = {sequence ? other : numbers.front(), numbers.back()};
  return Error::kOk;
}

Failure read_shape(TomlTable& table, const char* key, plan::Shape& shape) {
  std::vector<uint32_t> sizes;
  RUNNEL_TRY(table.read(key, 3, sizes));
  if (sizes.size() != 1 && sizes.size() != 3)
    return table.at(key, Error::kMalformed, "must be [channels, height, width] or [features]");
  shape = sizes.size() == 3 ? plan::Shape{sizes[0], sizes[1], sizes[2]} : plan::Shape{sizes[0], 1, 1};
  return Error::kOk;
}

Failure read_sharing(TomlTable& table, plan::Sharing& sharing) {
  std::string name;
  RUNNEL_TRY(table.read("sharing", name));
  if (!table.has("sharing")) return Error::kOk;
  for (uint8_t number = 0; number < plan::kSharingCount; ++number) {
    sharing = static_cast<plan::Sharing>(number);
    if (name == plan::sharing_name(sharing)) return Error::kOk;
  }
  return table.at("sharing", Error::kUnknownName, "must be shared, local or frozen, not " + name);
}

Failure read_name(TomlTable& table, const plan::ModelSpec& spec, LayerSpec& layer) {
  std::string name;
  RUNNEL_TRY(table.read("name", name));
  if (!table.has("name")) return Error::kOk;
  if (!valid_layer_name(name) || !layer.name.assign(name))
    return table.at("name", Error::kInvalidArgument, "must be 1 to 23 of A-Z a-z 0-9 . _ -, and not \"input\"");
  const bool taken =
      std::ranges::any_of(spec.layers, [&](const LayerSpec& other) { return other.name.view() == name; });
  if (taken) return table.at("name", Error::kDuplicate, "is another layer's too: " + name);
  return Error::kOk;
}

// 0 = the model's input, i + 1 = layer i, as LayerSpec::inputs; -1 for what is no earlier layer.
int64_t find_source(const plan::ModelSpec& spec, const std::string& name) {
  if (name == "input") return 0;
  for (uint32_t index = 0; index < spec.layers.size(); ++index) {
    if (spec.layers[index].name.view() == name || name == "#" + std::to_string(index)) return index + 1;
  }
  return -1;
}

Failure read_inputs(TomlTable& table, const plan::ModelSpec& spec, LayerSpec& layer) {
  std::vector<std::string> names;
  RUNNEL_TRY(table.read("inputs", plan::kJoinMax, names));
  if (table.has("inputs") && names.empty()) return table.at("inputs", Error::kMalformed, "names no layer");
  for (const std::string& name : names) {
    const int64_t source = find_source(spec, name);
    if (source < 0) {
      return table.at("inputs", Error::kUnknownName,
                      "must be \"input\" or earlier layers' names; there is no earlier layer \"" + name + "\"");
    }
    RUNNEL_ASSERT(layer.inputs.push_back(static_cast<uint16_t>(source)));
  }
  return Error::kOk;
}

// Channels of what `layer`, the next one, takes in.
Result<uint32_t> channels_before(const plan::ModelSpec& spec, const LayerSpec& layer) {
  const uint32_t source = layer.inputs.empty() ? static_cast<uint32_t>(spec.layers.size()) : layer.inputs[0];
  if (source == 0) return spec.input.channels;
  Result<plan::ModelLayout> layout = partial_layout(spec);
  if (!layout) return layout.failure();
  return layout->outputs[source - 1].channels;
}

Failure read_layer(TomlTable& table, const plan::ModelSpec& spec, LayerSpec& layer) {
  Kind kind;
  RUNNEL_TRY(read_kind(table, kind));
  RUNNEL_TRY(check_keys(table, kind));
  layer.kind = kind.kind;
  layer.value = value_default(kind.kind);
  RUNNEL_TRY(read_name(table, spec, layer));
  RUNNEL_TRY(read_inputs(table, spec, layer));
  if (kind.depthwise) {
    Result<uint32_t> channels = channels_before(spec, layer);
    if (!channels) return channels.failure();
    layer.groups = layer.units = *channels;
  }
  RUNNEL_TRY(table.read("units", layer.units));
  RUNNEL_TRY(read_extent(table, "kernel", kind.sequence, 1, layer.kernel));
  if (is_pool(layer.kind)) layer.stride = layer.kernel;
  RUNNEL_TRY(read_extent(table, "stride", kind.sequence, 1, layer.stride));
  RUNNEL_TRY(read_extent(table, "padding", kind.sequence, 0, layer.padding));
  RUNNEL_TRY(table.read("groups", layer.groups));
  RUNNEL_TRY(table.read("bias", layer.bias));
  RUNNEL_TRY(table.read("every_step", layer.every_step));
  RUNNEL_TRY(table.read("vocabulary", layer.vocabulary));
  if (kind.kind == LayerKind::kReshape) RUNNEL_TRY(read_shape(table, "shape", layer.shape));
  RUNNEL_TRY(read_sharing(table, layer.sharing));
  if ((keys_of(kind.kind) & kValueKey) != 0) RUNNEL_TRY(table.read(value_key(kind.kind), layer.value));
  return table.refuse_unread();
}

// Gives each layer's line to `lines`.
Failure read_layers(TomlTable& table, plan::ModelSpec& spec, std::vector<uint32_t>& lines) {
  Result<std::vector<TomlTable>> layers = table.tables("layer");
  if (!layers) return layers.failure();
  unsigned index = 0;
  for (TomlTable& described : *layers) {
    LayerSpec layer;
    if (Failure bad = read_layer(described, spec, layer); !bad.ok()) return bad.prefix("layer %u", index);
    if (!spec.layers.push_back(layer))
      return fail(Error::kLimit, "layer %u: a model has at most %u layers", index, plan::kLayersMax);
    lines.push_back(described.line_of("kind"));
    ++index;
  }
  return Error::kOk;
}

template <typename Kind, uint8_t kCount>
Failure read_choice(TomlTable& table, const char* key, const char* (*name_of)(Kind), Kind& choice) {
  std::string name;
  RUNNEL_TRY(table.read(key, name));
  if (!table.has(key)) return Error::kOk;
  std::string known;
  for (uint8_t number = 0; number < kCount; ++number) {
    choice = static_cast<Kind>(number);
    if (name == name_of(choice)) return Error::kOk;
    known.append(number == 0 ? "" : ", ").append(name_of(choice));
  }
  return table.at(key, Error::kUnknownName, "must be one of " + known + "; not " + name);
}

// loss = "huber", or loss = { kind = "huber", delta = 1 }
Failure read_loss(TomlTable& table, plan::LossSpec& loss) {
  using plan::LossKind;
  Result<TomlTable> described = table.table("loss");
  if (described) {
    RUNNEL_TRY((read_choice<LossKind, plan::kLossKindCount>(*described, "kind", plan::loss_kind_name, loss.kind)));
  } else {
    RUNNEL_TRY((read_choice<LossKind, plan::kLossKindCount>(table, "loss", plan::loss_kind_name, loss.kind)));
  }
  if (loss.kind != LossKind::kSoftmaxCrossEntropy) loss.target = plan::TargetKind::kValues;
  if (!described) return Error::kOk;
  if (described->has("label_smoothing") && loss.kind != LossKind::kSoftmaxCrossEntropy)
    return described->at("label_smoothing", Error::kUnknownName, "is for softmax alone");
  if (described->has("delta") && loss.kind != LossKind::kHuber)
    return described->at("delta", Error::kUnknownName, "is for huber alone");
  RUNNEL_TRY((read_choice<plan::TargetKind, plan::kTargetKindCount>(*described, "target", plan::target_kind_name,
                                                                    loss.target)));
  RUNNEL_TRY(described->read("label_smoothing", loss.label_smoothing));
  RUNNEL_TRY(described->read("delta", loss.huber_delta));
  return described->refuse_unread();
}

// `classes`; a model that predicts values may say `outputs` instead.
Failure read_classes(TomlTable& table, plan::ModelSpec& spec) {
  const bool values = spec.loss.kind != plan::LossKind::kSoftmaxCrossEntropy;
  if (table.has("classes") && table.has("outputs"))
    return table.at("outputs", Error::kDuplicate, "is the same as classes: say one of them");
  if (table.has("outputs") && !values)
    return table.at("outputs", Error::kUnknownName, "is not for softmax: say classes");
  if (!table.has("classes") && !table.has("outputs"))
    return fail(Error::kMalformed, "the key %s is missing", values ? "outputs" : "classes");
  RUNNEL_TRY(table.read("classes", spec.classes));
  return table.read("outputs", spec.classes);
}

// Puts the layer's line in front of what make_layout() says about "layer 3 ...".
Failure locate(const TomlTable& table, const std::vector<uint32_t>& lines, Failure failure) {
  const std::string_view text(failure.text());
  if (!text.starts_with("layer ")) return table.locate(failure);
  size_t index = 0;
  size_t at = 6;
  for (; at < text.size() && at < 9 && text[at] >= '0' && text[at] <= '9'; ++at)
    index = index * 10 + static_cast<size_t>(text[at] - '0');
  if (at > 6 && index < lines.size()) static_cast<void>(failure.prefix("line %u", lines[index]));
  return failure;
}

}  // namespace

bool valid_layer_name(std::string_view name) {
  return name.size() <= decltype(LayerSpec::name)::capacity() && name != "input" && host::valid_name(name);
}

Result<plan::ModelSpec> parse_model_file(const std::string& toml) {
  Result<TomlTable> table = TomlTable::parse(toml);
  if (!table) return table.failure();
  plan::ModelSpec spec;
  std::string name;
  RUNNEL_TRY(table->read("name", name));
  for (const char* key : {"name", "input"}) {
    if (!table->has(key)) return fail(Error::kMalformed, "the key %s is missing", key);
  }
  if (!host::valid_name(name) || !spec.name.assign(name)) {
    return table->at("name", Error::kInvalidArgument, "must be 1 to 47 of A-Z a-z 0-9 . _ -");
  }
  RUNNEL_TRY(read_shape(*table, "input", spec.input));
  RUNNEL_TRY(read_loss(*table, spec.loss));
  RUNNEL_TRY(read_classes(*table, spec));
  std::vector<uint32_t> lines;
  RUNNEL_TRY(read_layers(*table, spec, lines));
  RUNNEL_TRY(table->refuse_unread());
  Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return locate(*table, lines, layout.failure());
  return spec;
}

const BuiltinModel* find_builtin_model(std::string_view name) {
  for (const BuiltinModel& model : builtin_models()) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

}  // namespace runnel::coordinator
