// "bits must be 1..4, not 7": the checks of a plan's fields, with one wording.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"

namespace runnel::plan {

// kOutOfRange unless low <= value <= high.
Failure count_in_range(const char* name, uint64_t value, uint64_t low, uint64_t high);
// The same for reals; kNotFinite for NaN and infinity.
Failure in_range(const char* name, float value, float low, float high);

}  // namespace runnel::plan
