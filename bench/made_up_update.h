// An update as a device would send it, without training: made-up values, encoded as a plan says.
//
// Threads: one at a time. Memory: the encoded payload, shared by all messages that are made from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/codec/update_codec.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"

namespace runnel::bench {

class MadeUpUpdate {
 public:
  // Encodes values that are normally distributed. Throws std::runtime_error.
  MadeUpUpdate(const plan::CodecSpec& codec, const plan::ModelLayout& layout, uint64_t seed);

  // A whole Update message of that device.
  std::vector<uint8_t> message(const plan::RoundPlan& plan, const std::string& device, uint64_t sequence) const;

 private:
  std::vector<std::string> names_;
  std::vector<uint8_t> payload_;
  codec::EncodedTensors tensors_;
};

// The description of a model of one dense layer with at least that many parameters, as init reads it.
std::string dense_model_toml(uint32_t parameters);

}  // namespace runnel::bench
