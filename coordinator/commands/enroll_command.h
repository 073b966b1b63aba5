// `runnel-coordinator enroll NAME...`: gives each device a certificate of the fleet, as a bundle for it to run with.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "coordinator/state_folder.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

struct EnrollOptions {
  std::vector<std::string> names;
  std::string state_folder = kDefaultStateFolder;
  std::string coordinator = "tcp://127.0.0.1:5555";  // as the devices reach it
  std::string request_path;  // a certificate request that the device made: its key stays there. One name only
  std::string out_path;      // one name only
  std::string out_folder;    // empty: bundles/ in the state folder
  uint32_t days = 825;       // validity; 1..36500, and not beyond the authority's own
};

// Adds the subcommand and its options; they are written to `options`, which must outlive the parsing.
CLI::App* add_enroll_command(CLI::App& app, EnrollOptions& options);

// Writes NAME.toml (0600) for each name and enters it in the store: a known name gets a new certificate, and its old
// one is no longer good. The names before a failing one stay enrolled; words that are wrong are found before anything
// is done.
Failure enroll_devices(const EnrollOptions& options, std::ostream& out);

}  // namespace runnel::coordinator
