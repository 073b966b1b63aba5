// onnx.proto's field numbers are named where they are read.
#include <string>

#include "coordinator/onnx/onnx_graph.h"
#include "coordinator/onnx/protobuf.h"

namespace runnel::coordinator {
namespace {

Failure malformed(const char* message, const std::string& name) {
  return fail(Error::kMalformed, "the file ends early or is not ONNX: %s %.100s", message, name.c_str());
}

Failure too_many(const char* what, uint64_t most, const std::string& name) {
  return fail(Error::kLimit, "%.100s: more than %llu %s", name.c_str(), static_cast<unsigned long long>(most), what);
}

class Reading {
 public:
  explicit Reading(OnnxGraph& graph) : graph_(graph) {}

  Failure model(ByteView bytes) {
    bool has_graph = false;
    ProtoReader reader(bytes);
    while (reader.next()) {
      switch (reader.field()) {
        case 7:  // graph
          if (has_graph) return malformed("a second graph", "");
          has_graph = true;
          RUNNEL_TRY(graph(reader.bytes()));
          break;
        case 8:  // opset_import
          RUNNEL_TRY(opset(reader.bytes()));
          break;
        case 14:  // metadata_props
          RUNNEL_TRY(metadata(reader.bytes()));
          break;
        default:
          break;
      }
    }
    if (!reader.ok() || !has_graph) return malformed("model", "");
    if (graph_.opset < 7)
      return fail(Error::kUnsupported, "ONNX operator set %lld; 7 is the oldest that can be read",
                  static_cast<long long>(graph_.opset));
    return Error::kOk;
  }

 private:
  Failure opset(ByteView bytes) {
    std::string domain;
    int64_t version = 0;
    ProtoReader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) domain = reader.text();
      if (reader.field() == 2) version = reader.integer();
    }
    if (domain.empty() || domain == "ai.onnx") graph_.opset = version;
    return reader.ok() ? Failure(Error::kOk) : malformed("opset_import", "");
  }

