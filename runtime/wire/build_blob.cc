#include <array>

#include "runtime/wire/flatbuffer_memory.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/generated_headers.h"

namespace runnel::wire {
namespace {

// What one tensor's table, vtable, name, offsets and padding take at most.
constexpr size_t kTensorOverheadBytesMax = 192;
constexpr size_t kLayerBytesMax = 208;
constexpr size_t kBlobOverheadBytesMax = 1024;

bool aligned(MutableByteView memory) {
  return reinterpret_cast<uintptr_t>(memory.data()) % 8 == 0;
}

// A field that has its default is not written, so that a model of the first kinds of layers has the bytes it always
// had.
flatbuffers::Offset<schema::Layer> build_layer(flatbuffers::FlatBufferBuilder& builder, const plan::LayerSpec& layer) {
  flatbuffers::Offset<flatbuffers::Vector<uint32_t>> shape;
  if (layer.kind == plan::LayerKind::kReshape) {
    const std::array<uint32_t, 3> sides = {layer.shape.channels, layer.shape.height, layer.shape.width};
    shape = builder.CreateVector(sides.data(), sides.size());
  }
  flatbuffers::Offset<flatbuffers::String> name;
  if (!layer.name.view().empty()) name = builder.CreateString(layer.name.c_str(), layer.name.size());
  flatbuffers::Offset<flatbuffers::Vector<uint16_t>> inputs;
  if (!layer.inputs.empty()) inputs = builder.CreateVector(layer.inputs.begin(), layer.inputs.size());
  return schema::CreateLayer(builder, static_cast<schema::LayerKind>(layer.kind), layer.units, layer.kernel.height,
                             layer.kernel.width, layer.stride.height, layer.stride.width, layer.padding.height,
                             layer.padding.width, layer.groups, !layer.bias, layer.every_step,
                             static_cast<schema::Sharing>(layer.sharing), layer.value, layer.vocabulary, shape, name,
                             inputs);
}

}  // namespace

size_t update_overhead_bytes_max(size_t tensor_count) {
  return kBlobOverheadBytesMax + tensor_count * kTensorOverheadBytesMax;
}

Result<ByteView> build_update(const Update& update, MutableByteView memory) {
  RUNNEL_ASSERT(aligned(memory));
  size_t needed = update_overhead_bytes_max(update.tensors.size());
  for (const plan::EncodedTensor& tensor : update.tensors) needed += tensor.payload.size();
  if (needed > memory.size())
    return fail(Error::kNoMemory, "an update of up to %zu bytes in %zu", needed, memory.size());

  BlockAllocator allocator(memory);
  flatbuffers::FlatBufferBuilder builder(memory.size() / 8 * 8, &allocator);
  std::array<flatbuffers::Offset<schema::Tensor>, plan::kTensorsMax> tensors;
  for (size_t i = 0; i < update.tensors.size(); ++i) {
    const plan::EncodedTensor& tensor = update.tensors[i];
    const std::string_view name = update.tensor_names[i];
    const auto payload = builder.CreateVector(tensor.payload.data(), tensor.payload.size());
    tensors[i] = schema::CreateTensor(
        builder, builder.CreateString(name.data(), name.size()), static_cast<schema::Codec>(tensor.codec), tensor.count,
        tensor.bits, tensor.levels, tensor.bucket, tensor.scale, payload, static_cast<schema::Coder>(tensor.coder),
        tensor.tensors, tensor.rotated, tensor.keep, tensor.seed);
  }
  const auto list = builder.CreateVector(tensors.data(), update.tensors.size());
  const auto device = builder.CreateString(update.device.data(), update.device.size());
  const plan::LocalEvaluation& found = update.evaluation;
  flatbuffers::Offset<schema::Evaluation> evaluation;
  if (found.examples > 0) {
    evaluation = schema::CreateEvaluation(builder, static_cast<uint8_t>(found.metric), found.examples,
                                          found.loss_before, found.value_before, found.loss_after, found.value_after,
                                          found.tuned_steps, found.loss_tuned, found.value_tuned);
  }
  schema::FinishUpdateBuffer(
      builder, schema::CreateUpdate(builder, update.run, device, update.sequence, update.round, update.model_version,
                                    update.sample_count, update.mean_loss, list, evaluation));
  return ByteView{builder.GetBufferPointer(), builder.GetSize()};
}

size_t model_bytes_max(const plan::ModelSpec& spec, size_t parameter_count) {
  return kBlobOverheadBytesMax + spec.layers.size() * kLayerBytesMax + parameter_count * sizeof(float);
}

Result<ByteView> build_model(const Model& model, MutableByteView memory) {
  RUNNEL_ASSERT(aligned(memory));
  const size_t needed = model_bytes_max(model.spec, model.parameters.size());
  if (needed > memory.size()) return fail(Error::kNoMemory, "a model of up to %zu bytes in %zu", needed, memory.size());

  BlockAllocator allocator(memory);
  flatbuffers::FlatBufferBuilder builder(memory.size() / 8 * 8, &allocator);
  std::array<flatbuffers::Offset<schema::Layer>, plan::kLayersMax> layers;
  for (size_t i = 0; i < model.spec.layers.size(); ++i) layers[i] = build_layer(builder, model.spec.layers[i]);
  const auto parameters = builder.CreateVector(model.parameters.data(), model.parameters.size());
  const auto list = builder.CreateVector(layers.data(), model.spec.layers.size());
  const auto name = builder.CreateString(model.spec.name.c_str(), model.spec.name.size());
  const auto spec =
      schema::CreateModelSpec(builder, name, model.spec.input.channels, model.spec.input.height, model.spec.input.width,
                              model.spec.classes, list, static_cast<schema::LossKind>(model.spec.loss.kind),
                              static_cast<schema::TargetKind>(model.spec.loss.target), model.spec.loss.label_smoothing,
                              model.spec.loss.huber_delta);
  schema::FinishModelBuffer(builder, schema::CreateModel(builder, model.run, model.model_version, spec, parameters));
  return ByteView{builder.GetBufferPointer(), builder.GetSize()};
}

}  // namespace runnel::wire
