#include "coordinator/config/model_file.h"

#include <array>

#include "runtime/host/pki.h"
#include "runtime/host/toml_table.h"

namespace runnel::coordinator {
namespace {

using host::TomlTable;
using plan::Extent;
using plan::LayerKind;
using plan::LayerSpec;

constexpr std::array kKinds = {LayerKind::kDense,     LayerKind::kConv2d, LayerKind::kMaxPool2d,
                               LayerKind::kAvgPool2d, LayerKind::kRelu,   LayerKind::kFlatten};

bool takes_units(LayerKind kind) {
  return kind == LayerKind::kDense || kind == LayerKind::kConv2d;
}
bool is_pool(LayerKind kind) {
  return kind == LayerKind::kMaxPool2d || kind == LayerKind::kAvgPool2d;
}
bool takes_kernel(LayerKind kind) {
  return kind == LayerKind::kConv2d || is_pool(kind);
}

Failure read_kind(TomlTable& table, LayerKind& kind) {
  std::string name;
  RUNNEL_TRY(table.read("kind", name));
  if (!table.has("kind")) return table.at("kind", Error::kMalformed, "is missing");
  for (const LayerKind known : kKinds) {
    if (name != plan::layer_kind_name(known)) continue;
    kind = known;
    return Error::kOk;
  }
  return table.at("kind", Error::kUnknownName,
                  name.insert(0, "must be dense, conv2d, max_pool2d, avg_pool2d, relu or flatten, not "));
}

Failure read_extent(TomlTable& table, const char* key, Extent& extent) {
  std::vector<uint32_t> numbers;
  RUNNEL_TRY(table.read(key, 2, numbers));
  if (!table.has(key)) return Error::kOk;
  if (numbers.empty()) return table.at(key, Error::kMalformed, "must be one number or [height, width]");
  extent = {numbers.front(), numbers.back()};
  return Error::kOk;
}

Failure read_layer(TomlTable& table, LayerSpec& layer) {
  RUNNEL_TRY(read_kind(table, layer.kind));
  const bool takes[] = {takes_units(layer.kind), takes_kernel(layer.kind), takes_kernel(layer.kind),
                        layer.kind == LayerKind::kConv2d};
  const char* keys[] = {"units", "kernel", "stride", "padding"};
  for (size_t index = 0; index < 4; ++index) {
    if (table.has(keys[index]) && !takes[index]) {
      return table.at(keys[index], Error::kUnknownName, std::string("is not for ") + plan::layer_kind_name(layer.kind));
    }
    // units and kernel have no default; stride and padding have.
    if (!table.has(keys[index]) && takes[index] && index < 2) {
      return table.at(keys[index], Error::kMalformed, "is missing");
    }
  }
  RUNNEL_TRY(table.read("units", layer.units));
  RUNNEL_TRY(read_extent(table, "kernel", layer.kernel));
  if (is_pool(layer.kind)) layer.stride = layer.kernel;
  RUNNEL_TRY(read_extent(table, "stride", layer.stride));
  RUNNEL_TRY(read_extent(table, "padding", layer.padding));
  return table.refuse_unread();
}

Failure read_layers(TomlTable& table, plan::ModelSpec& spec) {
  Result<std::vector<TomlTable>> layers = table.tables("layer");
  if (!layers) return layers.failure();
  unsigned index = 0;
  for (TomlTable& described : *layers) {
    LayerSpec layer;
    if (Failure bad = read_layer(described, layer); !bad.ok()) return bad.prefix("layer %u", index);
    if (!spec.layers.push_back(layer))
      return fail(Error::kLimit, "layer %u: a model has at most %u layers", index, plan::kLayersMax);
    ++index;
  }
  return Error::kOk;
}

Failure read_input(TomlTable& table, plan::Shape& input) {
  std::vector<uint32_t> sizes;
  RUNNEL_TRY(table.read("input", 3, sizes));
  if (sizes.size() != 1 && sizes.size() != 3) {
    return table.at("input", Error::kMalformed, "must be [channels, height, width] or [features]");
  }
  input = sizes.size() == 3 ? plan::Shape{sizes[0], sizes[1], sizes[2]} : plan::Shape{sizes[0], 1, 1};
  return Error::kOk;
}

std::string extent_text(Extent extent) {
  std::string text = std::to_string(extent.height);
  if (extent.height == extent.width) return text;
  text.insert(text.begin(), '[');
  return text.append(", ").append(std::to_string(extent.width)).append("]");
}

}  // namespace

Result<plan::ModelSpec> parse_model_file(const std::string& toml) {
  Result<TomlTable> table = TomlTable::parse(toml);
  if (!table) return table.failure();
  plan::ModelSpec spec;
  std::string name;
  RUNNEL_TRY(table->read("name", name));
  for (const char* key : {"name", "input", "classes"}) {
    if (!table->has(key)) return fail(Error::kMalformed, "the key %s is missing", key);
  }
  if (!host::valid_name(name) || !spec.name.assign(name)) {
    return table->at("name", Error::kInvalidArgument, "must be 1 to 47 of A-Z a-z 0-9 . _ -");
  }
  RUNNEL_TRY(read_input(*table, spec.input));
  RUNNEL_TRY(table->read("classes", spec.classes));
  RUNNEL_TRY(read_layers(*table, spec));
  RUNNEL_TRY(table->refuse_unread());
  Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return table->locate(layout.failure());
  return spec;
}

std::string model_file_toml(const plan::ModelSpec& spec) {
  std::string text =
      "name = " + host::toml_quoted(spec.name.view()) + "\ninput = [" + std::to_string(spec.input.channels);
  if (spec.input.height != 1 || spec.input.width != 1) {
    text += ", " + std::to_string(spec.input.height) + ", " + std::to_string(spec.input.width);
  }
  text += "]\nclasses = " + std::to_string(spec.classes) + "\n";
  for (const LayerSpec& layer : spec.layers) {
    text += "\n[[layer]]\nkind = \"" + std::string(plan::layer_kind_name(layer.kind)) + "\"\n";
    if (takes_units(layer.kind)) text += "units = " + std::to_string(layer.units) + "\n";
    if (!takes_kernel(layer.kind)) continue;
    text += "kernel = " + extent_text(layer.kernel) + "\n";
    if (layer.stride != (is_pool(layer.kind) ? layer.kernel : Extent{1, 1})) {
      text += "stride = " + extent_text(layer.stride) + "\n";
    }
    if (layer.padding != Extent{0, 0}) text += "padding = " + extent_text(layer.padding) + "\n";
  }
  return text;
}

const BuiltinModel* find_builtin_model(std::string_view name) {
  for (const BuiltinModel& model : builtin_models()) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

}  // namespace runnel::coordinator