  Failure metadata(ByteView bytes) {
    if (graph_.metadata.size() >= kOnnxNamesMax) return too_many("metadata", kOnnxNamesMax, "model");
    auto& [key, value] = graph_.metadata.emplace_back();
    ProtoReader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) key = reader.text();
      if (reader.field() == 2) value = reader.text();
    }
    return reader.ok() ? Failure(Error::kOk) : malformed("metadata", key);
  }

  Failure graph(ByteView bytes) {
    ProtoReader reader(bytes);
    while (reader.next()) {
      switch (reader.field()) {
        case 1:  // node
          if (graph_.nodes.size() >= kOnnxNodesMax) return too_many("nodes", kOnnxNodesMax, "graph");
          RUNNEL_TRY(node(reader.bytes(), graph_.nodes.emplace_back()));
          break;
        case 2:
          graph_.name = reader.text();
          break;
        case 5:  // initializer
          if (graph_.initializers.size() >= kOnnxTensorsMax) return too_many("tensors", kOnnxTensorsMax, "graph");
          RUNNEL_TRY(tensor(reader.bytes(), graph_.initializers.emplace_back()));
          break;
        case 11:  // input
          if (graph_.inputs.size() >= kOnnxTensorsMax) return too_many("inputs", kOnnxTensorsMax, "graph");
          RUNNEL_TRY(value(reader.bytes(), graph_.inputs.emplace_back()));
          break;
        case 12:  // output
          if (graph_.outputs.size() >= kOnnxNamesMax) return too_many("outputs", kOnnxNamesMax, "graph");
          RUNNEL_TRY(value(reader.bytes(), graph_.outputs.emplace_back()));
          break;
        case 15:
          return fail(Error::kUnsupported, "the graph has sparse tensors");
        default:
          break;
      }
    }
    return reader.ok() ? Failure(Error::kOk) : malformed("graph", graph_.name);
  }

  Failure node(ByteView bytes, OnnxNode& node) {
    ProtoReader reader(bytes);
    while (reader.next()) {
      switch (reader.field()) {
        case 1:
        case 2: {
          auto& names = reader.field() == 1 ? node.inputs : node.outputs;
          if (names.size() >= kOnnxNamesMax) return too_many("inputs or outputs", kOnnxNamesMax, node.name);
          names.emplace_back(reader.text());
          break;
        }
        case 3:
          node.name = reader.text();
          break;
        case 4:
          node.op = reader.text();
          break;
        case 5:  // attribute
          if (node.attributes.size() >= kOnnxNamesMax) return too_many("attributes", kOnnxNamesMax, node.name);
          RUNNEL_TRY(attribute(reader.bytes(), node.attributes.emplace_back()));
          break;
        case 7: {  // domain
          const std::string_view domain = reader.text();
          if (!domain.empty() && domain != "ai.onnx")
            return fail(Error::kUnsupported, "node %.60s: an operator of %.60s", node.name.c_str(),
                        std::string(domain).c_str());
          break;
        }
        default:
          break;
      }
    }
    return reader.ok() ? Failure(Error::kOk) : malformed("node", node.name);
  }

  Failure attribute(ByteView bytes, OnnxAttribute& attribute) {
    ProtoReader reader(bytes);
    while (reader.next()) {
      switch (reader.field()) {
        case 1:
          attribute.name = reader.text();
          break;
        case 2:
          attribute.number = reader.number();
          break;
        case 3:
          attribute.integer = reader.integer();
          break;
        case 4:
          attribute.text = reader.text();
          break;
        case 5:
          RUNNEL_TRY(tensor(reader.bytes(), attribute.tensor.emplace()));
          break;
        case 8: {
          const bool fits = reader.each_integer([&](int64_t value) {
            attribute.integers.push_back(value);
            return attribute.integers.size() <= kOnnxListMax;
          });
          if (!fits && attribute.integers.size() > kOnnxListMax)
            return too_many("numbers", kOnnxListMax, attribute.name);
          break;
        }
        case 20:
          attribute.type = static_cast<int32_t>(reader.integer());
          break;
        case 6:
        case 11:
          return fail(Error::kUnsupported, "attribute %.60s is a subgraph", attribute.name.c_str());
        default:
          break;
      }
    }
    return reader.ok() ? Failure(Error::kOk) : malformed("attribute", attribute.name);
  }

  Failure tensor(ByteView bytes, OnnxTensor& tensor) {
    int64_t type = 0;
    std::vector<int64_t> integers;
    ProtoReader reader(bytes);
    while (reader.next()) {
      switch (reader.field()) {
        case 1: {
          const bool fits = reader.each_integer([&](int64_t value) {
            tensor.dims.push_back(value);
            return tensor.dims.size() <= kOnnxRankMax;
          });
          if (!fits && tensor.dims.size() > kOnnxRankMax) return too_many("dimensions", kOnnxRankMax, tensor.name);
          break;
        }
        case 2:
          type = reader.integer();
          break;
        case 4:  // float_data
          if (!tensor.data.empty()) return fail(Error::kUnsupported, "tensor %.100s is in pieces", tensor.name.c_str());
          tensor.data = reader.numbers();
          break;
        case 5:    // int32_data
        case 7: {  // int64_data
          const bool fits = reader.each_integer([&](int64_t value) {
            integers.push_back(value);
            return integers.size() <= kOnnxListMax;
          });
          if (!fits && integers.size() > kOnnxListMax) return too_many("numbers", kOnnxListMax, tensor.name);
          break;
        }
        case 8:
          tensor.name = reader.text();
          break;
        case 9:  // raw_data
          tensor.data = reader.bytes();
          break;
        case 13:
          return fail(Error::kUnsupported, "tensor %.100s stands in another file; save the model as one file",
                      tensor.name.c_str());
        case 14:  // data_location
          if (reader.integer() != 0)
            return fail(Error::kUnsupported, "tensor %.100s stands in another file; save the model as one file",
                        tensor.name.c_str());
          break;
        default:
          break;
      }
    }
    if (!reader.ok()) return malformed("tensor", tensor.name);
    if (type != 1 && type != 6 && type != 7)
      return fail(Error::kUnsupported, "tensor %.100s: numbers of ONNX type %lld; fp32, int32 and int64 can be read",
                  tensor.name.c_str(), static_cast<long long>(type));
    tensor.type = static_cast<OnnxType>(type);
    return check_data(tensor, integers);
  }

  // Brings integers that were varints to the bytes that raw data would be, and compares the size with the shape.
  Failure check_data(OnnxTensor& tensor, const std::vector<int64_t>& integers) {
    const uint64_t width = tensor.type == OnnxType::kInt64 ? 8 : 4;
    if (!integers.empty() && tensor.type != OnnxType::kFloat) {
      std::vector<uint8_t>& bytes = graph_.owned.emplace_back(integers.size() * width);
      for (size_t index = 0; index < integers.size(); ++index) {
        if (width == 8) store_le<int64_t>(bytes.data() + 8 * index, integers[index]);
        if (width == 4) store_le<int32_t>(bytes.data() + 4 * index, static_cast<int32_t>(integers[index]));
      }
      tensor.data = bytes;
    }
    uint64_t count = 1;
    for (const int64_t dimension : tensor.dims) {
      if (dimension < 0 || dimension > (int64_t{1} << 31) ||
          (count *= static_cast<uint64_t>(dimension)) > kOnnxBytesMax)
        return fail(Error::kLimit, "tensor %.100s: a size of %lld", tensor.name.c_str(),
                    static_cast<long long>(dimension));
    }
    if (count * width != tensor.data.size()) {
      return fail(Error::kMalformed, "tensor %.100s: %llu values in its shape, %zu bytes of them", tensor.name.c_str(),
                  static_cast<unsigned long long>(count), tensor.data.size());
    }
    return Error::kOk;
  }

  Failure value(ByteView bytes, OnnxValue& value) {
    ByteView type;
    ProtoReader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) value.name = reader.text();
      if (reader.field() == 2) type = reader.bytes();
    }
    if (!reader.ok()) return malformed("value", value.name);
    ProtoReader kind(type);
    while (kind.next()) {
      if (kind.field() != 1) continue;  // tensor_type; others are refused by who needs them
      ProtoReader tensor(kind.bytes());
      while (tensor.next()) {
        if (tensor.field() == 1) value.type = static_cast<OnnxType>(tensor.integer());
        if (tensor.field() == 2) RUNNEL_TRY(dimensions(tensor.bytes(), value));
      }
      if (!tensor.ok()) return malformed("type of", value.name);
    }
    return kind.ok() ? Failure(Error::kOk) : malformed("type of", value.name);
  }

  static Failure dimensions(ByteView bytes, OnnxValue& value) {
    ProtoReader reader(bytes);
    while (reader.next()) {
      if (reader.field() != 1) continue;
      if (value.dims.size() >= kOnnxRankMax) return too_many("dimensions", kOnnxRankMax, value.name);
      int64_t size = -1;
      ProtoReader dimension(reader.bytes());
      while (dimension.next()) {
        if (dimension.field() == 1) size = dimension.integer();
      }
      if (!dimension.ok()) return malformed("shape of", value.name);
      value.dims.push_back(size);
    }
    return reader.ok() ? Failure(Error::kOk) : malformed("shape of", value.name);
  }

  OnnxGraph& graph_;
};

}  // namespace

Result<OnnxGraph> read_onnx(ByteView file) {
  if (file.size() > kOnnxBytesMax)
    return fail(Error::kLimit, "an ONNX file of %zu bytes; at most %llu can be read", file.size(),
                static_cast<unsigned long long>(kOnnxBytesMax));
  OnnxGraph graph;
  if (Failure bad = Reading(graph).model(file); !bad.ok()) return bad;
  return graph;
}

}  // namespace runnel::coordinator
