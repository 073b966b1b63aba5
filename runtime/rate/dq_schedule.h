// DQ-SGD (Yan, Huang, Lan, Song 2021): how many levels, bits, or how coarse a step, each round of a run deserves, so
// that the fewest bits are spent for a given error of the final loss.
//
// Rounds are counted t = 0..T-1. With g_t the vector that is quantized in round t, d its coordinates and a the
// contraction of one round, an error of variance q_t costs a^(T-1-t) q_t in the end. Of all schedules with the same sum
// of these, the one with the fewest bits has s_t = k a^((T-1-t)/2) ||g_t|| levels, which is the absolute step
// Delta_t = ||g_t|| / s_t = Delta_end a^(-(T-1-t)/2). When the learning rate eta changes, a round contracts by
// a^(eta_t / eta_0); updates already contain their learning rate, gradients are weighted with eta_t besides.
// Threads: values only. Memory: none beyond the spans given.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::rate {

// The run that a schedule is for.
struct Horizon {
  uint32_t rounds = 1;                     // T
  double contraction = 1.0;                // a, (0, 1]
  std::span<const double> learning_rates;  // eta_t, T of them; empty = constant
  bool gradients = false;  // what is quantized is gradients, to be multiplied with eta_t, and not updates
};

// ln of the weight c_t that the variance of round t's quantization error has in the final loss; the last round of a
// constant schedule has 0. REQUIRES: t < rounds.
double log_weight(const Horizon& horizon, uint32_t t);

// s_t = k sqrt(c_t) ||g_t||: real-valued positive levels.
double levels(double k, double log_weight, double norm);
// b_t = log2(s_t + 1) + 1.
double bits(double levels);
// Delta_t = Delta_end / sqrt(c_t).
double step(double step_end, double log_weight);

// The k that grants quantization eps_q in sum c_t q_t, with q_t = d ||g_t||^2 / (4 s_t^2), the bound of stochastic
// rounding: k = sqrt(T d / (4 eps_q)).
double k_for_error(uint32_t rounds, uint64_t coordinates, double eps_q);
// The same for subtractive dither, q_t = d Delta_t^2 / 12: Delta_end = sqrt(12 eps_q / (T d)).
double step_end_for_error(uint32_t rounds, uint64_t coordinates, double eps_q);

// sum c_t q_t of a schedule with the levels s_t, q_t as in k_for_error. The spans have the same length, horizon.rounds.
double weighted_error(const Horizon& horizon, std::span<const double> norms, std::span<const double> levels,
                      uint64_t coordinates);

// The k whose bits b_t over the rounds first..T-1 add up to `bits_total` bits a coordinate, by bisection; each b_t is
// kept within [bits_min, bits_max]. `norms` are those of rounds first..T-1, forecasts for the future ones. The extreme
// k if even it cannot reach the total.
double k_for_bits(const Horizon& horizon, uint32_t first, std::span<const double> norms, double bits_total,
                  double bits_min, double bits_max);

// Factor on a step (and 1 / it on the levels) that minimises the time instead of the bits, when this round's bandwidth
// is `bandwidth` and the run's usual one `bandwidth_mean`: sqrt(mean / now), kept within [1/8, 8].
double bandwidth_factor(double bandwidth, double bandwidth_mean);

}  // namespace runnel::rate
