#include "runtime/codec/update_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

using testing::HasSubstr;

// Two dense layers: weights of 60 x 40 and 10 x 60, with biases.
plan::ModelLayout two_layers() {
  plan::ModelSpec spec;
  EXPECT_TRUE(spec.name.assign("two"));
  spec.input = {40, 1, 1};
  spec.classes = 10;
  EXPECT_TRUE(spec.layers.push_back({plan::LayerKind::kDense, 60, {}, {1, 1}, {}}));
  EXPECT_TRUE(spec.layers.push_back({plan::LayerKind::kRelu, 0, {}, {1, 1}, {}}));
  EXPECT_TRUE(spec.layers.push_back({plan::LayerKind::kDense, 10, {}, {1, 1}, {}}));
  Result<plan::ModelLayout> layout = plan::make_layout(spec);
  EXPECT_TRUE(layout.ok()) << layout.failure().text();
  return *layout;
}

std::span<const plan::EncodedTensor> all_of(const EncodedTensors& tensors) {
  return {tensors.begin(), tensors.size()};
}

plan::CodecSpec leveled_spec() {
  plan::CodecSpec spec;
  spec.codec = plan::CodecId::kQsgd;
  spec.levels = 7;
  spec.bucket = 128;
  spec.exact_coordinates_max = 128;
  return spec;
}

plan::CodecSpec stepped_spec(plan::CodecId codec) {
  plan::CodecSpec spec;
  spec.codec = codec;
  spec.step = 0.5F;
  return spec;
}

constexpr plan::CodecId kStepped[] = {plan::CodecId::kDithered, plan::CodecId::kDeadzone, plan::CodecId::kTrellis};

class UpdateCodec : public testing::Test {
 protected:
  const plan::ModelLayout layout_ = two_layers();
  const plan::CodecSpec spec_ = leveled_spec();
  const std::vector<float> update_ = gauss_vector(layout_.parameter_count, 3);
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(encoded_update_bytes_max(spec_, layout_));
  EncodedTensors tensors_;
};

TEST_F(UpdateCodec, EncodesEachTensorWithItsOwnKeyOneAfterAnother) {
  const Result<size_t> used = encode_update(spec_, layout_, update_, 42, buffer_, tensors_);
  ASSERT_TRUE(used.ok()) << used.failure().text();
  ASSERT_EQ(tensors_.size(), layout_.tensors.size());
  const uint8_t* next = buffer_.data();
  for (size_t k = 0; k < tensors_.size(); ++k) {
    const plan::TensorInfo& info = layout_.tensors[k];
    EXPECT_EQ(tensors_[k].payload.data(), next);
    next += tensors_[k].payload.size();
    EXPECT_EQ(tensors_[k].count, info.count);
    EXPECT_EQ(tensors_[k].codec, info.count <= 128 ? plan::CodecId::kFp32 : plan::CodecId::kQsgd);

    std::vector<uint8_t> alone(encoded_bytes_max(spec_, info.count));
    const auto one = encode_tensor(spec_, info.name.view(), std::span(update_).subspan(info.offset, info.count),
                                   derive_key(42, k), alone);
    ASSERT_TRUE(one.ok());
    EXPECT_TRUE(
        std::equal(one->payload.begin(), one->payload.end(), tensors_[k].payload.begin(), tensors_[k].payload.end()));
    EXPECT_EQ(one->scale, tensors_[k].scale);
  }
  EXPECT_EQ(*used, static_cast<size_t>(next - buffer_.data()));

  std::vector<float> decoded(update_.size(), 99.0F);
  const Failure failure = decode_update(layout_, all_of(tensors_), decoded);
  ASSERT_TRUE(failure.ok()) << failure.text();
  for (const plan::TensorInfo& info : layout_.tensors) {
    for (uint32_t i = info.offset; i < info.offset + info.count; ++i) {
      if (info.count <= 128) {
        EXPECT_EQ(decoded[i], update_[i]);
      } else {
        EXPECT_NEAR(decoded[i], update_[i], tensors_[0].scale / 7 * 1.001F) << i;
      }
    }
  }
}

