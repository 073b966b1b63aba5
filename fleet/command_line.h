// What the person at the terminal asked for.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "fleet/run_config.h"

namespace runnel::fleet {

struct CommandLine {
  enum class Command : uint8_t { kRun, kDemo };
  Command command = Command::kRun;
  RunConfig config;
  std::string compare_codec;  // "fp32" for a second run with that codec; empty for none
  std::string json_path;      // empty: not written
  std::string report_path;    // empty: not written
};

// The exit code when the help was asked for or the arguments are wrong; what to say has then been printed.
std::variant<CommandLine, int> parse_command_line(int argc, const char* const* argv);

// The demonstration's settings: eight devices on thin links, a small convolutional network, generated data.
RunConfig demo_config();

}  // namespace runnel::fleet
