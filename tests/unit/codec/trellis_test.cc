#include "runtime/codec/trellis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "runtime/base/crc32c.h"
#include "runtime/base/instruction_set.h"
#include "runtime/codec/bfloat16.h"
#include "runtime/codec/trellis_coder.h"
#include "runtime/codec/trellis_search.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

constexpr const char* kInstructionSets[] = {"sse4", "avx2", "avx512", "neon"};

plan::CodecSpec trellis_spec(float step, bool unbiased = false) {
  plan::CodecSpec spec;
  spec.codec = plan::CodecId::kTrellis;
  spec.step = step;
  spec.rotate = unbiased;
  return spec;
}

// The scheme by itself: what is encoded is not rotated first, whatever spec.rotate says about the factor.
Encoded encode_alone(const plan::CodecSpec& spec, std::span<const float> values) {
  Encoded encoded;
  encoded.buffer.resize(trellis_bytes_max(spec, static_cast<uint32_t>(values.size())));
  Result<plan::EncodedTensor> result = encode_trellis(spec, values, 1, encoded.buffer);
  EXPECT_TRUE(result.ok()) << result.failure().text();
  if (result.ok()) encoded.tensor = *result;
  return encoded;
}

std::vector<float> decode_alone(const plan::EncodedTensor& tensor) {
  std::vector<float> values(tensor.count, 77.0F);
  const Failure failure = decode_trellis(tensor, values);
  EXPECT_TRUE(failure.ok()) << failure.text();
  return values;
}

double nmse(std::span<const float> values, std::span<const float> decoded) {
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double error = double{values[i]} - decoded[i];
    sum += error * error;
  }
  return sum / squared_norm(values);
}

std::vector<float> lognormal_vector(size_t count, uint64_t seed) {
  std::vector<float> values = gauss_vector(count, seed);
  Rng rng(seed + 1);
  for (float& value : values) value = static_cast<float>(std::exp(rng.normal())) * (value < 0.0F ? -1.0F : 1.0F) / 2.7F;
  return values;
}

// The standard deviation goes up and down by a factor of eleven.
std::vector<float> swelling_vector(size_t count, uint64_t seed) {
  std::vector<float> values = gauss_vector(count, seed);
  for (size_t i = 0; i < count; ++i) values[i] *= std::exp(1.2F * std::sin(static_cast<float>(i) / 700.0F));
  return values;
}

// Whole numbers on their way to values, so that no library function decides what the golden bytes are.
std::vector<float> integer_made_vector(size_t count) {
  Rng rng(20);
  std::vector<float> values(count);
  for (float& value : values) {
    int64_t sum = -6 * 1024;
    for (int k = 0; k < 12; ++k) sum += static_cast<int64_t>(rng.below(1024));
    value = static_cast<float>(sum) / 1024.0F;
  }
  return values;
}

TEST(TrellisCode, EveryParityLeadsToOneStateAndBack) {
  for (unsigned s = 0; s < kTrellisStates; ++s) {
    EXPECT_NE(trellis_next(s, 0), trellis_next(s, 1));
    for (unsigned p = 0; p < 2; ++p) {
      ASSERT_LT(trellis_next(s, p), kTrellisStates);
      EXPECT_EQ(trellis_previous(trellis_next(s, p), p), s);
    }
  }
  std::vector<int> seen(kTrellisStates);
  for (const TrellisPair& pair : kTrellisPairs) {
    ++seen[pair.first];
    ++seen[pair.second];
    EXPECT_EQ(trellis_next(pair.even, 0), pair.first);
    EXPECT_EQ(trellis_next(pair.other, 1), pair.first);
    EXPECT_EQ(trellis_next(pair.other, 0), pair.second);
    EXPECT_EQ(trellis_next(pair.even, 1), pair.second);
    EXPECT_EQ(pair.even & 1, pair.other & 1);
  }
  EXPECT_THAT(seen, testing::Each(1));
}

