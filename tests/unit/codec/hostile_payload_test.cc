// Decoding bytes and headers that no encoder made.
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <string>

#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

// An error, or finite values no larger than the scale. The copy on the heap has no byte to spare, so that a sanitizer
// sees any read beyond it.
Error decode_is_total(plan::EncodedTensor tensor, const std::vector<uint8_t>& payload, size_t count) {
  const std::vector<uint8_t> exact(payload.begin(), payload.end());
  tensor.payload = exact;
  std::vector<float> values(count, std::numeric_limits<float>::quiet_NaN());
  const Failure failure = decode_tensor("t", tensor, values);
  if (failure.ok()) {
    for (const float value : values) EXPECT_LE(std::abs(value), tensor.scale);
  } else {
    EXPECT_EQ(std::string(failure.text()).rfind("t: ", 0), 0U) << failure.text();
  }
  return failure.error();
}

struct Sample {
  std::string name;
  plan::CodecSpec spec;
  std::vector<float> values;
};

std::vector<Sample> samples() {
  std::vector<float> sparse(200, 0.0F);
  sparse[3] = 1.0F;
  sparse[150] = -2.0F;
  plan::CodecSpec exact;
  exact.codec = plan::CodecId::kFp32;
  return {{"dense", qsgd_spec(15, 16), gauss_vector(50, 1)},
          {"sparse", qsgd_spec(1, 64), laplace_vector(300, 2)},
          {"two nonzero", qsgd_spec(1000, 256), sparse},
          {"high levels", qsgd_spec(32767, 8), gauss_vector(20, 3)},
          {"exact", exact, gauss_vector(20, 4)}};
}

TEST(HostilePayload, EverySingleBitFlip) {
  for (const Sample& sample : samples()) {
    const Encoded encoded = encode(sample.spec, sample.values, 7);
    ASSERT_TRUE(encoded.failure.ok());
    std::vector<uint8_t> payload(encoded.tensor.payload.begin(), encoded.tensor.payload.end());
    size_t refused = 0;
    for (size_t bit = 0; bit < payload.size() * 8; ++bit) {
      payload[bit / 8] = static_cast<uint8_t>(payload[bit / 8] ^ (1U << bit % 8));
      if (decode_is_total(encoded.tensor, payload, sample.values.size()) != Error::kOk) ++refused;
      payload[bit / 8] = static_cast<uint8_t>(payload[bit / 8] ^ (1U << bit % 8));
    }
    EXPECT_GT(refused, payload.size() / 4) << sample.name;
    EXPECT_EQ(decode_is_total(encoded.tensor, payload, sample.values.size()), Error::kOk) << sample.name;
  }
}

TEST(HostilePayload, EveryTruncationIsRefused) {
  for (const Sample& sample : samples()) {
    const Encoded encoded = encode(sample.spec, sample.values, 7);
    const std::vector<uint8_t> payload(encoded.tensor.payload.begin(), encoded.tensor.payload.end());
    for (size_t bytes = 0; bytes < payload.size(); ++bytes) {
      const std::vector<uint8_t> head(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(bytes));
      EXPECT_EQ(decode_is_total(encoded.tensor, head, sample.values.size()), Error::kTruncated)
          << sample.name << ", " << bytes << " bytes";
    }
  }
}

TEST(HostilePayload, TrailingBytesAreRefused) {
  for (const Sample& sample : samples()) {
    const Encoded encoded = encode(sample.spec, sample.values, 7);
    std::vector<uint8_t> payload(encoded.tensor.payload.begin(), encoded.tensor.payload.end());
    payload.push_back(0);
    EXPECT_EQ(decode_is_total(encoded.tensor, payload, sample.values.size()), Error::kMalformed) << sample.name;
    payload.resize(payload.size() + 1000);
    EXPECT_EQ(decode_is_total(encoded.tensor, payload, sample.values.size()), Error::kMalformed) << sample.name;
  }
}

