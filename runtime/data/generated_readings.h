// A made-up regression that needs no files: what four cheap gas sensors, a thermometer and a hygrometer say, and the
// two concentrations that a reference instrument measured beside them. A sensor's answer bends, reacts to both gases
// and drifts with temperature and humidity. Every device has parts of its own (gain, offset, noise) and its own
// weather. The test set comes from devices that do not train.
//
// For orientation: targets have mean 0 and a standard deviation near 1, so that an RMSE of 1 is as good as knowing
// nothing; a linear model comes to about 0.5, a small network to about 0.3. Determinism: the same seed and device give
// the same bytes on one machine; another C library may round differently.
#pragma once

#include <cstdint>

#include "runtime/data/dataset.h"

namespace runnel::data {

inline constexpr uint32_t kReadingsInputs = 6;
inline constexpr uint32_t kReadingsTargets = 2;

Dataset generate_readings_part(uint32_t examples, uint32_t device, uint64_t seed);
Dataset generate_readings_test_set(uint32_t examples);

}  // namespace runnel::data
