// Which bits each version of the model has: the promise that all devices hold the same.
//
// Threads: one at a time.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "coordinator/store/store.h"
#include "runtime/base/crc32c.h"
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

}  // namespace runnel::fleet
