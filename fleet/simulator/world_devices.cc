// The devices' processes: power, time, training, and what they are told.
#include "fleet/simulator/world.h"

namespace runnel::fleet {

void World::boot_device(SimulatedDevice& device) {
  ++device.boot;
  device.wakes_at = kNever;
  if (device.flash == nullptr) {
    device.flash.reset(new DeviceFlash{SimulatedStorage(options_.flash_bytes), SimulatedStorage(model_flash_bytes_)});
    if (formatted_flash_.has_value()) device.flash->outbox = *formatted_flash_;
  }
  if (!wake_engine(device, nullptr)) return;
  if (device.process->outbox->next_sequence() <= device.newest_acknowledged)
    witness_.broken(Promise::kNothingForgotten, device.name + " forgot that its update was acknowledged");
  drain_device(device);
}

void World::crash_device(SimulatedDevice& device) {
  if (process_of(device) == nullptr) return;
  ++report_.device_crashes;
  say(device.name, "crash");
  stop_training(device);
  device.process.reset();
  disconnect(device);
  device.flash->outbox.cut_power(rng_);
  device.flash->model.cut_power(rng_);
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
  note_acknowledged(device);
  while (const auto notice = engine.poll_notice()) say(device.name, notice->text);
  // Nobody asks for them here, and an engine that has something to say is not put away.
  while (engine.poll_rate_report().has_value()) {
  }
  if (device.process->outbox->entries().size() > device::kOutboxEntriesMax)
    witness_.broken(Promise::kBoundsHold, device.name + " has a longer queue than it may");
  wake_at(device, engine.next_timeout());
  if (options_.put_idle_away) put_away(device);
}

void World::wake_at(SimulatedDevice& device, Instant when) {
  if (when >= device.wakes_at) return;
  device.wakes_at = when;
  at(when, [this, &device] { wake_timer(device); });
}

void World::wake_timer(SimulatedDevice& device) {
  // Of an earlier boot, or not the earliest any more: there is another one.
  if (!device.powered() || device.wakes_at > now_) return;
  device.wakes_at = kNever;
  if (device.away != nullptr) {
    device::DeviceEngine::Idle& idle = *device.away->engine;
    if (idle.next_timeout() > now_) return wake_at(device, idle.next_timeout());
    if (idle.take_ping(now_, {})) {
      wire::FrameBuilder builder;
      send(device, Way::kUp, builder.build(wire::Ping{static_cast<uint64_t>(now_.time_since_epoch().count())}));
      return wake_at(device, idle.next_timeout());
    }
  }
  device::DeviceEngine& engine = *process_of(device)->engine;
  engine.handle_wall_clock(now_, wall_clock(device));
  engine.handle_timeout(now_);
  drain_device(device);
}

uint64_t World::wall_clock(const SimulatedDevice& device) const {
  return kSimulatedEpochS + static_cast<uint64_t>(to_ms(now_.time_since_epoch() + device.wall_offset) / 1000);
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
    stop_training(device);
  }
}

void World::permit(SimulatedDevice& device, device::Permissions permissions) {
  if (process_of(device) == nullptr) return;
  device.process->engine->handle_permissions(now_, permissions);
  drain_device(device);
}

// Notes what the frame says of an update's fate, if the device takes it at its word.
void World::hand_to_device(SimulatedDevice& device, ByteView frame) {
  if (answers_pong(device, frame) || process_of(device) == nullptr) return;
  device::DeviceEngine& engine = *device.process->engine;
  const Result<wire::Message> message = wire::decode_frame(frame);
  if (const auto* refusal = message.ok() ? std::get_if<wire::Refusal>(&*message) : nullptr;
      refusal != nullptr && refusal->sequence != 0 && refusal->retry_after_ms == 0 &&
      device.process->owes(refusal->sequence)) {
    witness_.refused(device.name, refusal->sequence);
  }
  engine.handle_frame(now_, frame);
  note_acknowledged(device);
  drain_device(device);
}

// By an answer, by the greeting, or because the disk takes note of it only now.
void World::note_acknowledged(SimulatedDevice& device) {
  DeviceProcess& process = *device.process;
  const uint64_t count = process.engine->updates_acknowledged();
  if (count == process.acknowledged_noted) return;
  report_.updates_acknowledged += count - process.acknowledged_noted;
  process.acknowledged_noted = count;
  const uint64_t sequence = process.engine->last_acknowledged();
  device.newest_acknowledged = std::max(device.newest_acknowledged, sequence);
  witness_.acknowledged(device.name, sequence, *store_.has_update(device.name, sequence));
}

void World::stop_training(SimulatedDevice& device) {
  ++device.training;
  if (training_pool_ != nullptr && device.process->job != nullptr) training_pool_->cancel(*device.process->job);
  device.process->job.reset();
  device.process->task.reset();
  device.process->examples.reset();
}

void World::train(SimulatedDevice& device, const device::StartTraining& request) {
  const uint64_t training = ++device.training;
  for (const uint64_t sequence : request.carried.returned) witness_.carried(device.name, sequence);
  if (const auto wrong = held_models_.check(request.plan.model_version, request.model); wrong.has_value())
    witness_.broken(Promise::kOneModel, device.name + ": " + *wrong);
  DeviceProcess& process = *device.process;
  process.examples = examples_of(device);
  process.task = std::make_unique<device::TrainingTask>(device.name, *process.examples, 0);
  if (layout_.trained_count > layout_.shared_count) {
    if (device.local == nullptr) device.local = std::make_unique<device::KeptValues>();
    process.task->keep_local(*device.local);
  }
  if (request.plan.training.scaffold_share > 0.0F) {
    if (device.controls == nullptr) device.controls = std::make_unique<device::ControlVariates>();
    process.task->keep_controls(*device.controls);
  }
  if (const Failure bad = process.task->start(request); !bad.ok()) {
    witness_.broken(Promise::kDevicesCanWork, device.name + " cannot train: " + bad.text());
    return;
  }
  const double step_s = options_.training_seconds_per_step * device.slowness;
  const Duration takes = step_s > 0.0 ? Duration(static_cast<int64_t>(1e6 * step_s * process.task->steps_total()))
                                      : between(options_.faults.training_min, options_.faults.training_max);
  if (training_pool_ != nullptr) process.job = training_pool_->start(*process.task);
  after(takes, [this, &device, training] { finish_training(device, training); });
}

std::shared_ptr<const data::ExampleSource> World::examples_of(const SimulatedDevice& device) const {
  if (options_.examples.empty()) return options_.examples_of(device.index);
  return {std::shared_ptr<const void>(), options_.examples[device.index]};  // not ours
}

void World::finish_training(SimulatedDevice& device, uint64_t training) {
  if (device.process == nullptr || device.training != training) return;
  DeviceProcess& process = *device.process;
  if (!process.engine->may_train()) {  // paused
    after(seconds(1), [this, &device, training] { finish_training(device, training); });
    return;
  }
  const Failure trained = process.job != nullptr ? training_pool_->wait(*process.job) : train_to_the_end(*process.task);
  if (!trained.ok()) {
    witness_.broken(Promise::kDevicesCanWork, device.name + " failed in training: " + trained.text());
    return;
  }
  Result<device::TrainedUpdate> update = process.task->finish(process.engine->link_limits(now_));
  if (!update) {
    witness_.broken(Promise::kDevicesCanWork, device.name + " failed in compressing: " + update.failure().text());
    return;
  }
  const uint64_t sequence = process.task->sequence();
  stop_training(device);
  process.engine->handle_training_done(now_, sequence, std::move(*update));
  drain_device(device);
}

}  // namespace runnel::fleet