TEST(HostilePayload, PaddingMustBeZero) {
  const std::vector<float> values = {1.0F};  // form bit, omega(2) and the sign: 5 bits
  const Encoded encoded = encode(qsgd_spec(1, 8), values, 1);
  std::vector<uint8_t> payload(encoded.tensor.payload.begin(), encoded.tensor.payload.end());
  ASSERT_EQ(payload.size(), 5U);
  EXPECT_EQ(decode_is_total(encoded.tensor, payload, 1), Error::kOk);
  for (unsigned bit = 0; bit < 3; ++bit) {
    std::vector<uint8_t> dirty = payload;
    dirty[4] = static_cast<uint8_t>(dirty[4] | 1U << bit);
    EXPECT_EQ(decode_is_total(encoded.tensor, dirty, 1), Error::kMalformed) << bit;
  }
}

TEST(HostilePayload, RandomBytes) {
  Rng rng(17);
  int decoded = 0;
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    plan::EncodedTensor tensor;
    tensor.codec = plan::CodecId::kQsgd;
    tensor.count = static_cast<uint32_t>(rng.below(12));
    tensor.levels = static_cast<uint32_t>(1 + rng.below(rng.below(2) == 0 ? 4 : 32767));
    tensor.bucket = static_cast<uint32_t>(8 + rng.below(8));
    tensor.bits = static_cast<uint8_t>(1 + std::bit_width(tensor.levels));
    tensor.scale = 1.0F;
    std::vector<uint8_t> payload(rng.below(20));
    for (uint8_t& byte : payload) byte = static_cast<uint8_t>(rng.next_u64() & rng.next_u64());
    // Norms in range, so that the codes behind them are reached.
    const size_t buckets = (tensor.count + tensor.bucket - 1) / tensor.bucket;
    for (size_t b = 0; b < buckets && b * 4 + 4 <= payload.size(); ++b) store_le(payload.data() + b * 4, 0.75F);
    (decode_is_total(tensor, payload, tensor.count) == Error::kOk ? decoded : refused) += 1;
  }
  EXPECT_GT(decoded, 100) << "hardly any input got through; this test then says little";
  EXPECT_GT(refused, 100);
}

// All bucketed schemes with all their coders, and half precision.
std::vector<Sample> coded_samples() {
  std::vector<Sample> all;
  for (uint8_t codec = 1; codec <= 5; ++codec) {
    for (const plan::Coder coder : {plan::Coder::kFixed, plan::Coder::kRans, plan::Coder::kRaw}) {
      for (const uint32_t levels : {2U, 7U, 25U}) {
        plan::CodecSpec spec = qsgd_spec(levels, 64);
        spec.codec = static_cast<plan::CodecId>(codec);
        spec.coder = coder;
        std::vector<float> values = gauss_vector(200, codec);
        for (size_t i = 64; i < 128; ++i) values[i] = 0.0F;
        all.push_back({std::string(plan::codec_name(spec.codec)) + " " + plan::coder_name(coder), spec, values});
      }
    }
  }
  plan::CodecSpec half = qsgd_spec(7, 64);
  half.codec = plan::CodecId::kFp16;
  all.push_back({"fp16", half, gauss_vector(50, 1)});
  return all;
}

TEST(HostilePayload, NoDamageToAnyCoderGetsThroughUnbounded) {
  Rng rng(12);
  for (const Sample& sample : coded_samples()) {
    SCOPED_TRACE(sample.name);
    const Encoded encoded = encode(sample.spec, sample.values, 7);
    ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
    const std::vector<uint8_t> payload(encoded.tensor.payload.begin(), encoded.tensor.payload.end());
    const size_t count = sample.values.size();
    EXPECT_EQ(decode_is_total(encoded.tensor, payload, count), Error::kOk);
    for (size_t bytes = 0; bytes < payload.size(); ++bytes) {
      const std::vector<uint8_t> head(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(bytes));
      const Error error = decode_is_total(encoded.tensor, head, count);
      EXPECT_TRUE(error == Error::kTruncated || error == Error::kMalformed) << bytes << " bytes";
    }
    std::vector<uint8_t> longer = payload;
    longer.push_back(0);
    EXPECT_EQ(decode_is_total(encoded.tensor, longer, count), Error::kMalformed);
    for (size_t bit = 0; bit < payload.size() * 8; ++bit) {
      std::vector<uint8_t> damaged = payload;
      damaged[bit / 8] = static_cast<uint8_t>(damaged[bit / 8] ^ (1U << bit % 8));
      (void)decode_is_total(encoded.tensor, damaged, count);
    }
    for (int round = 0; round < 300; ++round) {
      std::vector<uint8_t> damaged = payload;
      const size_t first = rng.below(2) == 0 ? 16 : 0;  // the norms stay, or do not
      for (size_t i = std::min(first, damaged.size()); i < damaged.size(); ++i) {
        damaged[i] = static_cast<uint8_t>(rng.next_u64());
      }
      (void)decode_is_total(encoded.tensor, damaged, count);
      plan::EncodedTensor other = encoded.tensor;
      other.coder = static_cast<plan::Coder>(rng.below(plan::kCoderCount + 1));
      (void)decode_is_total(other, damaged, count);
    }
  }
}