TEST_F(UpdateCodec, SmallTensorsAreExactUpToTheLimitAndNotBeyond) {
  plan::CodecSpec spec = leveled_spec();
  spec.exact_coordinates_max = 10;
  EXPECT_EQ(encode(spec, gauss_vector(10, 1), 1).tensor.codec, plan::CodecId::kFp32);
  const Encoded eleven = encode(spec, gauss_vector(11, 1), 1);
  EXPECT_EQ(eleven.tensor.codec, plan::CodecId::kQsgd);
  EXPECT_EQ(eleven.tensor.bits, 4);
  EXPECT_EQ(encode(spec, gauss_vector(10, 1), 1).tensor.bits, 32);
}

TEST_F(UpdateCodec, AShapeThatDiffersIsRefusedByName) {
  ASSERT_TRUE(encode_update(spec_, layout_, update_, 1, buffer_, tensors_).ok());
  std::vector<float> decoded(update_.size());

  EncodedTensors other = tensors_;
  --other[1].count;
  const Failure failure = decode_update(layout_, all_of(other), decoded);
  EXPECT_EQ(failure.error(), Error::kShape);
  EXPECT_THAT(failure.text(), HasSubstr(layout_.tensors[1].name.c_str()));

  EXPECT_EQ(decode_update(layout_, all_of(tensors_).first(3), decoded).error(), Error::kShape);
  std::vector<float> shorter(update_.size() - 1);
  EXPECT_EQ(decode_update(layout_, all_of(tensors_), shorter).error(), Error::kShape);
  EXPECT_EQ(encode_update(spec_, layout_, shorter, 1, buffer_, tensors_).error(), Error::kShape);
  EXPECT_TRUE(tensors_.empty());
}

TEST_F(UpdateCodec, AFailureNamesTheTensorAndLeavesNoTensors) {
  std::vector<float> update = update_;
  const plan::TensorInfo& second = layout_.tensors[2];
  update[second.offset + 17] = std::numeric_limits<float>::quiet_NaN();
  const Result<size_t> used = encode_update(spec_, layout_, update, 1, buffer_, tensors_);
  EXPECT_EQ(used.error(), Error::kNotFinite);
  EXPECT_EQ(std::string(used.failure().text()), std::string(second.name.c_str()) + ": value 17 is nan");
  EXPECT_TRUE(tensors_.empty());
}

TEST_F(UpdateCodec, ADecodingFailureNamesTheTensor) {
  ASSERT_TRUE(encode_update(spec_, layout_, update_, 1, buffer_, tensors_).ok());
  tensors_[2].payload = tensors_[2].payload.first(tensors_[2].payload.size() - 1);
  std::vector<float> decoded(update_.size());
  const Failure failure = decode_update(layout_, all_of(tensors_), decoded);
  EXPECT_EQ(failure.error(), Error::kTruncated);
  EXPECT_THAT(failure.text(), HasSubstr(layout_.tensors[2].name.c_str()));
}

TEST_F(UpdateCodec, ATooSmallBufferIsRefusedBeforeAnythingIsWritten) {
  const std::vector<float> values = gauss_vector(1000, 1);
  const size_t bytes_max = encoded_bytes_max(spec_, 1000);
  std::vector<uint8_t> buffer(bytes_max);
  EXPECT_TRUE(encode_tensor(spec_, "a", values, 1, buffer).ok());
  const auto result = encode_tensor(spec_, "a", values, 1, std::span(buffer).first(bytes_max - 1));
  EXPECT_EQ(result.error(), Error::kNoMemory);
  EXPECT_THAT(result.failure().text(), HasSubstr("a: "));
  EXPECT_EQ(encode_update(spec_, layout_, update_, 1, std::span(buffer_).first(100), tensors_).error(),
            Error::kNoMemory);
  EXPECT_TRUE(tensors_.empty());
}

TEST_F(UpdateCodec, TheUpdatesBoundIsTheSumOfItsTensors) {
  size_t sum = 0;
  for (const plan::TensorInfo& info : layout_.tensors) sum += encoded_bytes_max(spec_, info.count);
  EXPECT_EQ(encoded_update_bytes_max(spec_, layout_), sum);
  EXPECT_EQ(encoded_bytes_max(spec_, 128), 512U);
}

