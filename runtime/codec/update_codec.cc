#include "runtime/codec/update_codec.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/rng.h"
#include "runtime/codec/rotation.h"
#include "runtime/codec/scheme.h"
#include "runtime/codec/selection.h"

namespace runnel::codec {
namespace {

constexpr uint64_t kRotationPart = 0x207A7E;

// The scheme that a tensor of this size is sent with. Null for a codec that is not known here.
const Scheme* scheme_for(const plan::CodecSpec& spec, size_t count) {
  const bool exact = !plan::has_step(spec.codec) && count <= spec.exact_coordinates_max;
  return find_scheme(exact ? plan::CodecId::kFp32 : spec.codec);
}

bool is_rotated(const plan::CodecSpec& spec) {
  return spec.rotate || spec.codec == plan::CodecId::kEden;
}

size_t saturated(uint64_t bytes) {
  return bytes > SIZE_MAX ? SIZE_MAX : static_cast<size_t>(bytes);
}

Failure named(std::string_view name, Failure failure) {
  failure.prefix("%.*s", static_cast<int>(name.size()), name.data());
  return failure;
}

// What the quantizer sees: the kept values, rotated. The values themselves if neither is asked for.
// REQUIRES: scratch.size() >= encode_scratch_count.
std::span<const float> prepared(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                std::span<float> scratch) {
  const bool rotated = is_rotated(spec);
  if (spec.keep >= 1.0F && !rotated) return values;
  size_t count = values.size();
  if (spec.keep < 1.0F) {
    // What is left out comes later where there is error feedback; else what is sent stands for it too.
    const float factor = spec.error_feedback ? 1.0F : 1.0F / kept_share(spec.keep);
    count = gather(values, spec.keep, factor, seed, scratch);
  } else {
    std::copy(values.begin(), values.end(), scratch.begin());
  }
  const std::span<float> kept = scratch.first(count);
  if (rotated) rotate(kept, derive_key(seed, kRotationPart));
  return kept;
}

// Square roots are exact everywhere, what the C library makes of exp2 is not.
float step_on_grid(int k) {
  static const double root = std::sqrt(std::sqrt(std::sqrt(std::sqrt(std::sqrt(2.0)))));
  double mantissa = 1.0;
  for (int i = 0; i < (k & 31); ++i) mantissa *= root;
  return static_cast<float>(std::ldexp(mantissa, k >> 5));
}

// Steps are 2^(k/32).
float step_of_prepared(const Scheme& scheme, plan::CodecSpec spec, std::span<const float> values, uint64_t seed,
                       double bytes_max) {
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0.0F) return 1.0F;
  // At the coarsest next to no value is anything but zero, dither or not; where the finest is, symbols end.
  const int coarsest = 32 * std::min(95, std::ilogb(largest) + 12);
  const int finest = 32 * std::max(-95, std::ilogb(largest) - 18);
  double bytes_at_fits = bytes_max;
  const auto fits_with = [&](float step) {
    spec.step = step;
    const double bytes = scheme.predict_bytes(spec, values, seed);
    if (bytes <= bytes_max) bytes_at_fits = bytes;
    return bytes <= bytes_max;
  };
  const auto fits_at = [&](int k) { return fits_with(step_on_grid(k)); };
  int fits = std::max(coarsest, finest + 1);
  int below = finest;
  if (scheme.guess_step != nullptr) {
    // From the guess outwards, in growing strides, until it is between one that fits and one that does not.
    const float guess = scheme.guess_step(spec, values, seed, bytes_max);
    int k = 32 * std::ilogb(guess);
    while (k < coarsest && step_on_grid(k + 1) <= guess) ++k;
    k = std::clamp(k, below + 1, fits - 1);
    const bool coarser = !fits_at(k);
    for (int stride = 1; k > below && k < fits; stride *= 2) {
      if (coarser) {
        below = k;
        k += stride;
        if (k >= fits || fits_at(k)) {
          fits = std::min(fits, k);
          break;
        }
      } else {
        fits = k;
        k -= stride;
        if (k <= below || !fits_at(k)) {
          below = std::max(below, k);
          break;
        }
      }
    }
  }
  while (fits - below > 1) {
    const int middle = below + (fits - below) / 2;
    (fits_at(middle) ? fits : below) = middle;
  }
  // Where next to nothing is sent, the rate changes by a tenth between two steps of the grid.
  float step = step_on_grid(fits);
  float finer = step_on_grid(below);
  for (int halving = 0; halving < 3 && bytes_at_fits < 0.97 * bytes_max; ++halving) {
    const float middle = 0.5F * (step + finer);
    (fits_with(middle) ? step : finer) = middle;
  }
  return step;
}

// Every tensor lies inside the flat vector, and the vector has the model's size.
Failure check_layout(const plan::ModelLayout& layout, size_t update_count) {
  if (update_count != layout.parameter_count) {
    return fail(Error::kShape, "an update of %zu values for a model of %u", update_count, layout.parameter_count);
  }
  for (const plan::TensorInfo& info : layout.tensors) {
    if (!range_within(info.offset, info.count, update_count)) {
      return fail(Error::kInvalidArgument, "%s: lies outside the parameters", info.name.c_str());
    }
  }
  return Error::kOk;
}

// The tensor of the layout that holds coordinate `index` of the flat vector, to name it in an error.
std::string_view tensor_at(const plan::ModelLayout& layout, size_t index) {
  for (const plan::TensorInfo& info : layout.tensors) {
    if (index >= info.offset && index - info.offset < info.count) return info.name.view();
  }
  return "update";
}

Failure check_finite_update(const plan::ModelLayout& layout, std::span<const float> update) {
  for (size_t i = 0; i < update.size(); ++i) {
    if (std::isfinite(update[i])) continue;
    const std::string_view name = tensor_at(layout, i);
    size_t offset = 0;
    for (const plan::TensorInfo& info : layout.tensors) offset = info.name.view() == name ? info.offset : offset;
    return named(name, check_finite(update.subspan(offset)));
  }
  return Error::kOk;
}

// encode_tensor, but for the name in front of what is wrong.
Failure encode_unnamed(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, MutableByteView out,
                       std::span<float> scratch, plan::EncodedTensor& tensor) {
  RUNNEL_TRY(plan::check(spec));
  if (values.size() > plan::kParametersMax)
    return fail(Error::kInvalidArgument, "%zu values, more than %u", values.size(), plan::kParametersMax);
  const auto count = static_cast<uint32_t>(values.size());
  const Scheme* scheme = scheme_for(spec, count);
  if (scheme == nullptr) return fail(Error::kUnsupported, "no scheme for codec %u", static_cast<unsigned>(spec.codec));
  if (const uint64_t needed_bytes = scheme->bytes_max(spec, count); out.size() < needed_bytes) {
    return fail(Error::kNoMemory, "%zu bytes to encode into, %llu needed", out.size(),
                static_cast<unsigned long long>(needed_bytes));
  }
  const bool exact = scheme->id == plan::CodecId::kFp32;
  const bool changed = !exact && encode_scratch_count(spec, count) > 0;
  if (changed && scratch.size() < count)
    return fail(Error::kNoMemory, "%zu floats of scratch, %u needed", scratch.size(), count);
  const bool stepped = plan::has_step(scheme->id);
  // A scheme checks what it is handed; what is done before that needs numbers too.
  if (changed || (stepped && spec.step == 0.0F)) RUNNEL_TRY(check_finite(values));
  const std::span<const float> sent = exact ? values : prepared(spec, values, seed, scratch);
  plan::CodecSpec used = spec;
  if (stepped && used.step == 0.0F) {
    used.step = step_of_prepared(*scheme, used, sent, seed, double{spec.bits} * count / 8.0);
  }
  const Result<plan::EncodedTensor> encoded = scheme->encode(used, sent, seed, out);
  if (!encoded.ok()) return encoded.failure();
  tensor = *encoded;
  tensor.count = count;
  if (!exact) {
    tensor.rotated = is_rotated(spec);
    tensor.keep = spec.keep;
    if (changed) tensor.seed = seed;
  }
  return Error::kOk;
}

}  // namespace

