#include "bench/rival_trial.h"

#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>

#include "bench/stopwatch.h"
#include "runtime/base/instruction_set.h"
#include "runtime/codec/update_codec.h"

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

constexpr uint64_t kSeed = 13;
using Bytes = std::vector<uint8_t>;

// A payload of this library at fixed width, as it is before compression.
struct Fixed {
  std::string name;
  plan::CodecSpec spec;
  Bytes buffer;
  plan::EncodedTensor tensor;
  std::vector<float> decoded;
};

plan::CodecSpec fixed_spec(plan::CodecId codec, uint32_t levels) {
  plan::CodecSpec spec;
  spec.codec = codec;
  spec.levels = levels;
  spec.bucket = 512;
  spec.exact_coordinates_max = 0;
  if (codec != plan::CodecId::kFp16) spec.coder = plan::Coder::kFixed;
  return spec;
}

void encode(const NamedValues& data, Fixed& fixed) {
  const Result<plan::EncodedTensor> tensor =
      codec::encode_tensor(fixed.spec, data.name, data.values, kSeed, fixed.buffer);
  if (!tensor) throw std::runtime_error(tensor.failure().text());
  fixed.tensor = *tensor;
}

void decode(const NamedValues& data, Fixed& fixed) {
  const Failure bad = codec::decode_tensor(data.name, fixed.tensor, fixed.decoded);
  if (!bad.ok()) throw std::runtime_error(bad.text());
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

// Two rows: the whole way from floats to bytes and back into a sum, and the compressor alone.
void run(const NamedValues& data, Fixed& fixed, const Compressor& compressor, double seconds_min,
         std::vector<TrialRow>& rows) {
  encode(data, fixed);
  Bytes input(fixed.tensor.payload.begin(), fixed.tensor.payload.end());
  Bytes packed(compressor.bytes_max(input.size()));
  Bytes expanded(input.size());
  const size_t bytes = compressor.compress(input, packed);
  compressor.expand(packed, bytes, expanded);
  if (expanded != input) throw std::runtime_error(compressor.name + " does not give back what it got");
  decode(data, fixed);
  const double error = error_of(fixed.decoded, data.values);
  Throughput whole;
  Throughput alone;
  if (seconds_min > 0.0) {
    std::vector<float> accumulated(data.values.size());
    whole = measure_throughput(
        data.values, seconds_min,
        [&] {
          encode(data, fixed);
          input.assign(fixed.tensor.payload.begin(), fixed.tensor.payload.end());
          compressor.compress(input, packed);
        },
        [&] {
          compressor.expand(packed, bytes, expanded);
          fixed.tensor.payload = expanded;
          decode(data, fixed);
          for (size_t i = 0; i < accumulated.size(); ++i) accumulated[i] += fixed.decoded[i];
        });
    alone = measure_throughput(
        data.values, seconds_min, [&] { compressor.compress(input, packed); },
        [&] { compressor.expand(packed, bytes, expanded); });
  }
  rows.push_back(row_of(data, compressor.name + "/" + fixed.name, "-", bytes, whole));
  rows.back().kernel = instruction_set();
  rows.back().nmse = error;
  if (seconds_min <= 0.0) return;
  rows.push_back(row_of(data, compressor.name + " alone/" + fixed.name, "-", bytes, alone));
  rows.back().nmse = error;
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
  struct Kind {
    const char* name;
    plan::CodecSpec spec;
  };
  for (const Kind& kind :
       {Kind{"fp16", fixed_spec(plan::CodecId::kFp16, 1)}, Kind{"int8", fixed_spec(plan::CodecId::kQsgdInf, 127)},
        Kind{"nibbles", fixed_spec(plan::CodecId::kQsgdInf, 7)}}) {
    const auto count = static_cast<uint32_t>(data.values.size());
    Fixed fixed{kind.name,
                kind.spec,
                Bytes(codec::encoded_bytes_max(kind.spec, count)),
                {},
                std::vector<float>(data.values.size())};
    for (const Compressor& compressor : available) {
      if (wanted(compressor.name + "/" + kind.name)) run(data, fixed, compressor, seconds_min, rows);
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
