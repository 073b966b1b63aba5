// The walk from node to node that import_onnx() is made of: for its own files only.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/onnx/onnx_import.h"

namespace runnel::coordinator {

// What a name in the graph stands for. An activation's `axes` say what each of its dimensions is: N the batch, C the
// channels, H the height, W the width or the steps, 1 an axis of size one that is none of these. An axis of our shape
// that is not among them has size 1.
struct OnnxOperand {
  enum class Kind : uint8_t { kActivation, kIntegers, kZeros, kConstant };
  Kind kind = Kind::kActivation;
  std::string axes;
  plan::Shape shape;
  uint32_t source = 0;                   // as LayerSpec::inputs: 0 = the model's input, i + 1 = layer i
  std::vector<int64_t> integers;         // kIntegers: a shape, or a part of one
  const OnnxTensor* constant = nullptr;  // kConstant
};
inline constexpr int64_t kBatchSize = INT64_MIN;  // stands for it among kIntegers

class OnnxImporter {
 public:
  OnnxImporter(const OnnxGraph& graph, const std::string& name);
  Result<ImportedModel> run();

 private:
  using Kind = OnnxOperand::Kind;
  using Bytes = std::vector<uint8_t>;

  // The walk.
  Failure read_input();
  Failure read_node();
  Failure read_shape_node(bool& done);
  Failure finish(ImportedModel& model);

  // Layers. Each adds what the node at hand means.
  Failure add_simple(bool& done);
  Failure add_dense();
  Failure add_product();
  Failure add_conv();
  Failure add_pool(plan::LayerKind kind);
  Failure add_global_pool(plan::LayerKind kind);
  Failure add_mean();
  Failure add_clip();
  Failure add_batch_norm();
  Failure add_instance_norm();
  Failure add_dropout();
  Failure add_join(plan::LayerKind kind);
  Failure add_recurrent(plan::LayerKind kind);
  Failure add_gather();
  Failure add_flatten();
  Failure add_reshape();
  Failure move_axes();
  Failure read_window(plan::LayerSpec& layer, bool flat);

  // Several nodes that are one layer. `done` stays false when the node at hand begins none.
  Failure try_group_norm(bool& done);
  Failure try_layer_norm(bool& done);
  Failure try_gelu(bool& done);

  // What the pieces above are made of.
  Failure refuse(Error error, const std::string& why) const;
  const OnnxOperand* find(size_t input) const;  // null: left out or unknown
  Failure activation(size_t input, OnnxOperand& operand) const;
  Failure constant(size_t input, const OnnxTensor*& tensor) const;
  Failure integers(size_t input, const char* attribute, std::vector<int64_t>& values) const;
  bool scalar(const std::string& name, float& value) const;
  int64_t integer_attribute(const char* name, int64_t otherwise) const;
  float number_attribute(const char* name, float otherwise) const;
  // The one node that reads `name`; null when none or several do, or the graph gives it out.
  const OnnxNode* only_reader(const std::string& name) const;
  bool is_read(const std::string& name) const;
  // The operand of a node with two inputs that is not `name`; empty when `name` is none of them.
  static std::string other_input(const OnnxNode& node, const std::string& name);
  // A scale and a shift that follow `name` by nodes of their own, with `count` values each.
  void take_scale_and_shift(std::string& name, uint64_t count, Bytes& scale, Bytes& shift);
  void mark_done(const OnnxNode& node) { done_[static_cast<size_t>(&node - graph_.nodes.data())] = true; }

  // Adds the layer with its tensors' values, in the layout's order, and gives its output's place and shape.
  Failure emit(plan::LayerSpec layer, const std::vector<uint32_t>& sources, const std::vector<Bytes>& tensors,
               OnnxOperand& out);
  Failure emit_to(const std::string& output, plan::LayerSpec layer, const OnnxOperand& in, const std::string& axes,
                  const std::vector<Bytes>& tensors);
  Failure define(const std::string& name, OnnxOperand operand);
  void name_layer(plan::LayerSpec& layer) const;

  const OnnxGraph& graph_;
  plan::ModelSpec spec_;
  std::vector<std::vector<float>> tensors_;  // of all layers, in order
  std::map<std::string, OnnxOperand, std::less<>> operands_;
  std::map<std::string, std::vector<size_t>, std::less<>> readers_;
  std::vector<bool> done_;
  const OnnxNode* node_ = nullptr;
};

// True if the axes are those of `wanted` in its order, where an axis of size one may stand for one that is missing.
bool axes_match(const std::string& axes, std::string_view wanted);

}  // namespace runnel::coordinator
