// A whole fleet in virtual time and from one seed: the product's own device and coordinator engines, journal, codec and
// trainer, over links, disks and power supplies that fail as the fault model says.
//
// First faults, for as long as the options say, during which every promise (promises.h) is watched. Then everything is
// healed, and the run must come to its end. A promise that was broken is a sentence in the report. The same options
// give the same report, bit for bit.
//
// A device's link has a constant rate and latency, or follows a measured trace: then frames take as long as the trace
// says, outages stall or cut, and a handshake is paid for at the first connection. Threads: one; several simulations
// may run side by side. Memory: what the engines hold, a small flash for each device, and the frames under way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "fleet/simulator/fault_model.h"
#include "fleet/simulator/simulated_link.h"
#include "fleet/simulator/simulated_round.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/model_spec.h"

namespace runnel::fleet {

// The run's number, and the names of its devices, in every simulation.
inline constexpr uint64_t kSimulatedRun = 0x52554E;
inline constexpr uint64_t kSimulatedEpochS = 1'700'000'000;  // unix time when a simulation begins
std::string simulated_device_name(size_t index);

struct SimulationOptions {
  uint64_t seed = 1;
  coordinator::FleetPlan plan;
  plan::ModelSpec model;
  std::vector<const data::ExampleSource*> examples;  // one for each device; they must outlive the simulation
  // Instead, for many devices: what a device trains on, asked for when it begins and let go when it is done.
  uint32_t devices = 0;
  std::function<std::shared_ptr<const data::ExampleSource>(uint32_t device)> examples_of;
  FaultModel faults;
  Duration faults_for = seconds(600);           // virtual time; after it the world is healed
  Duration give_up_after = seconds(24 * 3600);  // virtual time in which a healed fleet must have finished
  size_t flash_bytes = 64 * 1024;               // of a device's outbox
  bool keep_models = true;                      // devices keep the model over a restart, in flash of their own

  // Empty, or one for each device, instead of the fault model's rate and latency; each begins at a place drawn from the
  // seed, or at its beginning. They must outlive the simulation.
  std::vector<const RateTrace*> links;
  bool links_begin_anywhere = true;
  FrameOverhead overhead;  // counted everywhere; takes time on links with a trace
  // As the coordinator announces them.
  uint32_t chunk_bytes = 512;
  uint32_t window_bytes = 2048;
  uint32_t model_chunk_bytes = 1024;
  uint64_t uploads_bytes_max = 256ULL << 20;  // of unfinished uploads, in the coordinator

  // How long an SGD step takes on an average device; 0 = trainings take training_min..training_max of the fault model.
  // A device is faster or slower by a factor drawn once, at most speed_spread either way.
  double training_seconds_per_step = 0.0;
  double speed_spread = 2.0;

  // Devices are online this share of their time, for online_mean at a stretch on average (exponential); away, they do
  // not try to connect.
  double online_share = 1.0;
  Duration online_mean = seconds(1800);
  Duration start_within = Duration::zero();  // devices start at times drawn from this

  // A device with nothing to do takes some hundred bytes; without it every device is there as a process. Without faults
  // the report is the same.
  bool put_idle_away = false;
  uint32_t training_threads = 1;  // more train devices side by side; the report is the same

  RoundObserver on_round;                           // may be empty
  std::function<void(const std::string&)> on_line;  // told what happens, line by line; may be empty

  bool bytes_by_device = true;  // each round's report says what each device had sent and received by then
  // Keeps every accepted update, and at the end makes the model of them again, without faults and in another order.
  bool check_model = true;
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
  uint64_t frames_lost = 0;
  uint64_t frames_repeated = 0;
  uint64_t frames_delayed = 0;
  uint64_t partitions = 0;
  uint64_t clock_jumps = 0;
  uint64_t gates = 0;
  uint64_t uplink_bytes = 0;  // of frames handed to the links
  uint64_t downlink_bytes = 0;
  uint64_t models_sent = 0;             // first chunks of a model in full
  uint64_t deltas_sent = 0;             // first chunks of a delta
  uint64_t composed_deltas_sent = 0;    // of those, over more than one round
  std::vector<SimulatedRound> history;  // one for each closed round
  std::vector<std::string> violations;  // empty: every promise was kept
};

SimulationReport simulate(const SimulationOptions& options);

}  // namespace runnel::fleet
