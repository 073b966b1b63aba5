// Nodes that are one layer each.
#include <algorithm>
#include <cmath>

#include "coordinator/onnx/gate_order.h"
#include "coordinator/onnx/onnx_importer.h"

namespace runnel::coordinator {
namespace {

using plan::LayerKind;
using plan::LayerSpec;

using Bytes = std::vector<uint8_t>;

Bytes copy_of(const OnnxTensor& tensor) {
  return {tensor.data.begin(), tensor.data.end()};
}

bool is_matrix(const OnnxTensor& tensor) {
  return tensor.type == OnnxType::kFloat && tensor.dims.size() == 2 && tensor.count() > 0;
}

// [in][out] as [out][in].
Bytes transposed(const OnnxTensor& tensor) {
  const auto rows = static_cast<size_t>(tensor.dims[0]);
  const auto columns = static_cast<size_t>(tensor.dims[1]);
  Bytes bytes(tensor.data.size());
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column)
      std::memcpy(bytes.data() + 4 * (column * rows + row), tensor.data.data() + 4 * (row * columns + column), 4);
  }
  return bytes;
}

LayerSpec layer_of(LayerKind kind) {
  LayerSpec layer;
  layer.kind = kind;
  return layer;
}

uint32_t clamped(int64_t value) {
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, UINT32_MAX));
}

}  // namespace

Failure OnnxImporter::add_simple(bool& done) {
  struct Known {
    const char* op;
    LayerKind kind;
  };
  static constexpr Known kElementwise[] = {{"Relu", LayerKind::kRelu},
                                           {"LeakyRelu", LayerKind::kLeakyRelu},
                                           {"Tanh", LayerKind::kTanh},
                                           {"Sigmoid", LayerKind::kSigmoid},
                                           {"Gelu", LayerKind::kGelu}};
  const std::string& op = node_->op;
  done = true;
  if (op == "Add" || op == "Sum") return add_join(LayerKind::kAdd);
  if (op == "Concat") return add_join(LayerKind::kConcat);
  if (op == "MaxPool") return add_pool(LayerKind::kMaxPool2d);
  if (op == "AveragePool") return add_pool(LayerKind::kAvgPool2d);
  if (op == "GlobalAveragePool") return add_global_pool(LayerKind::kGlobalAvgPool);
  if (op == "GlobalMaxPool") return add_global_pool(LayerKind::kGlobalMaxPool);
  if (op == "GRU") return add_recurrent(LayerKind::kGru);
  if (op == "LSTM") return add_recurrent(LayerKind::kLstm);
  for (const Known& known : kElementwise) {
    if (op != known.op) continue;
    OnnxOperand in;
    RUNNEL_TRY(activation(0, in));
    LayerSpec layer = layer_of(known.kind);
    if (known.kind == LayerKind::kLeakyRelu) layer.value = number_attribute("alpha", 0.01F);
    if (const OnnxAttribute* how = node_->find("approximate"); how != nullptr && how->text != "none")
      return refuse(Error::kUnsupported, "a GELU that is approximated");
    return emit_to(node_->outputs[0], layer, in, in.axes, {});
  }
  // What the loss has in it already; and padding by nothing, which PyTorch writes before a mean pool.
  const bool last = graph_.outputs.size() == 1 && graph_.outputs[0].name == node_->outputs[0];
  if ((op == "Softmax" || op == "LogSoftmax") && last) {
    OnnxOperand in;
    RUNNEL_TRY(activation(0, in));
    return define(node_->outputs[0], in);
  }
  if (op == "Pad") {
    OnnxOperand in;
    std::vector<int64_t> pads;
    RUNNEL_TRY(activation(0, in));
    RUNNEL_TRY(integers(1, "pads", pads));
    if (std::ranges::all_of(pads, [](int64_t pad) { return pad == 0; })) return define(node_->outputs[0], in);
  }
  done = false;
  return Error::kOk;
}

