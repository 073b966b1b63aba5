// The result of a run, or of two compared, as one HTML file that needs nothing else: no scripts, no network, light or
// dark.
#pragma once

#include <string>

#include "fleet/run_json.h"
#include "fleet/run_record.h"

namespace runnel::fleet {

// `comparison` may be null. `made_at` is printed as it is. All text from outside is escaped.
std::string html_report(const RunRecord& record, const RunRecord* comparison, const RunContext& context,
                        const std::string& made_at);

}  // namespace runnel::fleet
