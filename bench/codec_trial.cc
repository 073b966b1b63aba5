#include "bench/codec_trial.h"

#include <cmath>
#include <cstdio>

#include "bench/stopwatch.h"
#include "runtime/base/instruction_set.h"
#include "runtime/base/rng.h"
#include "runtime/codec/accumulate.h"
#include "runtime/codec/rotation.h"
#include "runtime/codec/scheme.h"
#include "runtime/codec/update_codec.h"
#include "runtime/wire/frame.h"

namespace runnel::bench {
namespace {

using plan::CodecId;
using plan::Coder;

constexpr uint32_t kBucket = 512;  // as in QSGD's experiments
constexpr uint64_t kSeed = 11;

std::string text(const char* format, double value) {
  char line[32];
  std::snprintf(line, sizeof line, format, value);
  return line;
}

plan::CodecSpec spec_of(CodecId codec) {
  plan::CodecSpec spec;
  spec.codec = codec;
  spec.bucket = kBucket;
  spec.exact_coordinates_max = 0;
  return spec;
}

void add_level_schemes(std::vector<SweepPoint>& points) {
  for (const CodecId codec : {CodecId::kQsgd, CodecId::kQsgdInf}) {
    for (const Coder coder : {Coder::kElias, Coder::kFixed, Coder::kRans}) {
      for (const uint32_t levels : {1U, 3U, 7U, 15U, 31U, 127U}) {
        plan::CodecSpec spec = spec_of(codec);
        spec.levels = levels;
        spec.coder = coder;
        points.push_back({std::string(plan::codec_name(codec)) + "/" + plan::coder_name(coder),
                          "s=" + std::to_string(levels), spec, levels == 7});
      }
    }
  }
  for (const CodecId codec : {CodecId::kNuqsgd, CodecId::kNuqsgdInf}) {
    for (const uint32_t levels : {1U, 2U, 3U, 4U, 6U, 14U}) {
      plan::CodecSpec spec = spec_of(codec);
      spec.levels = levels;
      points.push_back({plan::codec_name(codec), "s=" + std::to_string(levels), spec, levels == 6});
    }
  }
}

void add_stepped_schemes(std::vector<SweepPoint>& points) {
  struct Variant {
    CodecId codec;
    bool rotate;
  };
  for (const Variant variant :
       {Variant{CodecId::kDithered, false}, Variant{CodecId::kDithered, true}, Variant{CodecId::kDeadzone, false},
        Variant{CodecId::kDeadzone, true}, Variant{CodecId::kTrellis, false}, Variant{CodecId::kTrellis, true}}) {
    for (const float bits : {0.25F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F}) {
      plan::CodecSpec spec = spec_of(variant.codec);
      spec.rotate = variant.rotate;
      spec.bits = bits;
      points.push_back({std::string(plan::codec_name(variant.codec)) + (variant.rotate ? "/rotated" : ""),
                        text("bits=%g", double{bits}), spec, bits == 2.0F});
    }
  }
}

// What a tensor adds to an Update message beside its payload, from two messages that are really built.
size_t header_bytes(const plan::EncodedTensor& tensor) {
  wire::Update update;
  update.device = "device";
  update.sample_count = 1;
  std::vector<uint8_t> memory(wire::update_overhead_bytes_max(1) + tensor.payload.size() + 8);
  const Result<ByteView> without = wire::build_update(update, memory);
  const size_t without_bytes = without->size();
  RUNNEL_ASSERT(update.tensors.push_back(tensor) && update.tensor_names.push_back("0.conv2d.weight"));
  const Result<ByteView> with = wire::build_update(update, memory);
  return with->size() - without_bytes - tensor.payload.size();
}

// |a - b|^2 / |b|^2
double relative_error(std::span<const double> a, double factor, std::span<const float> b) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < b.size(); ++i) {
    const double difference = a[i] * factor - double{b[i]};
    error += difference * difference;
    norm += double{b[i]} * double{b[i]};
  }
  return norm > 0.0 ? error / norm : 0.0;
}

