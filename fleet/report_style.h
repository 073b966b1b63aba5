// How the report looks: one style sheet, with a light and a dark set of colours.
#pragma once

#include <string>

namespace runnel::fleet {

const char* report_style();

// The class of a device's state; states that the style sheet does not know look like waiting.
std::string state_style(const std::string& state);

}  // namespace runnel::fleet
