#include "bench/made_up_update.h"

#include <cmath>
#include <stdexcept>

#include "runtime/base/rng.h"
#include "runtime/wire/frame.h"

namespace runnel::bench {

MadeUpUpdate::MadeUpUpdate(const plan::CodecSpec& codec, const plan::ModelLayout& layout, uint64_t seed) {
  std::vector<float> values(layout.parameter_count);
  Rng rng(seed);
  for (float& value : values) {
    // Twelve uniforms: near enough to a normal distribution for the length of a code.
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) sum += rng.uniform();
    value = static_cast<float>(0.01 * sum);
  }
  std::vector<float> scratch(codec::encode_update_scratch_count(codec, layout));
  payload_.resize(codec::encoded_update_bytes_max(codec, layout));
  const Result<size_t> bytes = codec::encode_update(codec, layout, values, seed, payload_, tensors_, scratch);
  if (!bytes) throw std::runtime_error(std::string("no update could be encoded: ") + bytes.failure().text());
  size_t first = 0;
  for (const plan::EncodedTensor& run : tensors_) {
    names_.emplace_back(layout.tensors[first].name.view());
    first += run.tensors;
  }
}

std::vector<uint8_t> MadeUpUpdate::message(const plan::RoundPlan& plan, const std::string& device,
                                           uint64_t sequence) const {
  wire::Update update;
  update.run = plan.run;
  update.device = device;
  update.sequence = sequence;
  update.round = plan.round;
  update.model_version = plan.model_version;
  update.sample_count = 100;
  update.mean_loss = 1.0F;
  update.tensors = tensors_;
  for (const std::string& name : names_) static_cast<void>(update.tensor_names.push_back(name));
  size_t bytes = wire::update_overhead_bytes_max(tensors_.size());
  for (const plan::EncodedTensor& tensor : tensors_) bytes += tensor.payload.size() + 8;
  std::vector<uint8_t> memory(bytes);
  const Result<ByteView> message = wire::build_update(update, memory);
  if (!message) throw std::runtime_error(std::string("no update could be built: ") + message.failure().text());
  return {message->begin(), message->end()};
}

std::string dense_model_toml(uint32_t parameters) {
  constexpr uint32_t kUnits = 10;
  const uint32_t width = parameters / kUnits > 1 ? parameters / kUnits - 1 : 1;
  return "name = \"dense\"\ninput = [" + std::to_string(width) + "]\nclasses = " + std::to_string(kUnits) +
         "\n\n[[layer]]\nkind = \"dense\"\nunits = " + std::to_string(kUnits) + "\n";
}

}  // namespace runnel::bench
