#include "runtime/codec/qsgd.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>

#include "runtime/codec/elias_omega.h"
#include "runtime/codec/qsgd_quantizer.h"

namespace runnel::codec {
namespace {

// Levels of this many coordinates are at hand at a time (2 KiB of stack). A longer bucket is quantized twice, once to
// measure both codes and once to write the shorter; the same counters give the same levels.
constexpr uint32_t kBlockCoordinates = 1024;

constexpr uint32_t buckets_of(uint32_t count, uint32_t bucket) {
  return static_cast<uint32_t>((uint64_t{count} + bucket - 1) / bucket);
}

constexpr uint8_t bits_of(uint32_t levels) {
  return static_cast<uint8_t>(1 + std::bit_width(levels));
}

// One bucket on its way to bits.
struct Bucket {
  std::span<const float> values;
  float norm;
  uint32_t levels;
  const CounterRng& rng;
  uint32_t first_index;  // of values[0] in its tensor
};

// The levels of the bucket, block by block, to visit(values of the block, levels of the block).
template <typename Visitor>
void for_each_block(const Bucket& bucket, std::span<uint16_t, kBlockCoordinates> scratch, Visitor&& visit) {
  for (size_t first = 0; first < bucket.values.size(); first += kBlockCoordinates) {
    const size_t count = std::min<size_t>(bucket.values.size() - first, kBlockCoordinates);
    const std::span<const float> values = bucket.values.subspan(first, count);
    const std::span<uint16_t> levels = scratch.first(count);
    quantize_levels(values, bucket.norm, bucket.levels, bucket.rng, bucket.first_index + static_cast<uint32_t>(first),
                    levels);
    visit(values, std::span<const uint16_t>(levels));
  }
}

void put_dense(BitWriter& writer, std::span<const float> values, std::span<const uint16_t> levels) {
  for (size_t i = 0; i < levels.size(); ++i) {
    const OmegaCode code = omega_code(levels[i] + 1U);
    const unsigned signed_bits = levels[i] > 0 ? 1 : 0;
    const unsigned negative = signed_bits & static_cast<unsigned>(std::signbit(values[i]));
    writer.put((code.bits << signed_bits) | negative, code.length + signed_bits);
  }
}

// `gap` is carried from block to block of a bucket and starts at 1.
void put_sparse(BitWriter& writer, std::span<const float> values, std::span<const uint16_t> levels, uint32_t& gap) {
  for (size_t i = 0; i < levels.size(); ++i, ++gap) {
    if (levels[i] == 0) continue;
    put_omega(writer, gap);
    const OmegaCode code = omega_code(levels[i]);
    writer.put((std::signbit(values[i]) ? 1U << code.length : 0U) | code.bits, code.length + 1);
    gap = 0;
  }
}

void put_bucket(BitWriter& writer, const Bucket& bucket) {
  std::array<uint16_t, kBlockCoordinates> scratch;
  QsgdCodeLength length;
  for_each_block(bucket, scratch,
                 [&](std::span<const float>, std::span<const uint16_t> levels) { length.add(levels); });
  const bool sparse = length.sparse_bits() < length.dense_bits();
  writer.put(sparse ? 1 : 0, 1);
  if (sparse) put_omega(writer, length.nonzero_count() + 1);
  uint32_t gap = 1;
  const auto put_levels = [&](std::span<const float> values, std::span<const uint16_t> levels) {
    if (sparse) {
      put_sparse(writer, values, levels, gap);
    } else {
      put_dense(writer, values, levels);
    }
  };
  if (bucket.values.size() <= kBlockCoordinates) {
    put_levels(bucket.values, std::span(scratch).first(bucket.values.size()));
  } else {
    for_each_block(bucket, scratch, put_levels);
  }
}

Failure take_dense(BitReader& reader, uint32_t levels, double step, std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t code = take_omega(reader);
    if (code == 0 || code - 1 > levels) return fail(Error::kOutOfRange, "value %zu: level beyond %u", i, levels);
    values[i] = code == 1 ? 0.0F : dequantize(code - 1, reader.bit() != 0, step);
  }
  return Error::kOk;
}

Failure take_sparse(BitReader& reader, uint32_t levels, double step, std::span<float> values) {
  std::fill(values.begin(), values.end(), 0.0F);
  const uint32_t code = take_omega(reader);
  if (code == 0 || code - 1 > values.size()) {
    return fail(Error::kMalformed, "more nonzero values than the bucket's %zu", values.size());
  }
  size_t next = 0;  // the first position that a gap of 1 leads to
  for (uint32_t left = code - 1; left > 0; --left) {
    const uint32_t gap = take_omega(reader);
    if (gap == 0 || gap > values.size() - next) return fail(Error::kMalformed, "a gap leads out of the bucket");
    const size_t at = next + gap - 1;
    const bool negative = reader.bit() != 0;
    const uint32_t level = take_omega(reader);
    if (level == 0 || level > levels) return fail(Error::kOutOfRange, "value %zu: level beyond %u", at, levels);
    values[at] = dequantize(level, negative, step);
    next = at + 1;
  }
  return Error::kOk;
}

Failure check_header(const plan::EncodedTensor& tensor) {
  plan::CodecSpec spec;
  spec.codec = tensor.codec;
  spec.levels = tensor.levels;
  spec.bucket = tensor.bucket;
  RUNNEL_TRY(plan::check(spec));
  if (tensor.bits == bits_of(tensor.levels)) return Error::kOk;
  return fail(Error::kMalformed, "%u levels take %u bits, not %u", tensor.levels, unsigned{bits_of(tensor.levels)},
              unsigned{tensor.bits});
}

// All of the payload must have been used, but for less than a byte of zeros.
Failure check_end(BitReader& reader, size_t bytes) {
  const uint64_t used_bytes = (reader.used_bits() + 7) / 8;
  if (used_bytes < bytes) return fail(Error::kMalformed, "%zu trailing bytes", static_cast<size_t>(bytes - used_bytes));
  const auto padding_bits = static_cast<unsigned>(used_bytes * 8 - reader.used_bits());
  if (padding_bits > 0 && reader.peek32() >> (32 - padding_bits) != 0)
    return fail(Error::kMalformed, "padding is not zero");
  return Error::kOk;
}

}  // namespace

