// How the model x follows what a round's updates became, D (docs/aggregation.md):
//
//   avg        x += lr D                               McMahan et al. 2017; lr: Reddi et al. 2021
//   momentum   m = b c m + D;  x += lr m               Hsu et al. 2019; c: Wang et al. 2020 (SlowMo)
//              nesterov: x += lr (D + b m)             Douillard et al. 2023
//   adam, yogi, adagrad                                Reddi et al. 2021, algorithm 2
//              m = b1 m + (1 - b1) D;  x += lr m / (sqrt(v) + tau)
//              adam:    v = b2 v + (1 - b2) D^2
//              yogi:    v = v - (1 - b2) D^2 sign(v - D^2)
//              adagrad: v = v + D^2
//
// c is the devices' learning rate over that of the round before. D contains that rate; without c what momentum gathered
// at a large one goes on moving the model when devices' steps have become too small to answer it.
// As in the paper there is no bias correction, and v begins at tau^2. Nesterov's form is the one of PyTorch's SGD,
// which DiLoCo uses, with -D as the gradient. Every coordinate on its own, in double, m and v kept rounded to fp32:
// what a restarted coordinator reads back is what it would have gone on with. Roots and divisions are rounded the same
// everywhere, so the same history gives the same bits on every board. Memory: 4 bytes a parameter for m, 4 for v.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::coordinator {

// What is remembered from step to step. Vectors are empty before the first step, and where the optimizer needs none.
struct OptimizerState {
  ServerOptimizer optimizer = ServerOptimizer::kAvg;
  std::vector<float> first;   // m
  std::vector<float> second;  // v
};

// One step; `state` is begun anew where it is another optimizer's. `rate_ratio`: c above. REQUIRES: the same length of
// both; finite values.
void server_step(const ServerSpec& server, std::span<const double> aggregate, std::span<float> model,
                 OptimizerState& state, double rate_ratio = 1.0);

// As stored: format number, optimizer, number of vectors, length, values. Empty when there is nothing to remember.
std::vector<uint8_t> encode_state(const OptimizerState& state);

// kVersion for a format of the future, kCorrupt for anything else that encode_state() did not write for a model of this
// size. An empty blob is an empty state.
Result<OptimizerState> decode_state(ByteView blob, size_t parameter_count);

// What a restarted coordinator goes on with: what is stored, or nothing, and one of `warnings`, where that is of
// another optimizer than the plan's. Fails as decode_state().
Result<OptimizerState> resume_state(const ServerSpec& server, ByteView blob, size_t parameter_count,
                                    std::vector<std::string>& warnings);

}  // namespace runnel::coordinator
