#include "coordinator/onnx/onnx_export.h"

#include <algorithm>

#include "coordinator/config/model_file.h"
#include "coordinator/onnx/gate_order.h"

namespace runnel::coordinator {
namespace {

using plan::LayerKind;
using plan::LayerSpec;
using plan::Shape;

// A tensor of the graph. `axes` says what each dimension is: N the batch, C the channels, H the height, W the width or
// the steps. An axis of our shape that is not there has size 1.
struct Value {
  std::string name;
  std::string axes;
  Shape shape;
};

uint32_t size_of(const Shape& shape, char axis) {
  return axis == 'C' ? shape.channels : axis == 'H' ? shape.height : shape.width;
}

OnnxAttribute attribute(const char* name, int64_t value) {
  OnnxAttribute made;
  made.name = name;
  made.type = 2;
  made.integer = value;
  return made;
}
OnnxAttribute attribute(const char* name, float value) {
  OnnxAttribute made;
  made.name = name;
  made.type = 1;
  made.number = value;
  return made;
}
OnnxAttribute attribute(const char* name, std::vector<int64_t> values) {
  OnnxAttribute made;
  made.name = name;
  made.type = 7;
  made.integers = std::move(values);
  return made;
}

class Export {
 public:
  Export(const plan::ModelSpec& spec, const plan::ModelLayout& layout, std::span<const float> parameters)
      : spec_(spec), layout_(layout), parameters_(parameters) {}

  OnnxGraph run() {
    graph_.name = spec_.name.view();
    graph_.opset = 13;
    graph_.metadata.emplace_back(kOnnxModelKey, model_file_toml(spec_));
    values_.push_back(make_input());
    for (index_ = 0; index_ < spec_.layers.size(); ++index_) {
      layer_ = &spec_.layers[index_];
      prefix_ = std::to_string(index_) + "." + plan::layer_kind_name(layer_->kind);
      Value out = add_layer(source(0));
      out.shape = layout_.outputs[index_];
      values_.push_back(std::move(out));
    }
    prefix_ = "output";
    finish();
    return std::move(graph_);
  }

 private:
  Value source(uint32_t which) const { return values_[plan::source_of(spec_, index_, which)]; }

  Value make_input() {
    const Shape& shape = spec_.input;
    const bool flat = shape.height == 1 && shape.width == 1;
    bool indices = shape.channels == 1 && shape.height == 1;
    for (uint32_t index = 0; index < spec_.layers.size(); ++index) {
      for (uint32_t which = 0; which < plan::input_count(spec_.layers[index]); ++which) {
        const bool reads = plan::source_of(spec_, index, which) == 0;
        indices = indices && (!reads || spec_.layers[index].kind == LayerKind::kEmbedding);
      }
    }
    Value value{"input", indices ? "NW" : flat ? "NC" : "NCHW", shape};
    add_graph_value(graph_.inputs, value, indices ? OnnxType::kInt64 : OnnxType::kFloat);
    return value;
  }

  void add_graph_value(std::vector<OnnxValue>& values, const Value& value, OnnxType type) const {
    OnnxValue& made = values.emplace_back();
    made.name = value.name;
    made.type = type;
    for (const char axis : value.axes) made.dims.push_back(axis == 'N' ? -1 : int64_t{size_of(value.shape, axis)});
  }

  // The last value, under the name "output" and with its axes in the usual order.
  void finish() {
    Value last = values_.back();
    const bool flat = last.shape.height == 1 && last.shape.width == 1;
    last = arrange(last, flat ? "NC" : last.shape.height == 1 ? "NCW" : "NCHW");
    graph_.nodes.push_back({"Identity", "output", {last.name}, {"output"}, {}});
    last.name = "output";
    add_graph_value(graph_.outputs, last, OnnxType::kFloat);
  }

  // Adds a node with one output, "<layer>.<part>", and gives that name.
  std::string node(const char* op, const char* part, std::vector<std::string> inputs,
                   std::vector<OnnxAttribute> attributes = {}) {
    std::string out = prefix_ + "." + part;
    if (std::ranges::find(used_, out) != used_.end()) out += "." + std::to_string(used_.size());
    used_.push_back(out);
    graph_.nodes.push_back({op, out, std::move(inputs), {out}, std::move(attributes)});
    return out;
  }

  std::string integers(const char* part, const std::vector<int64_t>& values) {
    std::vector<uint8_t>& bytes = graph_.owned.emplace_back(values.size() * 8);
    for (size_t index = 0; index < values.size(); ++index) store_le<int64_t>(bytes.data() + 8 * index, values[index]);
    return constant(part, {static_cast<int64_t>(values.size())}, OnnxType::kInt64, bytes);
  }