plan::EncodedTensor valid_header() {
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kQsgd;
  tensor.count = 1;
  tensor.bits = 4;
  tensor.levels = 7;
  tensor.bucket = 8;
  tensor.scale = 2.0F;
  return tensor;
}

// One bucket with norm 2 and one value at level 7: 0, omega(8) = 1110000, sign.
const std::vector<uint8_t> kValidPayload = {0, 0, 0, 0x40, 0b01110000, 0b10000000};

TEST(HostileHeader, TheStartingPointIsValid) {
  plan::EncodedTensor tensor = valid_header();
  tensor.payload = kValidPayload;
  std::vector<float> values(1);
  ASSERT_TRUE(decode_tensor("t", tensor, values).ok());
  EXPECT_EQ(values[0], -2.0F);
}

TEST(HostileHeader, EachFieldIsChecked) {
  struct Row {
    const char* what;
    Error error;
    void (*spoil)(plan::EncodedTensor&);
  };
  using Tensor = plan::EncodedTensor;
  const Row rows[] = {
      {"codec", Error::kUnsupported, [](Tensor& t) { t.codec = static_cast<plan::CodecId>(200); }},
      {"fp32 with levels", Error::kMalformed, [](Tensor& t) { t.codec = plan::CodecId::kFp32; }},
      {"levels 0", Error::kOutOfRange, [](Tensor& t) { t.levels = 0; }},
      {"levels 32768", Error::kOutOfRange, [](Tensor& t) { t.levels = 32768; }},
      {"levels 2^32-1", Error::kOutOfRange, [](Tensor& t) { t.levels = UINT32_MAX; }},
      {"level of the value", Error::kOutOfRange, [](Tensor& t) { t.levels = 6, t.bits = 4; }},
      {"bits", Error::kMalformed, [](Tensor& t) { t.bits = 5; }},
      {"bucket 0", Error::kOutOfRange, [](Tensor& t) { t.bucket = 0; }},
      {"bucket 7", Error::kOutOfRange, [](Tensor& t) { t.bucket = 7; }},
      {"bucket 2^20+1", Error::kOutOfRange, [](Tensor& t) { t.bucket = (1U << 20) + 1; }},
      {"scale nan", Error::kNotFinite, [](Tensor& t) { t.scale = std::numeric_limits<float>::quiet_NaN(); }},
      {"scale infinite", Error::kNotFinite, [](Tensor& t) { t.scale = std::numeric_limits<float>::infinity(); }},
      {"scale negative", Error::kOutOfRange, [](Tensor& t) { t.scale = -1.0F; }},
      {"scale -0", Error::kOutOfRange, [](Tensor& t) { t.scale = -0.0F; }},
      {"scale below the norm", Error::kOutOfRange, [](Tensor& t) { t.scale = 1.999F; }},
      {"count", Error::kShape, [](Tensor& t) { t.count = 2; }},
      {"huge count", Error::kShape, [](Tensor& t) { t.count = UINT32_MAX; }},
  };
  for (const Row& row : rows) {
    plan::EncodedTensor tensor = valid_header();
    row.spoil(tensor);
    EXPECT_EQ(decode_is_total(tensor, kValidPayload, 1), row.error) << row.what;
  }
}

