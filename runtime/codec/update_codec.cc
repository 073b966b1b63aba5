#include "runtime/codec/update_codec.h"

#include <cmath>

#include "runtime/codec/scheme.h"

namespace runnel::codec {
namespace {

// The scheme that a tensor of this size is sent with. Null for a codec that is not known here.
const Scheme* scheme_for(const plan::CodecSpec& spec, size_t count) {
  return find_scheme(count <= spec.exact_coordinates_max ? plan::CodecId::kFp32 : spec.codec);
}

size_t saturated(uint64_t bytes) {
  return bytes > SIZE_MAX ? SIZE_MAX : static_cast<size_t>(bytes);
}

Failure named(std::string_view name, Failure failure) {
  failure.prefix("%.*s", static_cast<int>(name.size()), name.data());
  return failure;
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

}  // namespace

size_t encoded_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  if (!plan::check(spec).ok()) return 0;
  const Scheme* scheme = scheme_for(spec, count);
  return scheme == nullptr ? 0 : saturated(scheme->bytes_max(spec, count));
}

Result<plan::EncodedTensor> encode_tensor(const plan::CodecSpec& spec, std::string_view name,
                                          std::span<const float> values, const CounterRng& rng, MutableByteView out) {
  if (Failure failure = plan::check(spec); !failure.ok()) return named(name, failure);
  if (values.size() > plan::kParametersMax) {
    return named(name, fail(Error::kInvalidArgument, "%zu values, more than %u", values.size(), plan::kParametersMax));
  }
  const auto count = static_cast<uint32_t>(values.size());
  const Scheme* scheme = scheme_for(spec, count);
  if (scheme == nullptr) {
    return named(name, fail(Error::kUnsupported, "no scheme for codec %u", static_cast<unsigned>(spec.codec)));
  }
  if (const uint64_t needed_bytes = scheme->bytes_max(spec, count); out.size() < needed_bytes) {
    return named(name, fail(Error::kNoMemory, "%zu bytes to encode into, %llu needed", out.size(),
                            static_cast<unsigned long long>(needed_bytes)));
  }
  Result<plan::EncodedTensor> tensor = scheme->encode(spec, values, rng, out);
  if (!tensor.ok()) return named(name, tensor.failure());
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
  Failure failure = scheme->decode(tensor, values);
  return failure.ok() ? failure : named(name, failure);
}

size_t encoded_update_bytes_max(const plan::CodecSpec& spec, const plan::ModelLayout& layout) {
  uint64_t bytes = 0;
  for (const plan::TensorInfo& info : layout.tensors) bytes += encoded_bytes_max(spec, info.count);
  return saturated(bytes);
}

Result<size_t> encode_update(const plan::CodecSpec& spec, const plan::ModelLayout& layout,
                             std::span<const float> update, uint64_t seed, MutableByteView out,
                             EncodedTensors& tensors) {
  tensors.clear();
  if (Failure failure = check_layout(layout, update.size()); !failure.ok()) return failure;
  size_t used_bytes = 0;
  for (size_t k = 0; k < layout.tensors.size(); ++k) {
    const plan::TensorInfo& info = layout.tensors[k];
    Result<plan::EncodedTensor> tensor = encode_tensor(spec, info.name.view(), update.subspan(info.offset, info.count),
                                                       CounterRng(derive_key(seed, k)), out.subspan(used_bytes));
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
  if (tensors.size() != layout.tensors.size()) {
    return fail(Error::kShape, "%zu tensors for a model of %zu", tensors.size(), layout.tensors.size());
  }
  for (size_t k = 0; k < tensors.size(); ++k) {
    if (tensors[k].count == layout.tensors[k].count) continue;
    return fail(Error::kShape, "%s: %u coordinates, not %u", layout.tensors[k].name.c_str(), tensors[k].count,
                layout.tensors[k].count);
  }
  for (size_t k = 0; k < tensors.size(); ++k) {
    const plan::TensorInfo& info = layout.tensors[k];
    RUNNEL_TRY(decode_tensor(info.name.view(), tensors[k], update.subspan(info.offset, info.count)));
  }
  return Error::kOk;
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