// The best of all paths of a short vector, by trying them all.
TEST(TrellisSearch, FindsTheBestOfAllPaths) {
  constexpr size_t kSteps = 6;
  const std::vector<float> values = gauss_vector(kSteps * kTrellisLanes, 5);
  const float inverse_step = 1.3F;
  std::vector<uint8_t> symbols(values.size() * kTrellisSymbolBytes);
  search_trellis(values, inverse_step, symbols);
  for (size_t lane = 0; lane < kTrellisLanes; ++lane) {
    const auto scaled = [&](size_t step) { return values[step * kTrellisLanes + lane] * inverse_step; };
    double least = std::numeric_limits<double>::infinity();
    for (unsigned parities = 0; parities < 1U << kSteps; ++parities) {
      double sum = 0.0;
      unsigned state = 0;
      for (size_t step = 0; step < kSteps; ++step) {
        const unsigned parity = parities >> step & 1U;
        const auto offset = static_cast<float>(2 * parity + (state & 1U));
        const double error = scaled(step) - (4.0F * trellis_nearest(scaled(step), offset) + offset);
        sum += error * error;
        state = trellis_next(state, parity);
      }
      least = std::min(least, sum);
    }
    double found = 0.0;
    unsigned state = 0;
    for (size_t step = 0; step < kSteps; ++step) {
      const auto word = load_le<int32_t>(symbols.data() + (step * kTrellisLanes + lane) * kTrellisSymbolBytes);
      const int32_t k = word >> 8;
      EXPECT_EQ(static_cast<unsigned>(word >> 7) & 1U, state & 1U);
      const double error = double{scaled(step)} - (2 * k + static_cast<int32_t>(state & 1U));
      found += error * error;
      state = trellis_next(state, static_cast<unsigned>(k) & 1U);
    }
    EXPECT_NEAR(found, least, 1e-5) << lane;
  }
}

TEST(TrellisSearch, EveryInstructionSetFindsTheSamePaths) {
  for (const size_t count : {1U, 7U, 8U, 9U, 1000U, 1803U, 9001U}) {
    const std::vector<float> values = lognormal_vector(count, count);
    ASSERT_TRUE(limit_instruction_set("reference"));
    std::vector<uint8_t> expected(count * kTrellisSymbolBytes);
    search_trellis(values, 2.0F, expected);
    for (const char* name : kInstructionSets) {
      if (!limit_instruction_set(name)) continue;
      std::vector<uint8_t> symbols(count * kTrellisSymbolBytes);
      search_trellis(values, 2.0F, symbols);
      EXPECT_EQ(symbols, expected) << name << ", " << count << " values";
    }
    limit_instruction_set("auto");
  }
}

TEST(TrellisModel, TablesAddUpAndNoSymbolIsImpossible) {
  const TrellisModel& model = TrellisModel::instance();
  for (size_t s = 0; s < kTrellisShapes; ++s) {
    for (unsigned row = 0; row < kTrellisTableClasses; ++row) {
      for (unsigned odd = 0; odd < 2; ++odd) {
        const TrellisTable table = model.table(static_cast<TrellisShape>(s), row, odd);
        EXPECT_EQ(table.starts[0], 0);
        EXPECT_EQ(table.starts[table.escape + 1], 1U << kTrellisTableBits);
        for (uint32_t symbol = 0; symbol <= table.escape; ++symbol) {
          ASSERT_LT(table.starts[symbol], table.starts[symbol + 1]);
          const double share = (table.starts[symbol + 1] - table.starts[symbol]) / 16384.0;
          EXPECT_NEAR(table.costs[symbol], -4096.0 * std::log2(share), 1.01);
        }
        for (uint32_t cell = 0; cell < 128; ++cell) {
          const uint32_t symbol = table.pivots[cell];
          EXPECT_TRUE(table.starts[symbol] <= cell * 128 && cell * 128 < table.starts[symbol + 1]);
        }
      }
    }
  }
  for (unsigned c = 1; c < kTrellisClasses; ++c) EXPECT_LT(model.upper_level(c - 1), model.upper_level(c));
}

