#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "runtime/codec/bucketed.h"
#include "runtime/codec/elias_bucket.h"
#include "runtime/codec/elias_omega.h"
#include "runtime/codec/fixed_width.h"
#include "runtime/codec/quantizer.h"
#include "runtime/codec/rans.h"

namespace runnel::codec {
namespace {

constexpr uint32_t kChunk = LaneRng::kChunk;
// rANS wants its symbols in a byte: these at most, in either direction.
constexpr int32_t kRansSymbolMax = 127;
// What the backward writer may leave unused below its code, and what its states and table add to the symbols.
constexpr uint64_t kRansSlack = 128 + 4 * kRansStatesMax + 2 * kRansSymbolsMax + 8;

// A tensor on its way to bytes: where the norms are, and the symbols of one chunk at a time.
class Source {
 public:
  Source(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, MutableByteView out)
      : quantizer_(quantizer_of(spec.codec, spec.levels)),
        bucket_(spec.bucket),
        count_(static_cast<uint32_t>(values.size())),
        values_(values),
        rng_(seed),
        norms_(out.first(size_t{bucket_count(count_, spec.bucket)} * sizeof(float))) {}

  const Quantizer& quantizer() const { return quantizer_; }
  uint32_t count() const { return count_; }
  uint32_t bucket() const { return bucket_; }
  uint32_t buckets() const { return bucket_count(count_, bucket_); }
  uint32_t chunks() const { return bucket_count(count_, kChunk); }
  uint32_t chunk_end(uint32_t chunk) const { return std::min(count_ - chunk * kChunk, kChunk) + chunk * kChunk; }
  size_t norms_bytes() const { return norms_.size(); }
  float scale() const { return scale_; }
  float norm(uint32_t b) const { return load_le<float>(norms_.data() + size_t{b} * sizeof(float)); }

  // Writes the norms of all buckets that begin before `end` and are not written yet.
  Failure make_norms(uint32_t end) {
    for (; next_bucket_ < buckets() && uint64_t{next_bucket_} * bucket_ < end; ++next_bucket_) {
      const uint32_t first = next_bucket_ * bucket_;
      const std::span<const float> bucket_values = values_.subspan(first, std::min(count_ - first, bucket_));
      const double exact_norm = bucket_norm(quantizer_, bucket_values);
      if (!std::isfinite(exact_norm)) return check_finite(values_);
      if (exact_norm > double{FLT_MAX}) {
        return fail(Error::kOutOfRange, "bucket %u: norm %g is beyond fp32", next_bucket_, exact_norm);
      }
      const auto norm = static_cast<float>(exact_norm);
      store_le(norms_.data() + size_t{next_bucket_} * sizeof(float), norm);
      scale_ = std::max(scale_, norm);
    }
    return Error::kOk;
  }

  // visit(norm, first, count): the part of each bucket that lies in [begin, end).
  template <typename Visitor>
  void for_each_part(uint32_t begin, uint32_t end, Visitor&& visit) const {
    uint32_t b = begin / bucket_;
    for (uint32_t at = begin; at < end; ++b) {
      const auto bucket_end = static_cast<uint32_t>(std::min<uint64_t>((uint64_t{b} + 1) * bucket_, end));
      visit(norm(b), at, bucket_end - at);
      at = bucket_end;
    }
  }

  void draw(uint32_t chunk) { draw_numbers(rng_, chunk, chunk_end(chunk) - chunk * kChunk, numbers_); }

  // After draw() of its chunk. REQUIRES: norm > 0.
  void quantize_part(float norm, uint32_t first, uint32_t part_count, std::span<int16_t> symbols) const {
    quantize(quantizer_, norm, values_.subspan(first, part_count), numbers_of(first, part_count), symbols);
  }
  std::span<const uint16_t> numbers_of(uint32_t first, uint32_t part_count) const {
    return std::span<const uint16_t>(numbers_).subspan(first % kChunk, part_count);
  }
  std::span<const float> values_of(uint32_t first, uint32_t part_count) const {
    return values_.subspan(first, part_count);
  }

  // The symbols of a chunk, zeros in the buckets of zeros. The last chunk asked for is kept.
  std::span<const int16_t> symbols(uint32_t chunk) {
    const uint32_t begin = chunk * kChunk;
    const std::span<int16_t> all(symbols_.data(), chunk_end(chunk) - begin);
    if (held_chunk_ == chunk) return all;
    draw(chunk);
    for_each_part(begin, chunk_end(chunk), [&](float norm, uint32_t first, uint32_t part_count) {
      const std::span<int16_t> part = all.subspan(first - begin, part_count);
      if (norm > 0.0F) {
        quantize_part(norm, first, part_count, part);
      } else {
        std::fill(part.begin(), part.end(), int16_t{0});
      }
    });
    held_chunk_ = chunk;
    return all;
  }

