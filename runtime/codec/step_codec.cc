#include "runtime/codec/step_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/codec/model_coder.h"
#include "runtime/codec/step_kernels.h"

namespace runnel::codec {
namespace {

constexpr uint64_t kDitherPart = 0xD17;
constexpr float kIndexMax = 32000.0F;  // |value / step|: beyond, the tensor is sent raw
constexpr float kStepMax = 1e30F;
constexpr double kFactorMax = 16.0;  // a chunk of which next to nothing is left would be made up of noise
constexpr size_t kTrials = 4;        // samples on which the shape of the model is chosen
constexpr size_t kTrialCoordinates = 4096;
constexpr size_t kGuessCoordinates = 1024;  // of a sample on which a step is guessed
constexpr size_t kGuessTrials = 8;          // samples on which a step is guessed

using ChunkNumbers = std::array<uint16_t, kStepChunk>;
using ChunkIndices = std::array<int16_t, kStepChunk>;

// What a payload says before its code.
struct Head {
  bool dithered = true;
  bool rotated = false;
  unsigned shape = 0;
  size_t states = 1;
  uint8_t rounding = 128;
  int8_t first = 0;  // centroid shifts
  int8_t rest = 0;

  size_t bytes() const { return 1 + (dithered ? 0U : 3U); }
  // What each chunk's values are multiplied with.
  bool has_factors() const { return rotated && !dithered; }
  size_t factors_bytes(size_t count) const { return has_factors() ? 2 * ((count + kStepChunk - 1) / kStepChunk) : 0; }
  Cells cells() const { return {dithered, static_cast<float>(rounding) / 256.0F}; }

  void store(uint8_t* out) const {
    *out++ = static_cast<uint8_t>(shape | static_cast<unsigned>(std::countr_zero(states)) << 3);
    if (dithered) return;
    *out++ = rounding;
    *out++ = static_cast<uint8_t>(first);
    *out = static_cast<uint8_t>(rest);
  }
};

Result<Head> load_head(const plan::EncodedTensor& tensor) {
  Head head;
  head.dithered = tensor.codec == plan::CodecId::kDithered;
  head.rotated = tensor.rotated;
  if (tensor.payload.size() < head.bytes())
    return fail(Error::kTruncated, "payload of %zu bytes", tensor.payload.size());
  const uint8_t* in = tensor.payload.data();
  if ((*in & 7U) >= kShapes || *in >> 3 > 5) return fail(Error::kMalformed, "unknown model %u", unsigned{*in});
  head.shape = *in & 7U;
  head.states = size_t{1} << (*in >> 3);
  if (head.dithered) return head;
  head.rounding = in[1];
  head.first = static_cast<int8_t>(in[2]);
  head.rest = static_cast<int8_t>(in[3]);
  return head;
}

// A factor travels as the upper half of an fp32, which is to half a percent.
uint16_t packed_factor(double factor) {
  const auto rounded = static_cast<float>(std::clamp(factor, 1e-3, kFactorMax));
  return static_cast<uint16_t>((std::bit_cast<uint32_t>(rounded) + 0x8000U) >> 16);
}

Result<float> load_factor(const uint8_t* in, size_t chunk) {
  const auto factor = std::bit_cast<float>(uint32_t{load_le<uint16_t>(in + 2 * chunk)} << 16);
  if (std::isfinite(factor) && factor > 0.0F && factor <= 1e7F) return factor;
  return fail(Error::kOutOfRange, "factor %g of chunk %zu is not in (0, 1e7]", static_cast<double>(factor), chunk);
}

// Everything about the quantizer that does not change from chunk to chunk.
class Quantizer {
 public:
  Quantizer(const Head& head, float step, uint64_t seed)
      : head_(head), step_(step), inverse_(1.0F / step), rng_(derive_key(seed, kDitherPart)) {}

  // The numbers of the chunk, zero without dither.
  void numbers(uint64_t chunk, std::span<uint16_t> out) const {
    if (head_.dithered) chunk_numbers(rng_, chunk, out);
  }
  void indices(std::span<const float> values, std::span<const uint16_t> numbers, std::span<int16_t> out) const {
    if (head_.dithered) {
      dither_indices(values, inverse_, numbers, out);
    } else {
      deadzone_indices(values, inverse_, static_cast<float>(head_.rounding) / 256.0F, out);
    }
  }
  void values(std::span<const int16_t> indices, std::span<const uint16_t> numbers, float factor,
              std::span<float> out) const {
    if (head_.dithered) {
      dither_values(indices, step_, numbers, out);
    } else {
      deadzone_values(indices, step_ * factor, static_cast<float>(head_.first) / 256.0F,
                      static_cast<float>(head_.rest) / 256.0F, out);
    }
  }
  bool dithered() const { return head_.dithered; }
  // Of the group that begins at `i`.
  unsigned rotation(std::span<const uint16_t> numbers, size_t i) const {
    return head_.dithered ? numbers[i] & 15U : 0U;
  }

