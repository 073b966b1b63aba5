// Bits against error as a picture: one panel a vector, NMSE on a logarithmic axis, the limit drawn in.
#pragma once

#include <span>
#include <string>

#include "bench/trial_row.h"

namespace runnel::bench {

// A complete SVG document without scripts or anything from elsewhere; readable on light and dark pages. Rows beyond 8.5
// bits a coordinate are left out, as are those of more kernels than the first.
std::string bits_chart_svg(std::span<const TrialRow> rows);

}  // namespace runnel::bench
