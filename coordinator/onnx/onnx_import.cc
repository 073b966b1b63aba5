#include "coordinator/onnx/onnx_import.h"

#include <algorithm>
#include <cmath>

#include "coordinator/config/model_file.h"
#include "coordinator/config/partial_model.h"
#include "coordinator/onnx/onnx_export.h"
#include "coordinator/onnx/onnx_importer.h"

namespace runnel::coordinator {

using plan::LayerKind;
using plan::LayerSpec;

bool axes_match(const std::string& axes, std::string_view wanted) {
  if (axes.size() != wanted.size()) return false;
  for (size_t at = 0; at < axes.size(); ++at) {
    const bool stands_in = axes[at] == '1' && axes.find(wanted[at]) == std::string::npos;
    if (axes[at] != wanted[at] && !stands_in) return false;
  }
  return true;
}

OnnxImporter::OnnxImporter(const OnnxGraph& graph, const std::string& name) : graph_(graph), done_(graph.nodes.size()) {
  RUNNEL_ASSERT(spec_.name.assign(name));
}

Failure OnnxImporter::refuse(Error error, const std::string& why) const {
  return fail(error, "node %.80s (%.40s): %s", node_->name.c_str(), node_->op.c_str(), why.c_str());
}

const OnnxOperand* OnnxImporter::find(size_t input) const {
  if (input >= node_->inputs.size() || node_->inputs[input].empty()) return nullptr;
  const auto found = operands_.find(node_->inputs[input]);
  return found == operands_.end() ? nullptr : &found->second;
}

Failure OnnxImporter::activation(size_t input, OnnxOperand& operand) const {
  const OnnxOperand* found = find(input);
  if (found == nullptr) return refuse(Error::kMalformed, "an input is missing or comes from nowhere");
  if (found->kind != Kind::kActivation)
    return refuse(Error::kUnsupported, "a constant where runnel's layers take the output of another");
  operand = *found;
  return Error::kOk;
}

Failure OnnxImporter::constant(size_t input, const OnnxTensor*& tensor) const {
  const OnnxOperand* found = find(input);
  if (found == nullptr || found->kind != Kind::kConstant)
    return refuse(Error::kUnsupported, "its parameters must be constants of the graph");
  tensor = found->constant;
  return Error::kOk;
}

Failure OnnxImporter::integers(size_t input, const char* attribute, std::vector<int64_t>& values) const {
  values.clear();
  if (const OnnxAttribute* listed = attribute == nullptr ? nullptr : node_->find(attribute)) {
    values = listed->integers;
    return Error::kOk;
  }
  const OnnxOperand* found = find(input);
  if (found != nullptr && found->kind == Kind::kIntegers) {
    values = found->integers;
    return Error::kOk;
  }
  const bool fits = found != nullptr && found->kind == Kind::kConstant && found->constant->type != OnnxType::kFloat &&
                    found->constant->count() <= kOnnxListMax;
  if (!fits) return refuse(Error::kUnsupported, "its sizes must be constants of the graph");
  for (uint64_t index = 0; index < found->constant->count(); ++index) values.push_back(found->constant->integer(index));
  return Error::kOk;
}

bool OnnxImporter::scalar(const std::string& name, float& value) const {
  const auto found = operands_.find(name);
  if (found == operands_.end() || found->second.kind != Kind::kConstant) return false;
  const OnnxTensor& tensor = *found->second.constant;
  if (tensor.type != OnnxType::kFloat || tensor.count() != 1) return false;
  value = tensor.number(0);
  return true;
}

int64_t OnnxImporter::integer_attribute(const char* name, int64_t otherwise) const {
  const OnnxAttribute* found = node_->find(name);
  return found == nullptr ? otherwise : found->integer;
}

float OnnxImporter::number_attribute(const char* name, float otherwise) const {
  const OnnxAttribute* found = node_->find(name);
  return found == nullptr ? otherwise : found->number;
}

bool OnnxImporter::is_read(const std::string& name) const {
  if (name.empty()) return false;
  const bool given_out = std::ranges::any_of(graph_.outputs, [&](const OnnxValue& out) { return out.name == name; });
  return given_out || readers_.contains(name);
}

const OnnxNode* OnnxImporter::only_reader(const std::string& name) const {
  const auto found = readers_.find(name);
  if (found == readers_.end() || found->second.size() != 1) return nullptr;
  const bool given_out = std::ranges::any_of(graph_.outputs, [&](const OnnxValue& out) { return out.name == name; });
  return given_out ? nullptr : &graph_.nodes[found->second.front()];
}

std::string OnnxImporter::other_input(const OnnxNode& node, const std::string& name) {
  if (node.inputs.size() != 2) return {};
  if (node.inputs[0] == name) return node.inputs[1];
  return node.inputs[1] == name ? node.inputs[0] : std::string();
}

Failure OnnxImporter::define(const std::string& name, OnnxOperand operand) {
  if (name.empty() || operands_.emplace(name, std::move(operand)).second) return Error::kOk;
  return fail(Error::kMalformed, "%.100s is there twice", name.c_str());
}

// "/features/conv1/Conv", as PyTorch names nodes, becomes "features.conv1"; names without a path mean nothing.
void OnnxImporter::name_layer(LayerSpec& layer) const {
  const size_t end = node_->name.rfind('/');
  if (end == std::string::npos || end == 0) return;
  std::string name = node_->name.substr(0, end);
  name.erase(0, name.find_first_not_of('/'));
  std::ranges::replace(name, '/', '.');
  if (name.size() > decltype(layer.name)::capacity()) name.erase(0, name.size() - decltype(layer.name)::capacity());
  const bool taken =
      std::ranges::any_of(spec_.layers, [&](const LayerSpec& other) { return other.name.view() == name; });
  if (!taken && valid_layer_name(name)) static_cast<void>(layer.name.assign(name));
}

Failure OnnxImporter::emit(LayerSpec layer, const std::vector<uint32_t>& sources, const std::vector<Bytes>& tensors,
                           OnnxOperand& out) {
  const auto index = static_cast<uint32_t>(spec_.layers.size());
  if (sources.size() > 1 || sources.front() != index) {
    for (const uint32_t source : sources) {
      if (!layer.inputs.push_back(static_cast<uint16_t>(source)))
        return refuse(Error::kUnsupported, "more than 4 inputs");
    }
  }
  name_layer(layer);
  if (!spec_.layers.push_back(layer)) return refuse(Error::kLimit, "too many layers");
  const Result<plan::ModelLayout> layout = partial_layout(spec_);
  if (!layout) return refuse(layout.error(), layout.failure().text());
  size_t next = 0;
  for (const plan::TensorInfo& tensor : layout->tensors) {
    if (tensor.layer != index) continue;
    if (next == tensors.size() || tensors[next].size() != size_t{tensor.count} * 4)
      return refuse(Error::kShape, std::string("its parameters do not fit: ") + tensor.name.c_str());
    const Bytes& bytes = tensors[next++];
    std::vector<float>& values = tensors_.emplace_back(tensor.count);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      return refuse(Error::kNotFinite, std::string("a parameter is not a number: ") + tensor.name.c_str());
  }
  if (next != tensors.size()) return refuse(Error::kShape, "it has more parameters than the layer");
  out.kind = Kind::kActivation;
  out.shape = layout->outputs[index];
  out.source = index + 1;
  return Error::kOk;
}

Failure OnnxImporter::emit_to(const std::string& output, LayerSpec layer, const OnnxOperand& in,
                              const std::string& axes, const std::vector<Bytes>& tensors) {
  OnnxOperand out;
  out.axes = axes;
  RUNNEL_TRY(emit(std::move(layer), {in.source}, tensors, out));
  return define(output, std::move(out));
}

Failure OnnxImporter::read_input() {
  const OnnxValue* input = nullptr;
  for (const OnnxValue& value : graph_.inputs) {
    if (operands_.contains(value.name)) continue;  // an initializer, which old files list here too
    if (input != nullptr) return fail(Error::kUnsupported, "the graph has more than one input");
    input = &value;
  }
  if (input == nullptr) return fail(Error::kUnsupported, "the graph has no input");
  OnnxOperand operand;
  const auto& dims = input->dims;
  for (size_t at = 1; at < dims.size(); ++at) {
    if (dims[at] < 1 || dims[at] > plan::kDimensionMax)
      return fail(Error::kUnsupported, "the input's size %zu must be a number of 1..2^20 in the file", at);
  }
  const auto size = [&](size_t at) { return static_cast<uint32_t>(dims[at]); };
  const bool whole = input->type == OnnxType::kInt64 || input->type == OnnxType::kInt32;
  if (!whole && input->type != OnnxType::kFloat)
    return fail(Error::kUnsupported, "the input must be fp32, or int64 for an embedding");
  if (dims.size() == 2) {
    operand.axes = whole ? "NW" : "NC";
    operand.shape = whole ? plan::Shape{1, 1, size(1)} : plan::Shape{size(1), 1, 1};
  } else if (dims.size() == 3) {
    // [batch, steps, values] if that is how a recurrent layer takes it, else [batch, channels, steps].
    bool steps_first = false;
    for (const OnnxNode& node : graph_.nodes) {
      const OnnxNode* reader = nullptr;
      if (node.op == "Transpose" && node.inputs.size() == 1 && node.inputs[0] == input->name && !node.outputs.empty())
        reader = only_reader(node.outputs[0]);
      steps_first = steps_first || (reader != nullptr && (reader->op == "GRU" || reader->op == "LSTM"));
    }
    operand.axes = steps_first ? "NWC" : "NCW";
    operand.shape = steps_first ? plan::Shape{size(2), 1, size(1)} : plan::Shape{size(1), 1, size(2)};
  } else if (dims.size() == 4) {
    operand.axes = "NCHW";
    operand.shape = {size(1), size(2), size(3)};
  } else {
    return fail(Error::kUnsupported, "an input of %zu dimensions; 2, 3 or 4 with the batch first", dims.size());
  }
  spec_.input = operand.shape;
  return define(input->name, std::move(operand));
}

// What is about shapes and constants and not about numbers of the model.
Failure OnnxImporter::read_shape_node(bool& done) {
  const std::string& op = node_->op;
  const std::string output = node_->outputs.empty() ? "" : node_->outputs[0];
  const OnnxOperand* first = find(0);
  done = true;
  if (op == "Constant") {
    const OnnxAttribute* value = node_->find("value");
    if (value == nullptr || !value->tensor) return refuse(Error::kUnsupported, "only tensors can be constants");
    OnnxOperand operand;
    operand.kind = Kind::kConstant;
    operand.constant = &*value->tensor;
    return define(output, std::move(operand));
  }
  if (first == nullptr) return refuse(Error::kMalformed, "an input is missing or comes from nowhere");
  if (op == "Identity" || op == "Cast") return define(output, *first);
  OnnxOperand operand;
  if (op == "Shape" && first->kind == Kind::kActivation) {
    operand.kind = Kind::kIntegers;
    for (const char axis : first->axes) {
      const plan::Shape& shape = first->shape;
      const uint32_t sizes[] = {shape.channels, shape.height, shape.width, 1};
      const size_t which = std::string_view("CHW1").find(axis);
      operand.integers.push_back(axis == 'N' ? kBatchSize : int64_t{sizes[which]});
    }
    return define(output, std::move(operand));
  }
  if (op == "ConstantOfShape" || op == "Expand") {
    const OnnxAttribute* value = node_->find("value");
    const OnnxTensor* tensor = op == "Expand"                      ? first->constant
                               : value != nullptr && value->tensor ? &*value->tensor
                                                                   : nullptr;
    bool zero = op == "ConstantOfShape" || tensor != nullptr;
    if (tensor != nullptr) zero = std::ranges::all_of(tensor->data, [](uint8_t byte) { return byte == 0; });
    if (!zero) return refuse(Error::kUnsupported, "only zeros can be made so");
    operand.kind = Kind::kZeros;
    return define(output, std::move(operand));
  }
  const bool moves = op == "Gather" || op == "Unsqueeze" || op == "Squeeze" || op == "Concat";
  const bool whole =
      first->kind == Kind::kIntegers || (first->kind == Kind::kConstant && first->constant->type != OnnxType::kFloat);
  if (!moves || !whole) {
    done = false;
    return Error::kOk;
  }
  operand.kind = Kind::kIntegers;
  std::vector<int64_t> values;
  std::vector<int64_t> places;
  RUNNEL_TRY(integers(0, nullptr, values));
  if (op == "Gather") {
    RUNNEL_TRY(integers(1, nullptr, places));
    for (const int64_t place : places) {
      const int64_t at = place < 0 ? place + static_cast<int64_t>(values.size()) : place;
      if (at < 0 || at >= static_cast<int64_t>(values.size()))
        return refuse(Error::kOutOfRange, "an index out of range");
      operand.integers.push_back(values[static_cast<size_t>(at)]);
    }
  } else if (op == "Concat") {
    for (size_t input = 0; input < node_->inputs.size(); ++input) {
      RUNNEL_TRY(integers(input, nullptr, values));
      operand.integers.insert(operand.integers.end(), values.begin(), values.end());
    }
  } else {
    operand.integers = std::move(values);
  }
  return define(output, std::move(operand));
}

Failure OnnxImporter::read_node() {
  const std::string& op = node_->op;
  if (node_->outputs.empty()) return refuse(Error::kMalformed, "it has no output");
  for (const char* about_shapes : {"Constant", "Identity", "Cast", "Shape", "ConstantOfShape", "Expand", "Gather",
                                   "Unsqueeze", "Squeeze", "Concat"}) {
    if (op != about_shapes) continue;
    bool done = false;
    RUNNEL_TRY(read_shape_node(done));
    if (done) return Error::kOk;
  }
  bool done = false;
  RUNNEL_TRY(try_group_norm(done));
  if (!done) RUNNEL_TRY(try_layer_norm(done));
  if (!done) RUNNEL_TRY(try_gelu(done));
  if (!done) RUNNEL_TRY(add_simple(done));
  if (done) return Error::kOk;
  struct Operator {
    const char* name;
    Failure (OnnxImporter::*add)();
  };
  static constexpr Operator kOperators[] = {
      {"Gemm", &OnnxImporter::add_dense},
      {"MatMul", &OnnxImporter::add_product},
      {"Conv", &OnnxImporter::add_conv},
      {"ReduceMean", &OnnxImporter::add_mean},
      {"Clip", &OnnxImporter::add_clip},
      {"BatchNormalization", &OnnxImporter::add_batch_norm},
      {"InstanceNormalization", &OnnxImporter::add_instance_norm},
      {"Dropout", &OnnxImporter::add_dropout},
      {"Gather", &OnnxImporter::add_gather},
      {"Flatten", &OnnxImporter::add_flatten},
      {"Reshape", &OnnxImporter::add_reshape},
      {"Transpose", &OnnxImporter::move_axes},
      {"Squeeze", &OnnxImporter::move_axes},
      {"Unsqueeze", &OnnxImporter::move_axes},
  };
  for (const Operator& known : kOperators) {
    if (op == known.name) return (this->*known.add)();
  }
  return refuse(Error::kUnsupported, "runnel has no layer for this operator");
}

Failure OnnxImporter::finish(ImportedModel& model) {
  if (graph_.outputs.size() != 1) return fail(Error::kUnsupported, "the graph must have one output");
  const auto found = operands_.find(graph_.outputs[0].name);
  if (found == operands_.end() || found->second.kind != Kind::kActivation)
    return fail(Error::kMalformed, "no node gives the output %.100s", graph_.outputs[0].name.c_str());
  if (found->second.source == 0 || found->second.source != spec_.layers.size())
    return fail(Error::kUnsupported, "the output must be the last layer's");
  spec_.classes = found->second.shape.channels;
  if (spec_.classes < 2) spec_.loss = {plan::LossKind::kMse, plan::TargetKind::kValues};
  const Result<plan::ModelLayout> layout = plan::make_layout(spec_);
  if (!layout) return layout.failure();
  model.spec = spec_;
  for (const std::vector<float>& values : tensors_)
    model.parameters.insert(model.parameters.end(), values.begin(), values.end());
  return Error::kOk;
}

Result<ImportedModel> OnnxImporter::run() {
  for (const OnnxTensor& tensor : graph_.initializers) {
    OnnxOperand operand;
    operand.kind = Kind::kConstant;
    operand.constant = &tensor;
    RUNNEL_TRY(define(tensor.name, std::move(operand)));
  }
  for (size_t index = 0; index < graph_.nodes.size(); ++index) {
    for (const std::string& name : graph_.nodes[index].inputs) {
      std::vector<size_t>& readers = readers_[name];
      if (readers.empty() || readers.back() != index) readers.push_back(index);
    }
  }
  RUNNEL_TRY(read_input());
  // Constants first: several nodes that are one layer are recognised at the first of them, and theirs may come later.
  for (const bool constants : {true, false}) {
    for (size_t index = 0; index < graph_.nodes.size(); ++index) {
      node_ = &graph_.nodes[index];
      if (done_[index] || (constants && node_->op != "Constant")) continue;
      RUNNEL_TRY(read_node());
      done_[index] = true;
    }
  }
  ImportedModel model;
  RUNNEL_TRY(finish(model));
  return model;
}

namespace {

// The metadata's model with the graph's parameters, if that is what was exported.
bool recognise(const OnnxGraph& graph, const ImportedModel& read, ImportedModel& ours) {
  const std::string_view text = graph.metadata_of(kOnnxModelKey);
  if (text.empty()) return false;
  const Result<plan::ModelSpec> spec = parse_model_file(std::string(text));
  if (!spec) return false;
  const Result<plan::ModelLayout> layout = plan::make_layout(*spec);
  if (!layout || layout->parameter_count != read.parameters.size()) return false;
  ours.spec = *spec;
  ours.parameters.resize(layout->parameter_count);
  // What was read is in the layers' order; ours is in the same order within shared, local and frozen.
  size_t next = 0;
  for (uint32_t layer = 0; layer < spec->layers.size(); ++layer) {
    for (const plan::TensorInfo& tensor : layout->tensors) {
      if (tensor.layer != layer) continue;
      std::copy_n(read.parameters.begin() + static_cast<ptrdiff_t>(next), tensor.count,
                  ours.parameters.begin() + tensor.offset);
      next += tensor.count;
    }
  }
  return same_computation(graph, export_onnx(*spec, *layout, ours.parameters));
}

}  // namespace

Result<ImportedModel> import_onnx(const OnnxGraph& graph, const std::string& name) {
  Result<ImportedModel> read = OnnxImporter(graph, name).run();
  ImportedModel ours;
  if (read && recognise(graph, *read, ours)) return ours;
  return read;
}

}  // namespace runnel::coordinator
