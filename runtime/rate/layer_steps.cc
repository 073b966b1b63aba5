#include "runtime/rate/layer_steps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"

namespace runnel::rate {
namespace {

using plan::CodecSpec;

constexpr size_t kSteps = 17;  // from two octaves finer to two coarser, in quarter octaves
constexpr size_t kCommon = 8;
constexpr double kGainMin = 1e-3;  // less than this is not worth a run of its own for each tensor

uint32_t largest_tensor(const plan::ModelLayout& layout) {
  uint32_t largest = 0;
  for (const plan::TensorInfo& info : layout.tensors) largest = std::max(largest, info.count);
  return largest;
}

// The error of subtractive dither is known without looking, unless values are left out.
bool has_formula(const CodecSpec& spec) {
  return spec.codec == plan::CodecId::kDithered && spec.keep >= 1.0F;
}

double step_at(double common_step, size_t j) {
  const double octaves = 0.25 * (static_cast<double>(j) - static_cast<double>(kCommon));
  return std::clamp(common_step * std::exp2(octaves), 1e-30, 1e30);
}

// Error and bytes of every tensor at every step, in the caller's memory.
struct Table {
  std::span<float> errors;
  std::span<float> bytes;
  double error(size_t tensor, size_t j) const { return static_cast<double>(errors[tensor * kSteps + j]); }
  double size(size_t tensor, size_t j) const { return static_cast<double>(bytes[tensor * kSteps + j]); }
};

// What encoding and decoding does to the values.
struct Trial {
  double error = 0.0;  // sum of squares
  double bytes = 0.0;
};

Result<Trial> try_step(const CodecSpec& spec, std::string_view name, std::span<const float> values, uint64_t seed,
                       MutableByteView output, std::span<float> decoded, std::span<float> scratch) {
  const Result<plan::EncodedTensor> tensor = codec::encode_tensor(spec, name, values, seed, output, scratch);
  if (!tensor.ok()) return tensor.failure();
  RUNNEL_TRY(codec::decode_tensor(name, *tensor, decoded.first(values.size())));
  Trial trial;
  for (size_t i = 0; i < values.size(); ++i) {
    const double off = static_cast<double>(decoded[i]) - static_cast<double>(values[i]);
    trial.error += off * off;
  }
  trial.bytes = static_cast<double>(tensor->payload.size());
  return trial;
}

using Choice = std::array<uint8_t, plan::kTensorsMax>;

struct Total {
  double error = 0.0;
  double bytes = 0.0;
};

Total total_of(const Table& table, const Choice& choice, size_t tensors) {
  Total total;
  for (size_t k = 0; k < tensors; ++k) {
    total.error += table.error(k, choice[k]);
    total.bytes += table.size(k, choice[k]);
  }
  return total;
}

// Each tensor's least error + lambda * bytes, which lies on its lower convex hull.
void choose(const Table& table, size_t tensors, double lambda, Choice& choice) {
  for (size_t k = 0; k < tensors; ++k) {
    double least = 0.0;
    for (size_t j = 0; j < kSteps; ++j) {
      const double cost = table.error(k, j) + lambda * table.size(k, j);
      if (j > 0 && cost >= least) continue;
      least = cost;
      choice[k] = static_cast<uint8_t>(j);
    }
  }
}

// Spends what the hulls' corners leave over, where it helps most.
void spend_rest(const Table& table, size_t tensors, double bytes_max, Choice& choice) {
  double left = bytes_max - total_of(table, choice, tensors).bytes;
  for (size_t moves = 0; moves < tensors * kSteps; ++moves) {
    double best = 0.0;
    size_t best_tensor = tensors;
    uint8_t best_step = 0;
    for (size_t k = 0; k < tensors; ++k) {
      for (size_t j = 0; j < kSteps; ++j) {
        const double more = table.size(k, j) - table.size(k, choice[k]);
        const double gain = table.error(k, choice[k]) - table.error(k, j);
        if (gain <= 0.0 || more > left) continue;
        const double worth = gain / std::max(more, 1.0);
        if (worth <= best) continue;
        best = worth;
        best_tensor = k;
        best_step = static_cast<uint8_t>(j);
      }
    }
    if (best_tensor == tensors) return;
    left -= table.size(best_tensor, best_step) - table.size(best_tensor, choice[best_tensor]);
    choice[best_tensor] = best_step;
  }
}

}  // namespace

size_t layer_scratch_count(const CodecSpec& spec, const plan::ModelLayout& layout) {
  const uint32_t largest = largest_tensor(layout);
  const size_t tables = 2 * kSteps * layout.tensors.size();
  if (has_formula(spec)) return tables + codec::encode_scratch_count(spec, largest);
  return tables + layout.parameter_count + codec::encode_update_scratch_count(spec, layout);
}

size_t layer_output_bytes(const CodecSpec& spec, const plan::ModelLayout& layout) {
  return has_formula(spec) ? 0 : codec::encoded_update_bytes_max(spec, layout);
}

Result<LayerSteps> find_layer_steps(const Subject& subject, double common_step, double bytes_max) {
  const size_t tensors = subject.layout.tensors.size();
  CodecSpec spec = subject.plan.codec;
  std::span<float> scratch = subject.scratch;
  const auto take = [&](size_t count) {
    const std::span<float> taken = scratch.first(count);
    scratch = scratch.subspan(count);
    return taken;
  };
  const Table table{take(tensors * kSteps), take(tensors * kSteps)};
  const std::span<float> decoded = has_formula(spec) ? std::span<float>{} : take(subject.layout.parameter_count);
  for (size_t k = 0; k < tensors; ++k) {
    const plan::TensorInfo& info = subject.layout.tensors[k];
    const std::span<const float> values = subject.values.subspan(info.offset, info.count);
    const bool zero = std::all_of(values.begin(), values.end(), [](float value) { return value == 0.0F; });
    const uint64_t seed = derive_key(subject.seed, k);
    for (size_t j = 0; j < kSteps; ++j) {
      spec.step = static_cast<float>(step_at(common_step, j));
      double error = 0.0;
      double bytes = 0.0;
      if (has_formula(spec)) {
        bytes = codec::predict_bytes(spec, values, seed, scratch);
        const bool raw = bytes >= static_cast<double>(values.size_bytes());
        if (!zero && !raw) {
          error = static_cast<double>(values.size()) * static_cast<double>(spec.step) * static_cast<double>(spec.step) /
                  12.0;
        }
      } else {
        const Result<Trial> trial = try_step(spec, info.name.view(), values, seed, subject.output, decoded, scratch);
        if (!trial.ok()) return trial.failure();
        error = trial->error;
        bytes = trial->bytes;
      }
      table.errors[k * kSteps + j] = static_cast<float>(error);
      table.bytes[k * kSteps + j] = static_cast<float>(bytes);
    }
  }
  LayerSteps result;
  Choice choice{};
  choice.fill(kCommon);
  Total common = total_of(table, choice, tensors);
  if (!has_formula(spec)) {
    // As one run the tensors share what else the scheme adapts, which changes its error a little.
    spec.step = static_cast<float>(common_step);
    const Result<Trial> trial =
        try_step(spec, "update", subject.values, subject.seed, subject.output, decoded, scratch);
    if (!trial.ok()) return trial.failure();
    common = {trial->error, trial->bytes};
  }
  result.common_error = common.error;
  if (!(common.error > 0.0) || !(common.bytes > 0.0)) return result;
  const double unit = std::log(common.error / common.bytes);
  double low = unit - 30.0;
  double high = unit + 30.0;
  for (int halving = 0; halving < 50; ++halving) {
    const double middle = 0.5 * (low + high);
    choose(table, tensors, std::exp(middle), choice);
    (total_of(table, choice, tensors).bytes > bytes_max ? low : high) = middle;
  }
  choose(table, tensors, std::exp(high), choice);
  spend_rest(table, tensors, bytes_max, choice);
  const Total total = total_of(table, choice, tensors);
  if (total.bytes > bytes_max || total.error > (1.0 - kGainMin) * common.error) return result;
  result.payload_bytes = total.bytes;
  result.error = total.error;
  for (size_t k = 0; k < tensors; ++k) {
    RUNNEL_ASSERT(result.steps.push_back(static_cast<float>(step_at(common_step, choice[k]))));
  }
  return result;
}

}  // namespace runnel::rate
