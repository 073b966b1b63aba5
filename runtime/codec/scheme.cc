#include "runtime/codec/scheme.h"

#include <bit>
#include <cmath>

#include "runtime/codec/available.h"

namespace runnel::codec {

const Scheme* find_scheme(plan::CodecId id) {
  for (const Scheme& scheme : schemes()) {
    if (scheme.id == id) return &scheme;
  }
  return nullptr;
}

bool is_available(plan::CodecId id) {
  return find_scheme(id) != nullptr;
}

Failure check_finite(std::span<const float> values) {
  // Without a branch, so that the compiler makes vectors of it; where the value is matters only if there is one.
  uint32_t strange = 0;
  for (const float value : values)
    strange |= static_cast<uint32_t>((std::bit_cast<uint32_t>(value) & 0x7F800000U) == 0x7F800000U);
  if (strange == 0) return Error::kOk;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return fail(Error::kNotFinite, "value %zu is %s", i, std::isnan(values[i]) ? "nan" : "infinite");
  }
  return Error::kOk;
}

bool valid_norm(float norm) {
  return std::isfinite(norm) && !std::signbit(norm);
}

}  // namespace runnel::codec