Failure OnnxImporter::add_dense() {
  OnnxOperand in;
  const OnnxTensor* weight = nullptr;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(constant(1, weight));
  const bool plain = integer_attribute("transA", 0) == 0 && number_attribute("alpha", 1.0F) == 1.0F &&
                     number_attribute("beta", 1.0F) == 1.0F && axes_match(in.axes, "NC") && is_matrix(*weight);
  if (!plain) return refuse(Error::kUnsupported, "only x W + b of flat values, unscaled, is a dense layer");
  const bool out_first = integer_attribute("transB", 0) != 0;
  LayerSpec layer = layer_of(LayerKind::kDense);
  layer.units = clamped(weight->dims[out_first ? 0 : 1]);
  layer.bias = node_->inputs.size() > 2 && !node_->inputs[2].empty();
  std::vector<Bytes> tensors = {out_first ? copy_of(*weight) : transposed(*weight)};
  if (layer.bias) {
    const OnnxTensor* bias = nullptr;
    RUNNEL_TRY(constant(2, bias));
    tensors.push_back(copy_of(*bias));
  }
  return emit_to(node_->outputs[0], layer, in, "NC", tensors);
}

// x W, and what is added after it: a dense layer, or one that is applied at every place.
Failure OnnxImporter::add_product() {
  OnnxOperand in;
  const OnnxTensor* weight = nullptr;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(constant(1, weight));
  if (!is_matrix(*weight) || in.axes.back() != 'C' || in.axes.front() != 'N')
    return refuse(Error::kUnsupported, "only a product with the channels, which come last, and a matrix");
  LayerSpec layer = layer_of(in.axes == "NC" ? LayerKind::kDense : LayerKind::kConv2d);
  if (layer.kind == LayerKind::kConv2d) layer.kernel = {1, 1};
  layer.units = clamped(weight->dims[1]);
  layer.bias = false;
  std::vector<Bytes> tensors = {transposed(*weight)};
  std::string output = node_->outputs[0];
  if (const OnnxNode* next = only_reader(output); next != nullptr && next->op == "Add") {
    const auto bias = operands_.find(other_input(*next, output));
    const bool fits = bias != operands_.end() && bias->second.kind == Kind::kConstant &&
                      bias->second.constant->data.size() == size_t{4} * layer.units && !next->outputs.empty();
    if (fits) {
      layer.bias = true;
      tensors.push_back(copy_of(*bias->second.constant));
      mark_done(*next);
      output = next->outputs[0];
    }
  }
  return emit_to(output, layer, in, in.axes, tensors);
}

// Kernel (unless it is there already), stride and padding; `flat`: a sequence's, of one number each.
Failure OnnxImporter::read_window(LayerSpec& layer, bool flat) {
  const size_t rank = flat ? 1 : 2;
  const auto extent = [&](const char* name, plan::Extent& to) {
    const OnnxAttribute* found = node_->find(name);
    if (found == nullptr) return true;
    if (found->integers.size() != rank) return false;
    to = {flat ? (to.height) : clamped(found->integers[0]), clamped(found->integers.back())};
    return true;
  };
  if (flat && layer.kernel.height == 0) layer.kernel.height = 1;
  plan::Extent dilation{1, 1};
  bool fits = extent("kernel_shape", layer.kernel) && extent("strides", layer.stride) && extent("dilations", dilation);
  if (const OnnxAttribute* pads = node_->find("pads")) {
    const auto& sizes = pads->integers;
    fits = fits && sizes.size() == 2 * rank && sizes[0] == sizes[rank] && sizes[rank - 1] == sizes[2 * rank - 1];
    if (fits) layer.padding = {flat ? 0 : clamped(sizes[0]), clamped(sizes[rank - 1])};
  }
  const OnnxAttribute* automatic = node_->find("auto_pad");
  if (automatic != nullptr && automatic->text != "NOTSET" && automatic->text != "VALID") fits = false;
  if (fits && dilation == plan::Extent{1, 1}) return Error::kOk;
  return refuse(Error::kUnsupported, "only windows with equal padding on both sides and no dilation");
}

Failure OnnxImporter::add_conv() {
  OnnxOperand in;
  const OnnxTensor* weight = nullptr;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(constant(1, weight));
  const bool flat = axes_match(in.axes, "NCW");
  if ((!flat && !axes_match(in.axes, "NCHW")) || weight->dims.size() != in.axes.size())
    return refuse(Error::kUnsupported, "only convolutions over [batch, channels, height, width] or [.., steps]");
  LayerSpec layer = layer_of(LayerKind::kConv2d);
  layer.units = clamped(weight->dims[0]);
  layer.kernel = {flat ? 1 : clamped(weight->dims[2]), clamped(weight->dims.back())};
  const plan::Extent kernel = layer.kernel;
  layer.groups = clamped(integer_attribute("group", 1));
  RUNNEL_TRY(read_window(layer, flat));
  if (layer.kernel != kernel) return refuse(Error::kShape, "its kernel is not its weights'");
  layer.bias = node_->inputs.size() > 2 && !node_->inputs[2].empty();
  std::vector<Bytes> tensors = {copy_of(*weight)};
  if (layer.bias) {
    const OnnxTensor* bias = nullptr;
    RUNNEL_TRY(constant(2, bias));
    tensors.push_back(copy_of(*bias));
  }
  return emit_to(node_->outputs[0], layer, in, in.axes, tensors);
}

