// What goes wrong, and when it stops.
#include <cmath>

#include "fleet/simulator/hostile_frames.h"
#include "fleet/simulator/world.h"

namespace runnel::fleet {

void World::plan_fault(double per_minute, const std::function<void()>& fault) {
  if (per_minute <= 0.0) return;
  // Exponential pauses: the faults of a Poisson process.
  const double pause_s = -std::log(1.0 - rng_.uniform()) * 60.0 / per_minute;
  after(Duration(static_cast<int64_t>(pause_s * 1e6)), [this, per_minute, fault] {
    if (healed_) return;
    fault();
    plan_fault(per_minute, fault);
  });
}

void World::fill_disk(const std::function<void(bool)>& set_full) {
  ++report_.disks_filled;
  set_full(true);
  after(between(options_.faults.down_min, options_.faults.down_max), [set_full] { set_full(false); });
}

void World::partition() {
  ++report_.partitions;
  const Instant until = now_ + between(options_.faults.partition_min, options_.faults.partition_max);
  for (auto& device : devices_) {
    if (!chance(options_.faults.partition_share)) continue;
    device->blocked_until = std::max(device->blocked_until, until);
    break_connection(*device, "cut off");
  }
}

void World::send_hostile(SimulatedDevice& device) {
  if (!device.connected || engine_ == nullptr) return;
  ++report_.hostile_frames;
  if (rng_.below(2) == 0) {
    const DeviceProcess* process = process_of(device);
    if (process == nullptr) return;
    const device::OutboxEntry* front = process->outbox->front();
    const uint64_t settled = (front != nullptr ? front->sequence : process->outbox->next_sequence()) - 1;
    deliver(device, Way::kUp, device.session, hostile_frame_up(rng_, kSimulatedRun, device.name, settled));
  } else {
    deliver(device, Way::kDown, device.session, hostile_frame_down(rng_, kSimulatedRun));
  }
}

void World::plan_device_faults(SimulatedDevice& device) {
  const FaultModel& faults = options_.faults;
  plan_fault(faults.cuts_per_minute, [this, &device] {
    device.blocked_until =
        std::max(device.blocked_until, now_ + between(options_.faults.down_min, options_.faults.down_max));
    break_connection(device, "link cut");
  });
  plan_fault(faults.device_crashes_per_minute, [this, &device] {
    if (rng_.below(2) == 0) return crash_device(device);
    if (process_of(device) != nullptr) device.fail_within_writes(rng_);
  });
  plan_fault(faults.disk_full_per_minute, [this, &device] {
    fill_disk([this, &device](bool full) {
      if (full) process_of(device);
      device.set_full(full);
    });
  });
  plan_fault(faults.clock_jumps_per_minute, [this, &device] {
    ++report_.clock_jumps;
    device.wall_offset += between(-options_.faults.clock_jump_max, options_.faults.clock_jump_max);
  });
  plan_fault(faults.gates_per_minute, [this, &device] {
    ++report_.gates;
    permit(device, rng_.below(2) == 0 ? device::Permissions{false, true} : device::Permissions{true, false});
    after(between(options_.faults.down_min, options_.faults.down_max), [this, &device] { permit(device, {}); });
  });
  plan_fault(faults.hostile_frames_per_minute, [this, &device] { send_hostile(device); });
}

void World::plan_faults() {
  const FaultModel& faults = options_.faults;
  for (auto& device : devices_) plan_device_faults(*device);
  plan_fault(faults.partitions_per_minute, [this] { partition(); });
  plan_fault(faults.coordinator_crashes_per_minute, [this] { crash_coordinator(); });
  plan_fault(faults.disk_full_per_minute, [this] { fill_disk([this](bool full) { store_.set_full(full); }); });
}

void World::heal() {
  healed_ = true;
  store_.set_full(false);
  for (auto& device : devices_) {
    device->blocked_until = now_;
    device->set_full(false);
  }
}

}  // namespace runnel::fleet
