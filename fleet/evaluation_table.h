// The report's sections on how good the models are: what the last one took for what, and what each device found on
// examples of its own.
#pragma once

#include <string>

#include "fleet/run_record.h"

namespace runnel::fleet {

// Empty without a confusion matrix and without a device that keeps examples back.
std::string evaluation_sections(const RunRecord& record);

}  // namespace runnel::fleet
