// Several nodes that are one layer: what operator sets without a group norm, a layer norm or a GELU write instead.
#include <algorithm>
#include <cmath>

#include "coordinator/onnx/onnx_importer.h"

namespace runnel::coordinator {
namespace {

using plan::LayerKind;
using plan::LayerSpec;

using Bytes = std::vector<uint8_t>;

Bytes constant_floats(uint64_t count, float value) {
  Bytes bytes(count * 4);
  for (uint64_t index = 0; index < count; ++index) store_le(bytes.data() + 4 * index, value);
  return bytes;
}

bool all_are(const OnnxTensor& tensor, float value) {
  if (tensor.type != OnnxType::kFloat) return false;
  for (uint64_t index = 0; index < tensor.count(); ++index) {
    if (tensor.number(index) != value) return false;
  }
  return true;
}

bool near(float value, double wanted) {
  return std::abs(static_cast<double>(value) - wanted) < 1e-5;
}

}  // namespace

void OnnxImporter::take_scale_and_shift(std::string& name, uint64_t count, Bytes& scale, Bytes& shift) {
  scale = constant_floats(count, 1.0F);
  shift = constant_floats(count, 0.0F);
  for (const bool scales : {true, false}) {
    const OnnxNode* next = only_reader(name);
    if (next == nullptr || next->op != (scales ? "Mul" : "Add") || next->outputs.empty()) continue;
    const auto other = operands_.find(other_input(*next, name));
    if (other == operands_.end() || other->second.kind != Kind::kConstant) continue;
    const OnnxTensor& tensor = *other->second.constant;
    if (tensor.type != OnnxType::kFloat || tensor.count() != count) continue;
    (scales ? scale : shift).assign(tensor.data.begin(), tensor.data.end());
    name = next->outputs[0];
    mark_done(*next);
  }
}

// Reshape to [batch, groups, the rest], InstanceNormalization, Reshape back, Mul, Add: as PyTorch 1.13 writes it.
Failure OnnxImporter::try_group_norm(bool& done) {
  done = false;
  if (node_->op != "Reshape") return Error::kOk;
  const OnnxNode* norm = only_reader(node_->outputs[0]);
  if (norm == nullptr || norm->op != "InstanceNormalization" || norm->inputs.size() != 3 || norm->outputs.empty())
    return Error::kOk;
  const OnnxNode* back = only_reader(norm->outputs[0]);
  OnnxOperand in;
  std::vector<int64_t> sizes;
  RUNNEL_TRY(activation(0, in));
  RUNNEL_TRY(integers(1, "shape", sizes));
  const auto scale = operands_.find(norm->inputs[1]);
  const auto shift = operands_.find(norm->inputs[2]);
  const bool plain = scale != operands_.end() && shift != operands_.end() && scale->second.kind == Kind::kConstant &&
                     shift->second.kind == Kind::kConstant && all_are(*scale->second.constant, 1.0F) &&
                     all_are(*shift->second.constant, 0.0F);
  const bool grouped = sizes.size() == 3 && sizes[1] >= 1 && sizes[1] <= in.shape.channels && in.axes.starts_with("NC");
  if (back == nullptr || back->op != "Reshape" || back->outputs.empty() || !plain || !grouped)
    return refuse(Error::kUnsupported, "a reshape and an instance norm that are no group norm");
  LayerSpec layer;
  layer.kind = LayerKind::kGroupNorm;
  layer.groups = static_cast<uint32_t>(sizes[1]);
  const OnnxAttribute* epsilon = norm->find("epsilon");
  layer.value = epsilon == nullptr ? 1e-5F : epsilon->number;
  mark_done(*norm);
  mark_done(*back);
  std::string output = back->outputs[0];
  Bytes scales;
  Bytes shifts;
  take_scale_and_shift(output, in.shape.channels, scales, shifts);
  done = true;
  return emit_to(output, layer, in, in.axes, {scales, shifts});
}

// ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul, Add; or the operator itself.
Failure OnnxImporter::try_layer_norm(bool& done) {
  done = false;
  LayerSpec layer;
  layer.kind = LayerKind::kLayerNorm;
  OnnxOperand in;
  if (node_->op == "LayerNormalization") {
    RUNNEL_TRY(activation(0, in));
    int64_t axis = integer_attribute("axis", -1);
    if (axis < 0) axis += static_cast<int64_t>(in.axes.size());
    const OnnxTensor* scale = nullptr;
    RUNNEL_TRY(constant(1, scale));
    Bytes shift = constant_floats(in.shape.count(), 0.0F);
    if (node_->inputs.size() > 2 && !node_->inputs[2].empty()) {
      const OnnxTensor* tensor = nullptr;
      RUNNEL_TRY(constant(2, tensor));
      shift.assign(tensor->data.begin(), tensor->data.end());
    }
    if (axis != 1 || !in.axes.starts_with("NC"))
      return refuse(Error::kUnsupported, "only over all values of an example");
    layer.value = number_attribute("epsilon", 1e-5F);
    done = true;
    return emit_to(node_->outputs[0], layer, in, in.axes, {{scale->data.begin(), scale->data.end()}, shift});
  }
  if (node_->op != "ReduceMean") return Error::kOk;
  const std::string& mean = node_->outputs[0];
  const OnnxNode* centred = only_reader(mean);
  if (centred == nullptr || centred->op != "Sub" || centred->inputs.size() != 2 || centred->outputs.empty())
    return Error::kOk;
  const std::string& difference = centred->outputs[0];
  // From here on each node has one reader, and the next one takes what it gives.
  std::vector<const OnnxNode*> chain = {centred};
  const auto follow = [&](const std::string& from, const char* op) -> const OnnxNode* {
    const auto readers = readers_.find(from);
    if (readers == readers_.end()) return nullptr;
    for (const size_t index : readers->second) {
      const OnnxNode& next = graph_.nodes[index];
      if (next.op == op && !next.outputs.empty() && !next.inputs.empty()) return &next;
    }
    return nullptr;
  };
  std::string at = difference;
  for (const char* op : {"Pow", "ReduceMean", "Add", "Sqrt", "Div"}) {
    const OnnxNode* next = follow(at, op);
    if (next == nullptr) return refuse(Error::kUnsupported, "a mean and a difference that are no layer norm");
    chain.push_back(next);
    at = next->outputs[0];
  }
  RUNNEL_TRY(activation(0, in));
  std::vector<int64_t> over;
  RUNNEL_TRY(integers(1, "axes", over));
  const OnnxNode* second_mean = chain[2];
  float exponent = 0.0F;
  const bool shaped =
      centred->inputs[0] == node_->inputs[0] && centred->inputs[1] == mean && chain[1]->inputs.size() == 2 &&
      chain[1]->inputs[0] == difference && scalar(chain[1]->inputs[1], exponent) && exponent == 2.0F &&
      scalar(other_input(*chain[3], second_mean->outputs[0]), layer.value) && chain[5]->inputs.size() == 2 &&
      chain[5]->inputs[0] == difference && chain[5]->inputs[1] == chain[4]->outputs[0] &&
      over.size() + 1 == in.axes.size() && in.axes.starts_with("NC");
  if (!shaped) return refuse(Error::kUnsupported, "only a layer norm over all values of an example");
  for (const OnnxNode* node : chain) mark_done(*node);
  std::string output = at;
  Bytes scale;
  Bytes shift;
  take_scale_and_shift(output, in.shape.count(), scale, shift);
  done = true;
  return emit_to(output, layer, in, in.axes, {scale, shift});
}

// Div by the root of two, Erf, Add one, Mul by the input, Mul by a half (the last two in either order).
Failure OnnxImporter::try_gelu(bool& done) {
  done = false;
  if ((node_->op != "Div" && node_->op != "Mul") || node_->inputs.size() != 2) return Error::kOk;
  const bool divides = node_->op == "Div";
  float factor = 0.0F;
  size_t input = 0;
  if (!scalar(node_->inputs[1], factor)) {
    if (divides || !scalar(node_->inputs[0], factor)) return Error::kOk;
    input = 1;
  }
  if (!near(factor, divides ? std::sqrt(2.0) : std::sqrt(0.5))) return Error::kOk;
  const OnnxNode* erf = only_reader(node_->outputs[0]);
  if (erf == nullptr || erf->op != "Erf" || erf->outputs.empty()) return Error::kOk;
  const OnnxNode* above = only_reader(erf->outputs[0]);
  float one = 0.0F;
  if (above == nullptr || above->op != "Add" || above->outputs.empty() ||
      !scalar(other_input(*above, erf->outputs[0]), one) || one != 1.0F)
    return Error::kOk;
  OnnxOperand in;
  RUNNEL_TRY(activation(input, in));
  std::vector<const OnnxNode*> chain = {erf, above};
  bool halved = false;
  bool multiplied = false;
  for (int step = 0; step < 2; ++step) {
    const std::string& at = chain.back()->outputs[0];
    const OnnxNode* next = only_reader(at);
    if (next == nullptr || next->op != "Mul" || next->outputs.empty()) return Error::kOk;
    const std::string other = other_input(*next, at);
    float half = 0.0F;
    if (other == node_->inputs[input]) multiplied = true;
    if (scalar(other, half) && half == 0.5F) halved = true;
    chain.push_back(next);
  }
  if (!halved || !multiplied) return Error::kOk;
  for (const OnnxNode* node : chain) mark_done(*node);
  LayerSpec layer;
  layer.kind = LayerKind::kGelu;
  done = true;
  return emit_to(chain.back()->outputs[0], layer, in, in.axes, {});
}

}  // namespace runnel::coordinator
