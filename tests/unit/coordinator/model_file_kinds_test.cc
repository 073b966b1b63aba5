// Every kind of layer, every loss and every key of a model file: read, written back, and refused where they are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "coordinator/config/model_file.h"
#include "tests/unit/coordinator/random_model.h"

namespace runnel::coordinator {
namespace {

using plan::Extent;
using plan::LayerKind;
using testing::HasSubstr;

const char* const kEveryKind = R"(
name = "every-kind"
input = [4, 8, 8]
classes = 3
loss = { kind = "softmax", label_smoothing = 0.125 }
layer = [
  { kind = "conv2d", name = "stem", units = 6, kernel = 3, padding = 1, groups = 2, bias = false, sharing = "frozen" },
  { kind = "batch_norm", epsilon = 0.001, sharing = "local" },
  { kind = "relu6" },
  { kind = "depthwise_conv2d", name = "depth", kernel = [3, 1], padding = [1, 0] },
  { kind = "depthwise_conv2d", units = 12, inputs = "depth", kernel = 1 },
  { kind = "concat", inputs = ["input", "stem", "#4", "depth"] },
  { kind = "group_norm", groups = 7 },
  { kind = "leaky_relu" },
  { kind = "leaky_relu", slope = 0.25 },
  { kind = "gelu", name = "g" },
  { kind = "sigmoid" },
  { kind = "add", inputs = ["g", "#10"] },
  { kind = "max_pool2d", kernel = 2 },
  { kind = "reshape", shape = [28, 1, 16] },
  { kind = "conv1d", units = 8, kernel = 3, stride = 2 },
  { kind = "avg_pool1d", kernel = 2, stride = 1 },
  { kind = "lstm", units = 5, every_step = true },
  { kind = "gru", units = 4, bias = false },
  { kind = "dropout", rate = 0.5 },
  { kind = "layer_norm" },
  { kind = "tanh" },
  { kind = "global_avg_pool" },
  { kind = "flatten" },
  { kind = "dense", units = 3, bias = false },
]
)";

TEST(ModelFileKinds, ReadsEveryKind) {
  Result<plan::ModelSpec> spec = parse_model_file(kEveryKind);
  ASSERT_TRUE(spec.ok()) << spec.failure().text();
  const auto& layers = spec->layers;
  EXPECT_EQ(layers[0].groups, 2U);
  EXPECT_FALSE(layers[0].bias);
  EXPECT_EQ(layers[0].sharing, plan::Sharing::kFrozen);
  EXPECT_EQ(layers[0].name.view(), "stem");
  EXPECT_FLOAT_EQ(layers[1].value, 0.001F);
  EXPECT_EQ(layers[1].sharing, plan::Sharing::kLocal);
  EXPECT_EQ(layers[3].kind, LayerKind::kConv2d);
  EXPECT_EQ(layers[3].groups, 6U);
  EXPECT_EQ(layers[3].units, 6U);
  EXPECT_EQ(layers[4].groups, 6U);
  EXPECT_EQ(layers[4].units, 12U);
  ASSERT_EQ(layers[5].inputs.size(), 4U);
  EXPECT_EQ(layers[5].inputs[0], 0U);
  EXPECT_EQ(layers[5].inputs[1], 1U);
  EXPECT_EQ(layers[5].inputs[2], 5U);
  EXPECT_EQ(layers[5].inputs[3], 4U);
  EXPECT_EQ(layers[6].groups, 7U);
  EXPECT_FLOAT_EQ(layers[6].value, 1e-5F);
  EXPECT_FLOAT_EQ(layers[7].value, 0.01F);
  EXPECT_FLOAT_EQ(layers[8].value, 0.25F);
  EXPECT_EQ(layers[13].shape, (plan::Shape{28, 1, 16}));
  EXPECT_EQ(layers[14].kernel, (Extent{1, 3}));
  EXPECT_EQ(layers[14].stride, (Extent{1, 2}));
  EXPECT_EQ(layers[15].kernel, (Extent{1, 2}));
  EXPECT_EQ(layers[15].stride, (Extent{1, 1}));
  EXPECT_TRUE(layers[16].every_step);
  EXPECT_FALSE(layers[17].every_step);
  EXPECT_FLOAT_EQ(layers[18].value, 0.5F);
  EXPECT_FLOAT_EQ(spec->loss.label_smoothing, 0.125F);
  Result<plan::ModelSpec> again = parse_model_file(model_file_toml(*spec));
  ASSERT_TRUE(again.ok()) << again.failure().text();
  EXPECT_TRUE(again->layers == spec->layers);
  EXPECT_EQ(again->loss, spec->loss);
}

TEST(ModelFileKinds, WritesTheShortWords) {
  Result<plan::ModelSpec> spec = parse_model_file(kEveryKind);
  ASSERT_TRUE(spec.ok()) << spec.failure().text();
  const std::string text = model_file_toml(*spec);
  for (const char* words :
       {"kind = \"conv1d\"\nunits = 8\nkernel = 3\nstride = 2\n",
        "kind = \"depthwise_conv2d\"\nname = \"depth\"\nkernel = [3, 1]\npadding = [1, 0]\n",
        "inputs = [\"input\", \"stem\", \"#4\", \"depth\"]\n", "kind = \"leaky_relu\"\n\n", "slope = 0.25\n",
        "kind = \"avg_pool1d\"\nkernel = 2\nstride = 1\n", "rate = 0.5\n", "epsilon = 0.001\nsharing = \"local\"\n",
        "loss = { kind = \"softmax\", label_smoothing = 0.125 }\n"}) {
    EXPECT_THAT(text, HasSubstr(words));
  }
}

TEST(ModelFileKinds, ReadsEveryLoss) {
  const std::string rest = "[[layer]]\nkind = \"dense\"\nunits = 4\n";
  const std::string head = "name = \"m\"\ninput = [4]\noutputs = 4\nloss = ";
  const auto loss_of = [&](const std::string& loss) {
    Result<plan::ModelSpec> spec = parse_model_file(head + loss + "\n" + rest);
    EXPECT_TRUE(spec.ok()) << spec.failure().text();
    EXPECT_EQ(parse_model_file(model_file_toml(*spec))->loss, spec->loss) << loss;
    return spec->loss;
  };
  using plan::LossKind;
  using plan::TargetKind;
  EXPECT_EQ(loss_of("\"mse\""), (plan::LossSpec{LossKind::kMse, TargetKind::kValues}));
  EXPECT_EQ(loss_of("{ kind = \"mse\", target = \"input\" }"), (plan::LossSpec{LossKind::kMse, TargetKind::kInput}));
  EXPECT_EQ(loss_of("\"binary\""), (plan::LossSpec{LossKind::kBinaryCrossEntropy, TargetKind::kValues}));
  EXPECT_EQ(loss_of("{ kind = \"huber\", delta = 2 }"),
            (plan::LossSpec{LossKind::kHuber, TargetKind::kValues, 0.0F, 2.0F}));
}

TEST(ModelFileKinds, WhatIsWrittenReadsBackTheSame) {
  std::set<LayerKind> seen;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const plan::ModelSpec spec = random_model(seed);
    for (const plan::LayerSpec& layer : spec.layers) seen.insert(layer.kind);
    const std::string text = model_file_toml(spec);
    Result<plan::ModelSpec> again = parse_model_file(text);
    ASSERT_TRUE(again.ok()) << "seed " << seed << ": " << again.failure().text() << "\n" << text;
    EXPECT_TRUE(again->layers == spec.layers) << "seed " << seed << "\n" << text;
    EXPECT_EQ(again->loss, spec.loss) << "seed " << seed << "\n" << text;
    EXPECT_EQ(again->input, spec.input);
    EXPECT_EQ(again->classes, spec.classes);
    EXPECT_EQ(model_file_toml(*again), text);
  }
  EXPECT_EQ(seen.size(), size_t{plan::kLayerKindLast}) << "the seeds do not reach every kind";
}