double relative_error(std::span<const float> a, std::span<const float> b) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < b.size(); ++i) {
    const double difference = double{a[i]} - double{b[i]};
    error += difference * difference;
    norm += double{b[i]} * double{b[i]};
  }
  return norm > 0.0 ? error / norm : 0.0;
}

// A tensor's coder 0 is the one that its scheme began with, which is elias wherever there is a choice.
Coder coder_of(const plan::EncodedTensor& tensor) {
  return tensor.coder == Coder::kAuto ? Coder::kElias : tensor.coder;
}

}  // namespace

const std::vector<SweepPoint>& sweep() {
  static const std::vector<SweepPoint> points = [] {
    std::vector<SweepPoint> made;
    made.push_back({"fp32", "-", spec_of(CodecId::kFp32), true});
    made.push_back({"fp16", "-", spec_of(CodecId::kFp16), true});
    add_level_schemes(made);
    for (const CodecId codec : {CodecId::kTerngrad, CodecId::kSign, CodecId::kSignDithered}) {
      made.push_back({plan::codec_name(codec), "-", spec_of(codec), true});
    }
    for (const float bits : {0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F}) {
      plan::CodecSpec spec = spec_of(CodecId::kEden);
      spec.bits = bits;
      made.push_back({"eden", text("bits=%g", double{bits}), spec, bits == 4.0F});
    }
    add_stepped_schemes(made);
    return made;
  }();
  return points;
}

std::optional<TrialRow> run_trial(const NamedValues& data, const SweepPoint& point, const TrialOptions& options,
                                  Skipped& skipped) {
  const std::span<const float> values = data.values;
  const auto count = static_cast<uint32_t>(values.size());
  const codec::Scheme* scheme = codec::find_scheme(point.spec.codec);
  if (scheme == nullptr) {
    skipped.reason = std::string(plan::codec_name(point.spec.codec)) + " is not in this library";
    return std::nullopt;
  }
  plan::CodecSpec spec = point.spec;
  std::vector<uint8_t> payload(codec::encoded_bytes_max(spec, count));
  std::vector<float> scratch(codec::encode_scratch_count(spec, count));
  std::vector<float> decoded(values.size());
  TrialRow row;
  // With a step, the first encoding finds it and the others use it: what is timed is encoding, not the search.
  Result<plan::EncodedTensor> first = codec::encode_tensor(spec, data.name, values, kSeed, payload, scratch);
  if (!first) {
    skipped.reason = first.failure().text();
    return std::nullopt;
  }
  if (spec.coder != Coder::kAuto && coder_of(*first) != spec.coder) {
    skipped.reason = point.scheme + " " + point.parameter + " was coded as " + plan::coder_name(coder_of(*first));
    return std::nullopt;
  }
  if (plan::has_step(spec.codec) && first->coder != Coder::kRaw) spec.step = first->scale;

  std::vector<double> sum(options.seeds > 1 ? values.size() : 0);
  double bytes = 0.0;
  double error = 0.0;
  double payload_bytes = 0.0;
  for (int k = 0; k < options.seeds; ++k) {
    const uint64_t seed = derive_key(kSeed, static_cast<uint64_t>(k));
    const Result<plan::EncodedTensor> tensor = codec::encode_tensor(spec, data.name, values, seed, payload, scratch);
    Failure bad = tensor.ok() ? codec::decode_tensor(data.name, *tensor, decoded) : tensor.failure();
    if (!bad.ok()) {
      skipped.reason = bad.text();
      return std::nullopt;
    }
    payload_bytes += static_cast<double>(tensor->payload.size());
    bytes += static_cast<double>(tensor->payload.size() + header_bytes(*tensor));
    error += relative_error(decoded, values);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += double{decoded[i]};
  }
  const double seeds = options.seeds;
  row.data = data.name;
  row.scheme = point.scheme;
  row.parameter = point.parameter;
  row.kernel = instruction_set();
  row.coordinates = values.size();
  row.typical = point.typical;
  row.bits_per_coordinate = 8.0 * bytes / seeds / static_cast<double>(count);
  row.nmse = error / seeds;
  if (options.seeds > 1) {
    row.relative_bias = (seeds * relative_error(sum, 1.0 / seeds, values) - row.nmse) / (seeds - 1.0);
  }
  if (plan::has_step(spec.codec) && spec.step > 0.0F && scheme->predict_bytes != nullptr) {
    row.predicted_over_actual =
        codec::predict_bytes(spec, values, derive_key(kSeed, 0), scratch) / (payload_bytes / seeds);
  }
  if (options.seconds_min > 0.0) {
    plan::EncodedTensor tensor = *first;
    std::vector<float> accumulated(values.size());
    std::vector<float> decoding(codec::accumulate_scratch_count(tensor));
    const Throughput speed = measure_throughput(
        values, options.seconds_min,
        [&] { tensor = *codec::encode_tensor(spec, data.name, values, kSeed, payload, scratch); },
        [&] { RUNNEL_ASSERT(codec::accumulate_tensor(data.name, tensor, 0.5F, accumulated, decoding).ok()); });
    row.encode_gbps = speed.encode_gbps;
    row.decode_accumulate_gbps = speed.decode_gbps;
    row.memcpy_gbps = speed.memcpy_gbps;
  }
  return row;
}