void QsgdCodeLength::add(std::span<const uint16_t> levels) {
  uint64_t dense_bits = 0;
  uint64_t entry_bits = 0;
  uint32_t nonzero_count = 0;
  uint32_t gap = gap_;
  for (const uint16_t level : levels) {
    dense_bits += omega_length(level + 1U);
    if (level > 0) {
      entry_bits += omega_length(gap) + omega_length(level);
      ++nonzero_count;
      gap = 0;
    }
    ++gap;
  }
  dense_bits_ += dense_bits + nonzero_count;
  entry_bits_ += entry_bits + nonzero_count;
  nonzero_count_ += nonzero_count;
  gap_ = gap;
}

uint64_t QsgdCodeLength::sparse_bits() const {
  return omega_length(nonzero_count_ + 1) + entry_bits_;
}

uint64_t qsgd_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  const uint64_t buckets = buckets_of(count, spec.bucket);
  const uint64_t code_bits = buckets + uint64_t{count} * (omega_length(spec.levels + 1) + 1);
  return buckets * sizeof(float) + (code_bits + 7) / 8;
}

Result<plan::EncodedTensor> encode_qsgd(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out) {
  const CounterRng rng(seed);
  const auto count = static_cast<uint32_t>(values.size());
  const uint32_t buckets = buckets_of(count, spec.bucket);
  const size_t norms_bytes = buckets * sizeof(float);
  BitWriter writer(out.subspan(norms_bytes));
  float scale = 0.0F;
  for (uint32_t b = 0; b < buckets; ++b) {
    const uint32_t first = b * spec.bucket;
    const std::span<const float> bucket_values = values.subspan(first, std::min(count - first, spec.bucket));
    const double exact_norm = l2_norm(bucket_values);
    if (!std::isfinite(exact_norm)) return check_finite(values);
    if (exact_norm > double{FLT_MAX}) {
      return fail(Error::kOutOfRange, "bucket %u: norm %g is beyond fp32", b, exact_norm);
    }
    const auto norm = static_cast<float>(exact_norm);
    store_le(out.data() + b * sizeof(float), norm);
    scale = std::max(scale, norm);
    if (norm > 0.0F) put_bucket(writer, {bucket_values, norm, spec.levels, rng, first});
  }
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kQsgd;
  tensor.count = count;
  tensor.bits = bits_of(spec.levels);
  tensor.levels = spec.levels;
  tensor.bucket = spec.bucket;
  tensor.scale = scale;
  tensor.payload = out.first(norms_bytes + writer.finish());
  return tensor;
}

Failure decode_qsgd(const plan::EncodedTensor& tensor, std::span<float> values) {
  RUNNEL_TRY(check_header(tensor));
  const uint32_t buckets = buckets_of(tensor.count, tensor.bucket);
  const uint64_t norms_bytes = uint64_t{buckets} * sizeof(float);
  if (tensor.payload.size() < norms_bytes) {
    return fail(Error::kTruncated, "payload is %zu bytes, but %u norms take %llu", tensor.payload.size(), buckets,
                static_cast<unsigned long long>(norms_bytes));
  }
  const ByteView codes = tensor.payload.subspan(static_cast<size_t>(norms_bytes));
  BitReader reader(codes);
  for (uint32_t b = 0; b < buckets; ++b) {
    const auto norm = load_le<float>(tensor.payload.data() + b * sizeof(float));
    if (!valid_norm(norm) || norm > tensor.scale) {
      return fail(std::isfinite(norm) ? Error::kOutOfRange : Error::kNotFinite, "bucket %u: norm %g is not 0..%g", b,
                  static_cast<double>(norm), static_cast<double>(tensor.scale));
    }
    const uint32_t first = b * tensor.bucket;
    const std::span<float> bucket_values = values.subspan(first, std::min(tensor.count - first, tensor.bucket));
    if (norm == 0.0F) {
      std::fill(bucket_values.begin(), bucket_values.end(), 0.0F);
      continue;
    }
    const double step = level_step(norm, tensor.levels);
    Failure failure = reader.bit() == 0 ? take_dense(reader, tensor.levels, step, bucket_values)
                                        : take_sparse(reader, tensor.levels, step, bucket_values);
    // A code that ran off the end reads as zero bits, and what those mean says nothing.
    if (reader.overrun()) failure = fail(Error::kTruncated, "payload ends inside its code");
    if (!failure.ok()) {
      failure.prefix("bucket %u", b);
      return failure;
    }
  }
  return check_end(reader, codes.size());
}

}  // namespace runnel::codec