 private:
  const Head& head_;
  float step_;
  float inverse_;
  LaneRng rng_;
};

// Walks all groups forward with the contexts that coding will use: visit(indices, rotation, class).
template <typename Visitor>
void walk(std::span<const float> values, const Quantizer& quantizer, ModelTables& tables, Visitor&& visit) {
  Contexts contexts(tables);
  ChunkNumbers numbers{};
  ChunkIndices indices;
  std::array<uint16_t, kStepChunk / kGroup> activities;
  for (size_t first = 0; first < values.size(); first += kStepChunk) {
    const size_t count = std::min(kStepChunk, values.size() - first);
    quantizer.numbers(first / kStepChunk, std::span(numbers).first(count));
    quantizer.indices(values.subspan(first, count), std::span(numbers).first(count), std::span(indices).first(count));
    group_activities(std::span(indices).first(count), std::span(numbers).first(count), quantizer.dithered(),
                     activities);
    for (size_t i = 0; i < count; i += kGroup) {
      const size_t in_group = std::min(kGroup, count - i);
      visit(GroupView(indices).subspan(i, in_group), quantizer.rotation(numbers, i), contexts.next_class());
      contexts.learn(activities[i / kGroup], in_group);
    }
  }
}

uint64_t cost_bits(std::span<const float> values, const Quantizer& quantizer, ModelTables& tables) {
  uint64_t cost = 0;
  walk(values, quantizer, tables, [&](GroupView group, unsigned rotation, unsigned group_class) {
    cost += group_cost(tables, group, rotation, group_class);
  });
  return cost / 4096;
}

// How far below the middle of a cell |values| are quantized, from their shape: the more of them lie near zero compared
// with a Gaussian, the wider the dead zone that pays.
uint8_t choose_rounding(std::span<const float> values, float step) {
  double sum = 0.0;
  double squares = 0.0;
  for (const float value : values) {
    sum += std::abs(double{value});
    squares += double{value} * double{value};
  }
  const auto count = static_cast<double>(values.size());
  if (squares == 0.0) return 128;
  // (E|x|)^2 / E x^2: 2/pi for a Gaussian, 1/2 for Laplace, less for heavier tails.
  const double flatness = sum * sum / (count * squares);
  const double tails = std::clamp((2.0 / 3.14159265358979 - flatness) / 0.13662, 0.0, 1.5);
  const double coarseness = std::min(1.0, double{step} * std::sqrt(count / squares) / 1.75);
  return static_cast<uint8_t>(128.0 - 41.0 * tails * coarseness);
}

// The same from `trials` evenly spaced samples, scaled to all the values.
double sampled_cost_bits(std::span<const float> values, const Quantizer& quantizer, ModelTables& tables, size_t trials,
                         size_t coordinates) {
  const size_t sampled = trials * coordinates;
  if (values.size() <= sampled) return static_cast<double>(cost_bits(values, quantizer, tables));
  uint64_t cost = 0;
  for (size_t t = 0; t < trials; ++t) {
    const size_t first = (values.size() - coordinates) / (trials - 1) * t;
    cost += cost_bits(values.subspan(first, coordinates), quantizer, tables);
  }
  return static_cast<double>(cost) * static_cast<double>(values.size()) / static_cast<double>(sampled);
}

// The shape whose model codes a sample of the values shortest.
void choose_shape(Head& head, std::span<const float> values, float step, uint64_t seed, size_t trial_coordinates) {
  const Quantizer quantizer(head, step, seed);
  double least = std::numeric_limits<double>::infinity();
  for (unsigned shape = 0; shape < kShapes; ++shape) {
    ModelTables tables(shape, head.cells());
    const double cost = sampled_cost_bits(values, quantizer, tables, kTrials, trial_coordinates);
    // From narrow to wide: past the best it only gets longer.
    if (cost > least) break;
    least = cost;
    head.shape = shape;
  }
}

Head plan_head(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
               size_t trial_coordinates = kTrialCoordinates) {
  Head head;
  head.dithered = spec.codec == plan::CodecId::kDithered;
  head.rotated = spec.rotate;
  head.states = model_states_for(values.size());
  if (!head.dithered) head.rounding = choose_rounding(values, spec.step);
  choose_shape(head, values, spec.step, seed, trial_coordinates);
  return head;
}

int8_t centroid_shift(double residual, double count) {
  const double shift = count > 0.0 ? residual / count * 256.0 : 0.0;
  return static_cast<int8_t>(std::clamp(std::floor(shift + 0.5), -127.0, 127.0));
}

// visit(chunk, its indices) for each chunk of deterministically quantized values.
template <typename Visitor>
void for_each_chunk(const Head& head, std::span<const float> values, float step, Visitor&& visit) {
  const Quantizer quantizer(head, step, 0);
  ChunkIndices indices;
  for (size_t first = 0; first < values.size(); first += kStepChunk) {
    const std::span<const float> chunk = values.subspan(first, std::min(kStepChunk, values.size() - first));
    const std::span<int16_t> of_chunk = std::span(indices).first(chunk.size());
    quantizer.indices(chunk, {}, of_chunk);
    visit(chunk, std::span<const int16_t>(of_chunk));
  }
}

// Where in their cells the values lie on average: the reconstruction of least error.
void fit_centroids(Head& head, std::span<const float> values, float step) {
  double residual[2] = {};
  double count[2] = {};
  for_each_chunk(head, values, step, [&](std::span<const float> chunk, std::span<const int16_t> indices) {
    for (size_t i = 0; i < chunk.size(); ++i) {
      const int magnitude = std::abs(int{indices[i]});
      if (magnitude == 0) continue;
      const size_t which = magnitude == 1 ? 0 : 1;
      residual[which] += std::abs(double{chunk[i]}) / double{step} - magnitude;
      count[which] += 1.0;
    }
  });
  head.first = centroid_shift(residual[0], count[0]);
  head.rest = centroid_shift(residual[1], count[1]);
}

// After a rotation, one factor a chunk: ||x||^2 / <y, x> makes what is decoded unbiased over rotations (Vargaftik et
// al. 2021); with error feedback <y, x> / ||y||^2, which has the least error and lets no residual grow. A chunk that
// rounds to nothing has neither.
void put_factors(const Head& head, const plan::CodecSpec& spec, std::span<const float> values, uint8_t* out) {
  const Quantizer quantizer(head, spec.step, 0);
  std::array<float, kStepChunk> decoded;
  for_each_chunk(head, values, spec.step, [&](std::span<const float> chunk, std::span<const int16_t> indices) {
    quantizer.values(indices, {}, 1.0F, std::span(decoded).first(chunk.size()));
    double squares = 0.0;
    double decoded_squares = 0.0;
    double product = 0.0;
    for (size_t i = 0; i < chunk.size(); ++i) {
      squares += double{chunk[i]} * double{chunk[i]};
      decoded_squares += double{decoded[i]} * double{decoded[i]};
      product += double{chunk[i]} * double{decoded[i]};
    }
    double factor = 1.0;
    if (product > 0.0) factor = spec.error_feedback ? product / decoded_squares : squares / product;
    store_le<uint16_t>(out, packed_factor(factor));
    out += 2;
  });
}

plan::EncodedTensor described(const plan::CodecSpec& spec, size_t count, uint64_t seed) {
  plan::EncodedTensor tensor;
  tensor.codec = spec.codec;
  tensor.count = static_cast<uint32_t>(count);
  tensor.bits = 0;
  tensor.scale = spec.step;
  tensor.coder = plan::Coder::kModel;
  tensor.seed = spec.codec == plan::CodecId::kDithered ? seed : 0;
  return tensor;
}

plan::EncodedTensor encode_raw(plan::EncodedTensor tensor, std::span<const float> values, MutableByteView out) {
  tensor.coder = plan::Coder::kRaw;
  tensor.bits = 32;
  if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
  tensor.payload = out.first(values.size_bytes());
  return tensor;
}

// Codes everything after the head. The output buffer first holds the indices, then a choice a group, and the code grows
// towards them from its end. 0 bytes if it does not fit.
size_t encode_indices(const Head& head, const Quantizer& quantizer, ModelTables& tables, std::span<const float> values,
                      MutableByteView out) {
  const size_t groups = (values.size() + kGroup - 1) / kGroup;
  const size_t indices_bytes = 2 * values.size();
  const size_t choices_bytes = 2 * groups;
  if (out.size() < indices_bytes + choices_bytes) return 0;
  uint8_t* index_at = out.data();
  uint8_t* choice_at = out.data() + indices_bytes;
  walk(values, quantizer, tables, [&](GroupView group, unsigned rotation, unsigned group_class) {
    std::memcpy(index_at, group.data(), group.size_bytes());
    index_at += group.size_bytes();
    const auto choice = static_cast<uint16_t>(group_class | rotation << 8);
    std::memcpy(choice_at, &choice, 2);
    choice_at += 2;
  });
  ModelEncoder encoder(tables, head.states, out.subspan(indices_bytes + choices_bytes));
  ChunkIndices indices;
  std::array<uint16_t, kStepChunk / kGroup> choices;
  const size_t chunks = (values.size() + kStepChunk - 1) / kStepChunk;
  for (size_t c = chunks; c-- > 0;) {
    const size_t count = std::min(kStepChunk, values.size() - c * kStepChunk);
    const size_t in_chunk = (count + kGroup - 1) / kGroup;
    std::memcpy(indices.data(), out.data() + 2 * kStepChunk * c, 2 * count);
    std::memcpy(choices.data(), out.data() + indices_bytes + 2 * (kStepChunk / kGroup) * c, 2 * in_chunk);
    encoder.put(std::span(indices).first(count), std::span(choices).first(in_chunk));
  }
  const size_t coded_bytes = encoder.finish();
  std::memmove(out.data(), out.data() + out.size() - coded_bytes, coded_bytes);
  return coded_bytes;
}

}  // namespace

uint64_t step_bytes_max(const plan::CodecSpec& /*spec*/, uint32_t count) {
  return uint64_t{count} * sizeof(float) + uint64_t{count} / 2048 + 64;
}

Result<plan::EncodedTensor> encode_step(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out) {
  plan::EncodedTensor tensor = described(spec, values.size(), seed);
  const float largest = largest_magnitude(values);
  if (!std::isfinite(largest)) return check_finite(values);
  if (largest == 0.0F) {
    tensor.scale = 0.0F;
    return tensor;
  }
  if (spec.coder == plan::Coder::kRaw || !(largest * (1.0F / spec.step) < kIndexMax))
    return encode_raw(tensor, values, out);
  Head head = plan_head(spec, values, seed);
  if (!head.dithered) fit_centroids(head, values, spec.step);
  const Quantizer quantizer(head, spec.step, seed);
  ModelTables tables(head.shape, head.cells());
  const size_t head_bytes = head.bytes() + head.factors_bytes(values.size());
  const size_t coded_bytes = encode_indices(head, quantizer, tables, values, out.subspan(head_bytes));
  const size_t bytes = head_bytes + coded_bytes;
  if (coded_bytes == 0 || bytes >= values.size_bytes()) return encode_raw(tensor, values, out);
  head.store(out.data());
  if (head.has_factors()) put_factors(head, spec, values, out.data() + head.bytes());
  tensor.payload = out.first(bytes);
  return tensor;
}

Failure decode_step(const plan::EncodedTensor& tensor, std::span<float> values) {
  if (tensor.coder == plan::Coder::kRaw) {
    if (tensor.payload.size() != values.size_bytes()) {
      return fail(Error::kMalformed, "payload is %zu bytes, not %zu", tensor.payload.size(), values.size_bytes());
    }
    if (!values.empty()) std::memcpy(values.data(), tensor.payload.data(), values.size_bytes());
    return check_finite(values);
  }
  if (tensor.coder != plan::Coder::kModel) {
    return fail(Error::kUnsupported, "coder %s is not for this codec", plan::coder_name(tensor.coder));
  }
  if (tensor.scale == 0.0F && tensor.payload.empty()) {
    std::fill(values.begin(), values.end(), 0.0F);
    return Error::kOk;
  }
  if (!(tensor.scale > 0.0F && tensor.scale <= kStepMax)) {
    return fail(Error::kOutOfRange, "step %g is not in (0, 1e30]", static_cast<double>(tensor.scale));
  }
  const Result<Head> head = load_head(tensor);
  if (!head) return head.failure();
  const size_t head_bytes = head->bytes() + head->factors_bytes(values.size());
  if (tensor.payload.size() < head_bytes) return fail(Error::kTruncated, "payload of %zu bytes", tensor.payload.size());
  const Quantizer quantizer(*head, tensor.scale, tensor.seed);
  ModelTables tables(head->shape, head->cells());
  Result<ModelDecoder> decoder = ModelDecoder::open(tables, head->states, tensor.payload.subspan(head_bytes));
  if (!decoder) return decoder.failure();
  Contexts contexts(tables);
  ChunkNumbers numbers{};
  ChunkIndices indices;
  for (size_t first = 0; first < values.size(); first += kStepChunk) {
    const size_t count = std::min(kStepChunk, values.size() - first);
    quantizer.numbers(first / kStepChunk, std::span(numbers).first(count));
    for (size_t i = 0; i < count; i += kGroup) {
      const size_t in_group = std::min(kGroup, count - i);
      const unsigned rotation = quantizer.rotation(numbers, i);
      const uint32_t activity = decoder->take(std::span(indices).subspan(i, in_group), rotation, contexts.next_class());
      contexts.learn(activity, in_group);
    }
    const Result<float> factor = head->has_factors()
                                     ? load_factor(tensor.payload.data() + head->bytes(), first / kStepChunk)
                                     : Result<float>(1.0F);
    if (!factor) return factor.failure();
    quantizer.values(std::span(indices).first(count), std::span(numbers).first(count), *factor,
                     values.subspan(first, count));
  }
  return decoder->check_end();
}

double predict_step_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed) {
  const float largest = largest_magnitude(values);
  if (largest == 0.0F) return 0.0;
  const auto raw_bytes = static_cast<double>(values.size_bytes());
  if (!(largest * (1.0F / spec.step) < kIndexMax)) return raw_bytes;
  const Head head = plan_head(spec, values, seed);
  const Quantizer quantizer(head, spec.step, seed);
  ModelTables tables(head.shape, head.cells());
  const auto bits = static_cast<double>(cost_bits(values, quantizer, tables));
  return std::min(raw_bytes, static_cast<double>(head.bytes() + head.factors_bytes(values.size())) +
                                 2.0 * static_cast<double>(head.states) + bits / 8.0);
}

