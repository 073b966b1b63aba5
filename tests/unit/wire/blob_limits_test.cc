// Updates and models that hold together but say what they must not.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "runtime/wire/frame.h"
#include "schemas/model_generated.h"
#include "schemas/update_generated.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct TensorFields {
  std::string name = "0.dense.weight";
  uint8_t codec = 1;
  uint32_t count = 4;
  float scale = 1.0F;
  uint8_t coder = 0;
  uint16_t tensors = 1;
  float keep = 1.0F;
};

struct UpdateFields {
  std::string device = "d";
  uint32_t sample_count = 1;
  float mean_loss = 0.5F;
  size_t tensors = 1;
  TensorFields tensor;
};

Failure decode(const UpdateFields& f) {
  Builder builder;
  std::vector<flatbuffers::Offset<schema::Tensor>> tensors;
  for (size_t i = 0; i < f.tensors; ++i) {
    const auto name = builder.CreateString(f.tensor.name);
    tensors.push_back(schema::CreateTensor(builder, name, static_cast<schema::Codec>(f.tensor.codec), f.tensor.count, 4,
                                           7, 8, f.tensor.scale, 0, static_cast<schema::Coder>(f.tensor.coder),
                                           f.tensor.tensors, false, f.tensor.keep, 0));
  }
  const auto list = builder.CreateVector(tensors);
  const auto device = builder.CreateString(f.device);
  schema::FinishUpdateBuffer(builder,
                             schema::CreateUpdate(builder, 1, device, 1, 1, 1, f.sample_count, f.mean_loss, list));
  const ExactBytes bytes({builder.GetBufferPointer(), builder.GetSize()});
  Update update;
  return decode_update(bytes.view(), update);
}

UpdateFields with_tensor(const TensorFields& tensor) {
  UpdateFields fields;
  fields.tensor = tensor;
  return fields;
}

void expect_bad(const UpdateFields& fields, Error error, const std::string& words) {
  const Failure bad = decode(fields);
  EXPECT_EQ(bad.error(), error) << error_name(bad.error());
  EXPECT_NE(std::string(bad.text()).find(words), std::string::npos) << bad.text();
}

TEST(UpdateLimits, SampleCount) {
  UpdateFields fields;
  EXPECT_TRUE(decode(fields).ok());
  fields.sample_count = kSampleCountMax;
  EXPECT_TRUE(decode(fields).ok());
  for (const uint32_t count : {0U, kSampleCountMax + 1, UINT32_MAX}) {
    fields.sample_count = count;
    expect_bad(fields, Error::kOutOfRange,
               "Update.sample_count is " + std::to_string(count) + ", it must be 1..1048576");
  }
}

TEST(UpdateLimits, MeanLoss) {
  for (const float loss : {kNan, kInfinity, -kInfinity}) {
    UpdateFields fields;
    fields.mean_loss = loss;
    expect_bad(fields, Error::kNotFinite, "Update.mean_loss is not finite");
  }
}

TEST(UpdateLimits, Scale) {
  for (const float scale : {kNan, -kNan, kInfinity, -kInfinity}) {
    expect_bad(with_tensor({"w", 1, 4, scale}), Error::kNotFinite, "Update.tensors[0] \"w\": scale");
  }
  expect_bad(with_tensor({"w", 1, 4, -1e-30F}), Error::kOutOfRange, "must be finite and not negative");
  EXPECT_TRUE(decode(with_tensor({"w", 1, 4, 0.0F})).ok());
  EXPECT_TRUE(decode(with_tensor({"w", 1, 4, std::numeric_limits<float>::max()})).ok());
}

TEST(UpdateLimits, TensorsAndTheirCounts) {
  UpdateFields fields;
  fields.tensors = plan::kTensorsMax;
  EXPECT_TRUE(decode(fields).ok());
  fields.tensors = plan::kTensorsMax + 1;
  expect_bad(fields, Error::kLimit, "Update has more than 128 tensors");
  EXPECT_TRUE(decode(with_tensor({"w", 1, plan::kParametersMax, 1.0F})).ok());
  expect_bad(with_tensor({"w", 1, plan::kParametersMax + 1, 1.0F}), Error::kLimit,
             "Update.tensors[0] claims 67108865 coordinates");
  for (const uint8_t codec : {plan::kCodecCount, uint8_t{255}}) {
    expect_bad(with_tensor({"w", codec, 4, 1.0F}), Error::kUnsupported,
               "Update.tensors[0]: codec " + std::to_string(codec) + " is not known here");
  }
  // A table count that no real update reaches stops the verifier, long before memory or time is spent.
  fields.tensors = 5000;
  expect_bad(fields, Error::kMalformed, "offsets");
}