TEST(HostileHeader, EveryNormIsChecked) {
  struct Row {
    float norm;
    Error error;
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Row row :
       {Row{2.0F, Error::kOk}, Row{1.0F, Error::kOk}, Row{2.0001F, Error::kOutOfRange}, Row{-1.0F, Error::kOutOfRange},
        Row{-0.0F, Error::kOutOfRange}, Row{kInfinity, Error::kNotFinite},
        Row{std::numeric_limits<float>::quiet_NaN(), Error::kNotFinite},
        // A zero bucket has no code, so there are bytes too many.
        Row{0.0F, Error::kMalformed}}) {
    std::vector<uint8_t> payload = kValidPayload;
    store_le(payload.data(), row.norm);
    EXPECT_EQ(decode_is_total(valid_header(), payload, 1), row.error) << row.norm;
  }
}

TEST(HostilePayload, CodesOfEqualWidthCannotLeaveTheirRange) {
  for (const uint32_t levels : {1U, 2U, 5U, 7U, 100U, 16384U, 32000U, 32767U}) {
    const uint32_t width = 1 + static_cast<uint32_t>(std::bit_width(levels));
    for (uint32_t code = 2 * levels - 3 * (levels > 1 ? 1 : 0); code<1U << width; code += levels> 1000 ? 37 : 1) {
      plan::EncodedTensor tensor = valid_header();
      tensor.coder = plan::Coder::kFixed;
      tensor.levels = levels;
      tensor.bits = static_cast<uint8_t>(width);
      std::vector<uint8_t> payload(4 + (width + 7) / 8);
      store_le(payload.data(), 2.0F);
      const uint32_t shifted = code << (8 * (payload.size() - 4) - width);
      payload.back() = static_cast<uint8_t>(shifted);
      if (width > 8) payload[4] = static_cast<uint8_t>(shifted >> 8);
      const Error expected = code <= 2 * levels ? Error::kOk : Error::kOutOfRange;
      EXPECT_EQ(decode_is_total(tensor, payload, 1), expected) << levels << " levels, code " << code;
    }
  }
}

TEST(HostilePayload, SparseCodesCannotLeaveTheirBucket) {
  plan::EncodedTensor tensor = valid_header();
  tensor.count = 3;
  // 1 | omega(2) = 100, gap 3 = 110, sign 0, omega(1) = 0: the last of the three values.
  EXPECT_EQ(decode_is_total(tensor, {0, 0, 0, 0x40, 0b11001100, 0}, 3), Error::kOk);
  EXPECT_EQ(decode_is_total(tensor, {0, 0, 0, 0x40, 0b11001100}, 3), Error::kTruncated) << "the level is missing";
  // Gap 4: past the end.
  EXPECT_EQ(decode_is_total(tensor, {0, 0, 0, 0x40, 0b11001010, 0}, 3), Error::kMalformed);
  // Four entries for three values: 1 | omega(5) = 101010.
  EXPECT_EQ(decode_is_total(tensor, {0, 0, 0, 0x40, 0b11010100, 0}, 3), Error::kMalformed);
}

TEST(HostileExact, ValuesMustBeFiniteAndWithinTheScale) {
  plan::EncodedTensor tensor;
  tensor.count = 2;
  tensor.scale = 1.5F;
  const auto bytes_of = [](float first, float second) {
    std::vector<uint8_t> bytes(8);
    store_le(bytes.data(), first);
    store_le(bytes.data() + 4, second);
    return bytes;
  };
  EXPECT_EQ(decode_is_total(tensor, bytes_of(1.5F, -1.5F), 2), Error::kOk);
  EXPECT_EQ(decode_is_total(tensor, bytes_of(0.0F, 1.6F), 2), Error::kOutOfRange);
  EXPECT_EQ(decode_is_total(tensor, bytes_of(std::numeric_limits<float>::quiet_NaN(), 0.0F), 2), Error::kNotFinite);
  EXPECT_EQ(decode_is_total(tensor, bytes_of(0.0F, -std::numeric_limits<float>::infinity()), 2), Error::kNotFinite);
  tensor.bits = 31;
  EXPECT_EQ(decode_is_total(tensor, bytes_of(1.0F, 1.0F), 2), Error::kMalformed);
}

}  // namespace
}  // namespace runnel::codec