std::optional<TrialRow> run_round_trial(const NamedValues& data, double seconds_min) {
  constexpr size_t kUpdates = 64;
  plan::CodecSpec spec = spec_of(CodecId::kQsgdInf);
  spec.coder = Coder::kFixed;
  spec.levels = 7;
  const size_t bytes_max = codec::encoded_bytes_max(spec, static_cast<uint32_t>(data.values.size()));
  std::vector<uint8_t> memory(kUpdates * bytes_max);
  std::vector<plan::EncodedTensor> tensors;
  for (size_t k = 0; k < kUpdates; ++k) {
    const Result<plan::EncodedTensor> tensor = codec::encode_tensor(
        spec, data.name, data.values, derive_key(kSeed, k), MutableByteView(memory).subspan(k * bytes_max, bytes_max));
    if (!tensor) return std::nullopt;
    tensors.push_back(*tensor);
  }
  std::vector<float> accumulated(data.values.size());
  const std::vector<float> weights(kUpdates, 1.0F / kUpdates);
  if (!codec::accumulate_fixed(tensors, weights, accumulated).ok()) return std::nullopt;
  TrialRow row;
  row.data = data.name;
  row.scheme = "64 x qsgd_inf/fixed";
  row.parameter = "s=7";
  row.kernel = instruction_set();
  row.coordinates = data.values.size();
  row.bits_per_coordinate = 8.0 * static_cast<double>(tensors[0].payload.size() + header_bytes(tensors[0])) /
                            static_cast<double>(data.values.size());
  row.nmse = relative_error(accumulated, data.values);
  if (seconds_min > 0.0) {
    const auto none = [] {};
    const Throughput speed = measure_throughput(data.values, seconds_min, none, [&] {
      RUNNEL_ASSERT(codec::accumulate_fixed(tensors, weights, accumulated).ok());
    });
    row.decode_accumulate_gbps = kUpdates * speed.decode_gbps;
    row.memcpy_gbps = speed.memcpy_gbps;
  }
  return row;
}

TrialRow run_rotation_trial(const NamedValues& data, double seconds_min) {
  std::vector<float> turned = data.values;
  codec::rotate(turned, kSeed);
  std::vector<float> back = turned;
  codec::rotate_back(back, kSeed);
  TrialRow row;
  row.data = data.name;
  row.scheme = "rotation alone";
  row.parameter = "-";
  row.kernel = instruction_set();
  row.coordinates = data.values.size();
  row.bits_per_coordinate = 32.0;
  row.nmse = relative_error(back, data.values);
  if (seconds_min > 0.0) {
    const Throughput speed = measure_throughput(
        data.values, seconds_min, [&] { codec::rotate(turned, kSeed); }, [&] { codec::rotate_back(turned, kSeed); });
    row.encode_gbps = speed.encode_gbps;
    row.decode_accumulate_gbps = speed.decode_gbps;
    row.memcpy_gbps = speed.memcpy_gbps;
  }
  return row;
}

}  // namespace runnel::bench
