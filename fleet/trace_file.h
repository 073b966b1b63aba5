// Reads measured links from CSV, plain or gzipped: `trace,dur_ms,down_kbps,up_kbps,latency_ms`, a header, one row a
// line.
//
// Rows with the same name follow one another in time. An empty field was not measured: a missing rate is taken to equal
// the other direction's (unlimited when neither is there), a missing latency is zero.
#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/rate_trace.h"

namespace runnel::fleet {

// Throws FleetError naming the file and the line of the first fault, or the file when it cannot be read or has no rows.
std::vector<RateTrace> read_trace_file(const std::string& path);

// The same for text already in memory; `name` stands for the file in messages.
std::vector<RateTrace> parse_traces(std::string_view text, const std::string& name);

}  // namespace runnel::fleet