struct BadLayer {
  const char* layers;
  Error error;
  const char* words;
};

class BadLayerTest : public testing::TestWithParam<BadLayer> {};

TEST_P(BadLayerTest, IsRefusedWithLineLayerAndKey) {
  Result<plan::ModelSpec> spec =
      parse_model_file("name = \"m\"\ninput = [4, 1, 6]\nclasses = 2\n" + std::string(GetParam().layers));
  ASSERT_FALSE(spec.ok()) << GetParam().layers;
  EXPECT_EQ(spec.error(), GetParam().error) << spec.failure().text();
  EXPECT_THAT(spec.failure().text(), HasSubstr(GetParam().words));
}

#define LAYER "[[layer]]\nkind = "

INSTANTIATE_TEST_SUITE_P(
    All, BadLayerTest,
    testing::Values(
        BadLayer{LAYER "\"conv1d\"\nunits = 2\nkernel = [1, 3]\n", Error::kLimit,
                 "layer 0: line 7: layer.kernel has 2 numbers"},
        BadLayer{LAYER "\"depthwise_conv2d\"\nkernel = 1\ngroups = 2\n", Error::kUnknownName,
                 "layer 0: line 7: layer.groups is not for depthwise_conv2d"},
        BadLayer{LAYER "\"conv1d\"\nunits = 2\nkernel = 9\n" LAYER "\"depthwise_conv2d\"\nkernel = 1\n", Error::kShape,
                 "layer 1: layer 0 (conv2d): a 1x9 kernel does not fit"},
        BadLayer{LAYER "\"dropout\"\n", Error::kMalformed, "layer 0: line 4: layer.rate is missing"},
        BadLayer{LAYER "\"dropout\"\nrate = 1.5\n", Error::kOutOfRange, "line 5: layer 0 (dropout): rate must be"},
        BadLayer{LAYER "\"tanh\"\nslope = 1.5\n", Error::kUnknownName, "line 6: layer.slope is not for tanh"},
        BadLayer{LAYER "\"batch_norm\"\nslope = 1.5\n", Error::kUnknownName, "layer.slope is not for batch_norm"},
        BadLayer{LAYER "\"batch_norm\"\ngroups = 2\n", Error::kUnknownName, "layer.groups is not for batch_norm"},
        BadLayer{LAYER "\"group_norm\"\n", Error::kMalformed, "layer.groups is missing"},
        BadLayer{LAYER "\"gru\"\nunits = 2\nevery_step = 1\n", Error::kMalformed,
                 "line 7: layer.every_step must be true"},
        BadLayer{LAYER "\"dense\"\nunits = 2\nevery_step = true\n", Error::kUnknownName, "is not for dense"},
        BadLayer{LAYER "\"embedding\"\nunits = 2\n", Error::kMalformed, "layer.vocabulary is missing"},
        BadLayer{LAYER "\"reshape\"\nshape = [2, 2]\n", Error::kMalformed, "line 6: layer.shape must be [channels"},
        BadLayer{LAYER "\"reshape\"\nshape = [5, 1, 5]\n", Error::kShape, "line 5: layer 0 (reshape)"},
        BadLayer{LAYER "\"relu\"\nsharing = \"local\"\n", Error::kUnknownName, "layer.sharing is not for relu"},
        BadLayer{LAYER "\"gru\"\nunits = 2\nsharing = \"mine\"\n", Error::kUnknownName,
                 "line 7: layer.sharing must be shared, local or frozen, not mine"},
        BadLayer{LAYER "\"relu\"\nname = \"input\"\n", Error::kInvalidArgument, "line 6: layer.name must be"},
        BadLayer{LAYER "\"relu\"\nname = \"a b\"\n", Error::kInvalidArgument, "line 6: layer.name must be"},
        BadLayer{LAYER "\"relu\"\nname = \"a23456789012345678901234\"\n", Error::kInvalidArgument, "1 to 23"},
        BadLayer{LAYER "\"relu\"\nname = \"a\"\n" LAYER "\"relu\"\nname = \"a\"\n", Error::kDuplicate,
                 "layer 1: line 9: layer.name is another layer's too"},
        BadLayer{LAYER "\"relu\"\ninputs = \"later\"\n" LAYER "\"relu\"\nname = \"later\"\n", Error::kUnknownName,
                 "layer 0: line 6: layer.inputs must be \"input\" or earlier layers' names"},
        BadLayer{LAYER "\"relu\"\ninputs = [\"#0\"]\n", Error::kUnknownName, "no earlier layer \"#0\""},
        BadLayer{LAYER "\"relu\"\ninputs = []\n", Error::kMalformed, "layer.inputs names no layer"},
        BadLayer{LAYER "\"relu\"\ninputs = [1]\n", Error::kMalformed, "layer.inputs must be an array of strings"},
        BadLayer{LAYER "\"add\"\ninputs = [\"input\", \"input\", \"input\", \"input\", \"input\"]\n", Error::kLimit,
                 "layer.inputs has 5 strings"},
        BadLayer{LAYER "\"add\"\ninputs = \"input\"\n", Error::kShape, "line 5: layer 0 (add): it takes 2 to 4"},
        BadLayer{"loss = \"mse2\"\n", Error::kUnknownName, "line 4: loss must be one of softmax, binary, mse, huber"},
        BadLayer{"loss = 3\n", Error::kMalformed, "line 4: loss must be a string"},
        BadLayer{"loss = { kind = \"mse\", delta = 1 }\n", Error::kUnknownName, "line 4: loss.delta is for huber"},
        BadLayer{"loss = { kind = \"mse\", label_smoothing = 0.1 }\n", Error::kUnknownName, "is for softmax alone"},
        BadLayer{"loss = { kind = \"mse\", gain = 1 }\n", Error::kUnknownName, "unknown key loss.gain"},
        BadLayer{"loss = { target = \"values\" }\n" LAYER "\"flatten\"\n" LAYER "\"dense\"\nunits = 2\n",
                 Error::kInvalidArgument, "the loss softmax cannot be compared with values"},
        BadLayer{"outputs = 2\n", Error::kDuplicate, "line 4: outputs is the same as classes"}));

}  // namespace
}  // namespace runnel::coordinator