TEST_F(UpdateCodec, AnInvalidSpecIsRefused) {
  const std::vector<float> values = gauss_vector(1000, 1);
  for (const plan::CodecSpec& spec :
       {qsgd_spec(0, 128), qsgd_spec(32768, 128), qsgd_spec(7, 7), qsgd_spec(7, (1U << 20) + 1)}) {
    EXPECT_EQ(encoded_bytes_max(spec, 1000), 0U);
    EXPECT_EQ(encode_tensor(spec, "a", values, 1, buffer_).error(), Error::kOutOfRange);
  }
  plan::CodecSpec unknown;
  unknown.codec = static_cast<plan::CodecId>(77);
  EXPECT_EQ(encode_tensor(unknown, "a", values, 1, buffer_).error(), Error::kUnsupported);
}

TEST_F(UpdateCodec, ALayoutThatLiesAboutItsOffsetsIsRefused) {
  plan::ModelLayout layout = layout_;
  layout.tensors[3].offset = layout.parameter_count - 1;
  EXPECT_EQ(encode_update(spec_, layout, update_, 1, buffer_, tensors_).error(), Error::kInvalidArgument);
}

// The schemes with a step take the whole update as one run.
class SteppedUpdate : public UpdateCodec, public testing::WithParamInterface<plan::CodecId> {
 protected:
  Result<size_t> encode_all(std::span<const float> update) {
    run_buffer_.resize(encoded_update_bytes_max(run_spec_, layout_));
    scratch_.resize(encode_update_scratch_count(run_spec_, layout_));
    return encode_update(run_spec_, layout_, update, 42, run_buffer_, tensors_, scratch_);
  }
  plan::CodecSpec run_spec_ = stepped_spec(GetParam());
  std::vector<uint8_t> run_buffer_;
  std::vector<float> scratch_;
};

TEST_P(SteppedUpdate, OneRunHoldsAllTensors) {
  const Result<size_t> used = encode_all(update_);
  ASSERT_TRUE(used.ok()) << used.failure().text();
  ASSERT_EQ(tensors_.size(), 1U);
  EXPECT_EQ(tensors_[0].codec, GetParam());
  EXPECT_EQ(tensors_[0].tensors, layout_.tensors.size());
  EXPECT_EQ(tensors_[0].count, layout_.parameter_count);
  EXPECT_EQ(tensors_[0].payload.size(), *used);
  EXPECT_EQ(tensors_[0].payload.data(), run_buffer_.data());
  std::vector<float> decoded(update_.size(), 99.0F);
  const Failure failure = decode_update(layout_, all_of(tensors_), decoded);
  ASSERT_TRUE(failure.ok()) << failure.text();
  std::vector<float> alone(update_.size());
  ASSERT_TRUE(decode_tensor("run", tensors_[0], alone).ok());
  EXPECT_EQ(decoded, alone);
  double error = 0.0;
  for (size_t i = 0; i < update_.size(); ++i) error += std::pow(double{decoded[i]} - update_[i], 2);
  // A step D is at most D^2 / 4 of error a coordinate, whatever the scheme does at its dead zone.
  EXPECT_LT(error / static_cast<double>(update_.size()), 0.25 / 4);
}

TEST_P(SteppedUpdate, ANanIsNamedByItsTensorAndItsPlaceInIt) {
  for (const plan::TensorInfo& info : layout_.tensors) {
    std::vector<float> update = update_;
    update[info.offset + 7] = std::numeric_limits<float>::quiet_NaN();
    update.back() = std::numeric_limits<float>::infinity();
    const Result<size_t> used = encode_all(update);
    EXPECT_EQ(used.error(), Error::kNotFinite);
    EXPECT_EQ(std::string(used.failure().text()), std::string(info.name.c_str()) + ": value 7 is nan");
    EXPECT_TRUE(tensors_.empty());
  }
}