  // visit(symbols): those of one bucket, in pieces that end where chunks end.
  template <typename Visitor>
  void for_each_piece(uint32_t b, Visitor&& visit) {
    const uint32_t begin = b * bucket_;
    const uint32_t end = begin + std::min(count_ - begin, bucket_);
    for (uint32_t at = begin; at < end;) {
      const uint32_t piece_end = std::min(end, chunk_end(at / kChunk));
      visit(symbols(at / kChunk).subspan(at % kChunk, piece_end - at));
      at = piece_end;
    }
  }

 private:
  Quantizer quantizer_;
  uint32_t bucket_;
  uint32_t count_;
  std::span<const float> values_;
  LaneRng rng_;
  MutableByteView norms_;
  uint32_t next_bucket_ = 0;
  float scale_ = 0.0F;
  uint32_t held_chunk_ = UINT32_MAX;
  alignas(64) std::array<uint16_t, kChunk> numbers_;
  alignas(64) std::array<int16_t, kChunk> symbols_;
};

// How often each symbol occurs in buckets with a norm.
struct Histogram {
  std::array<uint32_t, 2 * kRansSymbolMax + 2> counts{};  // of -127 .. 127; the last one: of symbols beyond
  int32_t lowest = 0;
  int32_t highest = -1;  // lowest > highest: nothing was counted