Failure OnnxImporter::add_pool(LayerKind kind) {
  OnnxOperand in;
  RUNNEL_TRY(activation(0, in));
  const bool flat = axes_match(in.axes, "NCW");
  if (!flat && !axes_match(in.axes, "NCHW"))
    return refuse(Error::kUnsupported, "only pools over [batch, channels, height, width] or [.., steps]");
  LayerSpec layer = layer_of(kind);
  RUNNEL_TRY(read_window(layer, flat));
  const auto whole = [](uint32_t size, uint32_t kernel, uint32_t stride) {
    return stride > 0 && size >= kernel && (size - kernel) % stride == 0;
  };
  const bool exact = whole(in.shape.height, layer.kernel.height, layer.stride.height) &&
                     whole(in.shape.width, layer.kernel.width, layer.stride.width);
  if (integer_attribute("ceil_mode", 0) != 0 && !exact)
    return refuse(Error::kUnsupported, "a pool that goes beyond its input (ceil_mode)");
  return emit_to(node_->outputs[0], layer, in, in.axes, {});
}

Failure OnnxImporter::add_global_pool(LayerKind kind) {
  OnnxOperand in;
  RUNNEL_TRY(activation(0, in));
  if (!axes_match(in.axes, "NCHW") && !axes_match(in.axes, "NCW"))
    return refuse(Error::kUnsupported, "only pools over [batch, channels, height, width] or [.., steps]");
  return emit_to(node_->outputs[0], layer_of(kind), in, in.axes, {});
}

// A mean over height and width, or over the steps, is the global pool.
Failure OnnxImporter::add_mean() {
  OnnxOperand in;
  std::vector<int64_t> over;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(integers(1, "axes", over));
  std::string kept = in.axes;
  for (int64_t axis : over) {
    const auto rank = static_cast<int64_t>(in.axes.size());
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || in.axes[static_cast<size_t>(axis)] == 'N' ||
        in.axes[static_cast<size_t>(axis)] == 'C')
      return refuse(Error::kUnsupported, "only a mean over height and width is a layer");
    kept[static_cast<size_t>(axis)] = ' ';
  }
  const bool all = kept.find('H') == std::string::npos && kept.find('W') == std::string::npos;
  if (!all) return refuse(Error::kUnsupported, "only a mean over height and width is a layer");
  if (integer_attribute("keepdims", 1) != 0)
    return emit_to(node_->outputs[0], layer_of(LayerKind::kGlobalAvgPool), in, in.axes, {});
  std::erase(kept, ' ');
  return emit_to(node_->outputs[0], layer_of(LayerKind::kGlobalAvgPool), in, kept, {});
}

Failure OnnxImporter::add_clip() {
  OnnxOperand in;
  RUNNEL_TRY(activation(0, in));
  float low = number_attribute("min", -INFINITY);
  float high = number_attribute("max", INFINITY);
  bool known = true;
  if (node_->inputs.size() > 1 && !node_->inputs[1].empty()) known = scalar(node_->inputs[1], low);
  if (node_->inputs.size() > 2 && !node_->inputs[2].empty()) known = known && scalar(node_->inputs[2], high);
  if (!known || low != 0.0F || (high != 6.0F && !std::isinf(high)))
    return refuse(Error::kUnsupported, "only 0..6 (ReLU6) and 0.. (ReLU)");
  const LayerKind kind = high == 6.0F ? LayerKind::kRelu6 : LayerKind::kRelu;
  return emit_to(node_->outputs[0], layer_of(kind), in, in.axes, {});
}

Failure OnnxImporter::add_batch_norm() {
  OnnxOperand in;
  RUNNEL_TRY(activation(0, in));
  if (!in.axes.starts_with("NC")) return refuse(Error::kUnsupported, "the channels must come second");
  LayerSpec layer = layer_of(LayerKind::kBatchNorm);
  layer.value = number_attribute("epsilon", 1e-5F);
  std::vector<Bytes> tensors;
  for (size_t input = 1; input <= 4; ++input) {
    const OnnxTensor* tensor = nullptr;
    RUNNEL_TRY(constant(input, tensor));
    tensors.push_back(copy_of(*tensor));
  }
  return emit_to(node_->outputs[0], layer, in, in.axes, tensors);
}

