// Every way in which a model can be wrong: the error names the layer and the reason.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/plan/specs.h"

namespace runnel::plan {
namespace {

struct BadModel {
  const char* name;
  ModelSpec spec;
  Error error;
  const char* text;
};

const LayerSpec kMaxPool = pool(LayerKind::kMaxPool2d, {2, 2}, {2, 2});

LayerSpec padded_pool() {
  LayerSpec layer = kMaxPool;
  layer.padding = {1, 1};
  return layer;
}

LayerSpec of_kind(uint8_t kind) {
  LayerSpec layer = relu();
  layer.kind = static_cast<LayerKind>(kind);
  return layer;
}

std::vector<BadModel> bad_models() {
  const Shape image{1, 8, 8};
  const Shape flat{4, 1, 1};
  const char* input = ": each side must be 1..2^20 and the whole at most 2^24 values";
  static const std::string no_channels = std::string("input 0x1x1") + input;
  static const std::string no_height = std::string("input 1x0x8") + input;
  static const std::string no_width = std::string("input 1x8x0") + input;
  static const std::string too_long = std::string("input 1048577x1x1") + input;
  static const std::string too_large = std::string("input 4097x4096x1") + input;
  return {
      {"NoChannels", model_of({0, 1, 1}, 2, {dense(2)}), Error::kOutOfRange, no_channels.c_str()},
      {"NoHeight", model_of({1, 0, 8}, 2, {dense(2)}), Error::kOutOfRange, no_height.c_str()},
      {"NoWidth", model_of({1, 8, 0}, 2, {dense(2)}), Error::kOutOfRange, no_width.c_str()},
      {"InputSideTooLong", model_of({kDimensionMax + 1, 1, 1}, 2, {dense(2)}), Error::kOutOfRange, too_long.c_str()},
      {"InputTooLarge", model_of({4097, 4096, 1}, 2, {dense(2)}), Error::kOutOfRange, too_large.c_str()},
      {"OneClass", model_of(flat, 1, {dense(1)}), Error::kOutOfRange, "classes must be 2..65536, not 1"},
      {"TooManyClasses", model_of(flat, 65537, {dense(65537)}), Error::kOutOfRange,
       "classes must be 2..65536, not 65537"},
      {"NoLayers", model_of(flat, 4, {}), Error::kMalformed, "the model has no layers"},
      {"NothingToTrain", model_of(flat, 4, {relu()}), Error::kMalformed, "the model has nothing to train"},
      {"WrongClasses", model_of(flat, 3, {dense(4)}), Error::kShape,
       "the last layer gives 4x1x1 values, not the 3 classes' logits"},
      {"ImageInsteadOfLogits", model_of(image, 2, {conv(3, {3, 3})}), Error::kShape,
       "the last layer gives 3x6x6 values, not the 2 classes' logits"},
      {"DenseOnImage", model_of(image, 2, {relu(), dense(2)}), Error::kShape,
       "layer 1 (dense): its input is an image; put a flatten layer before it"},
      {"DenseWithoutUnits", model_of(flat, 2, {dense(0)}), Error::kOutOfRange,
       "layer 0 (dense): units must be 1..2^20"},
      {"DenseTooWide", model_of(flat, 2, {dense(kDimensionMax + 1)}), Error::kOutOfRange,
       "layer 0 (dense): units must be 1..2^20"},
      {"TooManyWeights", model_of({kDimensionMax, 1, 1}, 65, {dense(65)}), Error::kLimit,
       "layer 0 (dense): the model would have more than 2^26 parameters"},
      {"TheBiasIsOneTooMany", model_of({kDimensionMax, 1, 1}, 64, {dense(64)}), Error::kLimit,
       "layer 0 (dense): the model would have more than 2^26 parameters"},
      {"TooManyWeightsTogether", model_of({kDimensionMax, 1, 1}, 2, {dense(63), dense(kDimensionMax), dense(2)}),
       Error::kLimit, "layer 1 (dense): the model would have more than 2^26 parameters"},
      {"ConvWithoutUnits", model_of(image, 2, {conv(0, {3, 3})}), Error::kOutOfRange,
       "layer 0 (conv2d): units must be 1..2^20"},
      {"KernelOfNoHeight", model_of(image, 2, {conv(2, {0, 3})}), Error::kOutOfRange,
       "layer 0 (conv2d): kernel must be 1..1024"},
      {"KernelTooWide", model_of(image, 2, {conv(2, {3, 1025})}), Error::kOutOfRange,
       "layer 0 (conv2d): kernel must be 1..1024"},
      {"NoStride", model_of(image, 2, {conv(2, {3, 3}, {1, 0})}), Error::kOutOfRange,
       "layer 0 (conv2d): stride must be 1..1024"},
      {"StrideTooLong", model_of(image, 2, {conv(2, {3, 3}, {1025, 1})}), Error::kOutOfRange,
       "layer 0 (conv2d): stride must be 1..1024"},
      {"PaddingAsLargeAsTheKernel", model_of(image, 2, {conv(2, {3, 3}, {1, 1}, {0, 3})}), Error::kOutOfRange,
       "layer 0 (conv2d): padding must be smaller than the kernel"},
      {"KernelLargerThanInput", model_of(image, 2, {conv(2, {9, 3})}), Error::kShape,
       "layer 0 (conv2d): a 9x3 kernel does not fit its 8x8 input"},
      {"FanInTooLarge", model_of({128, 300, 400}, 2, {conv(2, {900, 900}, {1, 1}, {450, 450})}), Error::kLimit,
       "layer 0 (conv2d): more than 2^26 weights a unit"},
      {"OutputTooLarge", model_of({1, 1024, 1024}, 2, {conv(17, {1, 1})}), Error::kLimit,
       "layer 0 (conv2d): its output has more than 2^24 values"},
      {"PoolWithPadding", model_of(image, 2, {padded_pool()}), Error::kUnsupported,
       "layer 0 (max_pool2d): pooling takes no padding"},
      {"PoolOfNothing", model_of(image, 2, {pool(LayerKind::kAvgPool2d, {0, 0}, {1, 1})}), Error::kOutOfRange,
       "layer 0 (avg_pool2d): kernel must be 1..1024"},
      {"PoolTooLarge", model_of(image, 2, {kMaxPool, kMaxPool, kMaxPool, kMaxPool}), Error::kShape,
       "layer 3 (max_pool2d): a 2x2 kernel does not fit its 1x1 input"},
      {"KindZero", model_of(flat, 2, {of_kind(0)}), Error::kUnsupported, "layer 0: unknown kind 0"},
      {"KindOfTheFuture", model_of(flat, 2, {relu(), of_kind(24)}), Error::kUnsupported, "layer 1: unknown kind 24"},
  };
}

class BadModelTest : public ::testing::TestWithParam<BadModel> {};

TEST_P(BadModelTest, IsRefusedInWords) {
  const Result<ModelLayout> layout = make_layout(GetParam().spec);
  ASSERT_FALSE(layout.ok());
  EXPECT_EQ(layout.error(), GetParam().error) << error_name(layout.error());
  EXPECT_STREQ(layout.failure().text(), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(MakeLayout, BadModelTest, ::testing::ValuesIn(bad_models()),
                         [](const auto& bad) { return std::string(bad.param.name); });

}  // namespace
}  // namespace runnel::plan
