// Every bucketed scheme with every coder: what comes back, how long it is, and that all vector units make the same
// bits.
#include <gtest/gtest.h>

#include <bit>
#include <string>

#include "runtime/base/instruction_set.h"
#include "runtime/codec/bucketed.h"
#include "runtime/codec/fixed_width.h"
#include "runtime/codec/fp16.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

using plan::CodecId;
using plan::Coder;

constexpr CodecId kBucketed[] = {CodecId::kQsgd, CodecId::kQsgdInf, CodecId::kNuqsgd, CodecId::kNuqsgdInf,
                                 CodecId::kTerngrad};
constexpr Coder kCoders[] = {Coder::kAuto, Coder::kElias, Coder::kFixed, Coder::kRans, Coder::kRaw};
constexpr size_t kOddCounts[] = {0, 1, 2, 31, 32, 33, 4095, 4097, 70001};

plan::CodecSpec spec_of(CodecId codec, Coder coder, uint32_t levels, uint32_t bucket) {
  plan::CodecSpec spec;
  spec.codec = codec;
  spec.coder = coder;
  spec.levels = levels;
  spec.bucket = bucket;
  spec.exact_coordinates_max = 0;
  return spec;
}

std::string title(const plan::CodecSpec& spec, size_t count) {
  return std::string(plan::codec_name(spec.codec)) + ", " + plan::coder_name(spec.coder) + ", " +
         std::to_string(spec.levels) + " levels, bucket " + std::to_string(spec.bucket) + ", " + std::to_string(count) +
         " values";
}

// What the receiver must hold, from the quantizer alone.
std::vector<float> expected_values(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed) {
  std::vector<float> expected(values.size(), 0.0F);
  const Quantizer quantizer = quantizer_of(spec.codec, spec.levels);
  for (size_t first = 0; first < values.size(); first += spec.bucket) {
    const std::span<const float> bucket = values.subspan(first, std::min<size_t>(spec.bucket, values.size() - first));
    const auto norm = static_cast<float>(bucket_norm(quantizer, bucket));
    if (norm == 0.0F) continue;
    const std::vector<int16_t> symbols = symbols_of(quantizer, norm, bucket, first, seed);
    for (size_t i = 0; i < bucket.size(); ++i) expected[first + i] = LevelValues(quantizer, norm)(symbols[i]);
  }
  return expected;
}

// Gaussian, with buckets of zeros and some far larger values.
std::vector<float> mixed_vector(size_t count, uint64_t seed) {
  std::vector<float> values = gauss_vector(count, seed);
  for (size_t i = 0; i < count; ++i) {
    if (i / 100 % 5 == 3) values[i] = 0.0F;
    if (i % 977 == 5) values[i] *= 50.0F;
  }
  return values;
}

TEST(Bucketed, EveryCoderBringsBackTheQuantizersValues) {
  for (const CodecId codec : kBucketed) {
    for (const Coder coder : kCoders) {
      for (const uint32_t levels : {1U, 3U, 7U, 14U, 30U}) {
        for (const uint32_t bucket : {50U, 64U, 512U, 9000U}) {
          for (const size_t count : kOddCounts) {
            if (count > 5000 && (levels == 3 || bucket == 50)) continue;  // for the time it takes
            const plan::CodecSpec spec = spec_of(codec, coder, levels, bucket);
            SCOPED_TRACE(title(spec, count));
            const std::vector<float> values = mixed_vector(count, count + levels);
            const Encoded encoded = encode(spec, values, 5);
            ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
            std::vector<float> decoded(count, 99.0F);
            const Failure failure = decode_tensor("t", encoded.tensor, decoded);
            ASSERT_TRUE(failure.ok()) << failure.text();
            ASSERT_LE(encoded.tensor.payload.size(), encoded.buffer.size());
            if (encoded.tensor.coder == Coder::kRaw || count == 0) {
              ASSERT_EQ(decoded, values);
            } else {
              ASSERT_EQ(decoded, expected_values(spec, values, 5));
            }
            const Coder sent = coder == Coder::kElias || count == 0 ? Coder::kAuto : coder;
            if (coder != Coder::kAuto) {
              ASSERT_EQ(encoded.tensor.coder, sent);
            }
          }
        }
      }
    }
  }
}

