// The schemes of one absolute step: what dither promises, what the entropy coder reaches, what the rate model says.
#include "runtime/codec/step_codec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/base/crc32c.h"
#include "runtime/base/instruction_set.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

constexpr size_t kLong = 1 << 20;

plan::CodecSpec step_spec(plan::CodecId codec, float step, bool rotate = false) {
  plan::CodecSpec spec;
  spec.codec = codec;
  spec.step = step;
  spec.rotate = rotate;
  return spec;
}

struct Trip {
  Encoded encoded;
  std::vector<float> decoded;
  double bits = 0.0;  // a coordinate
  double nmse = 0.0;
};

Trip round_trip(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed) {
  Trip trip;
  trip.encoded = encode(spec, values, seed);
  EXPECT_TRUE(trip.encoded.failure.ok()) << trip.encoded.failure.text();
  trip.decoded.resize(values.size());
  const Failure failure = decode_tensor("tensor", trip.encoded.tensor, trip.decoded);
  EXPECT_TRUE(failure.ok()) << failure.text();
  double error = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double difference = double{trip.decoded[i]} - double{values[i]};
    error += difference * difference;
  }
  trip.nmse = error / squared_norm(values);
  trip.bits = trip.encoded.payload_bits() / static_cast<double>(values.size());
  return trip;
}

// A vector whose scale drifts over four octaves: what adapting to the local scale is for.
std::vector<float> drifting_vector(size_t count, uint64_t seed) {
  std::vector<float> values = gauss_vector(count, seed);
  for (size_t i = 0; i < count; ++i) {
    values[i] *= static_cast<float>(std::exp2(4.0 * std::sin(static_cast<double>(i) / 3000.0)));
  }
  return values;
}

TEST(Dithered, TheErrorIsUniformWhateverTheValues) {
  for (const std::vector<float>& values : {gauss_vector(kLong, 1), laplace_vector(kLong, 2), flat_vector(kLong)}) {
    for (const float step : {0.25F, 1.0F, 3.0F}) {
      const Trip trip = round_trip(step_spec(plan::CodecId::kDithered, step), values, 9);
      double sum = 0.0;
      double squares = 0.0;
      double product = 0.0;
      double largest = 0.0;
      for (size_t i = 0; i < values.size(); ++i) {
        const double error = (double{trip.decoded[i]} - double{values[i]}) / double{step};
        sum += error;
        squares += error * error;
        product += error * double{values[i]};
        largest = std::max(largest, std::abs(error));
      }
      const auto count = static_cast<double>(values.size());
      EXPECT_NEAR(squares / count, 1.0 / 12.0, 0.01 / 12.0) << step;
      EXPECT_LE(largest, 0.5001) << step;
      EXPECT_NEAR(sum / count, 0.0, 5.0 / std::sqrt(12.0 * count)) << step;
      EXPECT_NEAR(product / count, 0.0, 5.0 * std::sqrt(squared_norm(values) / count / 12.0 / count)) << step;
    }
  }
}

TEST(Dithered, TheMeanOfManySendersNearsTheValue) {
  const std::vector<float> values = laplace_vector(1 << 14, 3);
  const float step = 2.5F;
  std::vector<double> mean(values.size());
  constexpr int kSenders = 64;
  for (int sender = 0; sender < kSenders; ++sender) {
    const Trip trip =
        round_trip(step_spec(plan::CodecId::kDithered, step), values, 100 + static_cast<uint64_t>(sender));
    for (size_t i = 0; i < values.size(); ++i) mean[i] += double{trip.decoded[i]} / kSenders;
  }
  double error = 0.0;
  for (size_t i = 0; i < values.size(); ++i) error += std::pow(mean[i] - double{values[i]}, 2);
  const double expected = double{step} * double{step} / 12.0 / kSenders;
  EXPECT_NEAR(error / static_cast<double>(values.size()), expected, 0.05 * expected);
}