  void close() {
    for (int32_t q = -kRansSymbolMax; q <= kRansSymbolMax; ++q) {
      if (counts[static_cast<size_t>(q + kRansSymbolMax)] == 0) continue;
      if (highest < lowest) lowest = q;
      highest = q;
    }
  }
  bool fits_bytes() const { return counts.back() == 0; }
  bool empty() const { return highest < lowest; }
  std::span<const uint32_t> used() const {
    return std::span(counts).subspan(static_cast<size_t>(lowest + kRansSymbolMax),
                                     static_cast<size_t>(highest - lowest + 1));
  }
};

void count_symbols(std::span<const int16_t> symbols, Histogram& histogram) {
  // Several counters side by side, since equal symbols in a row would wait for each other. Symbols beyond the range
  // are all counted at its end.
  constexpr size_t kLanes = 4;
  constexpr uint32_t kBeyond = 2 * kRansSymbolMax + 1;
  std::array<std::array<uint16_t, kBeyond + 1>, kLanes> lanes{};
  const auto count = [&](size_t lane, int16_t symbol) {
    const auto index = static_cast<uint32_t>(symbol + kRansSymbolMax);
    ++lanes[lane][index < kBeyond ? index : kBeyond];
  };
  size_t i = 0;
  for (; i + kLanes <= symbols.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) count(lane, symbols[i + lane]);
  }
  for (; i < symbols.size(); ++i) count(0, symbols[i]);
  for (size_t k = 0; k <= kBeyond; ++k) {
    histogram.counts[k] += uint32_t{lanes[0][k]} + lanes[1][k] + lanes[2][k] + lanes[3][k];
  }
}

// What kAuto compares: the histogram, and the length of the Elias code as if it were written.
struct Census {
  Histogram histogram;
  bool with_elias = false;
  EliasLength bucket;  // of the bucket that the last chunk ended in
  uint64_t elias_bits = 0;
};

void count_chunk(Source& source, uint32_t chunk, Census& census) {
  const std::span<const int16_t> symbols = source.symbols(chunk);
  const uint32_t begin = chunk * kChunk;
  uint32_t zeros_count = 0;
  source.for_each_part(begin, source.chunk_end(chunk),
                       [&](float norm, uint32_t, uint32_t count) { zeros_count += norm == 0.0F ? count : 0; });
  // Buckets of zeros have no symbols, but the array has zeros in their place.
  count_symbols(symbols, census.histogram);
  census.histogram.counts[static_cast<size_t>(kRansSymbolMax)] -= zeros_count;
  if (!census.with_elias) return;
  source.for_each_part(begin, source.chunk_end(chunk), [&](float norm, uint32_t first, uint32_t count) {
    if (norm == 0.0F) return;
    const std::span<const int16_t> part = symbols.subspan(first - begin, count);
    if (first % source.bucket() == 0) census.bucket = EliasLength();
    census.bucket.add(part);
    const bool whole = (first + count) % source.bucket() == 0 || first + count == source.count();
    if (whole) census.elias_bits += census.bucket.bits();
  });
}

// All norms, and a census of the symbols if one is wanted, in one pass over the values.
Failure make_all_norms(Source& source, Census* census) {
  for (uint32_t chunk = 0; chunk < source.chunks(); ++chunk) {
    RUNNEL_TRY(source.make_norms(source.chunk_end(chunk)));
    if (census != nullptr) count_chunk(source, chunk, *census);
  }
  if (census != nullptr) census->histogram.close();
  return Error::kOk;
}

size_t put_elias(Source& source, MutableByteView out) {
  BitWriter writer(out.subspan(source.norms_bytes()));
  for (uint32_t b = 0; b < source.buckets(); ++b) {
    if (source.norm(b) == 0.0F) continue;
    EliasLength length;
    source.for_each_piece(b, [&](std::span<const int16_t> symbols) { length.add(symbols); });
    EliasWriter elias(writer, length);
    source.for_each_piece(b, [&](std::span<const int16_t> symbols) { elias.put(symbols); });
  }
  return source.norms_bytes() + writer.finish();
}

// Norms and codes of a chunk together, while its values are in the nearest cache.
Result<size_t> put_fixed(Source& source, MutableByteView out) {
  const uint32_t symbol_max = source.quantizer().symbol_max();
  const uint32_t width = fixed_width(symbol_max);
  const size_t group = fixed_group(width);
  const bool aligned = group != 0 && source.bucket() % group == 0 && kChunk % group == 0;
  for (uint32_t chunk = 0; chunk < source.chunks(); ++chunk) {
    const uint32_t begin = chunk * kChunk;
    const uint32_t end = source.chunk_end(chunk);
    if (Failure failure = source.make_norms(end); !failure.ok()) return failure;
    const MutableByteView codes =
        out.subspan(source.norms_bytes() + size_t{chunk} * (kChunk / 8) * width, fixed_bytes(width, end - begin));
    if (!aligned || end - begin < kChunk) {
      pack_fixed(symbol_max, source.symbols(chunk), codes);
      continue;
    }
    source.draw(chunk);
    source.for_each_part(begin, end, [&](float norm, uint32_t first, uint32_t count) {
      const MutableByteView part = codes.subspan(size_t{first - begin} * width / 8, size_t{count} * width / 8);
      if (norm > 0.0F) {
        quantize_and_pack(source.quantizer(), norm, source.values_of(first, count), source.numbers_of(first, count),
                          part);
        return;
      }
      static constexpr int16_t kZeros[256] = {};
      for (size_t at = 0; at < count; at += group) {
        pack_fixed(symbol_max, std::span(kZeros).first(group), part.subspan(at * width / 8, 32));
      }
    });
  }
  return source.norms_bytes() + static_cast<size_t>(fixed_bytes(width, source.count()));
}

// 0 if it does not fit `out`.
size_t put_rans(Source& source, const Histogram& histogram, const RansTable& table, MutableByteView out) {
  if (histogram.empty()) return source.norms_bytes();
  MutableByteView rest = out.subspan(source.norms_bytes());
  const size_t front_bytes = 2 + rans_table_bytes(table);
  if (rest.size() < front_bytes) return 0;
  rest[0] = static_cast<uint8_t>(histogram.lowest);
  rest[1] = static_cast<uint8_t>(histogram.highest - histogram.lowest);
  put_rans_table(table, rest.subspan(2));
  rest = rest.subspan(front_bytes);
  RansEncoder encoder(table, rans_states(source.count(), table.symbols), rest);
  std::array<uint8_t, kChunk> bytes;
  for (uint32_t chunk = source.chunks(); chunk > 0; --chunk) {
    const std::span<const int16_t> symbols = source.symbols(chunk - 1);
    const uint32_t begin = (chunk - 1) * kChunk;
    size_t used = 0;
    source.for_each_part(begin, source.chunk_end(chunk - 1), [&](float norm, uint32_t first, uint32_t count) {
      if (norm == 0.0F) return;
      const int16_t* from = symbols.data() + (first - begin);
      // Copies, since bytes that are written might be anything.
      const int32_t lowest = histogram.lowest;
      uint8_t* to = bytes.data() + used;
      for (size_t i = 0; i < count; ++i) to[i] = static_cast<uint8_t>(from[i] - lowest);
      used += count;
    });
    if (!encoder.put(std::span(bytes).first(used))) return 0;
  }
  const size_t code_bytes = encoder.finish();
  if (code_bytes == 0) return 0;
  std::memmove(rest.data(), rest.data() + rest.size() - code_bytes, code_bytes);
  return source.norms_bytes() + front_bytes + code_bytes;
}

uint64_t elias_bytes_max(uint32_t symbol_max, uint64_t norms_bytes, uint32_t count) {
  const uint64_t bits = norms_bytes / sizeof(float) + uint64_t{count} * (omega_length(symbol_max + 1) + 1);
  return norms_bytes + (bits + 7) / 8;
}

}  // namespace