TEST(Bucketed, AutoIsAsShortAsTheShortestCoder) {
  for (const CodecId codec : kBucketed) {
    for (const uint32_t levels : {1U, 7U, 30U}) {
      for (const size_t count : {40U, 700U, 3000U, 40000U}) {
        for (const bool sparse : {false, true}) {
          std::vector<float> values = laplace_vector(count, count);
          for (size_t i = 0; sparse && i < count; ++i) values[i] = i % 400 == 7 ? values[i] : 0.0F;
          const plan::CodecSpec spec = spec_of(codec, Coder::kAuto, levels, 128);
          SCOPED_TRACE(title(spec, count));
          const size_t bytes = encode(spec, values, 3).tensor.payload.size();
          for (const Coder coder : {Coder::kElias, Coder::kFixed, Coder::kRans, Coder::kRaw}) {
            const size_t other = encode(spec_of(codec, coder, levels, 128), values, 3).tensor.payload.size();
            EXPECT_LE(bytes, other + 16 + other / 200) << plan::coder_name(coder);  // rANS is estimated
          }
          EXPECT_LE(bytes, values.size() * 4);
        }
      }
    }
  }
}

constexpr size_t kLargeCount = 300001;  // far more chunks than a census looks at

TEST(Bucketed, AutoIsAsShortAsTheShortestCoderForLargeTensorsToo) {
  std::vector<float> dense = gauss_vector(kLargeCount, 1);
  // Where the sampled chunks have little to say and the others much, and the other way round.
  std::vector<float> first_chunks_sparse = dense;
  std::vector<float> first_chunks_dense = dense;
  for (size_t i = 0; i < kLargeCount; ++i) {
    const bool sampled = i / LaneRng::kChunk % 10 == 0;
    if (sampled && i % 128 != 0) first_chunks_sparse[i] = 0.0F;
    if (!sampled && i % 128 != 0) first_chunks_dense[i] = 0.0F;
  }
  std::vector<float> flat = flat_vector(kLargeCount);
  for (const std::vector<float>& values : {dense, first_chunks_sparse, first_chunks_dense, flat}) {
    for (const uint32_t levels : {1U, 7U, 127U}) {
      for (const uint32_t bucket : {8U, 128U, 5000U}) {
        const auto bytes_of = [&](Coder coder) {
          const Encoded encoded = encode(spec_of(CodecId::kQsgd, coder, levels, bucket), values, 5);
          EXPECT_TRUE(encoded.failure.ok()) << encoded.failure.text();
          return static_cast<double>(encoded.tensor.payload.size());
        };
        double shortest = std::min({bytes_of(Coder::kFixed), bytes_of(Coder::kRans), bytes_of(Coder::kRaw)});
        const Encoded chosen = encode(spec_of(CodecId::kQsgd, Coder::kAuto, levels, bucket), values, 5);
        ASSERT_TRUE(chosen.failure.ok()) << chosen.failure.text();
        EXPECT_LE(static_cast<double>(chosen.tensor.payload.size()), 1.001 * shortest) << levels << ' ' << bucket;
        // Every chunk looks like the others here, so a sample knows what Elias takes.
        if (values != dense) continue;
        shortest = std::min(shortest, bytes_of(Coder::kElias));
        EXPECT_LE(static_cast<double>(chosen.tensor.payload.size()), 1.005 * shortest) << levels << ' ' << bucket;
      }
    }
  }
}