TEST_P(SteppedUpdate, ARunOfTheWrongLengthIsRefused) {
  ASSERT_TRUE(encode_all(update_).ok());
  std::vector<float> decoded(update_.size());
  const plan::EncodedTensor right = tensors_[0];
  const auto decode_with = [&](uint16_t run_tensors, uint32_t count) {
    plan::EncodedTensor run = right;
    run.tensors = run_tensors;
    run.count = count;
    return decode_update(layout_, {&run, 1}, decoded).error();
  };
  const auto all = static_cast<uint16_t>(layout_.tensors.size());
  EXPECT_EQ(decode_with(all, right.count), Error::kOk);
  EXPECT_EQ(decode_with(0, right.count), Error::kShape);
  EXPECT_EQ(decode_with(static_cast<uint16_t>(all - 1), right.count), Error::kShape);
  EXPECT_EQ(decode_with(static_cast<uint16_t>(all - 1), right.count - layout_.tensors[all - 1U].count), Error::kShape);
  EXPECT_EQ(decode_with(static_cast<uint16_t>(all + 1), right.count), Error::kShape);
  EXPECT_EQ(decode_with(65535, right.count), Error::kShape);
  EXPECT_EQ(decode_with(all, right.count - 1), Error::kShape);
  EXPECT_EQ(decode_with(all, right.count + 1), Error::kShape);
  const plan::EncodedTensor twice[] = {right, right};
  EXPECT_EQ(decode_update(layout_, twice, decoded).error(), Error::kShape);
}

TEST_P(SteppedUpdate, RunsAndSingleTensorsDecodeSideBySide) {
  // The first tensor by itself in another scheme, the next two as a run, the last by itself.
  const auto& all = layout_.tensors;
  ASSERT_EQ(all.size(), 4U);
  const std::span<const float> update(update_);
  const Encoded first = encode(leveled_spec(), update.subspan(all[0].offset, all[0].count), 1);
  Encoded middle = encode(run_spec_, update.subspan(all[1].offset, all[1].count + all[2].count), 2);
  const Encoded last = encode(leveled_spec(), update.subspan(all[3].offset, all[3].count), 3);
  ASSERT_TRUE(first.failure.ok() && middle.failure.ok() && last.failure.ok());
  middle.tensor.tensors = 2;
  const plan::EncodedTensor runs[] = {first.tensor, middle.tensor, last.tensor};
  std::vector<float> decoded(update_.size(), 99.0F);
  const Failure failure = decode_update(layout_, runs, decoded);
  ASSERT_TRUE(failure.ok()) << failure.text();
  std::vector<float> expected(update_.size());
  size_t at = 0;
  for (const plan::EncodedTensor& run : runs) {
    ASSERT_TRUE(decode_tensor("run", run, std::span(expected).subspan(at, run.count)).ok());
    at += run.count;
  }
  EXPECT_EQ(decoded, expected);
}

TEST_P(SteppedUpdate, TensorsOfARunMustFollowEachOther) {
  ASSERT_TRUE(encode_all(update_).ok());
  plan::ModelLayout layout = layout_;
  layout.tensors[2].offset -= 1;  // still inside the parameters, but over the tensor before it
  std::vector<float> decoded(update_.size());
  const Failure failure = decode_update(layout, all_of(tensors_), decoded);
  EXPECT_EQ(failure.error(), Error::kInvalidArgument);
  EXPECT_THAT(failure.text(), HasSubstr(layout.tensors[2].name.c_str()));
}

