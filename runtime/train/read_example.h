// One example from a source, checked: data on a device's disk is no more trusted than a peer.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/result.h"
#include "runtime/data/example_source.h"

namespace runnel::train {

// Error::kOk if a model of `input_count` inputs and `classes` classes can use the source. kShape: another number of
// inputs, or not one label an example; kOutOfRange: more classes than the model has; kInvalidArgument: no examples.
Failure check_source(const data::ExampleSource& source, uint64_t input_count, uint32_t classes);

// Fills `input` and gives the label. kNotFinite: a value is NaN or infinite; kOutOfRange: the label is not below
// `classes`. Either names the example.
Result<uint32_t> read_example(const data::ExampleSource& source, uint32_t index, uint32_t classes,
                              std::span<float> input);

}  // namespace runnel::train