TEST(Trellis, IsCloseToTheLimitOfGaussianValues) {
  const std::vector<float> values = gauss_vector(200'000, 11);
  // Steps of about 1, 2, 3 and 4 bits; the limit of unbiased codes is 0.5 log2(1 + 1 / NMSE).
  for (const float step : {1.2F, 0.54F, 0.26F, 0.13F}) {
    const Encoded encoded = encode_alone(trellis_spec(step, true), values);
    const double error = nmse(values, decode_alone(encoded.tensor));
    const double bits = encoded.payload_bits() / static_cast<double>(values.size());
    const double gap = bits - 0.5 * std::log2(1.0 + 1.0 / error);
    EXPECT_LT(gap, 0.065) << "step " << step << ": " << bits << " bits, NMSE " << error;
    EXPECT_GT(gap, 0.02) << "better than 128 states can be: the measurement is wrong";
  }
}

TEST(Trellis, LearnsTheLocalScale) {
  const std::vector<float> values = swelling_vector(200'000, 12);
  const Encoded encoded = encode_alone(trellis_spec(0.05F), values);
  // What each coordinate would take if its scale were known, at high rate: h(x) - log2(2 step).
  double bits = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    bits += 0.5 * std::log2(2 * 3.14159265 * 2.71828183) +
            1.2 / std::log(2.0) * std::sin(static_cast<double>(i) / 700.0) - std::log2(0.1);
  }
  EXPECT_NEAR(encoded.payload_bits() / bits, 1.0, 0.01);
}

TEST(Trellis, FactorIsUnbiasedForRotatedValuesAndOfLeastErrorElse) {
  const std::vector<float> values = laplace_vector(20'000, 13);
  const std::vector<float> unbiased = decode_alone(encode_alone(trellis_spec(1.0F, true), values).tensor);
  const std::vector<float> closest = decode_alone(encode_alone(trellis_spec(1.0F), values).tensor);
  // Up to the eight bits of the factor.
  double product = 0.0;
  for (size_t i = 0; i < values.size(); ++i) product += double{values[i]} * unbiased[i];
  EXPECT_NEAR(product / squared_norm(values), 1.0, 0.004);
  double residual = 0.0;  // least error: what is left is orthogonal to what was sent
  for (size_t i = 0; i < values.size(); ++i) residual += (double{values[i]} - closest[i]) * closest[i];
  EXPECT_NEAR(residual / squared_norm(values), 0.0, 0.004);
  EXPECT_LT(nmse(values, closest), nmse(values, unbiased));
}

TEST(Trellis, TheMeanOverRotationsIsTheVector) {
  std::vector<float> values(512);
  values[0] = 1.0F;
  values[1] = 0.5F;
  plan::CodecSpec spec = trellis_spec(0.06F, true);
  constexpr int kRuns = 600;
  std::vector<double> mean(values.size());
  double error = 0.0;
  std::vector<uint8_t> out(encoded_bytes_max(spec, 512));
  std::vector<float> scratch(512);
  std::vector<float> decoded(512);
  for (int run = 0; run < kRuns; ++run) {
    const auto tensor = encode_tensor(spec, "t", values, static_cast<uint64_t>(run), out, scratch);
    ASSERT_TRUE(tensor.ok()) << tensor.failure().text();
    ASSERT_TRUE(decode_tensor("t", *tensor, decoded).ok());
    error += nmse(values, decoded) / kRuns;
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += double{decoded[i]} / kRuns;
  }
  double bias = 0.0;
  for (size_t i = 0; i < mean.size(); ++i) bias += (mean[i] - values[i]) * (mean[i] - values[i]);
  bias /= squared_norm(values);
  EXPECT_LT(bias, 2.0 * error / kRuns);  // an unbiased code leaves error / runs
}

// What the rotation mixes has a factor of its own: the chunks of an update differ by orders of magnitude.
TEST(Trellis, EveryChunkIsUnbiased) {
  constexpr size_t kChunk = 4096;
  constexpr size_t kChunks = 13;
  constexpr int kRuns = 60;
  std::vector<float> values = laplace_vector(kChunks * kChunk, 18);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= std::ldexp(1.0F, static_cast<int>(i / kChunk) - 6);
  const plan::CodecSpec spec = trellis_spec(0.03F, true);  // 0.6 bit for the first chunk
  std::vector<double> mean(values.size());
  double errors[kChunks] = {};
  for (int run = 0; run < kRuns; ++run) {
    const Encoded encoded = encode(spec, values, static_cast<uint64_t>(run));
    std::vector<float> decoded(values.size());
    ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
    for (size_t i = 0; i < values.size(); ++i) {
      mean[i] += double{decoded[i]} / kRuns;
      errors[i / kChunk] += (double{decoded[i]} - values[i]) * (double{decoded[i]} - values[i]) / kRuns;
    }
  }
  for (size_t c = 0; c < kChunks; ++c) {
    double bias = -errors[c] / kRuns;  // which the mean of unbiased decodes still has
    for (size_t i = c * kChunk; i < (c + 1) * kChunk; ++i) bias += (mean[i] - values[i]) * (mean[i] - values[i]);
    EXPECT_LT(bias, 0.02 * errors[c]) << c;
  }
}

TEST(Trellis, AChunkThatIsAlmostNothingGetsNoLargeFactor) {
  std::vector<float> values = gauss_vector(3 * 4096, 19);
  for (size_t i = 4096; i < 8192; ++i) values[i] *= 0.15F;
  values[5000] = 2.0F;
  std::fill(values.begin() + 8192, values.end(), 0.01F);
  const Encoded encoded = encode_alone(trellis_spec(1.0F, true), values);
  const auto factor = [&](size_t chunk) {
    return from_bfloat16(load_le<uint16_t>(encoded.tensor.payload.data() + 2 * chunk));
  };
  EXPECT_NEAR(factor(0), 1.3F, 0.3F);
  EXPECT_EQ(factor(1), 8.0F);
  EXPECT_EQ(factor(2), 1.0F);
}

// From some 0.2 bits a coordinate to 5; the long vectors are predicted from samples.
TEST(Trellis, PredictsItsSize) {
  for (const auto& values : {gauss_vector(100'000, 1), laplace_vector(52'138, 2), lognormal_vector(100'000, 3),
                             swelling_vector(100'000, 4), swelling_vector(300'000, 5), lognormal_vector(300'000, 6)}) {
    for (const bool rotated : {false, true}) {
      for (const float step : {2.4F, 1.8F, 1.2F, 0.8F, 0.4F, 0.2F, 0.05F}) {
        if (rotated && step != 1.2F) continue;
        const plan::CodecSpec spec = trellis_spec(step, rotated);
        const Encoded encoded = encode_alone(spec, values);
        if (encoded.payload_bits() < 0.2 * static_cast<double>(values.size())) continue;
        EXPECT_NEAR(predict_trellis_bytes(spec, values, 0) / static_cast<double>(encoded.tensor.payload.size()), 1.0,
                    0.01)
            << step << ", " << encoded.payload_bits() / static_cast<double>(values.size()) << " bits";
      }
    }
  }
  EXPECT_EQ(predict_trellis_bytes(trellis_spec(100.0F), gauss_vector(5000, 7), 0), 0.0);
}

TEST(Trellis, StaysWithinItsBudget) {
  for (const auto& values : {gauss_vector(60'000, 8), laplace_vector(60'000, 9), lognormal_vector(60'000, 10)}) {
    for (const float bits : {0.25F, 0.5F, 1.0F, 2.0F, 4.0F}) {
      plan::CodecSpec spec = trellis_spec(0.0F);
      spec.bits = bits;
      const double share = encode(spec, values, 1).payload_bits() / (double{bits} * static_cast<double>(values.size()));
      EXPECT_GT(share, 0.965) << bits;
      EXPECT_LT(share, 1.01) << bits;
    }
  }
}

TEST(Trellis, AFewDozenValuesAreShorterThanRaw) {
  for (const size_t count : {16U, 32U, 64U}) {
    const Encoded encoded = encode_alone(trellis_spec(0.5F), gauss_vector(count, 200 + count));
    EXPECT_EQ(encoded.tensor.coder, plan::Coder::kModel) << count;
    EXPECT_LT(encoded.tensor.payload.size(), 9 + count * 3 / 8) << count;
  }
}

TEST(Trellis, HandlesEveryCount) {
  for (size_t count = 0; count < 70; ++count) {
    const std::vector<float> values = gauss_vector(count, 100 + count);
    const Encoded encoded = encode_alone(trellis_spec(0.1F), values);
    EXPECT_LE(encoded.tensor.payload.size(), 4 * count);
    const std::vector<float> decoded = decode_alone(encoded.tensor);
    for (size_t i = 0; i < count; ++i) EXPECT_NEAR(decoded[i], values[i], 0.5F) << i << " of " << count;
  }
}

TEST(Trellis, ZerosTakeNoBytes) {
  const Encoded encoded = encode_alone(trellis_spec(1.0F), std::vector<float>(1000, 1e-3F));
  EXPECT_EQ(encoded.tensor.payload.size(), 0U);
  EXPECT_THAT(decode_alone(encoded.tensor), testing::Each(0.0F));
}

TEST(Trellis, GoesRawWhereTheStepIsTooFine) {
  const std::vector<float> values = gauss_vector(1000, 14);
  for (const float step : {1e-30F, 1e-7F}) {
    const Encoded encoded = encode_alone(trellis_spec(step), values);
    EXPECT_EQ(encoded.tensor.coder, plan::Coder::kRaw);
    EXPECT_EQ(decode_alone(encoded.tensor), values);
  }
  std::vector<float> huge(1000, 3e38F);
  huge[5] = -3e38F;
  const Encoded encoded = encode_alone(trellis_spec(1e30F), huge);
  EXPECT_NEAR(decode_alone(encoded.tensor)[5] / -3e38F, 1.0F, 0.01F);
}

TEST(Trellis, LargeIndicesSurvive) {
  std::vector<float> values = gauss_vector(4000, 15);
  values[17] = 60'000.0F;  // an escape in a class of small indices
  values[18] = -60'000.0F;
  const Encoded encoded = encode_alone(trellis_spec(0.1F), values);
  EXPECT_EQ(encoded.tensor.coder, plan::Coder::kModel);
  const std::vector<float> decoded = decode_alone(encoded.tensor);
  EXPECT_NEAR(decoded[17], 60'000.0F, 0.5F);
  EXPECT_NEAR(decoded[18], -60'000.0F, 0.5F);
  for (float& value : values) value *= 1000.0F;
  values[17] = values[18] = 0.0F;
  const std::vector<float> fine = decode_alone(encode_alone(trellis_spec(0.5F), values).tensor);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(fine[i], values[i], 2.5F) << i;
}

TEST(Trellis, GoldenBytes) {
  const std::vector<float> values = integer_made_vector(5000);
  struct Golden {
    float step;
    bool unbiased;
    size_t bytes;
    uint32_t crc;
  };
  const Golden goldens[] = {
      {1.25F, true, 618, 4047279763U}, {0.5F, false, 1318, 544025000U}, {0.0625F, true, 3174, 2651984295U}};
  for (const Golden& golden : goldens) {
    const Encoded encoded = encode_alone(trellis_spec(golden.step, golden.unbiased), values);
    EXPECT_EQ(encoded.tensor.payload.size(), golden.bytes) << golden.step;
    EXPECT_EQ(crc32c(encoded.tensor.payload), golden.crc) << golden.step;
  }
}

// Finite values or an error, whatever the bytes.
void expect_total(const plan::EncodedTensor& tensor) {
  std::vector<float> values(tensor.count);
  if (!decode_trellis(tensor, values).ok()) return;
  for (const float value : values) ASSERT_TRUE(std::isfinite(value));
}

TEST(Trellis, DecodesAnyoneBytesToValuesOrAnError) {
  const Encoded encoded = encode_alone(trellis_spec(0.5F), laplace_vector(500, 16));
  const ByteView payload = encoded.tensor.payload;
  Rng rng(17);
  for (size_t bytes = 1; bytes < payload.size(); ++bytes) {
    plan::EncodedTensor tensor = encoded.tensor;
    tensor.payload = payload.first(bytes);
    std::vector<float> values(tensor.count);
    EXPECT_FALSE(decode_trellis(tensor, values).ok()) << bytes;
  }
  int accepted = 0;
  for (size_t bit = 0; bit < 8 * payload.size(); ++bit) {
    std::vector<uint8_t> flipped(payload.begin(), payload.end());
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    plan::EncodedTensor tensor = encoded.tensor;
    tensor.payload = flipped;
    expect_total(tensor);
    std::vector<float> values(tensor.count);
    if (bit >= 8 * 4) accepted += decode_trellis(tensor, values).ok() ? 1 : 0;
  }
  EXPECT_LE(accepted, 8);  // the systems must end where the encoder began
  for (int run = 0; run < 3000; ++run) {
    std::vector<uint8_t> noise(rng.below(200));
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(rng.next_u64());
    if (noise.size() > 5) {
      noise[1] = 0x3F;  // a plausible factor and model, so that the coder is reached
      noise[2] = static_cast<uint8_t>(0x10 * (1 + rng.below(7)) + rng.below(3));
      noise[3] = static_cast<uint8_t>(rng.below(kTrellisClasses));
    }
    plan::EncodedTensor tensor = encoded.tensor;
    tensor.payload = noise;
    tensor.scale = run % 2 == 0 ? 1.0F : 1e30F;
    expect_total(tensor);
  }
  plan::EncodedTensor tensor = encoded.tensor;
  std::vector<float> values(tensor.count);
  tensor.bits = 3;
  EXPECT_EQ(decode_trellis(tensor, values).error(), Error::kMalformed);
  tensor = encoded.tensor;
  tensor.coder = plan::Coder::kElias;
  EXPECT_EQ(decode_trellis(tensor, values).error(), Error::kUnsupported);
  tensor.coder = plan::Coder::kRaw;
  EXPECT_EQ(decode_trellis(tensor, values).error(), Error::kTruncated);
}

}  // namespace
}  // namespace runnel::codec
