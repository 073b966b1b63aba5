#include "bench/rival_trial.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>

#include "bench/stopwatch.h"
#include "runtime/base/rng.h"

#ifdef RUNNEL_BENCH_ZSTD
#include <zstd.h>
#endif
#ifdef RUNNEL_BENCH_LZ4
#include <lz4.h>
#endif
#ifdef RUNNEL_BENCH_ZFP
#include <zfp.h>
#endif

namespace runnel::bench {
namespace {

constexpr size_t kBucket = 512;
constexpr uint64_t kSeed = 13;
using Bytes = std::vector<uint8_t>;

// Bytes before compression, and the vector that they stand for.
struct Quantized {
  std::string name;
  Bytes bytes;
  std::vector<float> values;
};

// Round to nearest even; values beyond the largest half become it, since this is about size.
uint16_t half_of(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::min(std::abs(value), 65504.0F);
  if (magnitude < 0x1.0p-14F) {
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1.0p24F)));
  }
  const auto rest = std::bit_cast<uint32_t>(magnitude) - (112U << 23);
  return static_cast<uint16_t>(sign | static_cast<uint16_t>((rest + 0xFFF + (rest >> 13 & 1)) >> 13));
}

float float_of(uint16_t half) {
  const uint32_t magnitude = half & 0x7FFFU;
  const float value = magnitude < 0x400 ? static_cast<float>(magnitude) * 0x1.0p-24F
                                        : std::bit_cast<float>((magnitude << 13) + (112U << 23));
  return (half & 0x8000U) != 0 ? -value : value;
}

Quantized to_halves(const std::vector<float>& values) {
  Quantized made{"fp16", Bytes(2 * values.size()), std::vector<float>(values.size())};
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = half_of(values[i]);
    made.bytes[2 * i] = static_cast<uint8_t>(half);
    made.bytes[2 * i + 1] = static_cast<uint8_t>(half >> 8);
    made.values[i] = float_of(half);
  }
  return made;
}

// The largest magnitude of each bucket goes in front, as fp32.
float put_norm(Quantized& made, std::span<const float> bucket) {
  float largest = 0.0F;
  for (const float value : bucket) largest = std::max(largest, std::abs(value));
  for (unsigned shift = 0; shift < 32; shift += 8) {
    made.bytes.push_back(static_cast<uint8_t>(std::bit_cast<uint32_t>(largest) >> shift));
  }
  return largest;
}

template <typename Round>
Quantized to_levels(const std::vector<float>& values, const char* name, int levels, const Round& round) {
  Quantized made{name, {}, std::vector<float>(values.size())};
  std::vector<uint8_t> symbols(values.size());
  for (size_t first = 0; first < values.size(); first += kBucket) {
    const size_t count = std::min(kBucket, values.size() - first);
    const float norm = put_norm(made, std::span(values).subspan(first, count));
    for (size_t i = first; i < first + count; ++i) {
      const double scaled = norm > 0.0F ? double{values[i]} / double{norm} * levels : 0.0;
      const int level = std::clamp(static_cast<int>(round(scaled, i)), -levels, levels);
      symbols[i] = static_cast<uint8_t>(level + levels);
      made.values[i] = static_cast<float>(double{norm} * level / levels);
    }
  }
  if (levels > 7) {
    made.bytes.insert(made.bytes.end(), symbols.begin(), symbols.end());
  } else {
    for (size_t i = 0; i < symbols.size(); i += 2) {
      const unsigned high = i + 1 < symbols.size() ? symbols[i + 1] : 0U;
      made.bytes.push_back(static_cast<uint8_t>(symbols[i] | high << 4));
    }
  }
  return made;
}

double error_of(const std::vector<float>& decoded, const std::vector<float>& values) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += (double{decoded[i]} - double{values[i]}) * (double{decoded[i]} - double{values[i]});
    norm += double{values[i]} * double{values[i]};
  }
  return norm > 0.0 ? error / norm : 0.0;
}

struct Compressor {
  std::string name;
  std::function<size_t(size_t)> bytes_max;
  std::function<size_t(const Bytes&, Bytes&)> compress;      // returns how many bytes of the second
  std::function<void(const Bytes&, size_t, Bytes&)> expand;  // so many bytes of the first
};

std::vector<Compressor> compressors() {
  std::vector<Compressor> made;
#ifdef RUNNEL_BENCH_ZSTD
  made.push_back(
      {"zstd-1", [](size_t bytes) { return ZSTD_compressBound(bytes); },
       [](const Bytes& from, Bytes& to) { return ZSTD_compress(to.data(), to.size(), from.data(), from.size(), 1); },
       [](const Bytes& from, size_t bytes, Bytes& to) {
         if (ZSTD_isError(ZSTD_decompress(to.data(), to.size(), from.data(), bytes)) != 0U) {
           throw std::runtime_error("zstd cannot read what it wrote");
         }
       }});
#endif
#ifdef RUNNEL_BENCH_LZ4
  made.push_back(
      {"lz4", [](size_t bytes) { return static_cast<size_t>(LZ4_compressBound(static_cast<int>(bytes))); },
       [](const Bytes& from, Bytes& to) {
         return static_cast<size_t>(LZ4_compress_default(reinterpret_cast<const char*>(from.data()),
                                                         reinterpret_cast<char*>(to.data()),
                                                         static_cast<int>(from.size()), static_cast<int>(to.size())));
       },
       [](const Bytes& from, size_t bytes, Bytes& to) {
         if (LZ4_decompress_safe(reinterpret_cast<const char*>(from.data()), reinterpret_cast<char*>(to.data()),
                                 static_cast<int>(bytes), static_cast<int>(to.size())) < 0) {
           throw std::runtime_error("lz4 cannot read what it wrote");
         }
       }});
#endif
  return made;
}

