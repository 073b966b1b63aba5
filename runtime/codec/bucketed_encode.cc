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
constexpr uint32_t kHeldWidth = 4;
// A census takes the Elias code's length from all chunks of a tensor of so many, and from that many of a larger one.
constexpr uint32_t kCensusChunksMax = 16;
constexpr uint32_t kSampleChunks = 8;
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
        norms_(out.first(size_t{bucket_count(count_, spec.bucket)} * sizeof(float))) {
    const uint32_t width = fixed_width(quantizer_.symbol_max());
    const size_t group = fixed_group(width);
    groups_ = group != 0 && bucket_ % group == 0 && kChunk % group == 0;
    // Which coders do that must not depend on the instruction set: the buffer is part of the decision.
    const uint64_t codes_bytes = fixed_bytes(width, count_);
    const bool holds = spec.coder == plan::Coder::kAuto || spec.coder == plan::Coder::kRans;
    if (holds && groups_ && width == kHeldWidth && out.size() - norms_.size() >= codes_bytes) {
      held_ = out.subspan(norms_.size(), static_cast<size_t>(codes_bytes));
    }
  }

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

  // Quantizes a chunk to its fixed code. REQUIRES: its norms.
  void pack(uint32_t chunk, MutableByteView codes) {
    const uint32_t symbol_max = quantizer_.symbol_max();
    const uint32_t width = fixed_width(symbol_max);
    const uint32_t begin = chunk * kChunk;
    const uint32_t end = chunk_end(chunk);
    if (!groups_ || end - begin < kChunk) return pack_fixed(symbol_max, symbols(chunk), codes);
    draw(chunk);
    for_each_part(begin, end, [&](float norm, uint32_t first, uint32_t count) {
      const MutableByteView part = codes.subspan(size_t{first - begin} * width / 8, size_t{count} * width / 8);
      if (norm > 0.0F) {
        quantize_and_pack(quantizer_, norm, values_.subspan(first, count), numbers_of(first, count), part);
        return;
      }
      static constexpr int16_t kZeros[256] = {};
      const size_t group = fixed_group(width);
      for (size_t at = 0; at < count; at += group) {
        pack_fixed(symbol_max, std::span(kZeros).first(group), part.subspan(at * width / 8, 32));
      }
    });
  }
  static size_t codes_at(uint32_t chunk, uint32_t width) { return size_t{chunk} * (kChunk / 8) * width; }

  // While there is nothing else to keep behind the norms, the fixed code of 4-bit symbols is kept there, so that they
  // need not be made twice. Empty if it is not.
  MutableByteView held() const { return held_; }
  MutableByteView held(uint32_t chunk) const {
    return held_.subspan(codes_at(chunk, kHeldWidth),
                         static_cast<size_t>(fixed_bytes(kHeldWidth, chunk_end(chunk) - chunk * kChunk)));
  }
  bool whole(uint32_t chunk) const { return chunk_end(chunk) - chunk * kChunk == kChunk; }
  uint32_t zeros_count(uint32_t chunk) const {
    uint32_t zeros = 0;
    for_each_part(chunk * kChunk, chunk_end(chunk),
                  [&](float norm, uint32_t, uint32_t count) { zeros += norm == 0.0F ? count : 0; });
    return zeros;
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

  // The symbols of a chunk, zeros in the buckets of zeros. The last chunk asked for is kept.
  std::span<const int16_t> symbols(uint32_t chunk) {
    const uint32_t begin = chunk * kChunk;
    const std::span<int16_t> all(symbols_.data(), chunk_end(chunk) - begin);
    if (made_chunk_ == chunk) return all;
    draw(chunk);
    for_each_part(begin, chunk_end(chunk), [&](float norm, uint32_t first, uint32_t part_count) {
      const std::span<int16_t> part = all.subspan(first - begin, part_count);
      if (norm > 0.0F) {
        quantize_part(norm, first, part_count, part);
      } else {
        std::fill(part.begin(), part.end(), int16_t{0});
      }
    });
    made_chunk_ = chunk;
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
  bool groups_ = false;  // whole groups of the fixed code make up each bucket
  MutableByteView held_;
  uint32_t made_chunk_ = UINT32_MAX;
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
  uint32_t elias_stride = 0;  // its length is taken from each chunk of so many; 0: not at all
  EliasLength bucket;         // of the bucket that the last chunk ended in
  uint64_t elias_bits = 0;
  uint64_t elias_count = 0;  // coordinates that these bits are for

  bool sampled() const { return elias_stride > 1; }
};

void count_elias(Source& source, uint32_t chunk, Census& census) {
  const std::span<const int16_t> symbols = source.symbols(chunk);
  const uint32_t begin = chunk * kChunk;
  source.for_each_part(begin, source.chunk_end(chunk), [&](float norm, uint32_t first, uint32_t count) {
    census.elias_count += count;
    if (norm == 0.0F) return;
    // Where chunks are left out, the parts of a bucket of several count as buckets.
    if (census.sampled() || first % source.bucket() == 0) census.bucket = EliasLength();
    census.bucket.add(symbols.subspan(first - begin, count));
    const bool whole = (first + count) % source.bucket() == 0 || first + count == source.count();
    if (census.sampled() || whole) census.elias_bits += census.bucket.bits();
  });
}

void count_chunk(Source& source, uint32_t chunk, Census& census) {
  if (!source.held().empty()) source.pack(chunk, source.held(chunk));
  if (!source.held().empty() && source.whole(chunk)) {
    std::array<uint32_t, 16> counts{};
    count_nibbles(source.held(chunk), counts);
    const auto most = source.quantizer().symbol_max();
    for (uint32_t k = 0; k <= 2 * most; ++k) census.histogram.counts[kRansSymbolMax - most + k] += counts[k];
  } else {
    count_symbols(source.symbols(chunk), census.histogram);
  }
  // Buckets of zeros have no symbols, but there are zeros in their place.
  census.histogram.counts[static_cast<size_t>(kRansSymbolMax)] -= source.zeros_count(chunk);
  if (census.elias_stride > 0 && chunk % census.elias_stride == 0) count_elias(source, chunk, census);
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

// The Elias code's length in bytes, exact or from a sample.
uint64_t elias_bytes_of(const Source& source, const Census& census) {
  uint64_t bits = census.elias_bits;
  if (census.sampled()) {
    const double share = static_cast<double>(source.count()) / static_cast<double>(census.elias_count);
    bits = static_cast<uint64_t>(static_cast<double>(bits) * share);
  }
  return source.norms_bytes() + (bits + 7) / 8;
}

uint64_t exact_elias_bytes(Source& source) {
  Census census;
  census.elias_stride = 1;
  for (uint32_t chunk = 0; chunk < source.chunks(); ++chunk) count_elias(source, chunk, census);
  return elias_bytes_of(source, census);
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
  const uint32_t width = fixed_width(source.quantizer().symbol_max());
  const auto codes_bytes = static_cast<size_t>(fixed_bytes(width, source.count()));
  const MutableByteView codes = out.subspan(source.norms_bytes(), codes_bytes);
  for (uint32_t chunk = 0; chunk < source.chunks(); ++chunk) {
    if (Failure failure = source.make_norms(source.chunk_end(chunk)); !failure.ok()) return failure;
    const uint32_t chunk_count = source.chunk_end(chunk) - chunk * kChunk;
    source.pack(chunk,
                codes.subspan(Source::codes_at(chunk, width), static_cast<size_t>(fixed_bytes(width, chunk_count))));
  }
  return source.norms_bytes() + codes_bytes;
}

// The symbols of a chunk's buckets with a norm, as bytes counted from the lowest. Returns how many.
size_t take_bytes(Source& source, uint32_t chunk, int32_t lowest, std::span<uint8_t, kChunk> bytes) {
  const std::span<const int16_t> symbols = source.symbols(chunk);
  const uint32_t begin = chunk * kChunk;
  size_t used = 0;
  source.for_each_part(begin, source.chunk_end(chunk), [&](float norm, uint32_t first, uint32_t count) {
    if (norm == 0.0F) return;
    const int16_t* from = symbols.data() + (first - begin);
    uint8_t* to = bytes.data() + used;
    for (size_t i = 0; i < count; ++i) to[i] = static_cast<uint8_t>(from[i] - lowest);
    used += count;
  });
  return used;
}

// 0 if it does not fit `out`.
size_t put_rans(Source& source, const Histogram& histogram, const RansTable& table, MutableByteView out) {
  if (histogram.empty()) return source.norms_bytes();
  const MutableByteView rest = out.subspan(source.norms_bytes());
  const size_t front_bytes = 2 + rans_table_bytes(table);
  if (rest.size() < front_bytes) return 0;
  const MutableByteView room = rest.subspan(front_bytes);
  RansEncoder encoder(table, rans_states(source.count(), table.symbols), room);
  const auto first_code =
      static_cast<uint32_t>(histogram.lowest + static_cast<int32_t>(source.quantizer().symbol_max()));
  std::array<uint8_t, kChunk> bytes;
  for (uint32_t chunk = source.chunks(); chunk > 0;) {
    --chunk;
    bool fits = false;
    // The code grows down onto the codes that are held: those that it has reached are made again.
    const size_t untouched = front_bytes + encoder.room();
    const size_t held_end = Source::codes_at(chunk, kHeldWidth) + kChunk * kHeldWidth / 8;
    if (!source.held().empty() && source.whole(chunk) && held_end + 16 <= untouched && source.zeros_count(chunk) == 0) {
      // A copy, since this chunk's code may come to lie on it.
      const MutableByteView groups = std::span(bytes).first(kChunk * kHeldWidth / 8);
      std::memcpy(groups.data(), source.held(chunk).data(), groups.size());
      fits = encoder.put_groups(first_code, groups);
    } else {
      const size_t used = take_bytes(source, chunk, histogram.lowest, bytes);
      fits = encoder.put(std::span(bytes).first(used));
    }
    if (!fits) return 0;
  }
  const size_t code_bytes = encoder.finish();
  if (code_bytes == 0) return 0;
  std::memmove(room.data(), room.data() + room.size() - code_bytes, code_bytes);
  rest[0] = static_cast<uint8_t>(histogram.lowest);
  rest[1] = static_cast<uint8_t>(histogram.highest - histogram.lowest);
  put_rans_table(table, rest.subspan(2));
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
  // No more than what is promised to be enough, so that the bytes do not depend on the buffer.
  out = out.first(static_cast<size_t>(bucketed_bytes_max(spec, static_cast<uint32_t>(values.size()))));
  Source source(spec, values, seed, out);
  const uint32_t symbol_max = source.quantizer().symbol_max();
  Census census;
  if (spec.coder == Coder::kAuto) {
    census.elias_stride = source.chunks() <= kCensusChunksMax ? 1 : bucket_count(source.chunks(), kSampleChunks);
  }
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
  const uint64_t fixed_all_bytes = source.norms_bytes() + fixed_bytes(fixed_width(symbol_max), source.count());
  if (coder == Coder::kAuto) {
    // Of equally short ones the first.
    coder = Coder::kFixed;
    uint64_t best = fixed_all_bytes;
    const auto take_if_shorter = [&](Coder other, uint64_t bytes) {
      if (bytes >= best) return;
      coder = other;
      best = bytes;
    };
    if (rans_can) {
      const auto code_bytes = static_cast<uint64_t>(rans_bits(table, histogram.used()) / 8.0) + 1;
      // A state takes four bytes and holds about one byte of the code.
      const size_t states_bytes = 3 * rans_states(source.count(), table.symbols);
      take_if_shorter(Coder::kRans, source.norms_bytes() + 2 + rans_table_bytes(table) + states_bytes + code_bytes);
    }
    take_if_shorter(Coder::kRaw, values.size_bytes());
    // A sample is enough to leave Elias out, but not to take it: the buffer must be sure to hold it.
    uint64_t elias_bytes = elias_bytes_of(source, census);
    if (census.sampled() && elias_bytes <= best) elias_bytes = exact_elias_bytes(source);
    if (elias_bytes <= best) coder = Coder::kElias;
  }
  // The fixed code lies where it belongs already, if nothing was written over it.
  const bool used_held = coder == Coder::kFixed && !source.held().empty();
  size_t used_bytes = 0;
  if (coder == Coder::kRans) {
    used_bytes = put_rans(source, histogram, table, out);
    if (used_bytes == 0) {
      // Only as kAuto's choice: it was an estimate. The buffer has room for one of the others at their longest.
      if (spec.coder == Coder::kRans) return fail(Error::kNoMemory, "%zu bytes are too few for rans", out.size());
      coder = fixed_all_bytes <= out.size()       ? Coder::kFixed
              : values.size_bytes() <= out.size() ? Coder::kRaw
                                                  : Coder::kElias;
    }
  }
  if (coder == Coder::kElias) used_bytes = put_elias(source, out);
  if (used_held) {
    used_bytes = static_cast<size_t>(fixed_all_bytes);
  } else if (coder == Coder::kFixed) {
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
