// One device of a simulation: what survives a power cut, and the process that does not.
//
// A device with nothing to do may be put away: its engine, its journal and the model it holds shrink to what they were
// made of, and come back when there is something for them. Nobody can tell, but for the memory. Threads: one at a time.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/engine/device_engine.h"
#include "device/training_task.h"
#include "fleet/simulator/simulated_link.h"
#include "fleet/simulator/simulated_storage.h"
#include "fleet/simulator/training_pool.h"

namespace runnel::fleet {

using SharedMessage = std::shared_ptr<const std::vector<uint8_t>>;

// Everything that lives in a device's memory.
struct DeviceProcess {
  explicit DeviceProcess(journal::Journal opened) : journal(std::move(opened)) {}

  // True if the update is the one that the device waits for an answer about.
  bool owes(uint64_t sequence) const { return outbox->pending() && outbox->front()->sequence == sequence; }

  journal::Journal journal;
  std::unique_ptr<device::Outbox> outbox;
  std::unique_ptr<device::ModelKeeper> keeper;  // null: no flash for a model
  std::unique_ptr<device::DeviceEngine> engine;
  std::shared_ptr<const data::ExampleSource> examples;  // of the training under way
  std::unique_ptr<device::TrainingTask> task;           // null: none is
  std::shared_ptr<TrainingPool::Job> job;               // of the task, if it trains on another thread
  uint64_t acknowledged_noted = 0;                      // updates_acknowledged() as the witness knows it
  uint64_t shared_version = 0;                          // of the model that it was woken with
  SharedMessage shared_model;
};

// What lasts without power.
struct DeviceFlash {
  SimulatedStorage outbox;
  SimulatedStorage model;
};

// A device that was put away.
struct PutAway {
  std::vector<std::pair<uint32_t, std::vector<uint8_t>>> records;  // of its journal
  uint64_t model_version = 0;
  SharedMessage model;  // as kept; null: none
  std::optional<device::DeviceEngine::Idle> engine;
};

struct SimulatedDevice {
  SimulatedDevice(uint32_t device_index, std::string device_name) : index(device_index), name(std::move(device_name)) {}

  bool powered() const { return process != nullptr || away != nullptr; }
  void set_full(bool full) {
    if (flash == nullptr) return;
    flash->outbox.set_full(full);
    flash->model.set_full(full);
  }
  // The power fails between two of the next few writes.
  void fail_within_writes(Rng& rng) { (rng.below(4) == 0 ? flash->model : flash->outbox).fail_after(rng.below(8)); }
  bool powerless() const { return flash->outbox.dead() || flash->model.dead(); }

  uint32_t index;
  std::string name;
  std::unique_ptr<DeviceFlash> flash;      // null while put away
  std::unique_ptr<DeviceProcess> process;  // null while the power is off, or put away
  std::unique_ptr<PutAway> away;
  std::unique_ptr<device::KeptValues> local;  // also without power, and put away; null before the first training
  std::unique_ptr<device::ControlVariates> controls;  // the same; null unless the plan asks for them
  uint32_t boot = 0;
  std::optional<SimulatedLink> link;         // along a trace; none = the fault model's constant rate
  std::array<uint64_t, 2> constant_bytes{};  // both ways, over a link without a trace
  float slowness = 1.0F;                     // factor on the time of a training
  bool connecting = false;                   // a handshake is under way
  bool connected = false;
  bool online = true;       // within reach: allowed to be connected
  Instant blocked_until{};  // nothing gets through
  uint64_t connection = 0;  // counts connections: frames of an older one are lost
  uint64_t session = 0;
  uint32_t session_boot = 0;  // the boot of each side that the session belongs to
  uint32_t session_coordinator_boot = 0;
  std::array<Instant, 2> free_at{};  // when each way has room for the next frame
  std::array<Instant, 2> arrived{};  // when the newest frame of each way arrives
  Instant wakes_at = kNever;         // earliest planned timeout
  Duration wall_offset{};            // of its wall clock, from the simulation's time
  uint64_t training = 0;             // counts trainings: a stopped one never reports
  uint64_t newest_acknowledged = 0;  // sequence
  Rng availability{0};               // when it is online
};

}  // namespace runnel::fleet
