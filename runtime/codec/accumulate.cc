#include "runtime/codec/accumulate.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/base/instruction_set.h"
#include "runtime/codec/bucketed.h"
#include "runtime/codec/fixed_width.h"
#include "runtime/codec/quantizer.h"
#include "runtime/codec/update_codec.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/accumulate_fast.h"
#endif

namespace runnel::codec {
namespace {

constexpr uint32_t kChunk = LaneRng::kChunk;
// Coordinates of acc that stay in the nearest cache while all tensors are added to them.
constexpr uint32_t kTile = kChunk;
constexpr size_t kNibbleCodes = 16;

bool is_bucketed(plan::CodecId codec) {
  switch (codec) {
    case plan::CodecId::kQsgd:
    case plan::CodecId::kQsgdInf:
    case plan::CodecId::kNuqsgd:
    case plan::CodecId::kNuqsgdInf:
    case plan::CodecId::kTerngrad:
      return true;
    default:
      return false;
  }
}

bool is_elias(plan::Coder coder) {
  return coder == plan::Coder::kAuto || coder == plan::Coder::kElias;
}

Failure named(std::string_view name, Failure failure) {
  failure.prefix("%.*s", static_cast<int>(name.size()), name.data());
  return failure;
}

// A tensor of equal width, by its tiles.
class FixedTensor {
 public:
  explicit FixedTensor(const plan::EncodedTensor& tensor)
      : tensor_(tensor),
        quantizer_(quantizer_of(tensor.codec, tensor.levels)),
        width_(fixed_width(quantizer_.symbol_max())),
        codes_(tensor.payload.subspan(size_t{bucket_count(tensor.count, tensor.bucket)} * sizeof(float))) {}

  static Failure check(const plan::EncodedTensor& tensor) {
    if (!is_bucketed(tensor.codec) || tensor.coder != plan::Coder::kFixed) {
      return fail(Error::kUnsupported, "%s with coder %s is not of fixed width", plan::codec_name(tensor.codec),
                  plan::coder_name(tensor.coder));
    }
    if (tensor.rotated || tensor.keep != 1.0F) {
      return fail(Error::kUnsupported, "rotated, or only a share of the coordinates");
    }
    if (!valid_norm(tensor.scale)) return fail(Error::kOutOfRange, "scale is not finite and >= 0");
    RUNNEL_TRY(check_bucketed_header(tensor));
    RUNNEL_TRY(check_bucket_norms(tensor));
    return FixedTensor(tensor).check_codes();
  }

  // REQUIRES: check() was fine.
  void add(uint32_t begin, uint32_t count, float weight, std::span<float> acc) const {
    const bool nibbles = width_ == 4;
    for (uint32_t at = begin; at < begin + count;) {
      const uint32_t b = at / tensor_.bucket;
      const auto end = static_cast<uint32_t>(std::min<uint64_t>((uint64_t{b} + 1) * tensor_.bucket, begin + count));
      const std::span<float> part = acc.subspan(at, end - at);
      if (nibbles && at % 64 == 0 && part.size() >= 64) {
        const size_t grouped = part.size() / 64 * 64;
        add_groups(b, at, weight, part.first(grouped));
        at += static_cast<uint32_t>(grouped);
      } else {
        // Up to where groups begin again.
        const uint32_t piece_end = nibbles ? std::min(end, (at / 64 + 1) * 64) : end;
        add_piece(b, at, piece_end, weight, acc);
        at = piece_end;
      }
    }
  }

 private:
  float norm(uint32_t b) const { return load_le<float>(tensor_.payload.data() + size_t{b} * sizeof(float)); }

  Failure check_codes() const {
    const uint64_t expected = fixed_bytes(width_, tensor_.count);
    if (codes_.size() != expected) {
      return fail(codes_.size() < expected ? Error::kTruncated : Error::kMalformed, "codes take %zu bytes, not %llu",
                  codes_.size(), static_cast<unsigned long long>(expected));
    }
    uint32_t begin = 0;
#ifdef RUNNEL_FAST_KERNELS
    if (!use_reference() && width_ == 4 && !has_zero_bucket()) {
      const uint32_t grouped = tensor_.count / 64 * 64;
      if (nibbles_within_fast(codes_.first(grouped / 2), 2 * quantizer_.symbol_max())) begin = grouped;
    }
#endif
    std::array<int16_t, kChunk> symbols;
    while (begin < tensor_.count) {
      // Whole chunks but for the first, whose beginning may be known already.
      const uint32_t end = std::min(tensor_.count, (begin / kChunk + 1) * kChunk);
      const std::span<int16_t> piece = std::span(symbols).first(end - begin);
      RUNNEL_TRY(unpack_fixed(quantizer_.symbol_max(), bytes_of(begin, end), piece));
      for (uint32_t i = begin; i < end; ++i) {
        if (piece[i - begin] != 0 && norm(i / tensor_.bucket) == 0.0F) {
          return fail(Error::kMalformed, "a bucket of zeros has symbols");
        }
      }
      begin = end;
    }
    return Error::kOk;
  }

  bool has_zero_bucket() const {
    for (uint32_t b = 0; b < bucket_count(tensor_.count, tensor_.bucket); ++b) {
      if (norm(b) == 0.0F) return true;
    }
    return false;
  }