TEST(UpdateLimits, EveryCodecAndCoderOfTodayIsKnown) {
  TensorFields tensor;
  for (tensor.codec = 0; tensor.codec < plan::kCodecCount; ++tensor.codec) {
    EXPECT_TRUE(decode(with_tensor(tensor)).ok()) << unsigned{tensor.codec};
  }
  tensor.codec = 1;
  for (tensor.coder = 0; tensor.coder < plan::kCoderCount; ++tensor.coder) {
    EXPECT_TRUE(decode(with_tensor(tensor)).ok()) << unsigned{tensor.coder};
  }
  for (const uint8_t coder : {plan::kCoderCount, uint8_t{255}}) {
    tensor.coder = coder;
    expect_bad(with_tensor(tensor), Error::kUnsupported,
               "Update.tensors[0]: coder " + std::to_string(coder) + " is not known here");
  }
}

TEST(UpdateLimits, ARunOfTensors) {
  TensorFields tensor;
  for (const uint16_t tensors : {uint16_t{1}, uint16_t{plan::kTensorsMax}}) {
    tensor.tensors = tensors;
    EXPECT_TRUE(decode(with_tensor(tensor)).ok()) << tensors;
  }
  for (const uint16_t tensors : {uint16_t{0}, uint16_t{plan::kTensorsMax + 1}, uint16_t{UINT16_MAX}}) {
    tensor.tensors = tensors;
    EXPECT_FALSE(decode(with_tensor(tensor)).ok()) << tensors;
  }
}

TEST(UpdateLimits, Keep) {
  TensorFields tensor;
  for (const float keep : {1.0F, 0.5F, 1e-4F}) {
    tensor.keep = keep;
    EXPECT_TRUE(decode(with_tensor(tensor)).ok()) << keep;
  }
  for (const float keep : {0.0F, -0.5F, 1.0001F, kInfinity, -kInfinity, kNan}) {
    tensor.keep = keep;
    EXPECT_FALSE(decode(with_tensor(tensor)).ok()) << keep;
  }
}

TEST(UpdateLimits, Names) {
  UpdateFields fields;
  fields.device = std::string(63, 'd');
  EXPECT_TRUE(decode(fields).ok());
  fields.device = std::string(64, 'd');
  expect_bad(fields, Error::kLimit, "Update.device is 64 bytes long, the limit is 63");
  fields.device = "a\nb";
  expect_bad(fields, Error::kMalformed, "Update.device holds a control character");
  EXPECT_TRUE(decode(with_tensor({std::string(63, 'n'), 1, 4, 1.0F})).ok());
  expect_bad(with_tensor({std::string(64, 'n'), 1, 4, 1.0F}), Error::kLimit,
             "Update.tensors[0]: name is 64 bytes long");
  // A name is quoted in refusals, and a refusal with a control character would be malformed itself.
  expect_bad(with_tensor({std::string("w\0x", 3), 1, 4, kNan}), Error::kMalformed,
             "Update.tensors[0]: name holds a control character");
}

TEST(UpdateLimits, NoTensorsAtAll) {
  Builder builder;
  schema::FinishUpdateBuffer(builder, schema::CreateUpdate(builder, 1, 0, 1, 1, 1, 1, 0.0F));
  const ExactBytes bytes({builder.GetBufferPointer(), builder.GetSize()});
  Update update;
  const Failure bad = decode_update(bytes.view(), update);
  EXPECT_EQ(bad.error(), Error::kMalformed);
  EXPECT_STREQ(bad.text(), "Update has no tensors");
}

// --- models ---

Result<size_t> decode(const Model& model) {
  std::vector<uint8_t> memory(model_bytes_max(model.spec, model.parameters.size()));
  const Result<ByteView> built = build_model(model, memory);
  if (!built) return built.failure();
  const ExactBytes bytes(*built);
  Model decoded;
  RUNNEL_TRY(decode_model(bytes.view(), decoded));
  return decoded.parameters.size();
}

void expect_bad(const Model& model, Error error, const std::string& words) {
  const Result<size_t> decoded = decode(model);
  ASSERT_FALSE(decoded.ok()) << words;
  EXPECT_EQ(decoded.error(), error) << error_name(decoded.error());
  EXPECT_NE(std::string(decoded.failure().text()).find(words), std::string::npos) << decoded.failure().text();
}

TEST(ModelLimits, ParametersAreAsManyAsTheLayersNeed) {
  std::vector<float> parameters = samples::parameters();
  EXPECT_EQ(*decode(samples::model(parameters)), 26U);
  parameters.push_back(0.0F);
  expect_bad(samples::model(parameters), Error::kShape, "Model carries 27 parameters, its layers need 26");
  parameters.resize(25);
  expect_bad(samples::model(parameters), Error::kShape, "Model carries 25 parameters, its layers need 26");
  parameters.clear();
  expect_bad(samples::model(parameters), Error::kShape, "Model carries 0 parameters");
}

TEST(ModelLimits, ParametersAreFinite) {
  for (const float value : {kNan, kInfinity, -kInfinity}) {
    for (const size_t at : {0U, 13U, 25U}) {
      std::vector<float> parameters = samples::parameters();
      parameters[at] = value;
      expect_bad(samples::model(parameters), Error::kNotFinite,
                 "Model.parameters[" + std::to_string(at) + "] is not finite");
    }
  }
}

