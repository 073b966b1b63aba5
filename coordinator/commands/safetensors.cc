#include "coordinator/commands/safetensors.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "coordinator/config/model_file.h"
#include "runtime/base/bytes.h"

namespace runnel::coordinator {

std::vector<uint32_t> tensor_shape(const plan::ModelSpec& spec, const plan::TensorInfo& tensor) {
  const plan::LayerSpec& layer = spec.layers[tensor.layer];
  switch (layer.kind) {
    case plan::LayerKind::kConv2d:
      if (tensor.fan_in == 0) break;
      return {layer.units, tensor.fan_in / (layer.kernel.height * layer.kernel.width), layer.kernel.height,
              layer.kernel.width};
    case plan::LayerKind::kEmbedding:
      return {layer.vocabulary, layer.units};
    case plan::LayerKind::kDense:
    case plan::LayerKind::kGru:
    case plan::LayerKind::kLstm:
      if (tensor.fan_in == 0) break;
      return {tensor.count / tensor.fan_in, tensor.fan_in};
    default:
      break;
  }
  return {tensor.count};
}

std::vector<uint8_t> encode_safetensors(const plan::ModelSpec& spec, const plan::ModelLayout& layout, uint64_t version,
                                        const std::string& sha256, std::span<const float> parameters) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"model", std::string(spec.name.view())},
                            {"version", std::to_string(version)},
                            {"sha256", sha256},
                            {"producer", "runnel"},
                            {"model.toml", model_file_toml(spec)}};
  for (const plan::TensorInfo& tensor : layout.tensors) {
    const uint64_t begin = uint64_t{tensor.offset} * sizeof(float);
    header[std::string(tensor.name.view())] = {
        {"dtype", "F32"},
        {"shape", tensor_shape(spec, tensor)},
        {"data_offsets", {begin, begin + uint64_t{tensor.count} * sizeof(float)}}};
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');  // the numbers then begin aligned, as readers that map the file want

  std::vector<uint8_t> file(8 + json.size() + parameters.size_bytes());
  store_le<uint64_t>(file.data(), json.size());
  std::memcpy(file.data() + 8, json.data(), json.size());
  if (!parameters.empty()) std::memcpy(file.data() + 8 + json.size(), parameters.data(), parameters.size_bytes());
  return file;
}

}  // namespace runnel::coordinator
