#include "fleet/simulator/simulated_device.h"

namespace runnel::fleet {

Result<std::unique_ptr<DeviceProcess>> DeviceProcess::boot(const std::string& name, SimulatedStorage& flash,
                                                           SimulatedStorage& model_flash,
                                                           const data::ExampleSource& examples, uint64_t seed,
                                                           Instant now) {
  journal::JournalOptions journal_options;
  journal_options.record_bytes_max = static_cast<uint32_t>(flash.size_bytes() / 2);
  Result<journal::Journal> journal = journal::Journal::open(flash, journal_options);
  if (!journal) return journal.failure();
  auto process =
      std::unique_ptr<DeviceProcess>(new DeviceProcess{std::move(journal).value(), nullptr, nullptr, nullptr, nullptr});
  Result<device::Outbox> outbox = device::Outbox::open(process->journal);
  if (!outbox) return outbox.failure();
  process->outbox = std::make_unique<device::Outbox>(std::move(outbox).value());
  device::DeviceOptions options;
  RUNNEL_ASSERT(options.name.assign(name));
  if (model_flash.size_bytes() > 0) process->keeper = std::make_unique<device::ModelKeeper>(model_flash);
  process->engine =
      std::make_unique<device::DeviceEngine>(options, *process->outbox, Rng(seed), now, process->keeper.get());
  process->task = std::make_unique<device::TrainingTask>(name, examples, 0);
  return process;
}

}  // namespace runnel::fleet
