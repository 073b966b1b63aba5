// Any header and any payload decode to an error or to finite values within the scale; any floats encode to what
// decodes.
//
// Input: u8 mode, then for an even mode  codec u8, bits u8, levels u16, bucket u32, scale f32, count u16, payload
//                       for an odd mode   levels u16, bucket u16, seed u32, fp32 values
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/codec/update_codec.h"

namespace {

using runnel::ByteView;

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

void decode_anything(ByteView bytes) {
  runnel::plan::EncodedTensor tensor;
  tensor.codec = static_cast<runnel::plan::CodecId>(take<uint8_t>(bytes));
  tensor.bits = take<uint8_t>(bytes);
  tensor.levels = take<uint16_t>(bytes);
  tensor.bucket = take<uint32_t>(bytes);
  tensor.scale = take<float>(bytes);
  tensor.count = take<uint16_t>(bytes);
  tensor.payload = bytes;
  std::vector<float> values(tensor.count, NAN);
  if (!runnel::codec::decode_tensor("fuzz", tensor, values).ok()) return;
  for (const float value : values) require(std::abs(value) <= tensor.scale, "a value beyond the scale");
}

void encode_anything(ByteView bytes) {
  runnel::plan::CodecSpec spec;
  spec.levels = 1U + take<uint16_t>(bytes) % 32767U;
  spec.bucket = 8U + take<uint16_t>(bytes);
  spec.exact_coordinates_max = 0;
  const uint64_t rng = take<uint32_t>(bytes);
  std::vector<float> values;
  while (bytes.size() >= sizeof(float)) values.push_back(take<float>(bytes));
  std::vector<uint8_t> out(runnel::codec::encoded_bytes_max(spec, static_cast<uint32_t>(values.size())));
  const auto encoded = runnel::codec::encode_tensor(spec, "fuzz", values, rng, out);
  if (!encoded.ok()) {
    require(encoded.error() == runnel::Error::kNotFinite || encoded.error() == runnel::Error::kOutOfRange,
            "wrong refusal");
    return;
  }
  std::vector<float> decoded(values.size());
  require(runnel::codec::decode_tensor("fuzz", *encoded, decoded).ok(), "our own bytes do not decode");
  const double step = 1.001 * double{encoded->scale} / spec.levels + 2e-45;
  for (size_t i = 0; i < values.size(); ++i) {
    require(std::abs(double{decoded[i]} - values[i]) <= step, "more than a step away");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView bytes(data, size);
  if (take<uint8_t>(bytes) % 2 == 0) {
    decode_anything(bytes);
  } else {
    encode_anything(bytes);
  }
  return 0;
}
