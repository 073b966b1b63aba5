#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/base/instruction_set.h"
#include "runtime/codec/bucketed.h"
#include "runtime/codec/elias_bucket.h"
#include "runtime/codec/fixed_width.h"
#include "runtime/codec/quantizer.h"
#include "runtime/codec/rans.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/accumulate_fast.h"
#endif

namespace runnel::codec {
namespace {

constexpr uint32_t kChunk = LaneRng::kChunk;
// With at most so many symbols a bucket's values come from a table.
constexpr size_t kTableSymbols = 16;
// A chunk whose buckets are whole multiples of this is decoded with a table for each of them.
constexpr uint32_t kTableBucketMin = 64;
using ChunkTables = std::array<float, kChunk / kTableBucketMin * kTableSymbols>;

// What the codes of a tensor are read against.
struct Frame {
  const plan::EncodedTensor& tensor;
  Quantizer quantizer;
  uint32_t buckets;
  ByteView codes;  // behind the norms

  uint32_t chunk_end(uint32_t chunk) const { return chunk * kChunk + std::min(tensor.count - chunk * kChunk, kChunk); }
  uint32_t chunks() const { return bucket_count(tensor.count, kChunk); }
  float norm(uint32_t b) const { return load_le<float>(tensor.payload.data() + size_t{b} * sizeof(float)); }