size_t encoded_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  if (!plan::check(spec).ok()) return 0;
  const Scheme* scheme = scheme_for(spec, count);
  return scheme == nullptr ? 0 : saturated(scheme->bytes_max(spec, count));
}

size_t encode_scratch_count(const plan::CodecSpec& spec, uint32_t count) {
  return spec.keep < 1.0F || is_rotated(spec) ? count : 0;
}

Result<plan::EncodedTensor> encode_tensor(const plan::CodecSpec& spec, std::string_view name,
                                          std::span<const float> values, uint64_t seed, MutableByteView out,
                                          std::span<float> scratch) {
  plan::EncodedTensor tensor;
  if (const Failure failure = encode_unnamed(spec, values, seed, out, scratch, tensor); !failure.ok())
    return named(name, failure);
  return tensor;
}

Failure decode_tensor(std::string_view name, const plan::EncodedTensor& tensor, std::span<float> values) {
  const Scheme* scheme = find_scheme(tensor.codec);
  if (scheme == nullptr) {
    return named(name, fail(Error::kUnsupported, "codec %u is not known here", static_cast<unsigned>(tensor.codec)));
  }
  if (values.size() != tensor.count) {
    return named(name, fail(Error::kShape, "%u coordinates, not %zu", tensor.count, values.size()));
  }
  if (!valid_norm(tensor.scale)) {
    return named(name, fail(std::isfinite(tensor.scale) ? Error::kOutOfRange : Error::kNotFinite,
                            "scale %g is not finite and >= 0", static_cast<double>(tensor.scale)));
  }
  if (!(tensor.keep > 0.0F && tensor.keep <= 1.0F)) {
    return named(name, fail(Error::kOutOfRange, "keep %g is not in (0, 1]", static_cast<double>(tensor.keep)));
  }
  // The kept values are decoded at the end of the span, from where they are spread over it.
  plan::EncodedTensor sent = tensor;
  sent.count = static_cast<uint32_t>(kept_count(tensor.count, tensor.keep, tensor.seed));
  const std::span<float> kept = values.last(sent.count);
  if (Failure failure = scheme->decode(sent, kept); !failure.ok()) return named(name, failure);
  if (tensor.rotated) {
    rotate_back(kept, derive_key(tensor.seed, kRotationPart));
    if (Failure failure = check_finite(kept); !failure.ok()) return named(name, failure);
  }
  if (tensor.keep < 1.0F) scatter(values, tensor.keep, tensor.seed);
  return Error::kOk;
}

