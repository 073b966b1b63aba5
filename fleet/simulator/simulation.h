// A whole fleet in virtual time and from one seed: the product's own device and coordinator engines, journal, codec and
// trainer, over links, disks and power supplies that fail as the fault model says.
//
// First faults, for as long as the options say: nothing acknowledged may be lost or counted twice, no model version may
// go back. Then everything is healed, and the run must come to its end. What is broken is a sentence in the report. The
// same options give the same report, bit for bit. Threads: one. Memory: what the engines hold, a small flash for each
// device, and the frames under way.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "fleet/simulator/fault_model.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/model_spec.h"

namespace runnel::fleet {

struct SimulationOptions {
  uint64_t seed = 1;
  coordinator::FleetPlan plan;
  plan::ModelSpec model;
  std::vector<const data::ExampleSource*> examples;  // one for each device; they must outlive the simulation
  FaultModel faults;
  Duration faults_for = seconds(600);           // virtual time; after it the world is healed
  Duration give_up_after = seconds(24 * 3600);  // virtual time in which a healed fleet must have finished
  size_t flash_bytes = 64 * 1024;               // of a device's outbox
};

struct SimulationReport {
  bool finished = false;
  uint32_t rounds = 0;
  Duration elapsed{};        // virtual
  std::vector<float> model;  // the newest
  uint64_t updates_counted = 0;
  uint64_t updates_acknowledged = 0;  // as the devices saw it, repeated ones included
  uint64_t cuts = 0;
  uint64_t device_crashes = 0;
  uint64_t coordinator_crashes = 0;
  uint64_t disks_filled = 0;
  uint64_t hostile_frames = 0;
  uint64_t uplink_bytes = 0;  // of frames handed to the links
  uint64_t downlink_bytes = 0;
  std::vector<std::string> violations;  // empty: every promise was kept
};

SimulationReport simulate(const SimulationOptions& options);

}  // namespace runnel::fleet