  std::string number(const char* part, float value) {
    std::vector<uint8_t>& bytes = graph_.owned.emplace_back(4);
    store_le(bytes.data(), value);
    return constant(part, {}, OnnxType::kFloat, bytes);
  }

  std::string numbers(const char* part, uint32_t count, float value) {
    std::vector<uint8_t>& bytes = graph_.owned.emplace_back(size_t{count} * 4);
    for (uint32_t index = 0; index < count; ++index) store_le(bytes.data() + size_t{4} * index, value);
    return constant(part, {int64_t{count}}, OnnxType::kFloat, bytes);
  }

  std::string constant(const char* part, std::vector<int64_t> dims, OnnxType type, ByteView data) {
    std::string name = prefix_ + "." + part;
    if (std::ranges::find(used_, name) != used_.end()) name += "." + std::to_string(used_.size());
    used_.push_back(name);
    graph_.initializers.push_back({name, std::move(dims), type, data});
    return name;
  }

  // The layer's tensor whose name ends in `part`, as it stands in the model.
  ByteView tensor_bytes(const char* part) const {
    for (const plan::TensorInfo& tensor : layout_.tensors) {
      const std::string_view name = tensor.name.view();
      if (tensor.layer != index_ || !name.ends_with(part) || name[name.size() - std::strlen(part) - 1] != '.') continue;
      const auto values = parameters_.subspan(tensor.offset, tensor.count);
      return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
    }
    return {};
  }
  std::string tensor(const char* part, std::vector<int64_t> dims) {
    return constant(part, std::move(dims), OnnxType::kFloat, tensor_bytes(part));
  }

  // The same values with other axes, by up to three nodes.
  Value arrange(Value value, const std::string& wanted) {
    if (value.axes == wanted) return value;
    std::vector<int64_t> gone;
    std::string kept;
    for (size_t at = 0; at < value.axes.size(); ++at) {
      if (wanted.find(value.axes[at]) == std::string::npos)
        gone.push_back(static_cast<int64_t>(at));
      else
        kept += value.axes[at];
    }
    if (!gone.empty()) value.name = node("Squeeze", "squeezed", {value.name, integers("squeezed.axes", gone)});
    std::string order;
    std::vector<int64_t> permutation;
    std::vector<int64_t> added;
    for (size_t at = 0; at < wanted.size(); ++at) {
      const size_t from = kept.find(wanted[at]);
      if (from == std::string::npos) {
        added.push_back(static_cast<int64_t>(at));
      } else {
        permutation.push_back(static_cast<int64_t>(from));
        order += wanted[at];
      }
    }
    if (order != kept) value.name = node("Transpose", "transposed", {value.name}, {attribute("perm", permutation)});
    if (!added.empty()) value.name = node("Unsqueeze", "unsqueezed", {value.name, integers("unsqueezed.axes", added)});
    value.axes = wanted;
    return value;
  }

  Value add_dense(Value in) {
    in = arrange(std::move(in), "NC");
    std::vector<std::string> inputs = {in.name, tensor("weight", {layer_->units, in.shape.channels})};
    if (layer_->bias) inputs.push_back(tensor("bias", {layer_->units}));
    return {node("Gemm", "out", std::move(inputs), {attribute("transB", int64_t{1})}), "NC", {}};
  }

  Value add_conv2d(Value in) {
    in = arrange(std::move(in), "NCHW");
    const auto [kernel_height, kernel_width] = layer_->kernel;
    std::vector<std::string> inputs = {
        in.name, tensor("weight", {layer_->units, in.shape.channels / layer_->groups, kernel_height, kernel_width})};
    if (layer_->bias) inputs.push_back(tensor("bias", {layer_->units}));
    const int64_t top = layer_->padding.height;
    const int64_t left = layer_->padding.width;
    return {node("Conv", "out", std::move(inputs),
                 {attribute("group", int64_t{layer_->groups}),
                  attribute("kernel_shape", std::vector<int64_t>{kernel_height, kernel_width}),
                  attribute("pads", std::vector<int64_t>{top, left, top, left}),
                  attribute("strides", std::vector<int64_t>{layer_->stride.height, layer_->stride.width})}),
            "NCHW",
            {}};
  }

  Value add_pool(Value in, const char* op) {
    in = arrange(std::move(in), "NCHW");
    return {node(op, "out", {in.name},
                 {attribute("kernel_shape", std::vector<int64_t>{layer_->kernel.height, layer_->kernel.width}),
                  attribute("strides", std::vector<int64_t>{layer_->stride.height, layer_->stride.width})}),
            "NCHW",
            {}};
  }

