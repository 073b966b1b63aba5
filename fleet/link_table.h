// The shaped links of a run, a line a device: what crossed them, and how well they followed their profile.
//
// Pure. Threads: values only.
#pragma once

#include <optional>
#include <string>

#include "fleet/run_record.h"

namespace runnel::fleet {

inline constexpr double kRatedBytesMin = 20'000.0;  // less says little about a rate: a dozen frames

// Measured over profile; absent where too little waited to be sent.
std::optional<double> rate_ratio(const MeasuredRate& rate);

// For a terminal. Empty when no link was measured.
std::string link_table(const RunRecord& record);

// A section of the HTML report. Empty when no link was measured.
std::string link_section(const RunRecord& record);

}  // namespace runnel::fleet