TEST(Dithered, SizeAndErrorAreThoseOfTheOracle) {
  // Entropy given the dither, and error, of Delta = sigma; 1 % and 64 bytes, and 2 %.
  const std::vector<float> gauss = gauss_vector(kLong, 4);
  std::vector<float> laplace = laplace_vector(kLong, 5);
  for (float& value : laplace) value *= std::sqrt(0.5F);
  const struct {
    const std::vector<float>& values;
    double bits, nmse;
  } rows[] = {{gauss, 2.104, 0.0833}, {laplace, 2.033, 0.0834}};
  for (const auto& row : rows) {
    const Trip trip = round_trip(step_spec(plan::CodecId::kDithered, 1.0F), row.values, 6);
    EXPECT_LE(trip.bits, 1.01 * row.bits + 512.0 / kLong);
    EXPECT_NEAR(trip.nmse, row.nmse, 0.02 * row.nmse);
  }
}

TEST(Dithered, TheGapToTheUnbiasedLimitIsAsPromised) {
  const std::vector<float> values = gauss_vector(kLong, 7);
  for (const double bits : {1.0, 2.0, 3.0, 4.0}) {
    plan::CodecSpec spec = step_spec(plan::CodecId::kDithered, 0.0F);
    spec.bits = static_cast<float>(bits);
    const Trip trip = round_trip(spec, values, 8);
    const double limit = 0.5 * std::log2(1.0 + 1.0 / trip.nmse);
    EXPECT_LE(trip.bits - limit, bits == 1.0 ? 0.35 : 0.27) << bits;
    EXPECT_NEAR(trip.bits, bits, 0.03 * bits);
  }
}

TEST(Deadzone, RotatedItIsTheOracleAndUnbiased) {
  const std::vector<float> values = laplace_vector(kLong, 10);
  const double rms = std::sqrt(squared_norm(values) / kLong);
  const struct { double step, bits, nmse; } rows[] = {{2.422, 1.000, 0.5352}, {1.082, 2.000, 0.0976}};
  for (const auto& row : rows) {
    plan::CodecSpec spec = step_spec(plan::CodecId::kDeadzone, static_cast<float>(row.step * rms), true);
    const Trip trip = round_trip(spec, values, 11);
    EXPECT_LE(trip.bits, 1.01 * row.bits + 512.0 / kLong);
    EXPECT_NEAR(trip.nmse, row.nmse, 0.02 * row.nmse);
    // Unbiased: <y, x> = <x, x>.
    double product = 0.0;
    for (size_t i = 0; i < values.size(); ++i) product += double{trip.decoded[i]} * double{values[i]};
    EXPECT_NEAR(product / squared_norm(values), 1.0, 1e-3);
  }
}

TEST(Deadzone, RotatedItIsUnbiasedWhereChunksDiffer) {
  std::vector<float> values = laplace_vector(1 << 16, 18);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] *= static_cast<float>(std::exp2(static_cast<int>(i / 4096 % 7) - 3));
  const plan::CodecSpec spec = step_spec(plan::CodecId::kDeadzone, 0.2F, true);
  std::vector<double> mean(values.size());
  constexpr int kSenders = 50;
  double nmse = 0.0;
  for (int sender = 0; sender < kSenders; ++sender) {
    const Trip trip = round_trip(spec, values, 200 + static_cast<uint64_t>(sender));
    nmse += trip.nmse / kSenders;
    for (size_t i = 0; i < values.size(); ++i) mean[i] += double{trip.decoded[i]} / kSenders;
  }
  double error = 0.0;
  for (size_t i = 0; i < values.size(); ++i) error += std::pow(mean[i] - double{values[i]}, 2);
  // The mean of K unbiased decodes has 1/K of the error of one.
  EXPECT_LT(error / squared_norm(values), 1.3 * nmse / kSenders);
}