TEST_P(SteppedUpdate, ShareAndRotationTogetherNeedTheirScratch) {
  run_spec_.keep = 0.5F;
  run_spec_.rotate = true;
  const Result<size_t> used = encode_all(update_);
  ASSERT_TRUE(used.ok()) << used.failure().text();
  EXPECT_EQ(scratch_.size(), layout_.parameter_count);
  EXPECT_TRUE(tensors_[0].rotated);
  EXPECT_EQ(tensors_[0].keep, 0.5F);
  std::vector<float> decoded(update_.size());
  const Failure failure = decode_update(layout_, all_of(tensors_), decoded);
  ASSERT_TRUE(failure.ok()) << failure.text();
  const auto zeros = std::count(decoded.begin(), decoded.end(), 0.0F);
  EXPECT_NEAR(static_cast<double>(zeros), layout_.parameter_count / 2.0, 250.0);
  // What was kept stands for twice its value; the step's error doubles no more than that.
  double error = 0.0;
  for (size_t i = 0; i < update_.size(); ++i) {
    if (decoded[i] != 0.0F) error += std::pow(double{decoded[i]} - 2.0 * update_[i], 2);
  }
  EXPECT_LT(error / static_cast<double>(update_.size()), 0.25 / 4);

  const Result<size_t> without = encode_update(run_spec_, layout_, update_, 42, run_buffer_, tensors_,
                                               std::span(scratch_).first(scratch_.size() - 1));
  EXPECT_EQ(without.error(), Error::kNoMemory);
  EXPECT_THAT(without.failure().text(), HasSubstr("scratch"));
  EXPECT_TRUE(tensors_.empty());
}

INSTANTIATE_TEST_SUITE_P(EachScheme, SteppedUpdate, testing::ValuesIn(kStepped),
                         [](const auto& suite) { return std::string(plan::codec_name(suite.param)); });

TEST(BitsPerCoordinate, CountsPayloadBits) {
  EXPECT_EQ(bits_per_coordinate({}), 0.0);
  const std::vector<float> values = gauss_vector(100000, 1);
  plan::CodecSpec exact;
  exact.codec = plan::CodecId::kFp32;
  const Encoded fp32 = encode(exact, values, 1);
  const Encoded qsgd = encode(qsgd_spec(7, 512), values, 1);
  EXPECT_EQ(bits_per_coordinate({&fp32.tensor, 1}), 32.0);
  EXPECT_DOUBLE_EQ(bits_per_coordinate({&qsgd.tensor, 1}), qsgd.payload_bits() / 100000);
  const plan::EncodedTensor both[] = {fp32.tensor, qsgd.tensor};
  EXPECT_DOUBLE_EQ(bits_per_coordinate(both), (32.0 + qsgd.payload_bits() / 100000) / 2);
}

TEST_F(UpdateCodec, EachTensorMayHaveAStepOfItsOwn) {
  const std::vector<float> steps = {0.1F, 1.0F, 0.5F, 0.02F};
  ASSERT_EQ(layout_.tensors.size(), steps.size());
  std::vector<float> decoded(update_.size());
  for (const plan::CodecId codec : kStepped) {
    const plan::CodecSpec spec = stepped_spec(codec);
    std::vector<uint8_t> buffer(encoded_layers_bytes_max(spec, layout_));
    const Result<size_t> bytes = encode_update_layers(spec, steps, layout_, update_, 7, buffer, tensors_);
    ASSERT_TRUE(bytes.ok()) << bytes.failure().text();
    ASSERT_EQ(tensors_.size(), steps.size());
    size_t payload_bytes = 0;
    for (const plan::EncodedTensor& tensor : tensors_) payload_bytes += tensor.payload.size();
    EXPECT_EQ(*bytes, payload_bytes);
    ASSERT_TRUE(decode_update(layout_, all_of(tensors_), decoded).ok());
    for (size_t k = 0; k < steps.size(); ++k) {
      const plan::TensorInfo& info = layout_.tensors[k];
      EXPECT_EQ(tensors_[k].scale, steps[k]);
      for (size_t i = info.offset; i < info.offset + info.count; ++i) {
        ASSERT_NEAR(decoded[i], update_[i], 3.0F * steps[k]) << plan::codec_name(codec) << " " << k;
      }
    }
    EXPECT_EQ(encode_update_layers(spec, std::span(steps).first(3), layout_, update_, 7, buffer, tensors_).error(),
              Error::kShape);
    EXPECT_TRUE(tensors_.empty());
  }
  EXPECT_EQ(encode_update_layers(spec_, steps, layout_, update_, 7, buffer_, tensors_).error(),
            Error::kInvalidArgument);
}

}  // namespace
}  // namespace runnel::codec