  // visit(norm, first, count): the part of each bucket that lies in [begin, end).
  template <typename Visitor>
  void for_each_part(uint32_t begin, uint32_t end, Visitor&& visit) const {
    uint32_t b = begin / tensor.bucket;
    for (uint32_t at = begin; at < end; ++b) {
      const auto part_end = static_cast<uint32_t>(std::min<uint64_t>((uint64_t{b} + 1) * tensor.bucket, end));
      visit(norm(b), at, part_end - at);
      at = part_end;
    }
  }
};

// Where decoded values go: into a vector, or weighted onto one.
struct Store {
  std::span<float> values;
  void zeros(uint32_t first, uint32_t count) const { std::fill_n(values.begin() + first, count, 0.0F); }
  void put(uint32_t first, std::span<const float> from) const {
    std::copy(from.begin(), from.end(), values.begin() + first);
  }
  template <typename Value>
  void put(uint32_t first, uint32_t count, Value&& value) const {
    for (uint32_t i = 0; i < count; ++i) values[first + i] = value(i);
  }
  // What a table holds for a value.
  float table_value(float value) const { return value; }
#ifdef RUNNEL_FAST_KERNELS
  void put_groups(uint32_t first, const uint8_t* codes, const ChunkTables& tables, uint32_t table_count,
                  uint32_t count) const {
    look_up_nibbles_fast(codes, tables.data(), table_count, values.subspan(first, count));
  }
#endif
  void put_rans(RansDecoder& decoder, uint32_t first, const ChunkTables& tables, uint32_t table_count,
                uint32_t count) const {
    decoder.take_values(tables, table_count, values.subspan(first, count), false);
  }
  // Bytes below 16, and what they stand for.
  void put_table(uint32_t first, std::span<const uint8_t> bytes, const std::array<float, kTableSymbols>& table) const {
#ifdef RUNNEL_FAST_KERNELS
    if (!use_reference()) return look_up_bytes_fast(bytes.data(), table.data(), values.subspan(first, bytes.size()));
#endif
    for (size_t i = 0; i < bytes.size(); ++i) values[first + i] = table[bytes[i]];
  }
};

struct Add {
  std::span<float> acc;
  float weight;
  void zeros(uint32_t /*first*/, uint32_t /*count*/) const {}
  void put(uint32_t first, std::span<const float> from) const {
    for (size_t i = 0; i < from.size(); ++i) acc[first + i] += weight * from[i];
  }
  template <typename Value>
  void put(uint32_t first, uint32_t count, Value&& value) const {
    for (uint32_t i = 0; i < count; ++i) acc[first + i] += weight * value(i);
  }
  float table_value(float value) const { return weight * value; }
#ifdef RUNNEL_FAST_KERNELS
  void put_groups(uint32_t first, const uint8_t* codes, const ChunkTables& tables, uint32_t table_count,
                  uint32_t count) const {
    add_nibbles_fast(codes, tables.data(), table_count, acc.subspan(first, count));
  }
#endif
  void put_rans(RansDecoder& decoder, uint32_t first, const ChunkTables& tables, uint32_t table_count,
                uint32_t count) const {
    decoder.take_values(tables, table_count, acc.subspan(first, count), true);
  }
  void put_table(uint32_t first, std::span<const uint8_t> bytes, std::array<float, kTableSymbols> table) const {
    for (float& value : table) value *= weight;
#ifdef RUNNEL_FAST_KERNELS
    if (!use_reference()) return add_bytes_fast(bytes.data(), table.data(), acc.subspan(first, bytes.size()));
#endif
    for (size_t i = 0; i < bytes.size(); ++i) acc[first + i] += table[bytes[i]];
  }
};

Failure wrong_size(size_t bytes, uint64_t expected) {
  return fail(bytes < expected ? Error::kTruncated : Error::kMalformed, "payload is %zu bytes, not %llu", bytes,
              static_cast<unsigned long long>(expected));
}

// The values of symbols lowest .. highest of one bucket, in order.
using ValueTable = std::array<float, kTableSymbols>;
ValueTable table_of(const Frame& frame, float norm, int32_t lowest, int32_t highest) {
  const LevelValues level_values(frame.quantizer, norm);
  ValueTable table{};
  for (int32_t q = lowest; q <= highest; ++q) table[static_cast<size_t>(q - lowest)] = level_values(q);
  return table;
}

// Tables for all of a chunk's values, one for each bucket that begins in it or holds it, if its buckets divide it and
// none is of zeros. Returns how many values share a table, else 0.
template <typename Sink>
uint32_t chunk_tables(const Frame& frame, uint32_t chunk, int32_t lowest, int32_t highest, const Sink& sink,
                      ChunkTables& tables) {
  const uint32_t bucket = frame.tensor.bucket;
  const bool aligned = bucket % kTableBucketMin == 0 && (kChunk % bucket == 0 || bucket % kChunk == 0);
  if (!aligned || static_cast<size_t>(highest - lowest) >= kTableSymbols) return 0;
  bool any_zero = false;
  float* next = tables.data();
  const uint32_t begin = chunk * kChunk;
  frame.for_each_part(begin, frame.chunk_end(chunk), [&](float norm, uint32_t, uint32_t) {
    any_zero = any_zero || norm == 0.0F;
    const LevelValues level_values(frame.quantizer, norm);
    for (int32_t q = lowest; q <= highest; ++q) *(next + (q - lowest)) = sink.table_value(level_values(q));
    std::fill(next + (highest - lowest + 1), next + kTableSymbols, 0.0F);
    next += kTableSymbols;
  });
  return any_zero ? 0 : std::min(bucket, kChunk);
}

// Symbols of one bucket as they are, or as bytes counted from the lowest; through a table where one is worth while.
template <typename Sink>
void put_symbols(const Frame& frame, float norm, uint32_t first, std::span<const int16_t> symbols, const Sink& sink) {
  const auto most = static_cast<int32_t>(frame.quantizer.symbol_max());
  const auto count = static_cast<uint32_t>(symbols.size());
  if (2 * static_cast<size_t>(most) < kTableSymbols && count > kTableSymbols) {
    const ValueTable table = table_of(frame, norm, -most, most);
    return sink.put(first, count, [&](uint32_t i) { return table[static_cast<size_t>(symbols[i] + most)]; });
  }
  const LevelValues level_values(frame.quantizer, norm);
  sink.put(first, count, [&](uint32_t i) { return level_values(symbols[i]); });
}

template <typename Sink>
void put_bytes(const Frame& frame, float norm, uint32_t first, std::span<const uint8_t> bytes, int32_t lowest,
               int32_t highest, const Sink& sink) {
  const auto count = static_cast<uint32_t>(bytes.size());
  if (static_cast<size_t>(highest - lowest) < kTableSymbols && count > kTableSymbols) {
    return sink.put_table(first, bytes, table_of(frame, norm, lowest, highest));
  }
  const LevelValues level_values(frame.quantizer, norm);
  sink.put(first, count, [&](uint32_t i) { return level_values(bytes[i] + lowest); });
}

// A payload's last byte may have bits that nothing uses; they must be zero.
Failure check_end(BitReader& reader, size_t bytes) {
  const uint64_t used_bytes = (reader.used_bits() + 7) / 8;
  if (used_bytes < bytes) return fail(Error::kMalformed, "%zu trailing bytes", static_cast<size_t>(bytes - used_bytes));
  const auto padding_bits = static_cast<unsigned>(used_bytes * 8 - reader.used_bits());
  if (padding_bits > 0 && reader.peek32() >> (32 - padding_bits) != 0) {
    return fail(Error::kMalformed, "padding is not zero");
  }
  return Error::kOk;
}

// take(norm, first, count, reader): one bucket's values.
template <typename Take>
Failure take_buckets(const Frame& frame, Take&& take) {
  BitReader reader(frame.codes);
  for (uint32_t b = 0; b < frame.buckets; ++b) {
    const uint32_t first = b * frame.tensor.bucket;
    const uint32_t count = std::min(frame.tensor.count - first, frame.tensor.bucket);
    Failure failure = take(frame.norm(b), first, count, reader);
    // A code that ran off the end reads as zero bits, and what those mean says nothing.
    if (reader.overrun()) failure = fail(Error::kTruncated, "payload ends inside its code");
    if (!failure.ok()) {
      failure.prefix("bucket %u", b);
      return failure;
    }
  }
  return check_end(reader, frame.codes.size());
}

Failure take_elias_code(const Frame& frame, const Store& sink) {
  return take_buckets(frame, [&](float norm, uint32_t first, uint32_t count, BitReader& reader) -> Failure {
    if (norm == 0.0F) {
      sink.zeros(first, count);
      return Error::kOk;
    }
    const LevelValues level_values(frame.quantizer, norm);
    return take_elias(reader, frame.quantizer.symbol_max(), level_values, sink.values.subspan(first, count));
  });
}

Failure take_elias_code(const Frame& frame, const Add& sink) {
  std::array<float, kChunk> values;
  RUNNEL_ASSERT(std::min(frame.tensor.bucket, frame.tensor.count) <= kChunk);
  return take_buckets(frame, [&](float norm, uint32_t first, uint32_t count, BitReader& reader) -> Failure {
    if (norm == 0.0F) return Error::kOk;
    const LevelValues level_values(frame.quantizer, norm);
    const std::span<float> bucket = std::span(values).first(count);
    RUNNEL_TRY(take_elias(reader, frame.quantizer.symbol_max(), level_values, bucket));
    sink.put(first, bucket);
    return Error::kOk;
  });
}

template <typename Sink>
Failure take_fixed(const Frame& frame, const Sink& sink) {
  const uint32_t symbol_max = frame.quantizer.symbol_max();
  const uint32_t width = fixed_width(symbol_max);
  const uint64_t expected = fixed_bytes(width, frame.tensor.count);
  if (frame.codes.size() != expected) return wrong_size(frame.codes.size(), expected);
#ifdef RUNNEL_FAST_KERNELS
  const bool nibbles = width == 4 && !use_reference();
  ChunkTables tables;
#endif
  std::array<int16_t, kChunk> buffer;
  for (uint32_t chunk = 0; chunk < frame.chunks(); ++chunk) {
    const uint32_t begin = chunk * kChunk;
    const uint32_t end = frame.chunk_end(chunk);
#ifdef RUNNEL_FAST_KERNELS
    if (nibbles && end - begin == kChunk) {
      const ByteView groups = frame.codes.subspan(size_t{chunk} * (kChunk / 2), kChunk / 2);
      const auto most = static_cast<int32_t>(symbol_max);
      const uint32_t table_count = chunk_tables(frame, chunk, -most, most, sink, tables);
      // What is out of range, the plain way reports.
      if (table_count > 0 && nibbles_within_fast(groups, 2 * symbol_max)) {
        sink.put_groups(begin, groups.data(), tables, table_count, kChunk);
        continue;
      }
    }
#endif
    const std::span<int16_t> symbols = std::span(buffer).first(end - begin);
    const ByteView codes =
        frame.codes.subspan(size_t{chunk} * (kChunk / 8) * width, static_cast<size_t>(fixed_bytes(width, end - begin)));
    if (Failure failure = unpack_fixed(symbol_max, codes, symbols); !failure.ok()) {
      failure.prefix("chunk %u", chunk);
      return failure;
    }
    bool dirty = false;
    frame.for_each_part(begin, end, [&](float norm, uint32_t first, uint32_t count) {
      const std::span<const int16_t> part(symbols.data() + (first - begin), count);
      if (norm > 0.0F) return put_symbols(frame, norm, first, part, sink);
      dirty = dirty || std::any_of(part.begin(), part.end(), [](int16_t q) { return q != 0; });
      sink.zeros(first, count);
    });
    if (dirty) return fail(Error::kMalformed, "chunk %u: a bucket of zeros has symbols", chunk);
  }
  return Error::kOk;
}

template <typename Sink>
Failure take_rans(const Frame& frame, const Sink& sink) {
  const auto symbol_max = static_cast<int32_t>(frame.quantizer.symbol_max());
  ByteView rest = frame.codes;
  bool any = false;
  for (uint32_t b = 0; b < frame.buckets; ++b) any = any || frame.norm(b) > 0.0F;
  if (!any) {
    if (!rest.empty()) return fail(Error::kMalformed, "%zu trailing bytes", rest.size());
    sink.zeros(0, frame.tensor.count);
    return Error::kOk;
  }
  if (rest.size() < 2) return fail(Error::kTruncated, "payload ends before its frequencies");
  const int32_t lowest = static_cast<int8_t>(rest[0]);
  const uint32_t symbols_count = rest[1] + 1U;
  const int32_t highest = lowest + rest[1];
  rest = rest.subspan(2);
  if (lowest < -symbol_max || highest > symbol_max) {
    return fail(Error::kOutOfRange, "symbols %d..%d are beyond %d", lowest, highest, symbol_max);
  }
  const Result<RansTable> table = take_rans_table(symbols_count, rest);
  if (!table.ok()) return table.failure();
  const size_t states = rans_states(frame.tensor.count, symbols_count);
  if (rest.size() < states * sizeof(uint32_t)) return fail(Error::kTruncated, "payload ends inside the states");
  RansDecoder decoder(*table, states, rest);
  alignas(64) std::array<uint8_t, kChunk> buffer;
  ChunkTables tables;
  for (uint32_t chunk = 0; chunk < frame.chunks(); ++chunk) {
    const uint32_t begin = chunk * kChunk;
    const uint32_t end = frame.chunk_end(chunk);
    if (const uint32_t table_count = chunk_tables(frame, chunk, lowest, highest, sink, tables); table_count > 0) {
      sink.put_rans(decoder, begin, tables, table_count, end - begin);
      if (decoder.overrun()) return fail(Error::kTruncated, "payload ends inside its code");
      continue;
    }
    uint32_t coded = 0;
    frame.for_each_part(begin, end, [&](float norm, uint32_t, uint32_t count) { coded += norm > 0.0F ? count : 0; });
    decoder.take(std::span(buffer).first(coded));
    if (decoder.overrun()) return fail(Error::kTruncated, "payload ends inside its code");
    uint32_t used = 0;
    frame.for_each_part(begin, end, [&](float norm, uint32_t first, uint32_t count) {
      if (norm == 0.0F) return sink.zeros(first, count);
      put_bytes(frame, norm, first, std::span<const uint8_t>(buffer.data() + used, count), lowest, highest, sink);
      used += count;
    });
  }
  if (!decoder.finished()) return fail(Error::kMalformed, "the code does not end where its bytes do");
  return Error::kOk;
}

template <typename Sink>
Failure take_raw(const plan::EncodedTensor& tensor, const Sink& sink) {
  const uint64_t expected = uint64_t{tensor.count} * sizeof(float);
  if (tensor.payload.size() != expected) return wrong_size(tensor.payload.size(), expected);
  std::array<float, 512> piece;
  for (uint32_t first = 0; first < tensor.count; first += static_cast<uint32_t>(piece.size())) {
    const std::span<float> values = std::span(piece).first(std::min<size_t>(tensor.count - first, piece.size()));
    std::memcpy(values.data(), tensor.payload.data() + size_t{first} * sizeof(float), values.size_bytes());
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::fabs(values[i]) <= tensor.scale) continue;
      return fail(std::isfinite(values[i]) ? Error::kOutOfRange : Error::kNotFinite,
                  "value %zu is %g, larger than the scale %g", first + i, static_cast<double>(values[i]),
                  static_cast<double>(tensor.scale));
    }
    sink.put(first, values);
  }
  return Error::kOk;
}

