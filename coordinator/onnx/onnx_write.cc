#include "coordinator/onnx/onnx_graph.h"
#include "coordinator/onnx/protobuf.h"

namespace runnel::coordinator {
namespace {

ProtoWriter tensor_of(const OnnxTensor& tensor) {
  ProtoWriter out;
  for (const int64_t size : tensor.dims) out.integer(1, size);
  out.integer(2, static_cast<int64_t>(tensor.type));
  if (!tensor.name.empty()) out.text(8, tensor.name);
  out.bytes(9, tensor.data);
  return out;
}

ProtoWriter attribute_of(const OnnxAttribute& attribute) {
  ProtoWriter out;
  out.text(1, attribute.name);
  if (attribute.type == 1) out.number(2, attribute.number);
  if (attribute.type == 2) out.integer(3, attribute.integer);
  if (attribute.type == 3) out.text(4, attribute.text);
  if (attribute.type == 4 && attribute.tensor) out.message(5, tensor_of(*attribute.tensor));
  for (const int64_t value : attribute.integers) out.integer(8, value);
  out.integer(20, attribute.type);
  return out;
}

ProtoWriter node_of(const OnnxNode& node) {
  ProtoWriter out;
  for (const std::string& name : node.inputs) out.text(1, name);
  for (const std::string& name : node.outputs) out.text(2, name);
  out.text(3, node.name);
  out.text(4, node.op);
  for (const OnnxAttribute& attribute : node.attributes) out.message(5, attribute_of(attribute));
  return out;
}

ProtoWriter value_of(const OnnxValue& value) {
  ProtoWriter shape;
  for (const int64_t size : value.dims) {
    ProtoWriter dimension;
    if (size < 0) dimension.text(2, "batch");
    if (size >= 0) dimension.integer(1, size);
    shape.message(1, dimension);
  }
  ProtoWriter tensor;
  tensor.integer(1, static_cast<int64_t>(value.type));
  tensor.message(2, shape);
  ProtoWriter type;
  type.message(1, tensor);
  ProtoWriter out;
  out.text(1, value.name);
  out.message(2, type);
  return out;
}

}  // namespace

std::vector<uint8_t> write_onnx(const OnnxGraph& graph) {
  ProtoWriter inner;
  for (const OnnxNode& node : graph.nodes) inner.message(1, node_of(node));
  inner.text(2, graph.name);
  for (const OnnxTensor& tensor : graph.initializers) inner.message(5, tensor_of(tensor));
  for (const OnnxValue& value : graph.inputs) inner.message(11, value_of(value));
  for (const OnnxValue& value : graph.outputs) inner.message(12, value_of(value));

  ProtoWriter model;
  model.integer(1, 8);  // ir_version
  model.text(2, "runnel");
  model.message(7, inner);
  ProtoWriter opset;
  opset.text(1, "");
  opset.integer(2, graph.opset);
  model.message(8, opset);
  for (const auto& [key, value] : graph.metadata) {
    ProtoWriter entry;
    entry.text(1, key);
    entry.text(2, value);
    model.message(14, entry);
  }
  return model.take();
}

}  // namespace runnel::coordinator
