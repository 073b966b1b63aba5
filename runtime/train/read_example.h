// One example from a source, checked: data on a device's disk is no more trusted than a peer.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/result.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/model_spec.h"

namespace runnel::train {

// Error::kOk if a model of `input_count` inputs whose output of `channels` is compared with `target_count` targets can
// use the source. kShape: another number of inputs or targets, or numbers where labels are needed; kOutOfRange: more
// classes than the model has; kInvalidArgument: no examples.
Failure check_source(const data::ExampleSource& source, const plan::LossSpec& loss, uint64_t input_count,
                     uint32_t channels, uint32_t target_count);

// Fills `input` and `target`; where the loss compares with the input, the target is not looked at, and may be empty.
// kNotFinite: a value is NaN or
// infinite; else as check_targets(). Either names the example.
Failure read_example(const data::ExampleSource& source, uint32_t index, const plan::LossSpec& loss, uint32_t channels,
                     std::span<float> input, std::span<float> target);

}  // namespace runnel::train
