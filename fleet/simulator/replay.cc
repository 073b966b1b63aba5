#include "fleet/simulator/replay.h"

#include <algorithm>

#include "coordinator/engine/aggregate.h"
#include "coordinator/engine/cohort.h"
#include "coordinator/engine/public_model.h"
#include "device/training_task.h"
#include "runtime/codec/update_codec.h"
#include "runtime/train/initialize.h"
#include "runtime/wire/frame.h"

namespace runnel::fleet {
namespace {

// Trains one update again and adds it to the sums.
Failure add_again(const ReplayInputs& inputs, const coordinator::LedgerEntry& entry, ByteView model, uint64_t version,
                  coordinator::Aggregate& sums) {
  const auto found = std::find(inputs.names.begin(), inputs.names.end(), entry.device);
  if (found == inputs.names.end()) return fail(Error::kUnknownDevice, "%s", entry.device.c_str());
  plan::RoundPlan plan;
  plan.run = inputs.run;
  plan.round = entry.round;
  plan.rounds = inputs.plan.rounds;
  plan.model_version = version;
  plan.seed = coordinator::device_seed(inputs.plan.seed, entry.round, entry.device);
  plan.training = inputs.plan.training;
  plan.codec = inputs.plan.codec;
  device::TrainingTask task(entry.device, *inputs.examples[static_cast<size_t>(found - inputs.names.begin())], 0);
  RUNNEL_TRY(task.start(plan, entry.sequence, model));
  for (bool done = false; !done;) {
    const Result<bool> step = task.step();
    if (!step) return step.failure();
    done = *step;
  }
  const Result<device::TrainedUpdate> trained = task.finish();
  if (!trained) return trained.failure();
  wire::Update update;
  RUNNEL_TRY(wire::decode_update(trained->message, update));
  const plan::ModelLayout layout = plan::shared_layout(inputs.layout);
  std::vector<float> values(layout.parameter_count);
  RUNNEL_TRY(codec::decode_update(layout, {update.tensors.begin(), update.tensors.size()}, values));
  return sums.add(values, update.sample_count);
}

}  // namespace

Result<std::vector<float>> replay(const ReplayInputs& inputs, const std::vector<coordinator::LedgerEntry>& ledger,
                                  uint32_t rounds) {
  std::vector<float> parameters(inputs.layout.parameter_count);
  train::initialize_parameters(inputs.layout, inputs.plan.seed, parameters);
  const size_t shared = inputs.layout.shared_count;
  coordinator::begin_public_model(inputs.plan.downlink, shared, parameters);
  coordinator::ModelRecord held{1, parameters};
  std::vector<float> exact = parameters;
  coordinator::Aggregate sums(shared);
  for (uint32_t round = 1; round <= rounds; ++round) {
    std::vector<uint8_t> memory(wire::model_bytes_max(inputs.model, parameters.size()));
    const uint64_t version = round;
    const Result<ByteView> built = wire::build_model({inputs.run, version, inputs.model, parameters}, memory);
    if (!built) return built.failure();
    const std::vector<uint8_t> model(built->begin(), built->end());
    sums.reset();
    for (const coordinator::LedgerEntry& entry : ledger) {
      if (entry.round == round) RUNNEL_TRY(add_again(inputs, entry, model, version, sums));
    }
    if (sums.weight() == 0) return fail(Error::kCorrupt, "round %u closed without an update", round);
    sums.apply(std::span(exact).first(shared));
    coordinator::RoundResult result;
    coordinator::follow(inputs.plan.downlink, shared, held, exact, result);
    held = std::move(result.model);
    parameters = held.parameters;
  }
  return parameters;
}

}  // namespace runnel::fleet
