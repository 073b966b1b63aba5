#include "coordinator/onnx/onnx_graph.h"

#include <algorithm>

namespace runnel::coordinator {
namespace {

bool same(const OnnxTensor& a, const OnnxTensor& b) {
  return a.name == b.name && a.dims == b.dims && a.type == b.type && std::ranges::equal(a.data, b.data);
}

bool same(const OnnxAttribute& a, const OnnxAttribute& b) {
  if (a.tensor.has_value() != b.tensor.has_value()) return false;
  if (a.tensor && !same(*a.tensor, *b.tensor)) return false;
  return a.name == b.name && a.type == b.type &&
         std::bit_cast<uint32_t>(a.number) == std::bit_cast<uint32_t>(b.number) && a.integer == b.integer &&
         a.text == b.text && a.integers == b.integers;
}

bool same(const OnnxNode& a, const OnnxNode& b) {
  return a.op == b.op && a.inputs == b.inputs && a.outputs == b.outputs &&
         std::ranges::equal(a.attributes, b.attributes, [](const auto& x, const auto& y) { return same(x, y); });
}

bool same(const OnnxValue& a, const OnnxValue& b) {
  return a.name == b.name && a.type == b.type && a.dims == b.dims;
}

template <typename T>
bool same_all(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](const T& x, const T& y) { return same(x, y); });
}

}  // namespace

const OnnxAttribute* OnnxNode::find(std::string_view attribute) const {
  for (const OnnxAttribute& known : attributes) {
    if (known.name == attribute) return &known;
  }
  return nullptr;
}

std::string_view OnnxGraph::metadata_of(std::string_view key) const {
  for (const auto& [known, value] : metadata) {
    if (known == key) return value;
  }
  return {};
}

bool same_computation(const OnnxGraph& a, const OnnxGraph& b) {
  return a.opset == b.opset && same_all(a.nodes, b.nodes) && same_all(a.initializers, b.initializers) &&
         same_all(a.inputs, b.inputs) && same_all(a.outputs, b.outputs);
}

}  // namespace runnel::coordinator
