#include "runtime/codec/instruction_set.h"

#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/vector_targets.h"

#include <hwy/targets.h>
#endif

namespace runnel::codec {
namespace {

bool reference_only = false;

#ifdef RUNNEL_FAST_KERNELS
struct Name {
  int64_t target;
  std::string_view name;
};

constexpr Name kNames[] = {
    {HWY_AVX3_DL, "avx512dl"}, {HWY_AVX3, "avx512"}, {HWY_AVX2, "avx2"},     {HWY_SSE4, "sse4"},
    {HWY_SSSE3, "ssse3"},      {HWY_NEON, "neon"},   {HWY_SCALAR, "scalar"}, {HWY_EMU128, "emu128"},
};
#endif

}  // namespace

bool use_reference() {
#ifdef RUNNEL_FAST_KERNELS
  return reference_only;
#else
  return true;
#endif
}

std::string_view instruction_set() {
  if (use_reference()) return "reference";
#ifdef RUNNEL_FAST_KERNELS
  const int64_t supported = hwy::SupportedTargets();
  const int64_t widest = supported & -supported;  // Highway numbers better targets lower
  for (const Name& entry : kNames) {
    if (entry.target == widest) return entry.name;
  }
#endif
  return "other";
}

bool limit_instruction_set(std::string_view name) {
  if (name == "reference") {
    reference_only = true;
    return true;
  }
#ifdef RUNNEL_FAST_KERNELS
  hwy::SetSupportedTargetsForTest(0);
  if (name == "auto") {
    reference_only = false;
    return true;
  }
  for (const Name& entry : kNames) {
    if (entry.name != name || (hwy::SupportedTargets() & entry.target) == 0) continue;
    hwy::SetSupportedTargetsForTest(entry.target);
    reference_only = false;
    return true;
  }
#endif
  return name == "auto";
}

}  // namespace runnel::codec
