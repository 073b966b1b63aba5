#include "coordinator/engine/public_model.h"

#include <algorithm>
#include <cmath>

#include "runtime/codec/update_codec.h"

namespace runnel::coordinator {
namespace {

constexpr int kGridExponent = -20;   // of the finest grid
constexpr int kGridCoarsest = 100;   // of the coarsest; |parameters| are far below what it holds
constexpr int kMantissaBits = 24;    // of fp32
constexpr double kRounding = 0.375;  // below one half: a dead zone, whose rest is made up for later

double largest_of(std::span<const float> values) {
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

// The finest grid on which values of this size have one bit to spare in fp32.
double grid_for(double largest) {
  int exponent = kGridExponent;
  while (exponent < kGridCoarsest && largest >= std::ldexp(1.0, exponent + kMantissaBits - 1)) ++exponent;
  return std::ldexp(1.0, exponent);
}

bool on_grid(std::span<const float> values, double grid) {
  return std::all_of(values.begin(), values.end(), [&](float value) {
    const double multiple = double{value} / grid;
    return multiple == std::nearbyint(multiple);
  });
}

plan::CodecSpec coder_of(double bits, float step) {
  plan::CodecSpec spec;
  spec.codec = plan::CodecId::kDeadzone;
  spec.bits = static_cast<float>(bits);
  spec.step = step;
  return spec;
}

// The multiples of the step nearest to the differences, but for the dead zone. False if one is beyond the coder.
bool quantize(std::span<const float> differences, double step, std::span<float> changes) {
  bool fits = true;
  for (size_t i = 0; i < changes.size(); ++i) {
    const double multiple = std::trunc(std::abs(double{differences[i]}) / step + kRounding);
    fits = fits && multiple <= kMultipleMax;
    changes[i] = multiple == 0.0 ? 0.0F : static_cast<float>(std::copysign(multiple * step, double{differences[i]}));
  }
  return fits;
}

// The power of two whose bytes come nearest to the aim, by ratio. That a step of which nothing would be sent is never
// the nearest matters: what is left behind would grow, and the step with it.
double step_of(const DownlinkSpec& downlink, std::span<const float> differences, double grid,
               std::span<float> changes) {
  const double coarsest = std::max(grid, 1.0);
  if (downlink.step > 0.0F) return std::clamp(double{downlink.step}, grid, coarsest);
  const double aim = std::max(1.0, downlink.bits * static_cast<double>(differences.size()) / 8.0);
  const auto bytes_at = [&](double step) {
    if (!quantize(differences, step, changes)) return 4.0 * static_cast<double>(differences.size());
    return std::max(0.01, codec::predict_bytes(coder_of(1.0, static_cast<float>(step)), changes, 0));
  };
  const float guess = codec::step_for_bytes(coder_of(downlink.bits, 0.0F), differences, 0, aim);
  double step = std::clamp(std::ldexp(1.0, std::ilogb(guess)), grid, coarsest);
  double bytes = bytes_at(step);
  // To the finest that keeps to the aim, and then perhaps one finer.
  while (bytes > aim && step < coarsest) bytes = bytes_at(step *= 2.0);
  while (bytes <= aim && step > grid) {
    const double more = bytes_at(step / 2.0);
    if (more > aim && more * bytes > aim * aim) break;
    step /= 2.0;
    bytes = more;
  }
  return step;
}

// What a device computes.
std::vector<float> add(std::span<const float> parameters, std::span<const float> changes) {
  std::vector<float> sums(parameters.size());
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = parameters[i] + changes[i];
  return sums;
}

// Multiples of the step as bytes; nullopt if the coder cannot say them. What it says is checked: devices must come to
// the very same sums.
std::optional<ModelDelta> encode(uint64_t version, double step, std::span<const float> changes) {
  const plan::CodecSpec spec = coder_of(1.0, static_cast<float>(step));
  std::vector<uint8_t> bytes(codec::encoded_bytes_max(spec, static_cast<uint32_t>(changes.size())));
  const Result<plan::EncodedTensor> tensor = codec::encode_tensor(spec, "delta", changes, 0, bytes);
  if (!tensor || tensor->coder != plan::Coder::kModel) return std::nullopt;
  std::vector<float> decoded(changes.size());
  if (!codec::decode_tensor("delta", *tensor, decoded).ok() ||
      !std::equal(decoded.begin(), decoded.end(), changes.begin())) {
    return std::nullopt;
  }
  return ModelDelta{version, tensor->scale, {tensor->payload.begin(), tensor->payload.end()}};
}

Failure decode(const ModelDelta& delta, std::span<float> changes) {
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kDeadzone;
  tensor.coder = plan::Coder::kModel;
  tensor.bits = 0;
  tensor.count = static_cast<uint32_t>(changes.size());
  tensor.scale = delta.step;
  tensor.payload = delta.blob;
  Failure bad = codec::decode_tensor("delta", tensor, changes);
  if (!bad.ok()) bad.prefix("the delta to model version %llu", static_cast<unsigned long long>(delta.version));
  return bad;
}

}  // namespace

std::vector<float> on_downlink_grid(std::span<const float> exact) {
  const double grid = grid_for(largest_of(exact));
  std::vector<float> rounded(exact.size());
  for (size_t i = 0; i < exact.size(); ++i)
    rounded[i] = static_cast<float>(std::nearbyint(double{exact[i]} / grid) * grid + 0.0);  // no -0
  return rounded;
}

NextModel next_public_model(const DownlinkSpec& downlink, const ModelRecord& held, std::span<const float> exact) {
  RUNNEL_ASSERT(downlink.quantized() && !exact.empty() && held.parameters.size() == exact.size());
  const uint64_t version = held.version + 1;
  const double grid = grid_for(largest_of(held.parameters));
  if (!on_grid(held.parameters, grid)) return {on_downlink_grid(exact), {}};

  std::vector<float> changes(exact.size());
  bool changed = false;
  for (size_t i = 0; i < exact.size(); ++i) {
    changes[i] = static_cast<float>(double{exact[i]} - double{held.parameters[i]});
    changed = changed || changes[i] != 0.0F;
  }
  // Adding nothing turns -0 into 0, on devices and here.
  if (!changed) return {add(held.parameters, changes), ModelDelta{version, 0.0F, {}}};
  const std::vector<float> differences = changes;
  const double step = step_of(downlink, differences, grid, changes);
  if (!quantize(differences, step, changes)) return {on_downlink_grid(exact), {}};
  const double limit = std::ldexp(grid, kMantissaBits);
  for (size_t i = 0; i < exact.size(); ++i) {
    if (!(std::abs(double{held.parameters[i]} + double{changes[i]}) < limit)) return {on_downlink_grid(exact), {}};
  }
  std::optional<ModelDelta> delta = encode(version, step, changes);
  if (!delta.has_value()) return {on_downlink_grid(exact), {}};
  return {add(held.parameters, changes), std::move(*delta)};
}

void begin_public_model(const DownlinkSpec& downlink, size_t shared_count, std::span<float> parameters) {
  if (!downlink.quantized()) return;
  const std::vector<float> rounded = on_downlink_grid(parameters.first(shared_count));
  std::copy(rounded.begin(), rounded.end(), parameters.begin());
}

void follow(const DownlinkSpec& downlink, size_t shared_count, const ModelRecord& held, std::vector<float> exact,
            RoundResult& result) {
  result.model.version = held.version + 1;
  if (!downlink.quantized()) {
    result.model.parameters = std::move(exact);
  } else {
    const auto shared = static_cast<std::ptrdiff_t>(shared_count);
    NextModel next =
        next_public_model(downlink, {held.version, {held.parameters.begin(), held.parameters.begin() + shared}},
                          std::span(exact).first(shared_count));
    result.model.parameters = std::move(next.parameters);
    result.model.parameters.insert(result.model.parameters.end(), held.parameters.begin() + shared,
                                   held.parameters.end());
    result.exact = std::move(exact);
    result.delta = std::move(next.delta);
  }
  const uint64_t kept = result.delta.version != 0 ? downlink.deltas : 0;
  result.oldest_delta = result.model.version + 1 - std::min(kept, result.model.version + 1);
}

Result<std::optional<ModelDelta>> compose(std::span<const ModelDelta> deltas, uint32_t parameter_count) {
  RUNNEL_ASSERT(!deltas.empty());
  if (deltas.size() == 1) return std::optional<ModelDelta>(deltas.front());
  // On the common grid of all steps a sum has far fewer bits than a double.
  std::vector<double> sums(parameter_count);
  std::vector<float> changes(parameter_count);
  double finest = 0.0;
  for (const ModelDelta& delta : deltas) {
    RUNNEL_TRY(decode(delta, changes));
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += double{changes[i]};
    if (delta.step > 0.0F) finest = finest == 0.0 ? double{delta.step} : std::min(finest, double{delta.step});
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    if (std::abs(sums[i]) > kMultipleMax * finest) return std::optional<ModelDelta>();
    changes[i] = static_cast<float>(sums[i]);
  }
  if (finest == 0.0) return std::optional<ModelDelta>(ModelDelta{deltas.back().version, 0.0F, {}});
  return encode(deltas.back().version, finest, changes);
}

}  // namespace runnel::coordinator
