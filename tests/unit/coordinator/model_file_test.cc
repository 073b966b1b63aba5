#include "coordinator/config/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace runnel::coordinator {
namespace {

using plan::Extent;
using plan::LayerKind;
using testing::HasSubstr;

uint32_t parameters_of(const plan::ModelSpec& spec) {
  return plan::make_layout(spec)->parameter_count;
}

TEST(ModelFileTest, ReadsEveryKeyOfEveryLayer) {
  Result<plan::ModelSpec> spec = parse_model_file(R"(
name = "all-kinds"
input = [2, 12, 16]
classes = 4
[[layer]]
kind = "conv2d"
units = 3
kernel = [3, 5]
stride = [1, 2]
padding = [1, 2]
[[layer]]
kind = "relu"
[[layer]]
kind = "max_pool2d"
kernel = 2
[[layer]]
kind = "avg_pool2d"
kernel = [1, 2]
stride = 1
[[layer]]
kind = "flatten"
[[layer]]
kind = "dense"
units = 4
)");
  ASSERT_TRUE(spec.ok()) << spec.failure().text();
  EXPECT_EQ(spec->name.view(), "all-kinds");
  EXPECT_EQ(spec->input, (plan::Shape{2, 12, 16}));
  EXPECT_EQ(spec->classes, 4U);
  ASSERT_EQ(spec->layers.size(), 6U);
  EXPECT_EQ(spec->layers[0], (plan::LayerSpec{LayerKind::kConv2d, 3, {3, 5}, {1, 2}, {1, 2}}));
  EXPECT_EQ(spec->layers[1].kind, LayerKind::kRelu);
  EXPECT_EQ(spec->layers[2], (plan::LayerSpec{LayerKind::kMaxPool2d, 0, {2, 2}, {2, 2}, {0, 0}}));
  EXPECT_EQ(spec->layers[3], (plan::LayerSpec{LayerKind::kAvgPool2d, 0, {1, 2}, {1, 1}, {0, 0}}));
  EXPECT_EQ(spec->layers[4].kind, LayerKind::kFlatten);
  EXPECT_EQ(spec->layers[5].units, 4U);
  const std::string text = model_file_toml(*spec);
  Result<plan::ModelSpec> again = parse_model_file(text);
  ASSERT_TRUE(again.ok()) << again.failure().text() << "\n" << text;
  ASSERT_EQ(again->layers.size(), spec->layers.size());
  for (size_t index = 0; index < spec->layers.size(); ++index) EXPECT_EQ(again->layers[index], spec->layers[index]);
  EXPECT_EQ(again->input, spec->input);
  EXPECT_EQ(again->classes, spec->classes);
  EXPECT_EQ(again->name, spec->name);
}

TEST(ModelFileTest, BuiltinModelsHaveTheSizesTheyAreSaidToHave) {
  const std::map<std::string_view, uint32_t> expected = {
      {"sensor-cnn", 15310}, {"sensor-mlp", 14630},     {"fashion-cnn", 52138}, {"fashion-mlp", 109386},
      {"har-cnn", 36550},    {"digits-mlp", 4810},      {"digits-cnn", 11034},  {"softmax", 7850},
      {"mlp", 109386},       {"lenet5", 61706},         {"cnn-small", 11418},   {"cnn-bench", 206922},
      {"resnet8", 77946},    {"mobilenet-tiny", 20554}, {"har-1dcnn", 20726},   {"gru-char", 77664},
      {"ae-sensor", 26444}};
  EXPECT_EQ(builtin_models().size(), expected.size());
  for (const BuiltinModel& model : builtin_models()) {
    Result<plan::ModelSpec> spec = parse_model_file(std::string(model.toml));
    ASSERT_TRUE(spec.ok()) << model.name << ": " << spec.failure().text();
    EXPECT_EQ(spec->name.view(), model.name);
    EXPECT_FALSE(model.purpose.empty());
    ASSERT_TRUE(expected.contains(model.name)) << model.name;
    EXPECT_EQ(parameters_of(*spec), expected.at(model.name)) << model.name;
    EXPECT_EQ(find_builtin_model(model.name), &model);
    Result<plan::ModelSpec> again = parse_model_file(model_file_toml(*spec));
    ASSERT_TRUE(again.ok()) << model.name << ": " << again.failure().text();
    EXPECT_TRUE(again->layers == spec->layers && again->loss == spec->loss) << model.name;
  }
  EXPECT_EQ(find_builtin_model("no-such-model"), nullptr);
}

struct BadModel {
  const char* toml;
  Error error;
  const char* words;
};

class BadModelTest : public testing::TestWithParam<BadModel> {};

TEST_P(BadModelTest, IsRefusedWithLineAndKey) {
  Result<plan::ModelSpec> spec = parse_model_file(GetParam().toml);
  ASSERT_FALSE(spec.ok()) << GetParam().toml;
  EXPECT_EQ(spec.error(), GetParam().error) << spec.failure().text();
  EXPECT_THAT(spec.failure().text(), HasSubstr(GetParam().words));
}

// Lines 1 to 3; a layer added after it begins on line 4.
#define HEAD "name = \"m\"\ninput = [1, 4, 4]\nclasses = 2\n"
#define FLAT "name = \"m\"\ninput = [4]\nclasses = 2\n"
#define DENSE "[[layer]]\nkind = \"dense\"\nunits = 2\n"

INSTANTIATE_TEST_SUITE_P(
    All, BadModelTest,
    testing::Values(
        BadModel{"name = m", Error::kMalformed, "line 1: "}, BadModel{"", Error::kMalformed, "the key name is missing"},
        BadModel{"name = \"m\"\nclasses = 2", Error::kMalformed, "the key input is missing"},
        BadModel{"name = \"m\"\ninput = [4]", Error::kMalformed, "the key classes is missing"},
        BadModel{"name = \"a b\"\ninput = [4]\nclasses = 2\n" DENSE, Error::kInvalidArgument, "line 1: name must be"},
        BadModel{"name = \"a23456789012345678901234567890123456789012345678\"\ninput = [4]\nclasses = 2\n" DENSE,
                 Error::kInvalidArgument, "line 1: name must be 1 to 47"},
        BadModel{"name = \"m\"\ninput = [4, 4]\nclasses = 2\n" DENSE, Error::kMalformed,
                 "line 2: input must be [channels"},
        BadModel{"name = \"m\"\ninput = [1, 2, 3, 4]\nclasses = 2\n" DENSE, Error::kLimit,
                 "line 2: input has 4 numbers"},
        BadModel{"name = \"m\"\ninput = [1, 2.5, 3]\nclasses = 2\n" DENSE, Error::kMalformed, "line 2: input must be"},
        BadModel{"name = \"m\"\ninput = [-4]\nclasses = 2\n" DENSE, Error::kOutOfRange, "line 2: input holds -4"},
        BadModel{"name = \"m\"\ninput = [0]\nclasses = 2\n" DENSE, Error::kOutOfRange, "line 2: input 0x1x1"},
        BadModel{"name = \"m\"\ninput = [4]\nclasses = 1\n" DENSE, Error::kOutOfRange, "line 3: classes must be"},
        BadModel{"name = \"m\"\ninput = [4]\nclasses = \"2\"\n" DENSE, Error::kMalformed,
                 "line 3: classes must be a whole"},
        BadModel{FLAT "units = 3\n" DENSE, Error::kUnknownName, "line 4: unknown key units"},
        BadModel{FLAT "layer = 3\n", Error::kMalformed, "line 4: layer must be tables under [[layer]]"},
        BadModel{FLAT "layer = [3]\n", Error::kMalformed, "line 4: layer must be tables under [[layer]]"},
        BadModel{FLAT, Error::kMalformed, "the model has no layers"},
        BadModel{FLAT "[[layer]]\nunits = 2\n", Error::kMalformed, "layer 0: line 4: layer.kind is missing"},
        BadModel{FLAT DENSE "[[layer]]\nkind = \"softmax\"\n", Error::kUnknownName,
                 "layer 1: line 8: layer.kind 'softmax' is none of dense"},
        BadModel{FLAT "[[layer]]\nkind = 3\n", Error::kMalformed, "layer 0: line 5: layer.kind must be a string"},
        BadModel{FLAT "[[layer]]\nkind = \"dense\"\n", Error::kMalformed, "layer 0: line 4: layer.units is missing"},
        BadModel{FLAT DENSE "kernel = 3\n", Error::kUnknownName, "layer 0: line 7: layer.kernel is not for dense"},
        BadModel{FLAT DENSE "bais = true\n", Error::kUnknownName, "layer 0: line 7: unknown key layer.bais"},
        BadModel{FLAT "[[layer]]\nkind = \"relu\"\nunits = 2\n", Error::kUnknownName,
                 "line 6: layer.units is not for relu"},
        BadModel{HEAD "[[layer]]\nkind = \"conv2d\"\nunits = 2\n", Error::kMalformed, "layer.kernel is missing"},
        BadModel{HEAD "[[layer]]\nkind = \"conv2d\"\nunits = 2\nkernel = \"3\"\n", Error::kMalformed,
                 "layer 0: line 7: layer.kernel must be a whole number or an array"},
        BadModel{HEAD "[[layer]]\nkind = \"conv2d\"\nunits = 2\nkernel = []\n", Error::kMalformed,
                 "layer 0: line 7: layer.kernel must be one number"},
        BadModel{HEAD "[[layer]]\nkind = \"conv2d\"\nunits = 2\nkernel = [1, 2, 3]\n", Error::kLimit,
                 "layer 0: line 7: layer.kernel has 3 numbers"},
        BadModel{HEAD "[[layer]]\nkind = \"max_pool2d\"\nkernel = 2\npadding = 1\n", Error::kUnknownName,
                 "layer.padding is not for max_pool2d"},
        BadModel{HEAD "[[layer]]\nkind = \"conv2d\"\nunits = 2\nkernel = 5\n", Error::kShape, "layer 0 (conv2d)"},
        BadModel{HEAD DENSE, Error::kShape, "put a flatten layer before it"},
        BadModel{FLAT "[[layer]]\nkind = \"dense\"\nunits = 3\n", Error::kShape, "not the 2 classes"}));

TEST(ModelFileTest, RefusesTooManyLayers) {
  std::string text = FLAT;
  for (unsigned layer = 0; layer < plan::kLayersMax; ++layer) text += "[[layer]]\nkind = \"relu\"\n";
  text += DENSE;
  Result<plan::ModelSpec> spec = parse_model_file(text);
  EXPECT_EQ(spec.error(), Error::kLimit);
  EXPECT_THAT(spec.failure().text(), HasSubstr("layer 96"));
}

}  // namespace
}  // namespace runnel::coordinator
