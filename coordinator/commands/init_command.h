// `runnel-coordinator init`: makes a fleet's state folder, with its keys, its plan, its model and its store.
#pragma once

#include <ostream>
#include <string>

#include "coordinator/commands/plan_overrides.h"
#include "coordinator/state_folder.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

struct InitOptions {
  std::string state_folder = kDefaultStateFolder;
  std::string model;      // a built-in model's name, or a path to a model.toml; empty: sensor-cnn
  std::string onnx_path;  // empty, or trained parameters to begin from; the model too if none is named
  std::string plan_path;  // empty: defaults
  std::string fleet_name = "runnel-fleet";
  PlanOverrides plan;
};

// Adds the subcommand and its options; they are written to `options`, which must outlive the parsing.
CLI::App* add_init_command(CLI::App& app, InitOptions& options);

// Makes the folder (0700) and everything in it. kDuplicate, with nothing touched, if there is a fleet already, or
// anything else; after any other failure what was made is removed again.
Failure init_fleet(const InitOptions& options, std::ostream& out);

}  // namespace runnel::coordinator
