#include "coordinator/commands/starting_model.h"

#include <algorithm>
#include <filesystem>

#include "coordinator/config/model_file.h"
#include "coordinator/onnx/onnx_import.h"
#include "coordinator/state_folder.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/pki.h"
#include "runtime/train/initialize.h"

namespace runnel::coordinator {
namespace {

Failure read_model(const std::string& model, StartingModel& chosen) {
  if (const BuiltinModel* builtin = find_builtin_model(model)) {
    chosen.toml = "# " + std::string(builtin->purpose) + std::string(builtin->toml);
  } else if (model.ends_with(".toml") || model.find('/') != std::string::npos) {
    Result<std::string> text = read_text_file(model);
    if (!text) return text.failure();
    chosen.toml = std::move(*text);
  } else {
    std::string names;
    for (const BuiltinModel& known : builtin_models()) names += " " + std::string(known.name);
    return fail(Error::kUnknownName, "--model: '%s' is neither a .toml file nor one of:%s", model.c_str(),
                names.c_str());
  }
  Result<plan::ModelSpec> spec = parse_model_file(chosen.toml);
  if (!spec) return Failure(spec.failure()).prefix("%s", model.c_str());
  chosen.spec = *spec;
  return Error::kOk;
}

// The file's name as a model's, or a name that is always good.
std::string name_from(const std::string& path) {
  std::string name = std::filesystem::path(path).stem().string();
  name.resize(std::min(name.size(), decltype(plan::ModelSpec::name)::capacity()));
  return host::valid_name(name) ? name : "imported";
}

Failure read_trained(const std::string& path, ImportedModel& model) {
  Result<std::vector<uint8_t>> file = host::read_file(path, kOnnxBytesMax);
  if (!file) return file.failure();
  Result<OnnxGraph> graph = read_onnx(*file);
  if (!graph) return Failure(graph.failure()).prefix("%s", path.c_str());
  Result<ImportedModel> read = import_onnx(*graph, name_from(path));
  if (!read) return Failure(read.failure()).prefix("%s", path.c_str());
  model = std::move(*read);
  return Error::kOk;
}

std::vector<plan::TensorInfo> tensors_of(const plan::ModelLayout& layout, uint32_t layer) {
  std::vector<plan::TensorInfo> tensors;
  std::ranges::copy_if(layout.tensors, std::back_inserter(tensors),
                       [&](const plan::TensorInfo& tensor) { return tensor.layer == layer; });
  return tensors;
}

bool has_tensors(const plan::ModelLayout& layout, uint32_t layer) {
  return std::ranges::any_of(layout.tensors, [&](const plan::TensorInfo& tensor) { return tensor.layer == layer; });
}

// True, with the values copied, if both layers have the same parameters.
bool take_layer(const ImportedModel& from, const plan::ModelLayout& from_layout, uint32_t from_layer, uint32_t layer,
                StartingModel& to) {
  const plan::LayerSpec& theirs = from.spec.layers[from_layer];
  const plan::LayerSpec& ours = to.spec.layers[layer];
  const bool alike = theirs.kind == ours.kind && theirs.units == ours.units && theirs.kernel == ours.kernel &&
                     theirs.groups == ours.groups && theirs.bias == ours.bias && theirs.vocabulary == ours.vocabulary;
  const auto source = tensors_of(from_layout, from_layer);
  const auto target = tensors_of(to.layout, layer);
  if (!alike || !std::ranges::equal(source, target, {}, &plan::TensorInfo::count, &plan::TensorInfo::count))
    return false;
  for (size_t index = 0; index < source.size(); ++index) {
    std::copy_n(from.parameters.begin() + source[index].offset, source[index].count,
                to.trained.begin() + target[index].offset);
  }
  return true;
}

// Layers with parameters correspond in their order.
Failure take_parameters(const ImportedModel& from, const std::string& path, StartingModel& to) {
  const Result<plan::ModelLayout> layout = plan::make_layout(from.spec);
  if (!layout) return layout.failure();
  to.trained.resize(to.layout.parameter_count);
  const auto layers = static_cast<uint32_t>(to.spec.layers.size());
  uint32_t from_layer = 0;
  uint32_t taken = 0;
  for (to.layers_trained = 0; to.layers_trained < layers; ++to.layers_trained) {
    if (!has_tensors(to.layout, to.layers_trained)) continue;
    while (from_layer < from.spec.layers.size() && !has_tensors(*layout, from_layer)) ++from_layer;
    if (from_layer == from.spec.layers.size()) break;
    if (!take_layer(from, *layout, from_layer++, to.layers_trained, to)) break;
    ++taken;
  }
  if (taken == 0) return fail(Error::kShape, "%s: no layer of it fits the model's first layers", path.c_str());
  for (uint32_t layer = to.layers_trained; layer < layers; ++layer) {
    if (to.spec.layers[layer].sharing == plan::Sharing::kFrozen) {
      return fail(Error::kShape, "layer %u (%s) is frozen, but %s has no parameters that fit it", layer,
                  plan::layer_kind_name(to.spec.layers[layer].kind), path.c_str());
    }
  }
  return Error::kOk;
}

}  // namespace

void StartingModel::fill(uint64_t seed, std::vector<float>& parameters) const {
  train::initialize_parameters(layout, seed, parameters);
  for (const plan::TensorInfo& tensor : layout.tensors) {
    if (trained.empty() || tensor.layer >= layers_trained) continue;
    std::copy_n(trained.begin() + tensor.offset, tensor.count, parameters.begin() + tensor.offset);
  }
}

Result<StartingModel> choose_starting_model(const std::string& model, const std::string& onnx_path) {
  StartingModel chosen;
  if (!model.empty()) RUNNEL_TRY(read_model(model, chosen));
  ImportedModel imported;
  if (!onnx_path.empty()) {
    RUNNEL_TRY(read_trained(onnx_path, imported));
    chosen.trained_path = onnx_path;
    if (model.empty()) {
      chosen.spec = imported.spec;
      chosen.toml = "# Read from an ONNX file.\n" + model_file_toml(imported.spec);
    }
  }
  Result<plan::ModelLayout> layout = make_layout(chosen.spec);
  if (!layout) return Failure(layout.failure()).prefix("%s", model.c_str());
  chosen.layout = *layout;
  if (!onnx_path.empty()) RUNNEL_TRY(take_parameters(imported, onnx_path, chosen));
  return chosen;
}

}  // namespace runnel::coordinator
