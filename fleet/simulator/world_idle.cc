// Devices that come and go: as processes, as what is left of one with nothing to do, and in and out of reach.
#include <cmath>

#include "fleet/simulator/world.h"

namespace runnel::fleet {

// Starts a device's process: from its flash alone, or going on as it was put away. False, and a broken promise, if its
// flash does not let it.
bool World::wake_engine(SimulatedDevice& device, const PutAway* away) {
  const auto stays_down = [&](const Failure& why) {
    witness_.broken(Promise::kStartsFromItsDisk, device.name + " did not: " + why.text());
    return false;
  };
  journal::JournalOptions journal_options;
  journal_options.record_bytes_max = static_cast<uint32_t>(options_.flash_bytes / 2);
  Result<journal::Journal> journal = journal::Journal::open(device.flash->outbox, journal_options);
  if (!journal) return stays_down(journal.failure());
  auto process = std::make_unique<DeviceProcess>(std::move(journal).value());
  if (model_flash_bytes_ > 0) process->keeper = std::make_unique<device::ModelKeeper>(device.flash->model);
  if (away != nullptr) {
    for (const auto& [key, bytes] : away->records) {
      if (const Failure bad = process->journal.put(key, bytes); !bad.ok()) return stays_down(bad);
    }
    if (away->model != nullptr) {
      if (const Failure bad = process->keeper->save({kSimulatedRun, away->model_version}, *away->model); !bad.ok())
        return stays_down(bad);
      process->shared_version = away->model_version;
      process->shared_model = away->model;
    }
  }
  Result<device::Outbox> outbox = device::Outbox::open(process->journal);
  if (!outbox) return stays_down(outbox.failure());
  process->outbox = std::make_unique<device::Outbox>(std::move(outbox).value());
  device::DeviceOptions options;
  RUNNEL_ASSERT(options.name.assign(device.name));
  if (away != nullptr) {
    process->engine =
        std::make_unique<device::DeviceEngine>(options, *process->outbox, now_, process->keeper.get(), *away->engine);
  } else {
    process->engine = std::make_unique<device::DeviceEngine>(options, *process->outbox, Rng(rng_.next_u64()), now_,
                                                             process->keeper.get());
    process->engine->handle_wall_clock(now_, wall_clock(device));
    if (!device.online) process->engine->handle_permissions(now_, {true, false});
  }
  process->acknowledged_noted = process->engine->updates_acknowledged();
  device.process = std::move(process);
  return true;
}

// Its process, also if it was put away; null while its power is off.
DeviceProcess* World::process_of(SimulatedDevice& device) {
  if (device.away == nullptr) return device.process.get();
  const std::unique_ptr<PutAway> away = std::move(device.away);
  device.flash.reset(new DeviceFlash{*formatted_flash_, SimulatedStorage(model_flash_bytes_)});
  RUNNEL_ASSERT(wake_engine(device, away.get()));
  return device.process.get();
}

// The model that the device keeps, once for all that keep the same; null if it is not that version.
SharedMessage World::share_model(SimulatedDevice& device, uint64_t version) {
  DeviceProcess& process = *device.process;
  if (process.shared_model != nullptr && process.shared_version == version) return process.shared_model;
  if (process.keeper == nullptr) return nullptr;
  wire::Reassembly message;
  const Result<device::ModelKeeper::Kept> kept = process.keeper->load(message, device.flash->model.size_bytes());
  if (!kept || kept->version != version) return nullptr;
  const ByteView bytes = message.bytes();
  SharedMessage shared = shared_models_[version].lock();
  if (shared != nullptr && std::equal(bytes.begin(), bytes.end(), shared->begin(), shared->end())) return shared;
  shared = std::make_shared<const std::vector<uint8_t>>(bytes.begin(), bytes.end());
  shared_models_[version] = shared;
  return shared;
}

// Makes a device that has nothing to do small.
void World::put_away(SimulatedDevice& device) {
  if (device.process == nullptr || device.process->task != nullptr || device.connecting) return;
  if (!device.flash->outbox.sound() || !device.flash->model.sound()) return;
  std::optional<device::DeviceEngine::Idle> idle = device.process->engine->idle();
  if (!idle.has_value()) return;
  auto away = std::make_unique<PutAway>();
  away->model_version = idle->model_version;
  if (idle->model_version != 0) {
    away->model = share_model(device, idle->model_version);
    if (away->model == nullptr) return;
  }
  device.process->outbox->sweep();
  for (const uint32_t key : device.process->journal.keys()) {
    std::vector<uint8_t> bytes(*device.process->journal.size(key));
    if (!device.process->journal.read(key, 0, bytes).ok()) return;
    away->records.emplace_back(key, std::move(bytes));
  }
  away->engine = std::move(idle);
  device.away = std::move(away);
  device.process.reset();
  device.flash.reset();
}

// A device that was put away need not be woken for the answer to its sign of life.
bool World::answers_pong(SimulatedDevice& device, ByteView frame) {
  if (device.away == nullptr) return false;
  const Result<wire::Message> message = wire::decode_frame(frame);
  if (!message.ok() || !std::holds_alternative<wire::Pong>(*message)) return false;
  device.away->engine->handle_pong(now_);
  wake_at(device, device.away->engine->next_timeout());
  return true;
}

// In and out of reach, each for an exponential time.
void World::follow_availability(SimulatedDevice& device, bool online) {
  device.online = online;
  if (device.powered()) permit(device, {true, online});
  const double share = options_.online_share;
  const double mean_us = static_cast<double>(options_.online_mean.count()) * (online ? 1.0 : (1.0 - share) / share);
  const auto stays = Duration(static_cast<int64_t>(-std::log(1.0 - device.availability.uniform()) * mean_us));
  after(stays + milliseconds(1), [this, &device, online] { follow_availability(device, !online); });
}

}  // namespace runnel::fleet