// Bisects with one head and one set of tables, which hardly depend on the step.
float guess_step(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, double bytes_max) {
  double squares = 0.0;
  for (const float value : values) squares += double{value} * double{value};
  const double rms = std::sqrt(squares / static_cast<double>(values.size()));
  // At a bit a value, a step is about 2.5 times their scale; each bit more halves it.
  const double bits = std::clamp(8.0 * bytes_max / static_cast<double>(values.size()), 0.01, 16.0);
  double step = bits > 1.0 ? std::ldexp(2.5 * rms, -static_cast<int>(bits - 0.5)) : 2.5 * rms / bits;
  // Finer steps have indices out of range. Values of which even the coarsest has are sent raw whatever is guessed.
  const double finest = std::max(1e-28, 2.0 * double{largest_magnitude(values)} / double{kIndexMax});
  if (!(finest < 1e28)) return 1e28F;
  const auto valid = [&](double at) { return std::clamp(at, finest, 1e28); };
  plan::CodecSpec at = spec;
  at.step = static_cast<float>(valid(step));
  const Head head = plan_head(at, values, seed, kGuessCoordinates);
  ModelTables tables(head.shape, head.cells());
  const double fixed = static_cast<double>(head.bytes() + head.factors_bytes(values.size()) + 2 * head.states);
  // The rate falls by a bit an octave where it is high, and more slowly below: bracketed first, then halved.
  double low = 0.0;
  double high = 0.0;
  step = valid(step);
  for (int i = 0; i < 24 && (low == 0.0 || high == 0.0 || high > low * 1.015); ++i) {
    const Quantizer quantizer(head, static_cast<float>(step), seed);
    const bool fits =
        fixed + sampled_cost_bits(values, quantizer, tables, kGuessTrials, kGuessCoordinates) / 8.0 <= bytes_max;
    (fits ? high : low) = step;
    const double next = low == 0.0 ? step / 2.0 : high == 0.0 ? step * 2.0 : std::sqrt(low * high);
    if (valid(next) != next) break;
    step = next;
  }
  return static_cast<float>(high > 0.0 ? high : step);
}

}  // namespace runnel::codec
