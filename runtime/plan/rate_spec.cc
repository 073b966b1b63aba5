#include "runtime/plan/rate_spec.h"

#include "runtime/plan/range_check.h"

namespace runnel::plan {

const char* rate_mode_name(RateMode mode) {
  static constexpr const char* kNames[kRateModeCount] = {"fixed",      "error",     "budget", "feddq",
                                                         "adaquantfl", "dadaquant", "kimad"};
  const auto index = static_cast<uint8_t>(mode);
  return index < kRateModeCount ? kNames[index] : "unknown";
}

Failure check(const RateSpec& rate) {
  if (static_cast<uint8_t>(rate.mode) >= kRateModeCount) {
    return fail(Error::kUnsupported, "rate mode %u is not known here", static_cast<unsigned>(rate.mode));
  }
  if (static_cast<uint8_t>(rate.late) > static_cast<uint8_t>(LatePolicy::kSend)) {
    return fail(Error::kUnsupported, "policy %u for late updates is not known here", static_cast<unsigned>(rate.late));
  }
  RUNNEL_TRY(in_range("contraction", rate.contraction, 0.01F, 1.0F));
  RUNNEL_TRY(in_range("k", rate.k, 0.0F, 1e30F));
  RUNNEL_TRY(in_range("error_share", rate.error_share, 1e-6F, 0.999F));
  RUNNEL_TRY(count_in_range("budget_bytes", rate.budget_bytes, rate.mode == RateMode::kBudget ? 1 : 0, 1ULL << 48));
  RUNNEL_TRY(in_range("resolution", rate.resolution, 1e-12F, 1e6F));
  RUNNEL_TRY(in_range("weight_ratio", rate.weight_ratio, 1e-6F, 1e6F));
  return in_range("step_ratio_max", rate.step_ratio_max, 1.0F, 1e9F);
}

}  // namespace runnel::plan