  // Axes that begin with N and C, with as few nodes as possible.
  Value channels_second(Value in) {
    if (in.axes.starts_with("NC")) return in;
    std::string axes = "NC";
    if (in.axes.find('H') != std::string::npos) axes += 'H';
    if (in.axes.find('W') != std::string::npos) axes += 'W';
    return arrange(std::move(in), axes);
  }

  Value add_batch_norm(Value in) {
    in = channels_second(std::move(in));
    const int64_t channels = in.shape.channels;
    return {node("BatchNormalization", "out",
                 {in.name, tensor("scale", {channels}), tensor("shift", {channels}), tensor("mean", {channels}),
                  tensor("variance", {channels})},
                 {attribute("epsilon", layer_->value)}),
            in.axes,
            {}};
  }

  // As PyTorch's: each group as one channel of an instance norm that scales by one, then a scale and a shift a channel.
  Value add_group_norm(Value in) {
    in = arrange(std::move(in), "NCHW");
    const Shape& shape = in.shape;
    const std::string grouped =
        node("Reshape", "grouped", {in.name, integers("grouped.shape", {0, layer_->groups, -1})});
    const std::string normed =
        node("InstanceNormalization", "normed",
             {grouped, numbers("ones", layer_->groups, 1.0F), numbers("zeros", layer_->groups, 0.0F)},
             {attribute("epsilon", layer_->value)});
    const std::string back = node(
        "Reshape", "ungrouped", {normed, integers("ungrouped.shape", {0, shape.channels, shape.height, shape.width})});
    const std::string scaled = node("Mul", "scaled", {back, tensor("scale", {shape.channels, 1, 1})});
    return {node("Add", "out", {scaled, tensor("shift", {shape.channels, 1, 1})}), "NCHW", {}};
  }

  Value add_layer_norm(Value in) {
    in = arrange(std::move(in), "NCHW");
    const std::vector<int64_t> dims = {in.shape.channels, in.shape.height, in.shape.width};
    const auto axes = [] { return attribute("axes", std::vector<int64_t>{1, 2, 3}); };
    const std::string mean = node("ReduceMean", "mean_of", {in.name}, {axes()});
    const std::string centred = node("Sub", "centred", {in.name, mean});
    const std::string squared = node("Pow", "squared", {centred, number("two", 2.0F)});
    const std::string variance = node("ReduceMean", "variance_of", {squared}, {axes()});
    const std::string above = node("Add", "above_zero", {variance, number("epsilon", layer_->value)});
    const std::string deviation = node("Sqrt", "deviation", {above});
    const std::string normed = node("Div", "normed", {centred, deviation});
    const std::string scaled = node("Mul", "scaled", {normed, tensor("scale", dims)});
    return {node("Add", "out", {scaled, tensor("shift", dims)}), "NCHW", {}};
  }

  Value add_gelu(const Value& in) {
    const std::string divided = node("Div", "divided", {in.name, number("root_of_two", 1.41421356F)});
    const std::string error = node("Erf", "erf", {divided});
    const std::string above = node("Add", "above_zero", {error, number("one", 1.0F)});
    const std::string twice = node("Mul", "twice", {in.name, above});
    return {node("Mul", "out", {twice, number("half", 0.5F)}), in.axes, {}};
  }

  Value add_embedding(Value in) {
    in = arrange(std::move(in), "NW");
    if (in.name != "input") in.name = node("Cast", "whole", {in.name}, {attribute("to", int64_t{7})});
    return {node("Gather", "out", {tensor("weight", {layer_->vocabulary, layer_->units}), in.name}), "NWC", {}};
  }

  std::string gates(const char* name, std::vector<int64_t> dims, const std::vector<const char*>& parts) {
    std::vector<uint8_t>& bytes = graph_.owned.emplace_back();
    for (const char* part : parts) {
      const ByteView ours = tensor_bytes(part);
      const size_t begin = bytes.size();
      bytes.resize(begin + ours.size());
      reorder_gates(layer_->kind, GateOrder::kToOnnx, ours, std::span(bytes).subspan(begin));
    }
    return constant(name, std::move(dims), OnnxType::kFloat, bytes);
  }