template <typename Sink>
Failure take_any(const plan::EncodedTensor& tensor, const Sink& sink) {
  RUNNEL_TRY(check_bucketed_header(tensor));
  if (tensor.coder == plan::Coder::kRaw) return take_raw(tensor, sink);
  const uint32_t buckets = bucket_count(tensor.count, tensor.bucket);
  RUNNEL_TRY(check_bucket_norms(tensor));
  const Frame frame = {tensor, quantizer_of(tensor.codec, tensor.levels), buckets,
                       tensor.payload.subspan(size_t{buckets} * sizeof(float))};
  switch (tensor.coder) {
    case plan::Coder::kAuto:
    case plan::Coder::kElias:
      return take_elias_code(frame, sink);
    case plan::Coder::kFixed:
      return take_fixed(frame, sink);
    case plan::Coder::kRans:
      return take_rans(frame, sink);
    default:
      break;
  }
  return fail(Error::kUnsupported, "%s has no coder %s", plan::codec_name(tensor.codec),
              plan::coder_name(tensor.coder));
}

}  // namespace

Failure check_bucketed_header(const plan::EncodedTensor& tensor) {
  plan::CodecSpec spec;
  spec.codec = tensor.codec;
  spec.levels = tensor.levels;
  spec.bucket = tensor.bucket;
  RUNNEL_TRY(plan::check(spec));
  const Quantizer quantizer = quantizer_of(tensor.codec, tensor.levels);
  if (quantizer.levels != tensor.levels) {
    return fail(Error::kMalformed, "%s has %u levels, not %u", plan::codec_name(tensor.codec), quantizer.levels,
                tensor.levels);
  }
  const uint32_t width = fixed_width(quantizer.symbol_max());
  if (tensor.bits == width) return Error::kOk;
  return fail(Error::kMalformed, "%u levels take %u bits, not %u", tensor.levels, width, unsigned{tensor.bits});
}

