// The model that devices hold, and how it follows the one that is trained.
//
// The coordinator trains x, exactly. Devices hold X: it lies on a grid of powers of two on which fp32 adds without
// rounding, and moves by whole multiples of a step. What a step leaves behind, x - X, stays here and goes into the next
// one (error feedback on the way down), so it never exceeds a step for long. Because every sum is exact, deltas may be
// added one by one or composed first: X comes out the same, bit for bit.
//
// Everything is a function of its arguments. Memory: a few vectors of the model's length while it runs.
// docs/decisions/0006-downlink.md has the reasons.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/store/store.h"

namespace runnel::coordinator {

// What |value / step| may be at most, so that the entropy coder can say it.
inline constexpr double kMultipleMax = 31999.0;

// `exact` on the grid, with room to grow: what a chain of deltas starts from.
std::vector<float> on_downlink_grid(std::span<const float> exact);

struct NextModel {
  std::vector<float> parameters;
  ModelDelta delta;  // version 0: `parameters` do not follow by one, and everybody needs them in full
};

// What devices hold after `held`, given what the coordinator has. REQUIRES: the same length, not 0; finite values;
// downlink.quantized().
NextModel next_public_model(const DownlinkSpec& downlink, const ModelRecord& held, std::span<const float> exact);

// The first version: what is shared goes onto the grid if the downlink is quantized, the rest never changes.
void begin_public_model(const DownlinkSpec& downlink, size_t shared_count, std::span<float> parameters);

// The round's end, in `result`: the version after `held`, now that the coordinator has `exact`, how the first
// `shared_count` parameters follow, and from where on deltas are kept; the others stay. REQUIRES: the same length,
// shared_count of them not 0; finite values.
void follow(const DownlinkSpec& downlink, size_t shared_count, const ModelRecord& held, std::vector<float> exact,
            RoundResult& result);

// The sum of consecutive deltas as one, to the version of the last. nullopt if there is none that the coder can say.
// kCorrupt or the decoder's error when a blob is not what next_public_model() made. REQUIRES: at least one.
Result<std::optional<ModelDelta>> compose(std::span<const ModelDelta> deltas, uint32_t parameter_count);

}  // namespace runnel::coordinator