Failure OnnxImporter::add_instance_norm() {
  OnnxOperand in;
  const OnnxTensor* scale = nullptr;
  const OnnxTensor* shift = nullptr;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(constant(1, scale));
  RUNNEL_TRY(constant(2, shift));
  if (!in.axes.starts_with("NC")) return refuse(Error::kUnsupported, "the channels must come second");
  LayerSpec layer = layer_of(LayerKind::kGroupNorm);
  layer.groups = in.shape.channels;
  layer.value = number_attribute("epsilon", 1e-5F);
  return emit_to(node_->outputs[0], layer, in, in.axes, {copy_of(*scale), copy_of(*shift)});
}

Failure OnnxImporter::add_dropout() {
  OnnxOperand in;
  RUNNEL_TRY(activation(0, in));
  LayerSpec layer = layer_of(LayerKind::kDropout);
  layer.value = number_attribute("ratio", 0.5F);
  if (node_->inputs.size() > 1 && !node_->inputs[1].empty() && !scalar(node_->inputs[1], layer.value))
    return refuse(Error::kUnsupported, "its rate must be a constant");
  return emit_to(node_->outputs[0], layer, in, in.axes, {});
}

Failure OnnxImporter::add_join(LayerKind kind) {
  std::vector<uint32_t> sources;
  std::string axes;
  for (size_t input = 0; input < node_->inputs.size(); ++input) {
    OnnxOperand in;
    RUNNEL_TRY(activation(input, in));
    if (input > 0 && in.axes != axes) return refuse(Error::kUnsupported, "its inputs have different axes");
    axes = in.axes;
    sources.push_back(in.source);
  }
  if (sources.size() < 2) return refuse(Error::kUnsupported, "it joins nothing");
  if (kind == LayerKind::kConcat) {
    int64_t axis = integer_attribute("axis", 1);
    if (axis < 0) axis += static_cast<int64_t>(axes.size());
    if (axis != static_cast<int64_t>(axes.find('C')))
      return refuse(Error::kUnsupported, "only the channels of its inputs can be joined");
  }
  OnnxOperand out;
  out.axes = axes;
  RUNNEL_TRY(emit(layer_of(kind), sources, {}, out));
  return define(node_->outputs[0], std::move(out));
}

Failure OnnxImporter::add_recurrent(LayerKind kind) {
  OnnxOperand in;
  const OnnxTensor* weight_input = nullptr;
  const OnnxTensor* weight_hidden = nullptr;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(constant(1, weight_input));
  RUNNEL_TRY(constant(2, weight_hidden));
  const bool gru = kind == LayerKind::kGru;
  const OnnxAttribute* direction = node_->find("direction");
  const bool forward = direction == nullptr || direction->text == "forward";
  for (const char* other : {"activations", "clip", "input_forget"}) {
    if (node_->find(other) != nullptr) return refuse(Error::kUnsupported, std::string("the attribute ") + other);
  }
  if (!forward || integer_attribute("layout", 0) != 0 || !axes_match(in.axes, "WNC"))
    return refuse(Error::kUnsupported, "only forward in time, over [steps, batch, values]");
  if (gru && integer_attribute("linear_before_reset", 0) != 1)
    return refuse(Error::kUnsupported, "only with the reset after the hidden product (linear_before_reset = 1)");
  for (size_t input = 4; input < node_->inputs.size(); ++input) {
    if (node_->inputs[input].empty()) continue;
    const OnnxOperand* start = find(input);
    const bool zeros = start != nullptr && input != 4 && input < 7 &&
                       (start->kind == Kind::kZeros ||
                        (start->kind == Kind::kConstant &&
                         std::ranges::all_of(start->constant->data, [](uint8_t byte) { return byte == 0; })));
    if (!zeros) return refuse(Error::kUnsupported, "it must start from zeros, and all sequences have one length");
  }
  LayerSpec layer = layer_of(kind);
  layer.units = clamped(integer_attribute("hidden_size", 0));
  layer.bias = node_->inputs.size() > 3 && !node_->inputs[3].empty();
  std::vector<Bytes> tensors;
  const auto reordered = [&](ByteView bytes) {
    Bytes& ours = tensors.emplace_back(bytes.size());
    reorder_gates(kind, GateOrder::kFromOnnx, bytes, ours);
  };
  for (const OnnxTensor* weight : {weight_input, weight_hidden}) {
    const bool fits =
        weight->dims.size() == 3 && weight->dims[0] == 1 && weight->dims[1] == int64_t{layer.units} * gate_count(kind);
    if (!fits) return refuse(Error::kShape, "its weights are not those of one direction and hidden_size units");
    reordered(weight->data);
  }
  if (layer.bias) {
    const OnnxTensor* bias = nullptr;
    RUNNEL_TRY(constant(3, bias));
    if (bias->data.size() != size_t{8} * layer.units * gate_count(kind))
      return refuse(Error::kShape, "its bias does not fit");
    reordered(bias->data.first(bias->data.size() / 2));
    reordered(bias->data.subspan(bias->data.size() / 2));
  }
  const bool steps = is_read(node_->outputs[0]);
  const bool last = node_->outputs.size() > 1 && is_read(node_->outputs[1]);
  const bool cell = node_->outputs.size() > 2 && is_read(node_->outputs[2]);
  if (cell || steps == last) return refuse(Error::kUnsupported, "one of its steps and its last state must be used");
  layer.every_step = steps;
  return emit_to(node_->outputs[steps ? 0 : 1], layer, in, steps ? "W1NC" : "1NC", tensors);
}

