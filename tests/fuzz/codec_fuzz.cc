// Any header and any payload decode to an error or to finite values, within the scale where it is a bound; any floats
// encode to what decodes. All schemes, all coders.
//
// Input: u8 mode, then for an even mode  codec u8, bits u8, levels u16, bucket u32, scale f32, count u16, payload
//                       for an odd mode   levels u16, bucket u16, seed u32, fp32 values
// Above its lowest bit the mode says, decoding: bits 1..3 the coder, bit 4 rotated, bit 5 half of the coordinates;
// encoding: coder + 6 (codec - 1).
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/codec/accumulate.h"
#include "runtime/codec/update_codec.h"

namespace {

using runnel::ByteView;
using runnel::plan::CodecId;
using runnel::plan::Coder;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "codec_fuzz: %s\n", what);
  std::abort();
}

// The next little-endian number, zero when the input has ended.
template <typename T>
T take(ByteView& bytes) {
  uint8_t raw[sizeof(T)] = {};
  const size_t count = bytes.size() < sizeof(T) ? bytes.size() : sizeof(T);
  for (size_t i = 0; i < count; ++i) raw[i] = bytes[i];
  bytes = bytes.subspan(count);
  return runnel::load_le<T>(raw);
}

// The scale bounds the values of these, and a step of theirs bounds the error.
bool is_bounded(CodecId codec) {
  return codec == CodecId::kFp32 || codec == CodecId::kFp16 || codec == CodecId::kQsgd || codec == CodecId::kQsgdInf ||
         codec == CodecId::kNuqsgd || codec == CodecId::kNuqsgdInf || codec == CodecId::kTerngrad;
}

// How far a decoded value may be from what was encoded, for such codecs.
double error_max(const runnel::plan::EncodedTensor& tensor, double value) {
  if (tensor.coder == Coder::kRaw || tensor.codec == CodecId::kFp32) return 0.0;
  if (tensor.codec == CodecId::kFp16) return std::abs(value) * 0x1.0p-11 + 0x1.0p-25;
  const bool exponential = tensor.codec == CodecId::kNuqsgd || tensor.codec == CodecId::kNuqsgdInf;
  return 1.001 * double{tensor.scale} / (exponential ? 2 : tensor.levels) + 2e-45;
}

void decode_anything(unsigned mode, ByteView bytes) {
  runnel::plan::EncodedTensor tensor;
  tensor.codec = static_cast<CodecId>(take<uint8_t>(bytes));
  tensor.coder = static_cast<Coder>(mode & 7U);
  tensor.rotated = (mode & 8U) != 0;
  tensor.keep = (mode & 16U) != 0 ? 0.5F : 1.0F;
  tensor.seed = mode;
  tensor.bits = take<uint8_t>(bytes);
  tensor.levels = take<uint16_t>(bytes);
  tensor.bucket = take<uint32_t>(bytes);
  tensor.scale = take<float>(bytes);
  tensor.count = take<uint16_t>(bytes);
  tensor.payload = bytes;
  std::vector<float> values(tensor.count, NAN);
  const bool decoded = runnel::codec::decode_tensor("fuzz", tensor, values).ok();
  std::vector<float> acc(tensor.count, 0.0F);
  std::vector<float> scratch(runnel::codec::accumulate_scratch_count(tensor));
  const bool added = runnel::codec::accumulate_tensor("fuzz", tensor, 1.0F, acc, scratch).ok();
  require(decoded == added, "decoding and accumulating do not agree");
  const float weight = 1.0F;
  std::vector<float> tiled(tensor.count, 0.0F);
  const bool tiles = runnel::codec::accumulate_fixed({&tensor, 1}, {&weight, 1}, tiled).ok();
  require(!tiles || decoded, "accumulating took what decoding refused");
  if (!decoded) return;
  const bool bounded = is_bounded(tensor.codec) && !tensor.rotated;
  for (size_t i = 0; i < values.size(); ++i) {
    require(std::isfinite(values[i]), "a value that is not finite");
    require(!bounded || std::abs(values[i]) <= tensor.scale, "a value beyond the scale");
    require(acc[i] == values[i], "accumulating gives another value");
    require(!tiles || tiled[i] == values[i], "accumulating tiles gives another value");
  }
}

void encode_anything(unsigned mode, ByteView bytes) {
  runnel::plan::CodecSpec spec;
  spec.coder = static_cast<Coder>(mode % runnel::plan::kCoderCount);
  spec.codec = static_cast<CodecId>((1U + mode / runnel::plan::kCoderCount) % runnel::plan::kCodecCount);
  const bool exponential = spec.codec == CodecId::kNuqsgd || spec.codec == CodecId::kNuqsgdInf;
  spec.levels = 1U + take<uint16_t>(bytes) % (exponential ? 30U : 32767U);
  spec.bucket = 8U + take<uint16_t>(bytes);
  spec.exact_coordinates_max = 0;
  const uint64_t seed = take<uint32_t>(bytes);
  std::vector<float> values;
  while (bytes.size() >= sizeof(float)) values.push_back(take<float>(bytes));
  const auto count = static_cast<uint32_t>(values.size());
  std::vector<uint8_t> out(runnel::codec::encoded_bytes_max(spec, count));
  std::vector<float> scratch(runnel::codec::encode_scratch_count(spec, count));
  const auto encoded = runnel::codec::encode_tensor(spec, "fuzz", values, seed, out, scratch);
  if (!encoded.ok()) {
    require(encoded.error() == runnel::Error::kNotFinite || encoded.error() == runnel::Error::kOutOfRange ||
                encoded.error() == runnel::Error::kUnsupported,
            "wrong refusal");
    return;
  }
  std::vector<float> decoded(values.size());
  const runnel::Failure failure = runnel::codec::decode_tensor("fuzz", *encoded, decoded);
  // Values near the end of fp32 may leave it when they are rotated.
  require(failure.ok() || (encoded->rotated && failure.error() == runnel::Error::kNotFinite),
          "our own bytes do not decode");
  if (!is_bounded(encoded->codec)) return;
  for (size_t i = 0; i < values.size(); ++i) {
    require(std::abs(double{decoded[i]} - values[i]) <= error_max(*encoded, values[i]), "more than a step away");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView bytes(data, size);
  const unsigned mode = take<uint8_t>(bytes);
  if (mode % 2 == 0) {
    decode_anything(mode / 2, bytes);
  } else {
    encode_anything(mode / 2, bytes);
  }
  return 0;
}