TEST(ModelLimits, LayersFitOneAnother) {
  const std::vector<float> parameters = samples::parameters();
  Model model = samples::model(parameters);
  model.spec.layers[2].kernel = {7, 7};
  expect_bad(model, Error::kShape, "layer 2 (max_pool2d): a 7x7 kernel does not fit its 6x6 input");
  model = samples::model(parameters);
  model.spec.layers[0].stride = {0, 1};
  expect_bad(model, Error::kOutOfRange, "layer 0 (conv2d): stride");
  model = samples::model(parameters);
  model.spec.classes = 3;
  expect_bad(model, Error::kShape, "the last layer gives 2x1x1 values");
  model = samples::model(parameters);
  model.spec.layers.clear();
  expect_bad(model, Error::kMalformed, "no layers");
}

TEST(ModelLimits, ALayerOfTheFutureIsUnsupported) {
  const std::vector<float> parameters = samples::parameters();
  for (const unsigned kind : {0U, 24U, 255U}) {
    Model model = samples::model(parameters);
    model.spec.layers[1].kind = static_cast<plan::LayerKind>(kind);
    expect_bad(model, Error::kUnsupported, "Model.spec.layers[1]: kind " + std::to_string(kind) + " is not known here");
  }
}

// What the value types cannot hold.
Failure decode_raw(const std::string& name, size_t layers) {
  Builder builder;
  std::vector<flatbuffers::Offset<schema::Layer>> list;
  for (size_t i = 0; i < layers; ++i)
    list.push_back(schema::CreateLayer(builder, i == 0 ? schema::LayerKind::dense : schema::LayerKind::relu, 2));
  const auto table = builder.CreateVector(list);
  const auto text = builder.CreateString(name);
  const auto spec = schema::CreateModelSpec(builder, text, 2, 1, 1, 2, table);
  const auto parameters = builder.CreateVector(std::vector<float>(6));
  schema::FinishModelBuffer(builder, schema::CreateModel(builder, 1, 1, spec, parameters));
  const ExactBytes bytes({builder.GetBufferPointer(), builder.GetSize()});
  Model model;
  return decode_model(bytes.view(), model);
}

TEST(ModelLimits, NameAndNumberOfLayers) {
  EXPECT_TRUE(decode_raw(std::string(47, 'n'), plan::kLayersMax).ok())
      << decode_raw(std::string(47, 'n'), plan::kLayersMax).text();
  EXPECT_EQ(decode_raw(std::string(48, 'n'), 1).error(), Error::kLimit);
  EXPECT_EQ(decode_raw("a\tb", 1).error(), Error::kMalformed);
  EXPECT_STREQ(decode_raw("n", plan::kLayersMax + 1).text(), "Model.spec has more than 96 layers");
  EXPECT_EQ(decode_raw("n", 5000).error(), Error::kMalformed);
}

TEST(ModelLimits, WhatIsAbsentIsNamed) {
  Builder builder;
  const auto decode_finished = [&](flatbuffers::Offset<schema::Model> root) {
    schema::FinishModelBuffer(builder, root);
    const ExactBytes bytes({builder.GetBufferPointer(), builder.GetSize()});
    builder.Clear();
    Model model;
    return decode_model(bytes.view(), model);
  };
  EXPECT_STREQ(decode_finished(schema::CreateModel(builder, 1, 1)).text(), "Model lacks its spec or parameters");
  const auto bare_spec = schema::CreateModelSpec(builder);
  EXPECT_STREQ(decode_finished(schema::CreateModel(builder, 1, 1, bare_spec)).text(),
               "Model lacks its spec or parameters");
  const auto parameters = builder.CreateVector(std::vector<float>(3));
  const auto spec = schema::CreateModelSpec(builder, 0, 2, 1, 1, 2);
  EXPECT_STREQ(decode_finished(schema::CreateModel(builder, 1, 1, spec, parameters)).text(),
               "Model.spec has no layers");
}

// A model without a name is legal: the name is for people.
TEST(ModelLimits, ANameMayBeAbsent) {
  Builder builder;
  const auto layer = schema::CreateLayer(builder, schema::LayerKind::dense, 2);
  const auto layers = builder.CreateVector(&layer, 1);
  const auto spec = schema::CreateModelSpec(builder, 0, 2, 1, 1, 2, layers);
  const auto parameters = builder.CreateVector(std::vector<float>(6));
  schema::FinishModelBuffer(builder, schema::CreateModel(builder, 1, 1, spec, parameters));
  const ExactBytes bytes({builder.GetBufferPointer(), builder.GetSize()});
  Model model;
  EXPECT_TRUE(decode_model(bytes.view(), model).ok());
  EXPECT_TRUE(model.spec.name.empty());
}

}  // namespace
}  // namespace runnel::wire
