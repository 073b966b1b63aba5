// What the person at the terminal asked `runnel-fleet simulate` for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator/config/fleet_plan.h"
#include "fleet/simulator/fault_model.h"

namespace runnel::fleet {

struct SimulateOptions {
  // One fleet.
  uint32_t devices = 1000;
  coordinator::FleetPlan plan;
  std::string model = "sensor-mlp";  // a built-in model's name, or a file
  std::string data = "generated";
  std::string partition, split, scale;
  std::string profile = "wifi";
  std::string trace_file;  // instead of a profile
  uint32_t links = 64;     // different links made from the profile; devices share them, each beginning elsewhere
  double online_share = 1.0;
  double online_minutes = 30.0;  // mean time that a device stays online
  double step_seconds = 0.02;    // that an SGD step takes on an average device
  double speed_spread = 2.0;
  bool faults = false;  // all kinds, for fault_minutes
  double fault_minutes = 60.0;
  uint32_t threads = 2;
  uint32_t evaluate_every = 1;  // rounds; 0 = never
  bool keep_processes = false;  // devices with nothing to do keep their engine in memory; the results are the same
  bool check_model = false;

  // Or many small ones.
  bool small = false;
  uint64_t first_seed = 1;
  uint64_t last_seed = 1;
  bool transcript = false;  // of the first seed, to standard output

  std::string json_path;
  std::string report_path;
};

}  // namespace runnel::fleet