Failure check_bucket_norms(const plan::EncodedTensor& tensor) {
  const uint32_t buckets = bucket_count(tensor.count, tensor.bucket);
  const uint64_t norms_bytes = uint64_t{buckets} * sizeof(float);
  if (tensor.payload.size() < norms_bytes) {
    return fail(Error::kTruncated, "payload is %zu bytes, but %u norms take %llu", tensor.payload.size(), buckets,
                static_cast<unsigned long long>(norms_bytes));
  }
  for (uint32_t b = 0; b < buckets; ++b) {
    const auto norm = load_le<float>(tensor.payload.data() + size_t{b} * sizeof(float));
    if (valid_norm(norm) && norm <= tensor.scale) continue;
    return fail(std::isfinite(norm) ? Error::kOutOfRange : Error::kNotFinite, "bucket %u: norm %g is not 0..%g", b,
                static_cast<double>(norm), static_cast<double>(tensor.scale));
  }
  return Error::kOk;
}

Failure decode_bucketed(const plan::EncodedTensor& tensor, std::span<float> values) {
  return take_any(tensor, Store{values});
}

Failure accumulate_bucketed(const plan::EncodedTensor& tensor, float weight, std::span<float> acc) {
  return take_any(tensor, Add{acc, weight});
}

}  // namespace runnel::codec