uint64_t bucketed_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  const uint32_t symbol_max = quantizer_of(spec.codec, spec.levels).symbol_max();
  const uint64_t norms_bytes = uint64_t{bucket_count(count, spec.bucket)} * sizeof(float);
  const uint64_t raw_bytes = uint64_t{count} * sizeof(float);
  const uint64_t fixed = norms_bytes + fixed_bytes(fixed_width(symbol_max), count);
  const uint64_t elias = elias_bytes_max(symbol_max, norms_bytes, count);
  switch (spec.coder) {
    case plan::Coder::kElias:
      return elias;
    case plan::Coder::kFixed:
      return fixed;
    // A symbol takes 12 bits at most, plus what the states' granularity loses.
    case plan::Coder::kRans:
      return norms_bytes + (uint64_t{count} * 13 + 7) / 8 + kRansSlack;
    case plan::Coder::kRaw:
      return std::max(raw_bytes, norms_bytes);
    default:
      return std::max(norms_bytes, std::min({elias, fixed, raw_bytes})) + kRansSlack;
  }
}

Result<plan::EncodedTensor> encode_bucketed(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                            MutableByteView out) {
  using plan::Coder;
  if (spec.coder == Coder::kModel) {
    return fail(Error::kUnsupported, "%s has no coder %s", plan::codec_name(spec.codec), plan::coder_name(spec.coder));
  }
  Source source(spec, values, seed, out);
  const uint32_t symbol_max = source.quantizer().symbol_max();
  Census census;
  census.with_elias = spec.coder == Coder::kAuto;
  const Histogram& histogram = census.histogram;
  if (spec.coder != Coder::kFixed) {
    const bool counted = spec.coder == Coder::kAuto || spec.coder == Coder::kRans;
    if (Failure failure = make_all_norms(source, counted ? &census : nullptr); !failure.ok()) return failure;
  }
  if (spec.coder == Coder::kRans && !histogram.fits_bytes()) {
    return fail(Error::kUnsupported, "symbols beyond %d are not for coder rans", kRansSymbolMax);
  }
  RansTable table;
  const bool rans_can = histogram.fits_bytes() && !histogram.empty();
  if (rans_can) table = make_rans_table(histogram.used());
  Coder coder = spec.coder;
  const uint64_t elias_bytes = source.norms_bytes() + (census.elias_bits + 7) / 8;
  if (coder == Coder::kAuto) {
    coder = Coder::kElias;
    uint64_t best = elias_bytes;
    const auto take_if_shorter = [&](Coder other, uint64_t bytes) {
      if (bytes >= best) return;
      coder = other;
      best = bytes;
    };
    take_if_shorter(Coder::kFixed, source.norms_bytes() + fixed_bytes(fixed_width(symbol_max), source.count()));
    if (rans_can) {
      const auto code_bytes = static_cast<uint64_t>(rans_bits(table, histogram.used()) / 8.0) + 1;
      // A state takes four bytes and holds about one byte of the code.
      const size_t states_bytes = 3 * rans_states(source.count(), table.symbols);
      take_if_shorter(Coder::kRans, source.norms_bytes() + 2 + rans_table_bytes(table) + states_bytes + code_bytes);
    }
    take_if_shorter(Coder::kRaw, values.size_bytes());
  }
  size_t used_bytes = 0;
  if (coder == Coder::kRans) {
    used_bytes = put_rans(source, histogram, table, out);
    if (used_bytes == 0) {
      // Only as kAuto's choice: it was an estimate, and the buffer has room for one of the others.
      if (spec.coder == Coder::kRans) return fail(Error::kNoMemory, "%zu bytes are too few for rans", out.size());
      coder = elias_bytes <= out.size() ? Coder::kElias : Coder::kRaw;
    }
  }
  if (coder == Coder::kElias) used_bytes = put_elias(source, out);
  if (coder == Coder::kFixed) {
    const Result<size_t> fixed = put_fixed(source, out);
    if (!fixed.ok()) return fixed.failure();
    used_bytes = *fixed;
  }
  if (coder == Coder::kRaw) {
    used_bytes = values.size_bytes();
    if (used_bytes > 0) std::memcpy(out.data(), values.data(), used_bytes);
  }
  plan::EncodedTensor tensor;
  tensor.codec = spec.codec;
  tensor.count = source.count();
  tensor.bits = static_cast<uint8_t>(fixed_width(symbol_max));
  tensor.levels = source.quantizer().levels;
  tensor.bucket = spec.bucket;
  tensor.scale = source.scale();
  tensor.payload = out.first(used_bytes);
  tensor.coder = coder == Coder::kElias ? Coder::kAuto : coder;
  return tensor;
}

}  // namespace runnel::codec
