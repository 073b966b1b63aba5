#include "runtime/plan/range_check.h"

#include <cmath>

namespace runnel::plan {

Failure count_in_range(const char* name, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return Error::kOk;
  return fail(Error::kOutOfRange, "%s must be %llu..%llu, not %llu", name, static_cast<unsigned long long>(low),
              static_cast<unsigned long long>(high), static_cast<unsigned long long>(value));
}

Failure in_range(const char* name, float value, float low, float high) {
  if (std::isfinite(value) && value >= low && value <= high) return Error::kOk;
  return fail(std::isfinite(value) ? Error::kOutOfRange : Error::kNotFinite, "%s must be %g..%g, not %g", name,
              static_cast<double>(low), static_cast<double>(high), static_cast<double>(value));
}

}  // namespace runnel::plan
