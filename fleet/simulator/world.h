// A simulation under way: devices, links, the coordinator with its store, and what is going to happen to them.
//
// One class in five files, by what they simulate: world_devices.cc, world_idle.cc,
// world_links.cc, world_coordinator.cc and world_faults.cc; simulation.cc builds and runs it. Everything random comes
// from streams that derive from the seed. Threads: one at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/engine/coordinator_engine.h"
#include "fleet/simulator/happenings.h"
#include "fleet/simulator/held_models.h"
#include "fleet/simulator/memory_store.h"
#include "fleet/simulator/simulated_device.h"
#include "fleet/simulator/simulation.h"
#include "fleet/simulator/training_pool.h"
#include "fleet/simulator/witness.h"

namespace runnel::fleet {

class World {
 public:
  explicit World(const SimulationOptions& options);
  SimulationReport run();

 private:
  using SessionId = coordinator::SessionId;

  void at(Instant when, std::function<void()> what) { happenings_.plan(std::max(when, now_), std::move(what)); }
  void after(Duration pause, std::function<void()> what) { at(now_ + pause, std::move(what)); }
  Duration between(Duration low, Duration high) { return between(low, high, rng_); }
  static Duration between(Duration low, Duration high, Rng& rng) {
    return low + Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>((high - low).count()) + 1)));
  }
  void say(const std::string& who, const std::string& what);
  void say_frame(const SimulatedDevice& device, Way way, ByteView frame);
  bool chance(double share) { return share > 0.0 && !healed_ && rng_.uniform() < share; }

  // Devices.
  void boot_device(SimulatedDevice& device);
  DeviceProcess* process_of(SimulatedDevice& device);
  void put_away(SimulatedDevice& device);
  bool wake_engine(SimulatedDevice& device, const PutAway* away);
  void wake_timer(SimulatedDevice& device);
  void crash_device(SimulatedDevice& device);
  bool crashes_now(SimulatedDevice& device);
  void drain_device(SimulatedDevice& device);
  void wake_at(SimulatedDevice& device, Instant when);
  void carry_out(SimulatedDevice& device, const device::Action& action);
  void train(SimulatedDevice& device, const device::StartTraining& request);
  void stop_training(SimulatedDevice& device);
  std::shared_ptr<const data::ExampleSource> examples_of(const SimulatedDevice& device) const;
  uint64_t wall_clock(const SimulatedDevice& device) const;
  void finish_training(SimulatedDevice& device, uint64_t training);
  void hand_to_device(SimulatedDevice& device, ByteView frame);
  void note_acknowledged(SimulatedDevice& device);
  void permit(SimulatedDevice& device, device::Permissions permissions);
  void follow_availability(SimulatedDevice& device, bool online);
  bool answers_pong(SimulatedDevice& device, ByteView frame);
  SharedMessage share_model(SimulatedDevice& device, uint64_t version);

  // Links.
  void connect(SimulatedDevice& device);
  void shake_hands(SimulatedDevice& device, uint64_t connection, std::span<const Flight> flights);
  void give_up_connecting(SimulatedDevice& device);
  bool blocked(const SimulatedDevice& device) const;
  bool needs_session(const SimulatedDevice& device) const;
  void set_up(SimulatedDevice& device);
  void disconnect(SimulatedDevice& device);
  void break_connection(SimulatedDevice& device, const char* why);
  void follow_outages(SimulatedDevice& device);
  Instant arrival(SimulatedDevice& device, Way way, size_t bytes);
  void send(SimulatedDevice& device, Way way, ByteView bytes);
  void deliver(SimulatedDevice& device, Way way, uint64_t session, ByteView bytes);

  // The coordinator.
  void boot_coordinator();
  void crash_coordinator();
  bool coordinator_crashes_now();
  void drain_coordinator();
  void begin_store();
  void finish_store(uint32_t boot);
  Failure carry_out(coordinator::StoreRequest& request);
  void note_rounds();
  void check_bounds();

  // Faults.
  void plan_faults();
  void plan_device_faults(SimulatedDevice& device);
  void plan_fault(double per_minute, const std::function<void()>& fault);
  void fill_disk(const std::function<void(bool)>& set_full);
  void partition();
  void send_hostile(SimulatedDevice& device);
  void heal();

  const SimulationOptions& options_;
  plan::ModelLayout layout_;
  Rng rng_;
  Instant now_{};
  Happenings happenings_;
  bool healed_ = false;

  std::vector<std::unique_ptr<SimulatedDevice>> devices_;
  size_t model_flash_bytes_ = 0;
  std::optional<SimulatedStorage> formatted_flash_;  // an empty journal, for devices that are put away
  std::map<uint64_t, std::weak_ptr<const std::vector<uint8_t>>> shared_models_;  // by version
  std::unique_ptr<TrainingPool> training_pool_;                                  // null: on this thread
  std::map<SessionId, SimulatedDevice*> sessions_;
  MemoryStore store_;
  HeldModels held_models_;
  std::unique_ptr<coordinator::CoordinatorEngine> engine_;
  coordinator::CoordinatorOptions coordinator_options_;
  uint32_t coordinator_boot_ = 0;
  coordinator::StoreRequest* storing_ = nullptr;  // on its way to the disk
  Instant coordinator_wakes_at_ = kNever;         // earliest planned timeout
  uint64_t newest_version_ = 1;
  coordinator::RoundRecord open_round_;  // with the devices asked later
  Witness witness_;
  SimulationReport report_;
};

}  // namespace runnel::fleet
