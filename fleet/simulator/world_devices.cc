// The devices' processes: power, time, training, and what they are told.
#include "fleet/simulator/world.h"

namespace runnel::fleet {

void World::boot_device(SimulatedDevice& device) {
  ++device.boot;
  device.wakes_at = kNever;
  Result<std::unique_ptr<DeviceProcess>> process =
      DeviceProcess::boot(device.name, device.flash, device.model_flash, device.examples, rng_.next_u64(), now_);
  if (!process) {
    witness_.broken(Promise::kStartsFromItsDisk, device.name + " did not: " + process.failure().text());
    return;
  }
  device.process = std::move(process).value();
  if (device.process->outbox->next_sequence() <= device.newest_acknowledged)
    witness_.broken(Promise::kNothingForgotten, device.name + " forgot that its update was acknowledged");
  drain_device(device);
}

void World::crash_device(SimulatedDevice& device) {
  if (device.process == nullptr) return;
  ++report_.device_crashes;
  device.process.reset();
  disconnect(device);
  ++device.training;
  device.flash.cut_power(rng_);
  device.model_flash.cut_power(rng_);
  after(between(options_.faults.down_min, options_.faults.down_max), [this, &device] { boot_device(device); });
}

// The power fails in the middle of its writes, or between two of its steps.
bool World::crashes_now(SimulatedDevice& device) {
  if (!device.powerless() && !chance(options_.faults.device_crash_per_step)) return false;
  crash_device(device);
  return true;
}

// Whatever is called on a device's engine, this comes next.
void World::drain_device(SimulatedDevice& device) {
  if (device.process == nullptr) return;
  device::DeviceEngine& engine = *device.process->engine;
  if (device.powerless()) return crash_device(device);
  while (const auto action = engine.poll_action(now_)) {
    if (crashes_now(device)) return;
    carry_out(device, *action);
  }
  while (engine.poll_notice()) {
  }
  wake_at(device, engine.next_timeout());
}

void World::wake_at(SimulatedDevice& device, Instant when) {
  if (when >= device.wakes_at) return;
  device.wakes_at = when;
  at(when, [this, &device] {
    // Of an earlier boot, or not the earliest any more: there is another one.
    if (device.process == nullptr || device.wakes_at > now_) return;
    device.wakes_at = kNever;
    device.process->engine->handle_timeout(now_);
    drain_device(device);
  });
}

void World::carry_out(SimulatedDevice& device, const device::Action& action) {
  if (std::holds_alternative<device::Connect>(action)) {
    connect(device);
  } else if (std::holds_alternative<device::Disconnect>(action)) {
    disconnect(device);
  } else if (const auto* frame = std::get_if<device::SendFrame>(&action)) {
    send(device, Way::kUp, frame->bytes);
  } else if (const auto* request = std::get_if<device::StartTraining>(&action)) {
    train(device, *request);
  } else if (std::holds_alternative<device::StopTraining>(action)) {
    ++device.training;
    device.process->task->stop();
  }
}

void World::permit(SimulatedDevice& device, device::Permissions permissions) {
  if (device.process == nullptr) return;
  device.process->engine->handle_permissions(now_, permissions);
  drain_device(device);
}

// Notes what the frame says of an update's fate, if the device takes it at its word.
void World::hand_to_device(SimulatedDevice& device, ByteView frame) {
  if (device.process == nullptr) return;
  device::DeviceEngine& engine = *device.process->engine;
  const uint64_t acknowledged_before = engine.updates_acknowledged();
  const Result<wire::Message> message = wire::decode_frame(frame);
  if (const auto* refusal = message.ok() ? std::get_if<wire::Refusal>(&*message) : nullptr;
      refusal != nullptr && refusal->sequence != 0 && refusal->retry_after_ms == 0 &&
      device.process->owes(refusal->sequence)) {
    witness_.refused(device.name, refusal->sequence);
  }
  engine.handle_frame(now_, frame);
  if (engine.updates_acknowledged() > acknowledged_before) {
    const uint64_t sequence = std::get<wire::UpdateAck>(*message).sequence;
    ++report_.updates_acknowledged;
    device.newest_acknowledged = std::max(device.newest_acknowledged, sequence);
    witness_.acknowledged(device.name, sequence, *store_.has_update(device.name, sequence));
  }
  drain_device(device);
}

void World::train(SimulatedDevice& device, const device::StartTraining& request) {
  const uint64_t training = ++device.training;
  for (const uint64_t sequence : request.carried.returned) witness_.carried(device.name, sequence);
  if (const auto wrong = held_models_.check(request.plan.model_version, request.model); wrong.has_value())
    witness_.broken(Promise::kOneModel, device.name + ": " + *wrong);
  if (const Failure bad = device.process->task->start(request); !bad.ok()) {
    witness_.broken(Promise::kDevicesCanWork, device.name + " cannot train: " + bad.text());
    return;
  }
  const double step_s = options_.training_seconds_per_step * device.slowness;
  const Duration takes = step_s > 0.0
                             ? Duration(static_cast<int64_t>(1e6 * step_s * device.process->task->steps_total()))
                             : between(options_.faults.training_min, options_.faults.training_max);
  after(takes, [this, &device, training] { finish_training(device, training); });
}

void World::finish_training(SimulatedDevice& device, uint64_t training) {
  if (device.process == nullptr || device.training != training) return;
  device::DeviceEngine& engine = *device.process->engine;
  if (!engine.may_train()) {  // paused
    after(seconds(1), [this, &device, training] { finish_training(device, training); });
    return;
  }
  device::TrainingTask& task = *device.process->task;
  for (bool done = false; !done;) {
    const Result<bool> step = task.step();
    if (!step) {
      witness_.broken(Promise::kDevicesCanWork, device.name + " failed in training: " + step.failure().text());
      return;
    }
    done = *step;
  }
  Result<device::TrainedUpdate> update = task.finish(engine.link_limits(now_));
  if (!update) {
    witness_.broken(Promise::kDevicesCanWork, device.name + " failed in compressing: " + update.failure().text());
    return;
  }
  engine.handle_training_done(now_, task.sequence(), std::move(*update));
  drain_device(device);
}

}  // namespace runnel::fleet