size_t encoded_update_bytes_max(const plan::CodecSpec& spec, const plan::ModelLayout& layout) {
  if (plan::has_step(spec.codec)) return encoded_bytes_max(spec, layout.parameter_count);
  uint64_t bytes = 0;
  for (const plan::TensorInfo& info : layout.tensors) bytes += encoded_bytes_max(spec, info.count);
  return saturated(bytes);
}

size_t encode_update_scratch_count(const plan::CodecSpec& spec, const plan::ModelLayout& layout) {
  return encode_scratch_count(spec, layout.parameter_count);
}

Result<size_t> encode_update(const plan::CodecSpec& spec, const plan::ModelLayout& layout,
                             std::span<const float> update, uint64_t seed, MutableByteView out, EncodedTensors& tensors,
                             std::span<float> scratch) {
  tensors.clear();
  if (Failure failure = check_layout(layout, update.size()); !failure.ok()) return failure;
  if (plan::has_step(spec.codec)) {
    // Here, because the run has no name of its own that would say where the value stands.
    if (Failure failure = check_finite_update(layout, update); !failure.ok()) return failure;
    Result<plan::EncodedTensor> run = encode_tensor(spec, "update", update, seed, out, scratch);
    if (!run.ok()) return run.failure();
    run->tensors = static_cast<uint16_t>(layout.tensors.size());
    RUNNEL_ASSERT(tensors.push_back(*run));
    return run->payload.size();
  }
  size_t used_bytes = 0;
  for (size_t k = 0; k < layout.tensors.size(); ++k) {
    const plan::TensorInfo& info = layout.tensors[k];
    Result<plan::EncodedTensor> tensor = encode_tensor(spec, info.name.view(), update.subspan(info.offset, info.count),
                                                       derive_key(seed, k), out.subspan(used_bytes), scratch);
    if (!tensor.ok()) {
      tensors.clear();
      return tensor.failure();
    }
    used_bytes += tensor->payload.size();
    RUNNEL_ASSERT(tensors.push_back(*tensor));
  }
  return used_bytes;
}