TEST(Deadzone, OnLaplaceValuesItIsNearTheBestScalarQuantizer) {
  const std::vector<float> values = laplace_vector(kLong, 12);
  const double rms = std::sqrt(squared_norm(values) / kLong);
  const Trip trip = round_trip(step_spec(plan::CodecId::kDeadzone, static_cast<float>(1.745 * rms)), values, 13);
  EXPECT_LE(trip.bits, 1.01 * 1.001 + 512.0 / kLong);
  EXPECT_LE(trip.nmse, 1.02 * 0.2612);
}

TEST(ModelCoder, FindsTheScaleOfEachPart) {
  const std::vector<float> values = drifting_vector(kLong, 14);
  // The rate of a coder that knew each value's own scale: the mean over octaves of the rate at that scale. A coder that
  // knows only the whole vector's distribution needs more than a bit on top.
  plan::CodecSpec spec = step_spec(plan::CodecId::kDithered, 1.0F);
  const Trip trip = round_trip(spec, values, 15);
  double ideal = 0.0;
  int parts = 0;
  for (double phase = 0.0; phase < 3.14159; phase += 0.1, ++parts) {
    std::vector<float> part = gauss_vector(1 << 14, 16);
    for (float& value : part) value *= static_cast<float>(std::exp2(4.0 * std::cos(phase)));
    ideal += round_trip(spec, part, 17).bits;
  }
  ideal /= parts;
  EXPECT_LE(trip.bits, 1.03 * ideal);
}

TEST(RateModel, SaysWhatEncodingGives) {
  for (const std::vector<float>& values : {gauss_vector(200'000, 20), laplace_vector(200'000, 21),
                                           drifting_vector(200'000, 22), gauss_vector(5'000, 23)}) {
    for (const plan::CodecId codec : {plan::CodecId::kDithered, plan::CodecId::kDeadzone}) {
      for (const double bits : {0.1, 0.25, 0.5, 1.0, 2.0, 4.0}) {
        const double budget = bits * static_cast<double>(values.size()) / 8.0;
        plan::CodecSpec spec = step_spec(codec, 0.0F);
        spec.step = step_for_bytes(spec, values, 24, budget);
        const double predicted = predict_bytes(spec, values, 24);
        const auto actual = static_cast<double>(encode(spec, values, 24).tensor.payload.size());
        EXPECT_NEAR(predicted, actual, 0.01 * actual + 4.0) << plan::codec_name(codec) << " at " << bits << " bits";
        EXPECT_LE(predicted, budget);
        // The next finer step would have been too long.
        spec.step *= std::exp2(-1.0F / 32.0F);
        EXPECT_GT(predict_bytes(spec, values, 24), budget);
      }
    }
  }
}

TEST(StepCodec, EveryInstructionSetMakesTheSameBytesAndValues) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{4095}, size_t{4097},
                             size_t{70'001}, size_t{200'003}}) {
    const std::vector<float> values = drifting_vector(count, 30);
    for (const plan::CodecId codec : {plan::CodecId::kDithered, plan::CodecId::kDeadzone}) {
      for (const float step : {0.01F, 0.3F, 3.0F, 100.0F}) {
        const plan::CodecSpec spec = step_spec(codec, step);
        ASSERT_TRUE(limit_instruction_set("reference"));
        const Encoded expected = encode(spec, values, 31);
        std::vector<float> expected_values(count);
        ASSERT_TRUE(decode_tensor("tensor", expected.tensor, expected_values).ok());
        for (const char* name : {"sse4", "avx2", "avx512", "neon", "auto"}) {
          if (!limit_instruction_set(name)) continue;
          const Encoded encoded = encode(spec, values, 31);
          ASSERT_TRUE(std::equal(encoded.tensor.payload.begin(), encoded.tensor.payload.end(),
                                 expected.tensor.payload.begin(), expected.tensor.payload.end()))
              << name << ", " << count << " values, step " << step;
          std::vector<float> decoded(count);
          ASSERT_TRUE(decode_tensor("tensor", encoded.tensor, decoded).ok());
          ASSERT_EQ(decoded, expected_values) << name;
        }
        limit_instruction_set("auto");
      }
    }
  }
}