  // REQUIRES: begin at a group, end at a group or the end of the tensor.
  ByteView bytes_of(uint32_t begin, uint32_t end) const {
    return codes_.subspan(size_t{begin} * width_ / 8, static_cast<size_t>(fixed_bytes(width_, end - begin)));
  }

  void add_groups(uint32_t b, uint32_t at, float weight, std::span<float> acc) const {
    if (norm(b) == 0.0F) return;
    const auto most = static_cast<int32_t>(quantizer_.symbol_max());
    const LevelValues level_values(quantizer_, norm(b));
    std::array<float, kNibbleCodes> table{};
    for (int32_t q = -most; q <= most; ++q) table[static_cast<size_t>(q + most)] = weight * level_values(q);
    const uint8_t* codes = codes_.data() + at / 2;
#ifdef RUNNEL_FAST_KERNELS
    if (!use_reference()) return add_nibbles_fast(codes, table.data(), acc.size(), acc);
#endif
    for (size_t i = 0; i < acc.size(); i += 64) {
      for (size_t j = 0; j < 8; ++j) {
        const auto word = load_le<uint32_t>(codes + i / 2 + 4 * j);
        for (size_t k = 0; k < 8; ++k) acc[i + 8 * k + j] += table[word >> (4 * k) & 15];
      }
    }
  }

  // Any part of one chunk: its symbols are unpacked from where the groups or the chunk begin.
  void add_piece(uint32_t b, uint32_t at, uint32_t end, float weight, std::span<float> acc) const {
    if (norm(b) == 0.0F) return;
    std::array<int16_t, kChunk> symbols;
    const size_t group = fixed_group(width_);
    const uint32_t from = group == 0 ? at / kChunk * kChunk : at - at % static_cast<uint32_t>(group);
    const uint32_t to =
        group == 0
            ? std::min(tensor_.count, from + kChunk)
            : static_cast<uint32_t>(std::min<uint64_t>(tensor_.count, (uint64_t{end} + group - 1) / group * group));
    const Failure unpacked =
        unpack_fixed(quantizer_.symbol_max(), bytes_of(from, to), std::span(symbols).first(to - from));
    RUNNEL_ASSERT(unpacked.ok());  // check() unpacked the same bytes
    const LevelValues level_values(quantizer_, norm(b));
    for (uint32_t i = at; i < end; ++i) acc[i] += weight * level_values(symbols[i - from]);
  }

  const plan::EncodedTensor& tensor_;
  Quantizer quantizer_;
  uint32_t width_;
  ByteView codes_;
};

}  // namespace

size_t accumulate_scratch_count(const plan::EncodedTensor& tensor) {
  const bool as_sent = !tensor.rotated && tensor.keep == 1.0F;
  const bool by_bucket =
      is_bucketed(tensor.codec) && (!is_elias(tensor.coder) || std::min(tensor.bucket, tensor.count) <= kChunk);
  return as_sent && by_bucket ? 0 : tensor.count;
}

Failure accumulate_tensor(std::string_view name, const plan::EncodedTensor& tensor, float weight, std::span<float> acc,
                          std::span<float> scratch) {
  if (acc.size() != tensor.count) {
    return named(name, fail(Error::kShape, "%u coordinates, not %zu", tensor.count, acc.size()));
  }
  const size_t scratch_count = accumulate_scratch_count(tensor);
  if (scratch_count == 0 && tensor.count > 0) {
    if (!valid_norm(tensor.scale)) {
      return named(name, fail(std::isfinite(tensor.scale) ? Error::kOutOfRange : Error::kNotFinite,
                              "scale %g is not finite and >= 0", static_cast<double>(tensor.scale)));
    }
    Failure failure = accumulate_bucketed(tensor, weight, acc);
    return failure.ok() ? failure : named(name, failure);
  }
  if (scratch.size() < scratch_count) {
    return named(name, fail(Error::kNoMemory, "%zu floats of scratch, %zu needed", scratch.size(), scratch_count));
  }
  const std::span<float> values = scratch.first(tensor.count);
  RUNNEL_TRY(decode_tensor(name, tensor, values));
  for (size_t i = 0; i < values.size(); ++i) acc[i] += weight * values[i];
  return Error::kOk;
}

Failure accumulate_fixed(std::span<const plan::EncodedTensor> tensors, std::span<const float> weights,
                         std::span<float> acc) {
  if (weights.size() != tensors.size()) {
    return fail(Error::kInvalidArgument, "%zu weights for %zu tensors", weights.size(), tensors.size());
  }
  for (size_t k = 0; k < tensors.size(); ++k) {
    Failure failure = tensors[k].count == acc.size()
                          ? FixedTensor::check(tensors[k])
                          : fail(Error::kShape, "%u coordinates, not %zu", tensors[k].count, acc.size());
    if (failure.ok()) continue;
    failure.prefix("tensor %zu", k);
    return failure;
  }
  const auto count = static_cast<uint32_t>(acc.size());
  for (uint32_t begin = 0; begin < count; begin += kTile) {
    const uint32_t tile = std::min(kTile, count - begin);
    for (size_t k = 0; k < tensors.size(); ++k) FixedTensor(tensors[k]).add(begin, tile, weights[k], acc);
  }
  return Error::kOk;
}

}  // namespace runnel::codec