size_t encoded_layers_bytes_max(const plan::CodecSpec& spec, const plan::ModelLayout& layout) {
  uint64_t bytes = 0;
  for (const plan::TensorInfo& info : layout.tensors) bytes += encoded_bytes_max(spec, info.count);
  return saturated(bytes);
}

Result<size_t> encode_update_layers(const plan::CodecSpec& spec, std::span<const float> steps,
                                    const plan::ModelLayout& layout, std::span<const float> update, uint64_t seed,
                                    MutableByteView out, EncodedTensors& tensors, std::span<float> scratch) {
  tensors.clear();
  if (!plan::has_step(spec.codec)) {
    return fail(Error::kInvalidArgument, "%s has no step", plan::codec_name(spec.codec));
  }
  RUNNEL_TRY(check_layout(layout, update.size()));
  if (steps.size() != layout.tensors.size()) {
    return fail(Error::kShape, "%zu steps for %zu tensors", steps.size(), layout.tensors.size());
  }
  plan::CodecSpec with_step = spec;
  size_t used_bytes = 0;
  for (size_t k = 0; k < layout.tensors.size(); ++k) {
    const plan::TensorInfo& info = layout.tensors[k];
    with_step.step = steps[k];
    Result<plan::EncodedTensor> tensor =
        encode_tensor(with_step, info.name.view(), update.subspan(info.offset, info.count), derive_key(seed, k),
                      out.subspan(used_bytes), scratch);
    if (!tensor.ok()) {
      tensors.clear();
      return tensor.failure();
    }
    used_bytes += tensor->payload.size();
    RUNNEL_ASSERT(tensors.push_back(*tensor));
  }
  return used_bytes;
}

Failure decode_update(const plan::ModelLayout& layout, std::span<const plan::EncodedTensor> tensors,
                      std::span<float> update) {
  RUNNEL_TRY(check_layout(layout, update.size()));
  // First the whole shape: what each run covers, and that its coordinates follow each other in the flat vector.
  size_t next = 0;
  for (const plan::EncodedTensor& run : tensors) {
    if (run.tensors == 0 || run.tensors > layout.tensors.size() - next) {
      return fail(Error::kShape, "more tensors than the model's %zu", layout.tensors.size());
    }
    uint64_t count = 0;
    const plan::TensorInfo& first = layout.tensors[next];
    for (size_t k = next; k < next + run.tensors; ++k) {
      if (layout.tensors[k].offset != first.offset + count) {
        return fail(Error::kInvalidArgument, "%s: does not follow the tensor before it",
                    layout.tensors[k].name.c_str());
      }
      count += layout.tensors[k].count;
    }
    if (run.count != count) {
      return fail(Error::kShape, "%s: %u coordinates, not %llu", first.name.c_str(), run.count,
                  static_cast<unsigned long long>(count));
    }
    next += run.tensors;
  }
  if (next != layout.tensors.size()) {
    return fail(Error::kShape, "%zu tensors for a model of %zu", next, layout.tensors.size());
  }
  next = 0;
  for (const plan::EncodedTensor& run : tensors) {
    const plan::TensorInfo& first = layout.tensors[next];
    RUNNEL_TRY(decode_tensor(first.name.view(), run, update.subspan(first.offset, run.count)));
    next += run.tensors;
  }
  return Error::kOk;
}

double predict_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                     std::span<float> scratch) {
  const Scheme* scheme = find_scheme(spec.codec);
  RUNNEL_ASSERT(scheme != nullptr && scheme->predict_bytes != nullptr);
  return scheme->predict_bytes(spec, prepared(spec, values, seed, scratch), seed);
}

float step_for_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, double bytes_max,
                     std::span<float> scratch) {
  const Scheme* scheme = find_scheme(spec.codec);
  RUNNEL_ASSERT(scheme != nullptr && scheme->predict_bytes != nullptr);
  return step_of_prepared(*scheme, spec, prepared(spec, values, seed, scratch), seed, bytes_max);
}

double bits_per_coordinate(std::span<const plan::EncodedTensor> tensors) {
  double bits = 0.0;
  double coordinates = 0.0;
  for (const plan::EncodedTensor& tensor : tensors) {
    bits += 8.0 * static_cast<double>(tensor.payload.size());
    coordinates += tensor.count;
  }
  return coordinates > 0.0 ? bits / coordinates : 0.0;
}

}  // namespace runnel::codec