// An embedding, or one place of an axis: of size one, or the last step of a recurrent layer.
Failure OnnxImporter::add_gather() {
  const OnnxOperand* table = find(0);
  if (table != nullptr && table->kind == Kind::kConstant) {
    OnnxOperand in;
    RUNNEL_TRY(activation(1, in));
    if (!is_matrix(*table->constant) || integer_attribute("axis", 0) != 0 || !axes_match(in.axes, "NW"))
      return refuse(Error::kUnsupported, "only rows of a matrix, one for each of [batch, steps], are an embedding");
    LayerSpec layer = layer_of(LayerKind::kEmbedding);
    layer.vocabulary = clamped(table->constant->dims[0]);
    layer.units = clamped(table->constant->dims[1]);
    return emit_to(node_->outputs[0], layer, in, "NWC", {copy_of(*table->constant)});
  }
  OnnxOperand in;
  std::vector<int64_t> place;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(integers(1, nullptr, place));
  int64_t axis = integer_attribute("axis", 0);
  const auto rank = static_cast<int64_t>(in.axes.size());
  if (axis < 0) axis += rank;
  const OnnxOperand* places = find(1);
  const bool single = place.size() == 1 && places->kind == Kind::kConstant && places->constant->dims.empty();
  if (!single || axis < 1 - (in.axes.front() == 'N' ? 0 : 1) || axis >= rank)
    return refuse(Error::kUnsupported, "only one place of an axis can be taken");
  const char what = in.axes[static_cast<size_t>(axis)];
  const plan::Shape shape = in.shape;
  const uint32_t sizes[] = {shape.channels, shape.height, shape.width, 1};
  const size_t which = std::string_view("CHW1").find(what);
  if (which > 3) return refuse(Error::kUnsupported, "an example of the batch");
  in.axes.erase(static_cast<size_t>(axis), 1);
  const bool last = place[0] == -1 || place[0] == int64_t{sizes[which]} - 1;
  if (sizes[which] == 1 && last) return define(node_->outputs[0], std::move(in));
  if (sizes[which] == 1 && place[0] == 0) return define(node_->outputs[0], std::move(in));
  LayerSpec& layer = spec_.layers[spec_.layers.size() - 1];
  const bool recurrent = in.source == spec_.layers.size() && layer.every_step;
  if (what != 'W' || !last || !recurrent)
    return refuse(Error::kUnsupported, "only the last step of a recurrent layer can be taken");
  layer.every_step = false;
  in.shape.width = 1;
  // Nobody may use the steps that are no longer there.
  std::erase_if(operands_, [&](const auto& known) {
    return known.second.kind == Kind::kActivation && known.second.source == in.source;
  });
  return define(node_->outputs[0], std::move(in));
}

