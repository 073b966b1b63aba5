// The result of one run, or of two side by side, as a table of plain text.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "fleet/run_record.h"

namespace runnel::fleet {

// What was measured, the run's value, the comparison's, and how many times less the run needed; "" where it does not
// apply.
struct SummaryRow {
  std::string what;
  std::string value;
  std::string comparison;
  std::string ratio;
};

// `comparison` may be null.
std::vector<SummaryRow> summary_rows(const RunRecord& record, const RunRecord* comparison);
std::string summary_table(const RunRecord& record, const RunRecord* comparison);

}  // namespace runnel::fleet