TrialRow row_of(const NamedValues& data, const std::string& scheme, const std::string& parameter, size_t bytes,
                const Throughput& speed) {
  TrialRow row;
  row.data = data.name;
  row.scheme = scheme;
  row.parameter = parameter;
  row.kernel = "-";
  row.coordinates = data.values.size();
  row.bits_per_coordinate = 8.0 * static_cast<double>(bytes) / static_cast<double>(data.values.size());
  if (speed.encode_gbps > 0.0) {
    row.encode_gbps = speed.encode_gbps;
    row.decode_accumulate_gbps = speed.decode_gbps;
    row.memcpy_gbps = speed.memcpy_gbps;
  }
  return row;
}

TrialRow run(const NamedValues& data, const Quantized& quantized, const Compressor& compressor, double seconds_min) {
  Bytes packed(compressor.bytes_max(quantized.bytes.size()));
  Bytes expanded(quantized.bytes.size());
  const size_t bytes = compressor.compress(quantized.bytes, packed);
  Throughput speed;
  if (seconds_min > 0.0) {
    speed = measure_throughput(
        data.values, seconds_min, [&] { compressor.compress(quantized.bytes, packed); },
        [&] { compressor.expand(packed, bytes, expanded); });
  }
  TrialRow row = row_of(data, compressor.name + "/" + quantized.name, "-", bytes, speed);
  row.nmse = error_of(quantized.values, data.values);
  return row;
}

#ifdef RUNNEL_BENCH_ZFP
TrialRow run_zfp(const NamedValues& data, double tolerance, const std::string& parameter, double seconds_min) {
  std::vector<float> values = data.values;
  std::vector<float> decoded(values.size());
  zfp_stream* stream = zfp_stream_open(nullptr);
  zfp_stream_set_accuracy(stream, tolerance);
  zfp_field* from = zfp_field_1d(values.data(), zfp_type_float, values.size());
  zfp_field* to = zfp_field_1d(decoded.data(), zfp_type_float, decoded.size());
  Bytes packed(zfp_stream_maximum_size(stream, from));
  bitstream* bits = stream_open(packed.data(), packed.size());
  zfp_stream_set_bit_stream(stream, bits);
  size_t bytes = 0;
  const auto encode = [&] {
    zfp_stream_rewind(stream);
    bytes = zfp_compress(stream, from);
  };
  const auto decode = [&] {
    zfp_stream_rewind(stream);
    zfp_decompress(stream, to);
  };
  encode();
  decode();
  Throughput speed;
  if (seconds_min > 0.0) speed = measure_throughput(data.values, seconds_min, encode, decode);
  TrialRow row = row_of(data, "zfp", parameter, bytes, speed);
  row.nmse = error_of(decoded, data.values);
  zfp_field_free(from);
  zfp_field_free(to);
  zfp_stream_close(stream);
  stream_close(bits);
  return row;
}
#endif

}  // namespace

std::vector<std::string> absent_rivals() {
  std::vector<std::string> absent;
#ifndef RUNNEL_BENCH_ZSTD
  absent.emplace_back("zstd");
#endif
#ifndef RUNNEL_BENCH_LZ4
  absent.emplace_back("lz4");
#endif
#ifndef RUNNEL_BENCH_ZFP
  absent.emplace_back("zfp");
#endif
  return absent;
}

std::vector<TrialRow> run_rival_trials(const NamedValues& data, const std::function<bool(const std::string&)>& wanted,
                                       double seconds_min) {
  std::vector<TrialRow> rows;
  const std::vector<Compressor> available = compressors();
  const CounterRng rng(kSeed);
  const auto nearest = [](double value, size_t) { return std::nearbyint(value); };
  const auto stochastic = [&](double value, size_t i) {
    return std::floor(value + double{rng.uniform_at(static_cast<uint32_t>(i))});
  };
  for (int kind = 0; kind < 3; ++kind) {
    const char* name = kind == 0 ? "fp16" : kind == 1 ? "int8" : "nibbles";
    const bool any = std::any_of(available.begin(), available.end(),
                                 [&](const Compressor& c) { return wanted(c.name + "/" + name); });
    if (!any) continue;
    const Quantized quantized = kind == 0   ? to_halves(data.values)
                                : kind == 1 ? to_levels(data.values, name, 127, nearest)
                                            : to_levels(data.values, name, 7, stochastic);
    for (const Compressor& compressor : available) {
      if (wanted(compressor.name + "/" + name)) rows.push_back(run(data, quantized, compressor, seconds_min));
    }
  }
#ifdef RUNNEL_BENCH_ZFP
  if (wanted("zfp")) {
    double squares = 0.0;
    for (const float value : data.values) squares += double{value} * double{value};
    const double deviation = std::sqrt(squares / static_cast<double>(data.values.size()));
    struct Share {
      double value;
      const char* name;
    };
    for (const Share share :
         {Share{4.0, "4 rms"}, Share{1.0, "1 rms"}, Share{0.25, "rms/4"}, Share{0.0625, "rms/16"}}) {
      rows.push_back(run_zfp(data, share.value * deviation, share.name, seconds_min));
    }
  }
#endif
  return rows;
}

}  // namespace runnel::bench
