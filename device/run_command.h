// `runnel-device run`: takes part in the fleet's training until the run is over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/conditions/conditions.h"
#include "runtime/base/result.h"

namespace runnel::device {

struct RunOptions {
  std::string bundle_path;
  std::string state_folder;  // empty: "device-state/NAME"
  std::string coordinator;   // empty: the bundle's address
  std::string name;          // instead of a bundle, in plaintext mode
  bool insecure_plaintext = false;
  std::string data = "generated";
  std::string partition;
  std::string split;
  std::string scale;
  double holdout = 0.0;          // share of the device's examples that it evaluates on and does not train on; [0, 0.9]
  uint32_t fine_tune_steps = 0;  // of each model that comes, for the device alone; 0 = none; takes a holdout
  uint32_t part = 0;
  uint32_t parts = 1;
  uint64_t seed = 1;                    // of the partition and the generated data; the same on all devices
  uint64_t ram_bytes_max = 0;           // of the training arena; 0 = no limit
  uint64_t outbox_bytes = 16ULL << 20;  // size of the outbox file (sparse: it takes what it holds)
  std::string queue_full = "fold";      // or "stop"; docs/durability.md
  double queue_age_max_s = 7.0 * 86400;
  bool keep_model = true;  // over restarts, so that only what changed is fetched; takes the model twice
  std::string events_path;
  std::string dump_folder;
  ConditionSpec training_conditions;
  ConditionSpec link_conditions;
  std::string training_hours;  // as parse_hours() reads them
  std::string link_hours;
  std::vector<std::string> metered_interfaces;
  std::string system_root;  // before /sys and /proc
  uint32_t look_seconds = 30;
};

// Failures name the option, file or peer that they are about.
Failure run_device(const RunOptions& options);

}  // namespace runnel::device
