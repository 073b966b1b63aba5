// The rivals' rules that a coordinator evaluates between rounds, as pure functions of the losses that the devices
// reported: a restarted coordinator comes to the same levels.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::rate {

// AdaQuantFL: s_t = ceil(s_0 sqrt(F(w_0) / F(w_t))). `losses` are F(w_0), F(w_1), ... of the closed rounds;
// levels_first (2 in the paper) without any. Within [1, levels_max].
uint32_t adaquantfl_levels(std::span<const double> losses, uint32_t levels_first, uint32_t levels_max);

// DAdaQuant, over time: a running loss G_t = psi G_{t-1} + (1 - psi) loss_t; when it is no better than `patience`
// rounds before, and as many have passed since the last change, q doubles up to levels_max. psi = 0.9, patience =
// rounds / 10.
uint32_t dadaquant_levels(std::span<const double> losses, uint32_t rounds, uint32_t levels_first, uint32_t levels_max);

// DAdaQuant, over clients: q_i / q for a device of weight w_i among the round's weights, so that sum w_j^2 / q_j^2
// stays sum w_j^2 / q^2: sqrt(A / B) w_i^(2/3), A = sum w_j^(2/3), B = sum w_j^2 (before rounding).
double dadaquant_ratio(std::span<const double> weights, double weight);

}  // namespace runnel::rate
