#include "runtime/codec/accumulate.h"

#include <gtest/gtest.h>

#include "runtime/base/instruction_set.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

using plan::CodecId;
using plan::Coder;

constexpr float kWeight = -0.37F;

std::vector<float> decoded_and_added(const plan::EncodedTensor& tensor, float weight, std::vector<float> acc) {
  std::vector<float> values(tensor.count);
  EXPECT_TRUE(decode_tensor("t", tensor, values).ok());
  for (size_t i = 0; i < values.size(); ++i) acc[i] += weight * values[i];
  return acc;
}

TEST(Accumulate, EqualsDecodingAndAdding) {
  for (const char* set : {"reference", "sse4", "auto"}) {
    if (!limit_instruction_set(set)) continue;
    for (const CodecId codec : {CodecId::kFp32, CodecId::kFp16, CodecId::kQsgd, CodecId::kQsgdInf, CodecId::kNuqsgd,
                                CodecId::kNuqsgdInf, CodecId::kTerngrad}) {
      for (const Coder coder : {Coder::kElias, Coder::kFixed, Coder::kRans, Coder::kRaw}) {
        for (const uint32_t bucket : {60U, 64U, 512U, 5000U}) {
          for (const size_t count : {1U, 33U, 4097U, 40000U}) {
            plan::CodecSpec spec = qsgd_spec(count % 2 == 0 ? 7 : 6, bucket);
            spec.codec = codec;
            spec.coder = coder;
            SCOPED_TRACE(testing::Message() << set << ", " << plan::codec_name(codec) << ", " << plan::coder_name(coder)
                                            << ", bucket " << bucket << ", " << count);
            std::vector<float> values = gauss_vector(count, count);
            for (size_t i = 0; i < count; ++i) values[i] = i / 700 % 3 == 1 ? 0.0F : values[i];
            const Encoded encoded = encode(spec, values, 4);
            ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
            const std::vector<float> before = laplace_vector(count, 8);
            std::vector<float> acc = before;
            std::vector<float> scratch(accumulate_scratch_count(encoded.tensor));
            const Failure failure = accumulate_tensor("t", encoded.tensor, kWeight, acc, scratch);
            ASSERT_TRUE(failure.ok()) << failure.text();
            ASSERT_EQ(acc, decoded_and_added(encoded.tensor, kWeight, before));
            if (coder != Coder::kFixed || encoded.tensor.coder != Coder::kFixed) continue;
            std::vector<float> tiled = before;
            ASSERT_TRUE(accumulate_fixed({&encoded.tensor, 1}, {&kWeight, 1}, tiled).ok());
            ASSERT_EQ(tiled, acc);
          }
        }
      }
    }
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

// Where no bucket is of zeros, whole chunks go through tables of their buckets' values.
TEST(Accumulate, ChunksWithoutZeroBucketsGiveTheSameBits) {
  constexpr size_t kCount = 40000;
  const std::vector<float> before = laplace_vector(kCount, 8);
  for (const CodecId codec : {CodecId::kQsgd, CodecId::kQsgdInf, CodecId::kNuqsgd, CodecId::kTerngrad}) {
    for (const Coder coder : {Coder::kFixed, Coder::kRans}) {
      for (const uint32_t bucket : {32U, 64U, 192U, 512U, 4096U, 8192U}) {
        for (const uint32_t levels : {3U, 6U, 7U}) {
          plan::CodecSpec spec = qsgd_spec(levels, bucket);
          spec.codec = codec;
          spec.coder = coder;
          std::vector<float> values = gauss_vector(kCount, bucket);
          // One chunk with a bucket of zeros between the others.
          std::fill_n(values.begin() + 3 * 4096 + bucket % 4096, std::min(bucket, 8000U), 0.0F);
          const Encoded encoded = encode(spec, values, 4);
          ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
          ASSERT_TRUE(limit_instruction_set("reference"));
          std::vector<float> expected(kCount);
          ASSERT_TRUE(decode_tensor("t", encoded.tensor, expected).ok());
          std::vector<float> sum = before;
          for (size_t i = 0; i < kCount; ++i) sum[i] += kWeight * expected[i];
          for (const char* set : {"reference", "sse4", "avx2", "avx512", "neon"}) {
            if (!limit_instruction_set(set)) continue;
            SCOPED_TRACE(testing::Message() << set << ", " << plan::codec_name(codec) << ", " << plan::coder_name(coder)
                                            << ", bucket " << bucket << ", levels " << levels);
            std::vector<float> decoded(kCount, 99.0F);
            ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
            ASSERT_EQ(decoded, expected);
            std::vector<float> acc = before;
            ASSERT_TRUE(accumulate_tensor("t", encoded.tensor, kWeight, acc).ok());
            ASSERT_EQ(acc, sum);
          }
          ASSERT_TRUE(limit_instruction_set("auto"));
        }
      }
    }
  }
}

TEST(Accumulate, ManyTensorsAreAddedInOrder) {
  constexpr size_t kCount = 20000;
  std::vector<Encoded> encoded;
  std::vector<plan::EncodedTensor> tensors;
  std::vector<float> weights;
  for (uint32_t k = 0; k < 7; ++k) {
    plan::CodecSpec spec = qsgd_spec(k + 1, k % 2 == 0 ? 512 : 100);
    spec.codec = k == 3 ? CodecId::kNuqsgd : CodecId::kQsgdInf;
    spec.coder = Coder::kFixed;
    encoded.push_back(encode(spec, gauss_vector(kCount, k), k));
    tensors.push_back(encoded.back().tensor);
    weights.push_back(0.1F * static_cast<float>(k) - 0.2F);
  }
  std::vector<float> expected(kCount, 0.5F);
  for (size_t k = 0; k < tensors.size(); ++k) expected = decoded_and_added(tensors[k], weights[k], expected);
  std::vector<float> acc(kCount, 0.5F);
  ASSERT_TRUE(accumulate_fixed(tensors, weights, acc).ok());
  EXPECT_EQ(acc, expected);

  // One bad code in the last tensor, and nothing is added at all.
  std::vector<uint8_t> payload(tensors[6].payload.begin(), tensors[6].payload.end());
  payload.back() = 0xFF;
  tensors[6].payload = payload;
  std::vector<float> untouched(kCount, 0.5F);
  const Failure failure = accumulate_fixed(tensors, weights, untouched);
  EXPECT_EQ(failure.error(), Error::kOutOfRange);
  EXPECT_EQ(std::string(failure.text()).rfind("tensor 6: ", 0), 0U) << failure.text();
  EXPECT_EQ(untouched, std::vector<float>(kCount, 0.5F));
  EXPECT_EQ(accumulate_fixed(tensors, {weights.data(), 3}, untouched).error(), Error::kInvalidArgument);
  tensors[6] = tensors[5];
  tensors[6].coder = Coder::kRans;
  EXPECT_EQ(accumulate_fixed(tensors, weights, untouched).error(), Error::kUnsupported);
  EXPECT_EQ(accumulate_fixed(tensors, weights, {untouched.data(), 9}).error(), Error::kShape);
}

TEST(Accumulate, RefusesTooLittleScratch) {
  const std::vector<float> values = gauss_vector(9000, 1);
  const Encoded encoded = encode(qsgd_spec(7, 8192), values, 1);
  EXPECT_EQ(accumulate_scratch_count(encoded.tensor), values.size());
  std::vector<float> acc(values.size());
  EXPECT_EQ(accumulate_tensor("t", encoded.tensor, 1.0F, acc).error(), Error::kNoMemory);
}

}  // namespace
}  // namespace runnel::codec
