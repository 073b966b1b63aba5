#include "coordinator/engine/server_optimizer.h"

#include <cmath>
#include <cstring>

namespace runnel::coordinator {
namespace {

constexpr uint8_t kFormat = 1;
constexpr size_t kHeaderBytes = 8;

void add_to(float& parameter, double step) {
  parameter = static_cast<float>(static_cast<double>(parameter) + step);
}

void step_momentum(const ServerSpec& server, std::span<const double> aggregate, std::span<float> model,
                   OptimizerState& state, double rate_ratio) {
  if (state.first.empty()) state.first.assign(model.size(), 0.0F);
  const double kept = server.momentum * rate_ratio;
  for (size_t i = 0; i < model.size(); ++i) {
    state.first[i] = static_cast<float>(kept * static_cast<double>(state.first[i]) + aggregate[i]);
    const double moment = static_cast<double>(state.first[i]);
    const double direction = server.nesterov ? aggregate[i] + server.momentum * moment : moment;
    add_to(model[i], server.learning_rate * direction);
  }
}

double next_square(const ServerSpec& server, double before, double square) {
  if (server.optimizer == ServerOptimizer::kAdagrad) return before + square;
  const double part = (1.0 - server.beta2) * square;
  if (server.optimizer == ServerOptimizer::kAdam) return server.beta2 * before + part;
  // Yogi moves by the same amount up or down; sign(0) is 0.
  return before > square ? before - part : before < square ? before + part : before;
}

void step_adaptive(const ServerSpec& server, std::span<const double> aggregate, std::span<float> model,
                   OptimizerState& state) {
  if (state.first.empty()) state.first.assign(model.size(), 0.0F);
  if (state.second.empty()) state.second.assign(model.size(), static_cast<float>(server.tau * server.tau));
  for (size_t i = 0; i < model.size(); ++i) {
    const double change = aggregate[i];
    state.first[i] =
        static_cast<float>(server.beta1 * static_cast<double>(state.first[i]) + (1.0 - server.beta1) * change);
    state.second[i] = static_cast<float>(next_square(server, static_cast<double>(state.second[i]), change * change));
    add_to(model[i], server.learning_rate * static_cast<double>(state.first[i]) /
                         (std::sqrt(static_cast<double>(state.second[i])) + server.tau));
  }
}

}  // namespace

void server_step(const ServerSpec& server, std::span<const double> aggregate, std::span<float> model,
                 OptimizerState& state, double rate_ratio) {
  RUNNEL_ASSERT(aggregate.size() == model.size());
  if (state.optimizer != server.optimizer) state = {server.optimizer, {}, {}};
  switch (server.optimizer) {
    case ServerOptimizer::kAvg:
      // A rate of exactly 1 multiplies nothing away: these are the bits of plain federated averaging.
      for (size_t i = 0; i < model.size(); ++i) add_to(model[i], server.learning_rate * aggregate[i]);
      return;
    case ServerOptimizer::kMomentum:
      return step_momentum(server, aggregate, model, state, rate_ratio);
    case ServerOptimizer::kAdam:
    case ServerOptimizer::kYogi:
    case ServerOptimizer::kAdagrad:
      return step_adaptive(server, aggregate, model, state);
  }
}

std::vector<uint8_t> encode_state(const OptimizerState& state) {
  if (state.first.empty()) return {};
  const size_t vectors = state.second.empty() ? 1 : 2;
  const size_t bytes = state.first.size() * sizeof(float);
  std::vector<uint8_t> blob(kHeaderBytes + vectors * bytes);
  blob[0] = kFormat;
  blob[1] = static_cast<uint8_t>(state.optimizer);
  blob[2] = static_cast<uint8_t>(vectors);
  store_le(&blob[4], static_cast<uint32_t>(state.first.size()));
  std::memcpy(&blob[kHeaderBytes], state.first.data(), bytes);
  if (vectors == 2) std::memcpy(&blob[kHeaderBytes + bytes], state.second.data(), bytes);
  return blob;
}

Result<OptimizerState> decode_state(ByteView blob, size_t parameter_count) {
  OptimizerState state;
  if (blob.empty()) return state;
  if (blob[0] != kFormat)
    return fail(Error::kVersion, "the stored state of the server's optimizer has format %u, this program knows %u",
                static_cast<unsigned>(blob[0]), static_cast<unsigned>(kFormat));
  const auto corrupt = [](const char* what) {
    return fail(Error::kCorrupt, "the stored state of the server's %s", what);
  };
  if (blob.size() < kHeaderBytes) return corrupt("optimizer is cut off");
  state.optimizer = static_cast<ServerOptimizer>(blob[1]);
  const bool momentum = state.optimizer == ServerOptimizer::kMomentum;
  if (state.optimizer == ServerOptimizer::kAvg || blob[1] >= kServerOptimizerCount)
    return corrupt("optimizer is of none that keeps any");
  const size_t vectors = momentum ? 1 : 2;
  if (blob[2] != vectors || blob[3] != 0) return corrupt("optimizer has another number of vectors");
  const size_t bytes = parameter_count * sizeof(float);
  if (load_le<uint32_t>(&blob[4]) != parameter_count || blob.size() != kHeaderBytes + vectors * bytes)
    return corrupt("optimizer has another length than the model");
  const auto take = [&](size_t index, std::vector<float>& values) {
    values.resize(parameter_count);
    std::memcpy(values.data(), blob.data() + kHeaderBytes + index * bytes, bytes);
    for (const float value : values) {
      if (!std::isfinite(value) || (index == 1 && value < 0.0F)) return false;
    }
    return true;
  };
  if (!take(0, state.first) || (vectors == 2 && !take(1, state.second)))
    return corrupt("optimizer holds what is not a number");
  return state;
}

Result<OptimizerState> resume_state(const ServerSpec& server, ByteView blob, size_t parameter_count,
                                    std::vector<std::string>& warnings) {
  Result<OptimizerState> stored = decode_state(blob, parameter_count);
  if (!stored || stored->first.empty() || stored->optimizer == server.optimizer) return stored;
  warnings.push_back(std::string("the server's optimizer was ") + server_optimizer_name(stored->optimizer) +
                     " and is " + server_optimizer_name(server.optimizer) +
                     " now: what it had learned about the steps is dropped");
  return OptimizerState{};
}

}  // namespace runnel::coordinator
