#include "runtime/base/instruction_set.h"

#ifdef RUNNEL_FAST_KERNELS
#include "runtime/base/vector_targets.h"

#include <hwy/targets.h>
#endif

namespace runnel {
namespace {

bool reference_only = false;

#ifdef RUNNEL_FAST_KERNELS
struct Name {
  int64_t target;
  std::string_view name;
};

constexpr Name kNames[] = {
    {HWY_AVX3, "avx512"}, {HWY_AVX2, "avx2"},     {HWY_SSE4, "sse4"},
    {HWY_NEON, "neon"},   {HWY_SCALAR, "scalar"}, {HWY_EMU128, "emu128"},
};

// What the processor has and the kernels were built for.
int64_t available() {
  return static_cast<int64_t>(HWY_SUPPORTED_TARGETS) & static_cast<int64_t>(HWY_TARGETS);
}

// From now on Highway chooses among these sets; 0 = all. Where the kernels were built for one set (NEON), there is
// nothing to choose, and the program needs nothing of Highway's library.
void let_run([[maybe_unused]] int64_t targets) {
#if (HWY_TARGETS & (HWY_TARGETS - 1)) != 0
  hwy::SetSupportedTargetsForTest(targets);
#endif
}
#endif

}  // namespace

bool use_reference() {
#if defined(RUNNEL_EXACT) && defined(__arm__)
  return true;  // NEON of 32-bit ARM takes the smallest numbers for zero
#elif defined(RUNNEL_FAST_KERNELS)
  return reference_only;
#else
  return true;
#endif
}

std::string_view instruction_set() {
  if (use_reference()) return "reference";
#ifdef RUNNEL_FAST_KERNELS
  const int64_t widest = available() & -available();  // Highway numbers better targets lower
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
  let_run(0);
  if (name == "auto") {
    reference_only = false;
    return true;
  }
  for (const Name& entry : kNames) {
    if (entry.name != name || (available() & entry.target) == 0) continue;
    let_run(entry.target);
    reference_only = false;
    return true;
  }
#endif
  return name == "auto";
}

}  // namespace runnel
