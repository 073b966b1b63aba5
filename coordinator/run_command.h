// `runnel-coordinator run`: leads the fleet through the rounds of its plan, and goes on where an earlier run stopped.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "runtime/base/result.h"

namespace runnel::coordinator {

struct RunOptions {
  std::string state_folder = "fleet-state";
  std::string bind = "tcp://0.0.0.0:5555";
  std::string data;  // held-out examples; empty: no evaluation
  std::string split;
  std::string scale;
  uint32_t min_devices = 0;  // 0 = as the plan says
  bool exit_when_finished = false;
  bool insecure_plaintext = false;
  std::string events_path;
  std::string dump_folder;
};

// Adds the subcommand and its options; they are written to `options` when it is parsed.
CLI::App* add_run_command(CLI::App& app, RunOptions& options);

// Failures name the option, file or address that they are about.
Failure run_coordinator(const RunOptions& options);

}  // namespace runnel::coordinator
