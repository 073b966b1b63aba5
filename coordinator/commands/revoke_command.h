// `runnel-coordinator revoke NAME`: a device that is lost or broken into takes no part any more.
#pragma once

#include <ostream>
#include <string>

#include "coordinator/state_folder.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

struct RevokeOptions {
  std::string name;
  std::string state_folder = kDefaultStateFolder;
};

// Adds the subcommand and its options; they are written to `options`, which must outlive the parsing.
CLI::App* add_revoke_command(CLI::App& app, RevokeOptions& options);

// kUnknownDevice. Revoking a revoked device changes nothing and is no failure.
Failure revoke_device(const RevokeOptions& options, std::ostream& out);

}  // namespace runnel::coordinator
