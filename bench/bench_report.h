// The results on the screen, as JSON, and as one HTML page that needs nothing else.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/trial_row.h"

namespace runnel::bench {

struct BenchRun {
  std::string machine;
  std::string compiler;
  std::string command;
  double memcpy_gbps = kNotMeasured;  // of 64 MiB, best of several
  std::vector<TrialRow> rows;
  std::vector<std::string> skipped;  // lines for people: what was not measured and why
};

std::string table_heading();
std::string table_line(const TrialRow& row);

// {"machine", "compiler", "command", "memcpy_gbps", "skipped": [...], "rows": [{"data", "scheme", "parameter",
// "kernel", "coordinates", "bits_per_coordinate", "nmse", "relative_bias", "encode_gbps", "decode_accumulate_gbps",
// "memcpy_gbps", "predicted_over_actual"}]}; what was not measured is null.
std::string report_json(const BenchRun& run);

std::string report_html(const BenchRun& run);

}  // namespace runnel::bench