Failure OnnxImporter::add_flatten() {
  OnnxOperand in;
  RUNNEL_TRY(activation(0, in));
  std::string order = in.axes;
  std::erase(order, '1');
  const bool usual = order == "NC" || order == "NCW" || order == "NCHW" || order == "NCH";
  if (integer_attribute("axis", 1) != 1 || !usual)
    return refuse(Error::kUnsupported, "only [batch, channels, height, width] from the second axis on");
  return emit_to(node_->outputs[0], layer_of(LayerKind::kFlatten), in, "NC", {});
}

Failure OnnxImporter::add_reshape() {
  OnnxOperand in;
  std::vector<int64_t> sizes;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(integers(1, "shape", sizes));
  std::string order = in.axes;
  std::erase(order, '1');
  const bool usual = order == "NC" || order == "NCW" || order == "NCHW" || order == "NCH";
  const auto batch = [](int64_t size) { return size == kBatchSize || (size >= -1 && size <= 1); };
  if (sizes.size() < 2 || sizes.size() > 4 || !usual || !batch(sizes[0]))
    return refuse(Error::kUnsupported, "only the sizes of [batch, channels, height, width] behind the batch");
  uint64_t known = 1;
  size_t open = 0;
  for (size_t at = 1; at < sizes.size(); ++at) {
    if (sizes[at] == 0 && at < in.axes.size() && in.axes[at] != '1')
      sizes[at] = in.axes[at] == 'C' ? in.shape.channels : in.axes[at] == 'H' ? in.shape.height : in.shape.width;
    if (sizes[at] == -1) {
      if (open != 0) return refuse(Error::kMalformed, "two sizes are left open");
      open = at;
    } else if (sizes[at] < 1 || sizes[at] > plan::kDimensionMax ||
               (known *= static_cast<uint64_t>(sizes[at])) > plan::kActivationMax) {
      return refuse(Error::kOutOfRange, "a size out of range");
    }
  }
  if (open != 0) sizes[open] = static_cast<int64_t>(in.shape.count() / known);
  if (sizes.size() == 2 && sizes[1] == static_cast<int64_t>(in.shape.count()))
    return emit_to(node_->outputs[0], layer_of(LayerKind::kFlatten), in, "NC", {});
  LayerSpec layer = layer_of(LayerKind::kReshape);
  layer.shape = {clamped(sizes[1]), sizes.size() == 4 ? clamped(sizes[2]) : 1,
                 sizes.size() > 2 ? clamped(sizes.back()) : 1};
  return emit_to(node_->outputs[0], layer, in, sizes.size() == 4 ? "NCHW" : sizes.size() == 3 ? "NCW" : "NC", {});
}

// Transpose, Squeeze and Unsqueeze: the same values.
Failure OnnxImporter::move_axes() {
  OnnxOperand in;
  std::vector<int64_t> places;
  RUNNEL_TRY(activation(0, in));
  const bool transpose = node_->op == "Transpose";
  if (transpose) {
    if (const OnnxAttribute* order = node_->find("perm")) places = order->integers;
  } else {
    RUNNEL_TRY(integers(1, "axes", places));
  }
  const bool adds = node_->op == "Unsqueeze";
  const size_t rank = in.axes.size() + (adds ? places.size() : 0);
  std::vector<bool> named(rank);
  for (int64_t& place : places) {
    if (place < 0) place += static_cast<int64_t>(rank);
    if (place < 0 || place >= static_cast<int64_t>(rank) || rank > kOnnxRankMax || named[static_cast<size_t>(place)])
      return refuse(Error::kMalformed, "axes that it does not have");
    named[static_cast<size_t>(place)] = true;
  }
  std::string axes;
  if (transpose) {
    if (places.size() != rank) return refuse(Error::kMalformed, "its order must name every axis once");
    for (const int64_t place : places) axes += in.axes[static_cast<size_t>(place)];
  } else if (adds) {
    for (size_t at = 0, next = 0; at < rank; ++at) axes += named[at] ? '1' : in.axes[next++];
    for (const char* usual : {"NCHW", "NCW"}) {
      if (axes_match(axes, usual)) axes = usual;
    }
  } else {
    for (size_t at = 0; at < rank; ++at) {
      const uint32_t sizes[] = {in.shape.channels, in.shape.height, in.shape.width, 1};
      const size_t which = std::string_view("CHW1").find(in.axes[at]);
      if (!named[at])
        axes += in.axes[at];
      else if (which > 3 || sizes[which] != 1)
        return refuse(Error::kShape, "an axis that is longer than one");
    }
  }
  in.axes = axes;
  return define(node_->outputs[0], std::move(in));
}

}  // namespace runnel::coordinator
