// One line of the table: a vector, a way to compress it, and what came of it.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>

namespace runnel::bench {

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

struct TrialRow {
  std::string data;
  std::string scheme;     // "qsgd/rans": the scheme, and the coder or "rotated" where there is a choice
  std::string parameter;  // "s=7"
  std::string kernel;     // the instruction set; "-" for somebody else's code
  size_t coordinates = 0;
  double bits_per_coordinate = 0.0;  // of everything that travels: payload and tensor header
  double nmse = 0.0;                 // mean of |decoded - x|^2 / |x|^2 over the decodes
  // Squared bias as a share of |x|^2, (K b - nmse) / (K - 1) with b the NMSE of the mean of K decodes from K seeds: 0
  // in expectation for an unbiased scheme, which chance may put slightly below 0. Not measured with fewer than two
  // seeds.
  double relative_bias = kNotMeasured;
  double encode_gbps = kNotMeasured;  // gigabytes of float32 input a second, best of the repetitions
  double decode_accumulate_gbps = kNotMeasured;
  double memcpy_gbps = kNotMeasured;            // of as many bytes, measured in between
  double predicted_over_actual = kNotMeasured;  // the rate model's bytes over the payload's

  bool typical = false;  // the point of its scheme that a short table shows

  // Off the unbiased line by more than chance would.
  bool biased() const { return std::isfinite(relative_bias) && relative_bias > 0.05 * nmse; }
};

}  // namespace runnel::bench