  Value add_recurrent(Value in) {
    in = arrange(std::move(in), "WNC");
    const bool gru = layer_->kind == LayerKind::kGru;
    const int64_t rows = int64_t{layer_->units} * gate_count(layer_->kind);
    std::vector<std::string> inputs = {in.name, gates("weight_input", {1, rows, in.shape.channels}, {"weight_input"}),
                                       gates("weight_hidden", {1, rows, layer_->units}, {"weight_hidden"})};
    if (layer_->bias) inputs.push_back(gates("bias", {1, 2 * rows}, {"bias_input", "bias_hidden"}));
    std::vector<OnnxAttribute> attributes = {attribute("hidden_size", int64_t{layer_->units})};
    if (gru) attributes.push_back(attribute("linear_before_reset", int64_t{1}));
    const std::string steps = node(gru ? "GRU" : "LSTM", "steps", std::move(inputs), std::move(attributes));
    if (layer_->every_step) return {node("Squeeze", "out", {steps, integers("out.axes", {1})}), "WNC", {}};
    // The second output, after the last step.
    std::string& first = graph_.nodes.back().outputs.front();
    first.clear();
    graph_.nodes.back().outputs.push_back(prefix_ + ".last");
    return {node("Squeeze", "out", {prefix_ + ".last", integers("out.axes", {0})}), "NC", {}};
  }

  Value add_join() {
    std::vector<Value> in;
    for (uint32_t which = 0; which < plan::input_count(*layer_); ++which) in.push_back(source(which));
    const bool equal = std::ranges::all_of(in, [&](const Value& value) { return value.axes == in[0].axes; });
    const std::string axes = equal ? in[0].axes : "NCHW";
    std::vector<std::string> names;
    for (Value& value : in) names.push_back(arrange(std::move(value), axes).name);
    if (layer_->kind == LayerKind::kConcat)
      return {node("Concat", "out", names, {attribute("axis", static_cast<int64_t>(axes.find('C')))}), axes, {}};
    return {node(names.size() == 2 ? "Add" : "Sum", "out", names), axes, {}};
  }

  Value add_layer(const Value& in) {
    switch (layer_->kind) {
      case LayerKind::kDense:
        return add_dense(in);
      case LayerKind::kConv2d:
        return add_conv2d(in);
      case LayerKind::kMaxPool2d:
        return add_pool(in, "MaxPool");
      case LayerKind::kAvgPool2d:
        return add_pool(in, "AveragePool");
      case LayerKind::kRelu:
        return {node("Relu", "out", {in.name}), in.axes, {}};
      case LayerKind::kFlatten:
        return {node("Flatten", "out", {channels_second(in).name}, {attribute("axis", int64_t{1})}), "NC", {}};
      case LayerKind::kGlobalAvgPool:
        return {node("GlobalAveragePool", "out", {arrange(in, "NCHW").name}), "NCHW", {}};
      case LayerKind::kGlobalMaxPool:
        return {node("GlobalMaxPool", "out", {arrange(in, "NCHW").name}), "NCHW", {}};
      case LayerKind::kRelu6:
        return {node("Clip", "out", {in.name, number("low", 0.0F), number("high", 6.0F)}), in.axes, {}};
      case LayerKind::kLeakyRelu:
        return {node("LeakyRelu", "out", {in.name}, {attribute("alpha", layer_->value)}), in.axes, {}};
      case LayerKind::kTanh:
        return {node("Tanh", "out", {in.name}), in.axes, {}};
      case LayerKind::kSigmoid:
        return {node("Sigmoid", "out", {in.name}), in.axes, {}};
      case LayerKind::kGelu:
        return add_gelu(in);
      case LayerKind::kBatchNorm:
        return add_batch_norm(in);
      case LayerKind::kGroupNorm:
        return add_group_norm(in);
      case LayerKind::kLayerNorm:
        return add_layer_norm(in);
      case LayerKind::kDropout:
        return {node("Dropout", "out", {in.name, number("rate", layer_->value)}), in.axes, {}};
      case LayerKind::kEmbedding:
        return add_embedding(in);
      case LayerKind::kGru:
      case LayerKind::kLstm:
        return add_recurrent(in);
      case LayerKind::kAdd:
      case LayerKind::kConcat:
        return add_join();
      case LayerKind::kReshape: {
        const Shape& shape = layer_->shape;
        return {node("Reshape", "out",
                     {arrange(in, "NCHW").name, integers("out.shape", {0, shape.channels, shape.height, shape.width})}),
                "NCHW",
                {}};
      }
    }
    return in;
  }

  const plan::ModelSpec& spec_;
  const plan::ModelLayout& layout_;
  std::span<const float> parameters_;
  OnnxGraph graph_;
  std::vector<Value> values_;  // 0 = the input, i + 1 = layer i
  std::vector<std::string> used_;
  const LayerSpec* layer_ = nullptr;
  uint32_t index_ = 0;
  std::string prefix_;
};

}  // namespace

OnnxGraph export_onnx(const plan::ModelSpec& spec, const plan::ModelLayout& layout, std::span<const float> parameters) {
  RUNNEL_ASSERT(parameters.size() == layout.parameter_count);
  return Export(spec, layout, parameters).run();
}

}  // namespace runnel::coordinator
