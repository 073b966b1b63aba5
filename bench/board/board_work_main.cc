// A fixed amount of a device's work, for counting instructions and memory where time means nothing, as under qemu:
//   board_work train STEPS    SGD steps of 8 examples of a convolutional network of 60,883 parameters, 28x28 images
//   board_work encode TIMES   updates of that network, compressed with subtractive dither (one step, range coder)
// What one step or one coordinate takes is the difference between two runs of different length.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/arena.h"
#include "runtime/base/instruction_set.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/data/dataset.h"
#include "runtime/train/initialize.h"
#include "runtime/train/trainer.h"

namespace {

using namespace runnel;

plan::ModelSpec network() {
  plan::ModelSpec spec;
  spec.input = {1, 28, 28};
  spec.classes = 10;
  const auto add = [&](plan::LayerKind kind, uint32_t units, uint32_t kernel, uint32_t stride, uint32_t padding) {
    plan::LayerSpec layer;
    layer.kind = kind;
    layer.units = units;
    layer.kernel = {kernel, kernel};
    layer.stride = {stride, stride};
    layer.padding = {padding, padding};
    if (!spec.layers.push_back(layer)) std::abort();
  };
  for (const uint32_t units : {8U, 16U}) {
    add(plan::LayerKind::kConv2d, units, 3, 1, 1);
    add(plan::LayerKind::kRelu, 0, 0, 1, 0);
    add(plan::LayerKind::kMaxPool2d, 0, 2, 2, 0);
  }
  add(plan::LayerKind::kFlatten, 0, 0, 1, 0);
  add(plan::LayerKind::kDense, 75, 0, 1, 0);
  add(plan::LayerKind::kRelu, 0, 0, 1, 0);
  add(plan::LayerKind::kDense, 10, 0, 1, 0);
  return spec;
}

int complain(const Failure& failure) {
  std::fprintf(stderr, "board_work: %s\n", failure.text());
  return 1;
}

int do_training(uint32_t steps) {
  const plan::ModelSpec spec = network();
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return complain(layout.failure());
  data::Dataset examples(data::ElementType::kU8, 784, 10, 1.0F / 255.0F);
  Rng rng(1);
  for (uint32_t i = 0; i < 64; ++i) {
    std::vector<uint8_t> image(784);
    for (uint8_t& pixel : image) pixel = static_cast<uint8_t>(rng.below(256));
    if (Failure bad = examples.append(image, i % 10); !bad.ok()) return complain(bad);
  }
  plan::TrainingSpec training;
  training.batch_size = 8;
  training.local_steps = steps;
  const Result<train::MemoryPlan> memory = train::training_memory(spec, training);
  if (!memory) return complain(memory.failure());
  std::vector<uint8_t> block(memory->total_bytes + Arena::kAlignment);
  Arena arena(block);
  Result<train::Trainer> trainer = train::Trainer::create(spec, training, arena);
  if (!trainer) return complain(trainer.failure());
  std::vector<float> parameters(layout->parameter_count);
  train::initialize_parameters(*layout, 1, parameters);
  if (Failure bad = trainer->start(parameters, examples, 1); !bad.ok()) return complain(bad);
  for (;;) {
    const Result<train::Progress> progress = trainer->step();
    if (!progress) return complain(progress.failure());
    if (*progress == train::Progress::kDone) break;
  }
  std::printf("%u parameters, %u steps, loss %.4f, kernels: %s\n", layout->parameter_count, steps,
              static_cast<double>(trainer->mean_loss()), std::string(instruction_set()).c_str());
  return 0;
}

int do_encoding(uint32_t times) {
  const Result<plan::ModelLayout> layout = plan::make_layout(network());
  if (!layout) return complain(layout.failure());
  plan::CodecSpec codec;
  codec.step = 0.01F;  // about two bits a coordinate of the values below
  std::vector<float> update(layout->parameter_count);
  Rng rng(1);
  for (float& value : update) value = static_cast<float>(0.01 * rng.normal());
  std::vector<uint8_t> out(codec::encoded_update_bytes_max(codec, *layout));
  std::vector<float> scratch(codec::encode_update_scratch_count(codec, *layout));
  codec::EncodedTensors tensors;
  size_t bytes = 0;
  for (uint32_t i = 0; i < times; ++i) {
    const Result<size_t> used = codec::encode_update(codec, *layout, update, i, out, tensors, scratch);
    if (!used) return complain(used.failure());
    bytes = *used;
  }
  std::printf("%u coordinates, %u times, %zu bytes, kernels: %s\n", layout->parameter_count, times, bytes,
              std::string(instruction_set()).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[1] : "";
  const auto count = static_cast<uint32_t>(argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0);
  if (what == "train" && count > 0) return do_training(count);
  if (what == "encode" && count > 0) return do_encoding(count);
  std::fprintf(stderr, "usage: board_work train STEPS | encode TIMES\n");
  return 2;
}