// The bytes are the same on every machine: inputs made of integers, and the checksums of what they gave when the format
// was settled.
TEST(StepCodec, TheBytesStay) {
  std::vector<float> values(10'000);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t word = mix64(derive_key(11, i));
    const auto integer = static_cast<int32_t>(word % 2001) - 1000;
    values[i] = static_cast<float>(integer) / static_cast<float>(64U << (i / 1000));
  }
  const struct {
    plan::CodecId codec;
    float step;
    bool rotate;
    float keep;
    uint32_t checksum;
  } rows[] = {
      {plan::CodecId::kDithered, 0.5F, false, 1.0F, 3431400768U},
      {plan::CodecId::kDithered, 8.0F, false, 1.0F, 2017556666U},
      {plan::CodecId::kDeadzone, 0.5F, false, 1.0F, 2057284059U},
      {plan::CodecId::kDeadzone, 8.0F, true, 1.0F, 3548577167U},
      {plan::CodecId::kDithered, 1.0F, false, 0.25F, 1756996470U},
      {plan::CodecId::kDeadzone, 0.01F, false, 1.0F, 3165526213U},
  };
  for (const auto& row : rows) {
    plan::CodecSpec spec = step_spec(row.codec, row.step, row.rotate);
    spec.keep = row.keep;
    const Encoded encoded = encode(spec, values, 12);
    EXPECT_EQ(crc32c(encoded.tensor.payload), row.checksum) << plan::codec_name(row.codec) << " with step " << row.step
                                                            << ": " << encoded.tensor.payload.size() << " bytes";
  }
}

TEST(StepCodec, NothingExpands) {
  for (const plan::CodecId codec : {plan::CodecId::kDithered, plan::CodecId::kDeadzone}) {
    const std::vector<float> values = gauss_vector(3000, 40);
    for (const float step : {1e-30F, 1e-6F, 1e-4F}) {
      const Trip trip = round_trip(step_spec(codec, step), values, 41);
      EXPECT_LE(trip.encoded.tensor.payload.size(), values.size() * 4);
      EXPECT_LE(trip.nmse, 1e-6);
    }
    // Denormals and the largest floats.
    EXPECT_LE(round_trip(step_spec(codec, 1e-20F), std::vector<float>(100, 1e-40F), 42).encoded.tensor.payload.size(),
              400U);
    EXPECT_EQ(round_trip(step_spec(codec, 1.0F), std::vector<float>(100, 3e38F), 43).nmse, 0.0);
    EXPECT_EQ(round_trip(step_spec(codec, 0.0F), std::vector<float>(100, 3e38F), 43).nmse, 0.0);
  }
}

TEST(StepCodec, ZerosAndNothingCostNothing) {
  for (const plan::CodecId codec : {plan::CodecId::kDithered, plan::CodecId::kDeadzone}) {
    for (const size_t count : {size_t{0}, size_t{1}, size_t{1000}}) {
      const std::vector<float> zeros(count, 0.0F);
      const Encoded encoded = encode(step_spec(codec, 1.0F), zeros, 44);
      EXPECT_TRUE(encoded.tensor.payload.empty());
      std::vector<float> decoded(count, 1.0F);
      ASSERT_TRUE(decode_tensor("tensor", encoded.tensor, decoded).ok());
      EXPECT_EQ(decoded, zeros);
    }
  }
}