// rANS writes its code from the end of the buffer over the symbols that are kept there. A last part that takes far more
// than four bits a symbol reaches them before they are used.
TEST(Bucketed, SymbolsThatTheCodeHasReachedAreMadeAgain) {
  std::vector<float> values = gauss_vector(kLargeCount, 2);
  for (size_t i = 0; i < kLargeCount - 40000; ++i) {
    values[i] = i % 128 == 0 ? 1.0F : i % 7 == 0 ? 1.0F / 7.0F : 0.0F;
  }
  for (size_t i = kLargeCount - 40000; i < kLargeCount; ++i) values[i] = static_cast<float>(i * 37 % 15) / 7.0F - 1.0F;
  for (const char* set : {"reference", "auto"}) {
    ASSERT_TRUE(limit_instruction_set(set));
    plan::CodecSpec spec = spec_of(CodecId::kQsgdInf, Coder::kAuto, 7, 128);
    const Encoded automatic = encode(spec, values, 5);
    ASSERT_EQ(automatic.tensor.coder, Coder::kRans);
    spec.coder = Coder::kRans;
    const Encoded roomy = encode(spec, values, 5);
    EXPECT_TRUE(std::equal(automatic.tensor.payload.begin(), automatic.tensor.payload.end(),
                           roomy.tensor.payload.begin(), roomy.tensor.payload.end()));
    std::vector<float> decoded(values.size());
    ASSERT_TRUE(decode_tensor("t", automatic.tensor, decoded).ok());
    EXPECT_EQ(decoded, expected_values(spec, values, 5));
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

TEST(Bucketed, ALargerBufferChangesNothing) {
  const std::vector<float> values = gauss_vector(70001, 3);
  const plan::CodecSpec spec = spec_of(CodecId::kQsgd, Coder::kAuto, 7, 128);
  const Encoded exact = encode(spec, values, 5);
  std::vector<uint8_t> large(2 * exact.buffer.size());
  const auto roomy = encode_tensor(spec, "t", values, 5, large);
  ASSERT_TRUE(roomy.ok());
  EXPECT_EQ(roomy->coder, exact.tensor.coder);
  EXPECT_TRUE(std::equal(roomy->payload.begin(), roomy->payload.end(), exact.tensor.payload.begin(),
                         exact.tensor.payload.end()));
}

TEST(Bucketed, CountsOfNibblesAreExact) {
  Rng rng(1);
  for (const size_t bytes : {32U, 64U, 2048U, 20000U * 32U}) {
    std::vector<uint8_t> codes(bytes);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.below(4) == 0 ? rng.below(256) : 0x7E);
    std::array<uint32_t, 16> expected{};
    for (const uint8_t code : codes) {
      ++expected[code & 15U];
      ++expected[code >> 4];
    }
    for (const char* set : {"reference", "sse4", "avx2", "avx512", "neon"}) {
      if (!limit_instruction_set(set)) continue;
      std::array<uint32_t, 16> counts{};
      count_nibbles(codes, counts);
      EXPECT_EQ(counts, expected) << set << ", " << bytes;
    }
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

TEST(Bucketed, NothingExpandsBeyondFp32) {
  for (const uint32_t bucket : {8U, 100U}) {
    for (const size_t count : {1U, 7U, 100U, 5000U}) {
      const std::vector<float> values = gauss_vector(count, 3);
      const plan::CodecSpec spec = spec_of(CodecId::kQsgdInf, Coder::kAuto, 32767, bucket);
      const Encoded encoded = encode(spec, values, 1);
      ASSERT_TRUE(encoded.failure.ok());
      EXPECT_LE(encoded.tensor.payload.size(), 4 * count);
      std::vector<float> decoded(count);
      EXPECT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
    }
  }
}

TEST(Bucketed, CodersThatCannotAreRefused) {
  const std::vector<float> values = {1.0F, 0.5F, -1.0F};
  EXPECT_EQ(encode(spec_of(CodecId::kQsgd, Coder::kModel, 7, 64), values, 1).failure.error(), Error::kUnsupported);
  EXPECT_EQ(encode(spec_of(CodecId::kQsgdInf, Coder::kRans, 1000, 64), values, 1).failure.error(), Error::kUnsupported);
  EXPECT_TRUE(encode(spec_of(CodecId::kQsgdInf, Coder::kRans, 127, 64), values, 1).failure.ok());
}

TEST(Bucketed, TheWorkedExampleAtEqualWidth) {
  std::vector<float> values(22, 0.0F);
  values[2] = -3.0F;
  values[4] = 4.0F;
  values[16] = 0.5F;
  const Encoded encoded = encode(spec_of(CodecId::kQsgd, Coder::kFixed, 5, 8), values, 9);
  const std::vector<uint8_t> expected = {0,    0,    0xA0, 0x40, 0,    0,    0,    0,    0,    0,    0,   0x3F,
                                         0x55, 0x25, 0x95, 0x55, 0x55, 0x55, 0x55, 0x55, 0xA5, 0x55, 0x55};
  EXPECT_EQ(std::vector<uint8_t>(encoded.tensor.payload.begin(), encoded.tensor.payload.end()), expected);
}

TEST(Bucketed, TerngradHasThreeValuesWhateverLevelsAreAskedFor) {
  const std::vector<float> values = gauss_vector(300, 2);
  const Encoded encoded = encode(spec_of(CodecId::kTerngrad, Coder::kFixed, 7, 100), values, 1);
  EXPECT_EQ(encoded.tensor.levels, 1U);
  EXPECT_EQ(encoded.tensor.bits, 2);
  std::vector<float> decoded(values.size());
  ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
  for (size_t i = 0; i < values.size(); ++i) {
    float largest = 0.0F;
    for (size_t k = i / 100 * 100; k < i / 100 * 100 + 100; ++k) largest = std::max(largest, std::abs(values[k]));
    EXPECT_TRUE(decoded[i] == 0.0F || std::abs(decoded[i]) == largest) << i;
  }
}

// Values that lie on a level are not rounded, whatever the random numbers are.
TEST(Bucketed, LevelsThemselvesAreExact) {
  for (const uint32_t levels : {3U, 7U, 63U, 64U, 127U, 128U, 1000U}) {
    for (const float norm : {1.0F, 3.0F, 0.7F, 1e-40F, 3e38F}) {
      std::vector<float> values = {norm};
      for (uint32_t k = 0; k < 40; ++k) {
        values.push_back(LevelValues({true, false, levels}, norm)(static_cast<int32_t>(k % (levels + 1))));
      }
      // A denormal level is itself rounded, by more than any arithmetic could undo.
      if (norm < 1e-38F) values.resize(1);
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const Encoded encoded = encode(spec_of(CodecId::kQsgdInf, Coder::kFixed, levels, 64), values, seed);
        std::vector<float> decoded(values.size());
        ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
        ASSERT_EQ(decoded, values) << levels << " levels, norm " << norm;
      }
    }
  }
  for (const uint32_t levels : {1U, 6U, 30U}) {
    std::vector<float> values = {0.7F, 0.0F, -0.7F};
    for (uint32_t k = 1; k <= levels; ++k) values.push_back(std::ldexp(0.7F, -static_cast<int>(k)));
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Encoded encoded = encode(spec_of(CodecId::kNuqsgdInf, Coder::kRans, levels, 64), values, seed);
      std::vector<float> decoded(values.size());
      ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
      ASSERT_EQ(decoded, values) << levels << " levels";
    }
  }
}

TEST(Bucketed, EveryInstructionSetMakesTheSameBits) {
  std::vector<std::string> sets;
  for (const char* name : {"scalar", "sse4", "avx2", "avx512", "neon", "emu128"}) {
    if (limit_instruction_set(name)) sets.emplace_back(name);
  }
  for (const CodecId codec : kBucketed) {
    for (const Coder coder : {Coder::kFixed, Coder::kRans, Coder::kAuto}) {
      for (const uint32_t levels : {1U, 4U, 7U, 30U, 100U, 300U}) {
        const bool exponential = codec == CodecId::kNuqsgd || codec == CodecId::kNuqsgdInf;
        if (exponential && levels > 30) continue;
        for (const uint32_t bucket : {61U, 64U, 512U, 8192U}) {
          for (const size_t count : {1U, 100U, 4097U, 40000U}) {
            for (const float size : {1.0F, 1e-41F, 3e35F, 1e-16F}) {
              if (size != 1.0F && (count != 4097 || codec == CodecId::kTerngrad)) continue;
              const plan::CodecSpec spec = spec_of(codec, coder, levels, bucket);
              if (coder == Coder::kRans && levels > 127) continue;
              std::vector<float> values = mixed_vector(count, 7);
              for (float& value : values) value = value * size / 64;
              ASSERT_TRUE(limit_instruction_set("reference"));
              const Encoded plain = encode(spec, values, 11);
              ASSERT_TRUE(plain.failure.ok()) << plain.failure.text();
              std::vector<float> plain_decoded(count);
              ASSERT_TRUE(decode_tensor("t", plain.tensor, plain_decoded).ok());
              for (const std::string& set : sets) {
                SCOPED_TRACE(set + ": " + title(spec, count));
                ASSERT_TRUE(limit_instruction_set(set));
                const Encoded fast = encode(spec, values, 11);
                ASSERT_TRUE(std::equal(fast.tensor.payload.begin(), fast.tensor.payload.end(),
                                       plain.tensor.payload.begin(), plain.tensor.payload.end()));
                ASSERT_EQ(fast.tensor.scale, plain.tensor.scale);
                std::vector<float> decoded(count);
                ASSERT_TRUE(decode_tensor("t", plain.tensor, decoded).ok());
                ASSERT_EQ(decoded, plain_decoded);
              }
            }
          }
        }
      }
    }
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

TEST(Half, ConvertsEveryNumberThereAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = float_from_half(half);
    if ((bits & 0x7C00U) == 0x7C00U) {
      EXPECT_FALSE(std::isfinite(value));
      continue;
    }
    ASSERT_EQ(half_from_float(value), half);
    // Between neighbours: the middle goes to the even one, anything off the middle to the nearer.
    if ((bits & 0x7FFFU) >= 0x7BFFU) continue;
    const float next = float_from_half(static_cast<uint16_t>(bits + 1));
    const float middle = (value + next) / 2;
    ASSERT_EQ(half_from_float(middle), (bits & 1) == 0 ? half : half + 1);
    ASSERT_EQ(half_from_float(std::nextafter(middle, value)), half);
    ASSERT_EQ(half_from_float(std::nextafter(middle, next)), half + 1);
  }
  EXPECT_EQ(half_from_float(65519.99F), 0x7BFF);
  EXPECT_EQ(half_from_float(65520.0F), 0x7C00);
  EXPECT_EQ(half_from_float(-1e-30F), 0x8000);
}

TEST(Half, RefusesWhatItCannotHold) {
  plan::CodecSpec spec = spec_of(CodecId::kFp16, Coder::kAuto, 7, 128);
  std::vector<float> values = {1.0F, 65504.0F, -70000.0F};
  Encoded encoded = encode(spec, values, 1);
  EXPECT_EQ(encoded.failure.error(), Error::kOutOfRange);
  EXPECT_NE(std::string(encoded.failure.text()).find("value 2 is -70000"), std::string::npos);
  values[2] = std::nanf("");
  EXPECT_EQ(encode(spec, values, 1).failure.error(), Error::kNotFinite);
  values[2] = -0.1F;
  encoded = encode(spec, values, 1);
  ASSERT_TRUE(encoded.failure.ok());
  EXPECT_EQ(encoded.tensor.payload.size(), 6U);
  std::vector<float> decoded(3);
  ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
  EXPECT_EQ(decoded[1], 65504.0F);
  EXPECT_EQ(decoded[2], float_from_half(half_from_float(-0.1F)));
}

}  // namespace
}  // namespace runnel::codec
