// One line about the machine a run was made on: processor, cores, memory, kernel.
#pragma once

#include <string>

namespace runnel::fleet {

std::string machine_line();

}  // namespace runnel::fleet
