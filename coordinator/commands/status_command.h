// `runnel-coordinator status`: how far the run is, and who takes part. It only reads, also beside a running
// coordinator.
#pragma once

#include <ostream>
#include <string>

#include "coordinator/state_folder.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

struct StatusOptions {
  std::string state_folder = kDefaultStateFolder;
};

// Adds the subcommand and its options; they are written to `options`, which must outlive the parsing.
CLI::App* add_status_command(CLI::App& app, StatusOptions& options);

Failure print_status(const StatusOptions& options, std::ostream& out);

}  // namespace runnel::coordinator
