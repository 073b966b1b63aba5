// How finely a device compresses its update in a round, as a rule instead of a number: the schedule of DQ-SGD, or a
// rival's rule, under a deadline.
//
// The rule travels in the round plan; the device applies it to its own update and its own link. Formulas: docs/rate.md.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"

namespace runnel::plan {

// Numbers are on the wire: never renumber, only add.
enum class RateMode : uint8_t {
  kFixed = 0,       // the codec's own step, bits or levels
  kError = 1,       // DQ-SGD (Yan et al. 2021): quantization takes error_share of the error that all noise causes
  kBudget = 2,      // DQ-SGD with k solved anew every round, so that a run takes budget_bytes
  kFeddq = 3,       // FedDQ (Qu et al. 2021): constant resolution, so bits fall with the update's range
  kAdaquantfl = 4,  // AdaQuantFL (Jhunjhunwala et al. 2021): levels grow as the loss falls; the coordinator sets them
  kDadaquant = 5,   // DAdaQuant (Hoenig et al. 2022): levels double on a plateau; a device's share by its weight
  kKimad = 6,       // Kimad (Xin et al. 2023): as many bytes as the link carries in its part of a round
};
inline constexpr uint8_t kRateModeCount = 7;

// "fixed", "error", ...; never null.
const char* rate_mode_name(RateMode mode);

// What a device does with an update of which not even the coarsest form arrives before the deadline.
enum class LatePolicy : uint8_t {
  kKeep = 0,  // it stays on the device, whole, and is added to the next one
  kSend = 1,  // its coarsest form is sent; if the coordinator refuses it as late, it is added to the next one
};

struct RateSpec {
  RateMode mode = RateMode::kFixed;
  float contraction = 1.0F;   // a: what is left of an error's effect on the loss after one more round; (0, 1]
  float k = 0.0F;             // s_t = k a^((T-1-t)/2) ||g_t||; 0 = the device finds it; 0..1e30
  float error_share = 0.25F;  // of kError; (0, 1)
  uint64_t budget_bytes = 0;  // of kBudget: Update messages of one device over the whole run; 1..2^48
  float resolution = 0.005F;  // of kFeddq, in the update's unit; [1e-12, 1e6]
  float weight_ratio = 1.0F;  // of kDadaquant: levels of this device over the plan's; (0, 1e6]
  bool deadline = true;       // at most the bytes that the link carries before the round's deadline
  bool save_time = false;     // steps proportional to 1 / sqrt(goodput): the least time instead of the fewest bytes
  bool per_layer = false;     // one step a tensor, shared out by measured errors, instead of one for all
  LatePolicy late = LatePolicy::kKeep;
  float step_ratio_max = 256.0F;  // a step is at most this many times coarser than the schedule's to meet a deadline;
                                  // coarser still does not "fit"; [1, 1e9]
};

// Error::kOk, or which field is out of its range.
Failure check(const RateSpec& rate);

}  // namespace runnel::plan
