// What the table says in the end: how far each scheme is from the limit, and how its speed compares.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/trial_row.h"

namespace runnel::bench {

// The least NMSE that an unbiased code of `bits` a coordinate can have on Gaussian values: 1 / (2^(2 bits) - 1).
double unbiased_limit(double bits);

// The rows of one curve: same data, count, scheme and kernel, by increasing bits.
std::vector<TrialRow> curve_of(std::span<const TrialRow> rows, const TrialRow& like);

// One row of each curve, in the order in which they first appear.
std::vector<TrialRow> curves(std::span<const TrialRow> rows);

struct Interpolated {
  double nmse = 0.0;
  bool biased = false;  // as one of the two points that it lies between is
};

// NMSE at `bits`, interpolated linearly in its logarithm; nothing outside of the curve.
std::optional<Interpolated> nmse_at(std::span<const TrialRow> curve, double bits);

// For each vector: the gap of each scheme to the limit at 1, 2, 3 and 4 bits (in bits: how many fewer the limit would
// take for the same NMSE), then speeds and their ratios, then how right the rate model was.
std::string summary_text(std::span<const TrialRow> rows);

// The same as Markdown tables, for a document: NMSE at 0.5, 1, 2, 3 and 4 bits of each scheme for each vector (with *
// where it is biased), then bits, error and speed of each scheme at a typical point for the largest
// vector.
std::string summary_markdown(std::span<const TrialRow> rows);

}  // namespace runnel::bench
