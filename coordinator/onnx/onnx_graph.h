// An ONNX model as plain values: the part of onnx.proto (github.com/onnx/onnx, IR version 8) that a network and its
// parameters need, read from a file's bytes and written to them.
//
// Memory: a tensor's numbers stay where they are in the file, so a graph costs its nodes and names; their number is
// bounded. Trust: the bytes may be anything.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::coordinator {

inline constexpr uint64_t kOnnxBytesMax = 320ULL << 20;  // of a file: the largest model, and as much again as a graph
inline constexpr uint32_t kOnnxNodesMax = 4096;
inline constexpr uint32_t kOnnxTensorsMax = 4096;
inline constexpr uint32_t kOnnxNamesMax = 32;  // inputs, outputs or attributes of one node
inline constexpr uint32_t kOnnxRankMax = 8;    // dimensions of one tensor
inline constexpr uint32_t kOnnxListMax = 256;  // numbers of one attribute, and of a tensor that is not raw

enum class OnnxType : int32_t { kFloat = 1, kInt32 = 6, kInt64 = 7 };

// `data` holds product(dims) little-endian values of `type`: 4 bytes each, but 8 of kInt64.
struct OnnxTensor {
  std::string name;
  std::vector<int64_t> dims;
  OnnxType type = OnnxType::kFloat;
  ByteView data;

  uint64_t count() const { return data.size() / (type == OnnxType::kInt64 ? 8 : 4); }
  float number(uint64_t index) const { return load_le<float>(data.data() + 4 * index); }
  int64_t integer(uint64_t index) const {
    return type == OnnxType::kInt64 ? load_le<int64_t>(data.data() + 8 * index)
                                    : load_le<int32_t>(data.data() + 4 * index);
  }
};

struct OnnxAttribute {
  std::string name;
  int32_t type = 0;  // 1 float, 2 integer, 3 text, 4 tensor, 6 floats, 7 integers: AttributeProto.AttributeType
  float number = 0.0F;
  int64_t integer = 0;
  std::string text;
  std::vector<int64_t> integers;
  std::optional<OnnxTensor> tensor;
};

struct OnnxNode {
  std::string op;
  std::string name;
  std::vector<std::string> inputs;  // "" = left out
  std::vector<std::string> outputs;
  std::vector<OnnxAttribute> attributes;

  // Null when the node has no attribute of that name.
  const OnnxAttribute* find(std::string_view attribute) const;
};

// An input or output of the graph. A dimension is -1 where the file gives it a name or nothing.
struct OnnxValue {
  std::string name;
  OnnxType type = OnnxType::kFloat;
  std::vector<int64_t> dims;
};

struct OnnxGraph {
  std::string name;
  std::vector<OnnxNode> nodes;
  std::vector<OnnxTensor> initializers;
  std::vector<OnnxValue> inputs;
  std::vector<OnnxValue> outputs;
  int64_t opset = 0;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::deque<std::vector<uint8_t>> owned;  // numbers that stand in no file: what `data` of some tensors views

  OnnxGraph() = default;
  OnnxGraph(OnnxGraph&&) = default;
  OnnxGraph& operator=(OnnxGraph&&) = default;
  OnnxGraph(const OnnxGraph&) = delete;
  OnnxGraph& operator=(const OnnxGraph&) = delete;
  ~OnnxGraph() = default;

  // Empty when there is no entry of that name.
  std::string_view metadata_of(std::string_view key) const;
};

// `file` must outlive the graph. kMalformed, kLimit, kUnsupported (external data, subgraphs, other number types, a
// version before opset 7): what and in which node or tensor.
Result<OnnxGraph> read_onnx(ByteView file);

std::vector<uint8_t> write_onnx(const OnnxGraph& graph);

// True if both compute the same with the same numbers under the same names; metadata aside.
bool same_computation(const OnnxGraph& a, const OnnxGraph& b);

}  // namespace runnel::coordinator
