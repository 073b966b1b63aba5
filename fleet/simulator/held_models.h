// Which bits each version of the model has: the promise that all devices hold the same. And what brought it to them.
//
// Threads: one at a time.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "coordinator/engine/public_model.h"
#include "coordinator/store/store.h"
#include "device/engine/model_keeper.h"
#include "fleet/simulator/simulation.h"
#include "runtime/base/crc32c.h"
#include "runtime/train/initialize.h"
#include "runtime/wire/frame.h"

namespace runnel::fleet {

class HeldModels {
 public:
  // A version as the coordinator made it durable.
  void note(const coordinator::ModelRecord& model) { checksums_[model.version] = checksum(model.parameters); }

  // What is wrong with a Model message that training starts from; nullopt if it is that version, bit for bit.
  std::optional<std::string> check(uint64_t version, ByteView message) const {
    wire::Model model;
    if (const Failure bad = wire::decode_model(message, model); !bad.ok()) return std::string(bad.text());
    const auto found = checksums_.find(version);
    if (found == checksums_.end()) return "it is of version " + std::to_string(version) + ", which was never made";
    if (model.model_version == version && checksum(model.parameters) == found->second) return std::nullopt;
    return "it is not version " + std::to_string(version) + " as the coordinator has it";
  }

 private:
  static uint32_t checksum(std::span<const float> parameters) {
    return crc32c({reinterpret_cast<const uint8_t*>(parameters.data()), parameters.size_bytes()});
  }
  std::map<uint64_t, uint32_t> checksums_;
};

// Version 1, as the coordinator's init makes it.
inline coordinator::ModelRecord first_model(const SimulationOptions& options, const plan::ModelLayout& layout) {
  coordinator::ModelRecord initial{1, std::vector<float>(layout.parameter_count)};
  train::initialize_parameters(layout, options.plan.seed, initial.parameters);
  coordinator::begin_public_model(options.plan.downlink, layout.shared_count, initial.parameters);
  return initial;
}

// What a device takes to keep a model.
inline size_t flash_bytes_of(const SimulationOptions& options, const plan::ModelLayout& layout) {
  return 2 * (wire::model_bytes_max(options.model, layout.parameter_count) + device::ModelKeeper::kHeaderBytes);
}

// Counts the frame if it begins a model or a delta.
inline void count_model_message(ByteView frame, SimulationReport& report) {
  const Result<wire::Message> message = wire::decode_frame(frame);
  const auto* chunk = message.ok() ? std::get_if<wire::ModelChunk>(&*message) : nullptr;
  if (chunk == nullptr || chunk->offset != 0) return;
  ++(chunk->base_version == 0 ? report.models_sent : report.deltas_sent);
  if (chunk->base_version != 0 && chunk->model_version > chunk->base_version + 1) ++report.composed_deltas_sent;
}

}  // namespace runnel::fleet
