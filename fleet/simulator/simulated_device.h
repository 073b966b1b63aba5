// One device of a simulation: what survives a power cut, and the process that does not.
//
// Threads: one at a time.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "device/engine/device_engine.h"
#include "device/training_task.h"
#include "fleet/simulator/simulated_link.h"
#include "fleet/simulator/simulated_storage.h"

namespace runnel::fleet {

// Everything that lives in a device's memory.
struct DeviceProcess {
  journal::Journal journal;
  std::unique_ptr<device::Outbox> outbox;
  std::unique_ptr<device::ModelKeeper> keeper;  // null: no flash for a model
  std::unique_ptr<device::DeviceEngine> engine;
  std::unique_ptr<device::TrainingTask> task;

  // True if the update is the one that the device waits for an answer about.
  bool owes(uint64_t sequence) const { return outbox->pending() && outbox->front()->sequence == sequence; }

  // Starts up from what the flash holds. Fails when the journal does not recover: a broken promise.
  static Result<std::unique_ptr<DeviceProcess>> boot(const std::string& name, SimulatedStorage& flash,
                                                     SimulatedStorage& model_flash, const data::ExampleSource& examples,
                                                     uint64_t seed, Instant now);
};

struct SimulatedDevice {
  SimulatedDevice(std::string device_name, size_t flash_bytes, size_t model_flash_bytes,
                  const data::ExampleSource& source)
      : name(std::move(device_name)), flash(flash_bytes), model_flash(model_flash_bytes), examples(source) {}
  void set_full(bool full) {
    flash.set_full(full);
    model_flash.set_full(full);
  }
  // The power fails between two of the next few writes.
  void fail_within_writes(Rng& rng) { (rng.below(4) == 0 ? model_flash : flash).fail_after(rng.below(8)); }
  bool powerless() const { return flash.dead() || model_flash.dead(); }

  std::string name;
  SimulatedStorage flash;
  SimulatedStorage model_flash;
  const data::ExampleSource& examples;
  std::unique_ptr<DeviceProcess> process;  // null while the power is off
  uint64_t boot = 0;
  std::optional<SimulatedLink> link;         // along a trace; none = the fault model's constant rate
  std::array<uint64_t, 2> constant_bytes{};  // both ways, over a link without a trace
  double slowness = 1.0;                     // factor on the time of a training
  bool connecting = false;                   // a handshake is under way
  bool connected = false;
  Instant blocked_until{};  // nothing gets through
  uint64_t connection = 0;  // counts connections: frames of an older one are lost
  uint64_t session = 0;
  uint64_t session_boot = 0;  // the boot of each side that the session belongs to
  uint64_t session_coordinator_boot = 0;
  Instant up_free{};  // when the link has room for the next frame
  Instant down_free{};
  std::array<Instant, 2> arrived{};  // when the newest frame of each way arrives
  Instant wakes_at = kNever;         // earliest planned timeout
  Duration wall_offset{};            // of its wall clock, from the simulation's time
  uint64_t training = 0;             // counts trainings: a stopped one never reports
  uint64_t newest_acknowledged = 0;  // sequence
};

}  // namespace runnel::fleet
