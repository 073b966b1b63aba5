// How fine the updates of a run were, round by round, and whether they arrived in time: a section of the report.
//
// Pure. Threads: values only.
#pragma once

#include <string>

#include "fleet/run_record.h"

namespace runnel::fleet {

// A chart of bits a coordinate and of bytes predicted and sent, a table of the rounds, and one of every device's
// updates behind a fold. Empty when no update's fate is known.
std::string rate_section(const RunRecord& record);

}  // namespace runnel::fleet