TEST(StepCodec, CutAndBentPayloadsGiveValuesOrAnError) {
  const std::vector<float> values = drifting_vector(700, 50);
  for (const plan::CodecId codec : {plan::CodecId::kDithered, plan::CodecId::kDeadzone}) {
    const Encoded encoded = encode(step_spec(codec, 0.5F), values, 51);
    std::vector<float> decoded(values.size());
    for (size_t length = 0; length < encoded.tensor.payload.size(); ++length) {
      plan::EncodedTensor cut = encoded.tensor;
      cut.payload = cut.payload.first(length);
      EXPECT_FALSE(decode_tensor("tensor", cut, decoded).ok()) << length;
    }
    std::vector<uint8_t> bytes(encoded.tensor.payload.begin(), encoded.tensor.payload.end());
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
      plan::EncodedTensor bent = encoded.tensor;
      bent.payload = bytes;
      if (decode_tensor("tensor", bent, decoded).ok()) {
        for (const float value : decoded) ASSERT_TRUE(std::isfinite(value)) << bit;
      }
      bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
    }
  }
}

TEST(StepCodec, AValueThatIsNoNumberIsNamed) {
  std::vector<float> values = gauss_vector(100, 60);
  values[17] = std::nanf("");
  const Encoded encoded = encode(step_spec(plan::CodecId::kDithered, 1.0F), values, 61);
  EXPECT_EQ(encoded.failure.error(), Error::kNotFinite);
  EXPECT_STREQ(encoded.failure.text(), "tensor: value 17 is nan");
}

// One bucket of 2^20 Gaussian values has the norm 1024 sigma: 1024 levels are a grid of sigma, as for `dithered` above,
// but the receiver does not know the dither. Twice the error, and half a bit more for the same.
TEST(StochasticRounding, OnOneGridHasTwiceTheErrorOfSubtractiveDither) {
  const struct {
    std::vector<float> values;
    double bits, nmse;
  } rows[] = {{gauss_vector(kLong, 80), 2.159, 0.1664}, {laplace_vector(kLong, 81), 2.096, 0.1611}};
  for (const auto& row : rows) {
    plan::CodecSpec spec;
    spec.codec = plan::CodecId::kQsgd;
    spec.levels = 1024;
    spec.bucket = kLong;
    spec.coder = plan::Coder::kRans;
    const Trip trip = round_trip(spec, row.values, 82);
    EXPECT_LE(trip.bits, 1.01 * row.bits + 512.0 / kLong);
    EXPECT_NEAR(trip.nmse, row.nmse, 0.02 * row.nmse);
  }
}

TEST(Bounds, SizesOfVeryLongTensorsDoNotWrap) {
  constexpr uint32_t kMost = sizeof(size_t) > 4 ? 1U << 31 : 1U << 27;  // floats that an address space has room for
  for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) {
    plan::CodecSpec spec;
    spec.codec = static_cast<plan::CodecId>(codec);
    spec.levels = 30;
    const size_t half = encoded_bytes_max(spec, kMost / 2);
    const size_t whole = encoded_bytes_max(spec, kMost);
    EXPECT_GE(whole, size_t{kMost / 8}) << plan::codec_name(spec.codec);
    EXPECT_NEAR(static_cast<double>(whole), 2.0 * static_cast<double>(half), 4096.0) << plan::codec_name(spec.codec);
  }
}

TEST(Selection, SendsAShareAndStaysUnbiased) {
  const std::vector<float> values = laplace_vector(kLong, 70);
  plan::CodecSpec spec = step_spec(plan::CodecId::kDithered, 0.1F);
  spec.keep = 0.25F;
  const Trip whole = round_trip(step_spec(plan::CodecId::kDithered, 0.1F), values, 71);
  const Trip quarter = round_trip(spec, values, 71);
  // Each kept value is four times as large: two bits more, for a quarter of them.
  EXPECT_NEAR(quarter.bits, 0.25 * (whole.bits + 2.0), 0.02);
  EXPECT_NEAR(quarter.nmse, 3.0, 0.03);
  double product = 0.0;
  size_t zeros = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    product += double{quarter.decoded[i]} * double{values[i]};
    zeros += quarter.decoded[i] == 0.0F ? 1 : 0;
  }
  EXPECT_NEAR(product / squared_norm(values), 1.0, 0.01);
  EXPECT_NEAR(static_cast<double>(zeros) / kLong, 0.75, 0.002);
}

}  // namespace
}  // namespace runnel::codec
