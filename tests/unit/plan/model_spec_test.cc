#include "runtime/plan/model_spec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/plan/specs.h"

namespace runnel::plan {
namespace {

TEST(MakeLayout, OneDenseLayer) {
  const Result<ModelLayout> layout = make_layout(model_of({4, 1, 1}, 3, {dense(3)}));
  ASSERT_TRUE(layout.ok()) << layout.failure().text();
  EXPECT_EQ(layout->parameter_count, 15U);
  ASSERT_EQ(layout->tensors.size(), 2U);
  EXPECT_EQ(layout->tensors[0].name.view(), "0.dense.weight");
  EXPECT_EQ(layout->tensors[0].offset, 0U);
  EXPECT_EQ(layout->tensors[0].count, 12U);
  EXPECT_EQ(layout->tensors[0].fan_in, 4U);
  EXPECT_EQ(layout->tensors[1].name.view(), "0.dense.bias");
  EXPECT_EQ(layout->tensors[1].offset, 12U);
  EXPECT_EQ(layout->tensors[1].count, 3U);
  EXPECT_EQ(layout->tensors[1].fan_in, 0U);
  EXPECT_EQ(layout->outputs[0], (Shape{3, 1, 1}));
}

TEST(MakeLayout, AConvolutionalNetwork) {
  const Result<ModelLayout> layout = make_layout(
      model_of({1, 28, 28}, 10,
               {conv(8, {5, 5}, {1, 1}, {2, 2}), relu(), pool(LayerKind::kMaxPool2d, {2, 2}, {2, 2}),
                conv(16, {3, 5}, {2, 1}), relu(), pool(LayerKind::kAvgPool2d, {2, 3}, {1, 3}), flatten(), dense(10)}));
  ASSERT_TRUE(layout.ok()) << layout.failure().text();
  ASSERT_EQ(layout->outputs.size(), 8U);
  EXPECT_EQ(layout->outputs[0], (Shape{8, 28, 28}));
  EXPECT_EQ(layout->outputs[1], (Shape{8, 28, 28}));
  EXPECT_EQ(layout->outputs[2], (Shape{8, 14, 14}));
  EXPECT_EQ(layout->outputs[3], (Shape{16, 6, 10}));
  EXPECT_EQ(layout->outputs[5], (Shape{16, 5, 3}));
  EXPECT_EQ(layout->outputs[6], (Shape{240, 1, 1}));
  EXPECT_EQ(layout->outputs[7], (Shape{10, 1, 1}));
  ASSERT_EQ(layout->tensors.size(), 6U);
  EXPECT_EQ(layout->tensors[2].name.view(), "3.conv2d.weight");
  EXPECT_EQ(layout->tensors[2].layer, 3U);
  EXPECT_EQ(layout->tensors[2].count, 16U * 8 * 3 * 5);
  EXPECT_EQ(layout->tensors[2].fan_in, 8U * 3 * 5);
  EXPECT_EQ(layout->parameter_count, 8U * 25 + 8 + 16 * 8 * 15 + 16 + 240 * 10 + 10);
}

TEST(MakeLayout, ADenseLayerTakesAConvolutionThatEndsInOnePixel) {
  EXPECT_TRUE(make_layout(model_of({2, 3, 3}, 4, {conv(5, {3, 3}), dense(4)})).ok());
}

TEST(MakeLayout, AWindowThatDoesNotDivideItsInputLeavesTheRestOut) {
  const auto layout =
      make_layout(model_of({1, 7, 8}, 2, {pool(LayerKind::kMaxPool2d, {2, 3}, {2, 3}), flatten(), dense(2)}));
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->outputs[0], (Shape{1, 3, 2}));
}

TEST(MakeLayout, TheLimitsThemselvesAreAllowed) {
  EXPECT_TRUE(make_layout(model_of({1, 1, 1}, 65536, {dense(65536)})).ok());
  EXPECT_TRUE(make_layout(model_of({kDimensionMax, 1, 1}, 2, {dense(2)})).ok());
  EXPECT_TRUE(make_layout(model_of({1, 1024, 1024}, 2, {conv(2, {1024, 1024})})).ok());
  // 32 * 2^20 weights; the same layer twice as wide would stand at 2^26 weights, and its biases above the limit.
  EXPECT_TRUE(make_layout(model_of({kDimensionMax, 1, 1}, 32, {dense(32)})).ok());
  ModelSpec deep = model_of({4, 1, 1}, 2, {});
  for (uint32_t i = 0; i + 1 < kTensorsMax / 2; ++i) ASSERT_TRUE(deep.layers.push_back(dense(4)));
  while (deep.layers.size() + 1 < kLayersMax) ASSERT_TRUE(deep.layers.push_back(relu()));
  ASSERT_TRUE(deep.layers.push_back(dense(2)));
  const auto layout = make_layout(deep);
  ASSERT_TRUE(layout.ok()) << layout.failure().text();
  EXPECT_EQ(layout->tensors.size(), kTensorsMax);
  EXPECT_EQ(layout->tensors[126].name.view(), "95.dense.weight");
}

TEST(LayerKindName, IsNeverNull) {
  EXPECT_STREQ(layer_kind_name(LayerKind::kDense), "dense");
  EXPECT_STREQ(layer_kind_name(LayerKind::kConv2d), "conv2d");
  EXPECT_STREQ(layer_kind_name(LayerKind::kMaxPool2d), "max_pool2d");
  EXPECT_STREQ(layer_kind_name(LayerKind::kAvgPool2d), "avg_pool2d");
  EXPECT_STREQ(layer_kind_name(LayerKind::kRelu), "relu");
  EXPECT_STREQ(layer_kind_name(LayerKind::kFlatten), "flatten");
  EXPECT_STREQ(layer_kind_name(static_cast<LayerKind>(99)), "unknown");
}

// Values around every limit and beyond, in every field.
rc::Gen<uint32_t> any_number() {
  return rc::gen::oneOf(rc::gen::inRange<uint32_t>(0, 6), rc::gen::inRange<uint32_t>(0, 1100),
                        rc::gen::arbitrary<uint32_t>(),
                        rc::gen::element<uint32_t>(1U << 20, (1U << 20) + 1, 1U << 24, 1U << 31, UINT32_MAX));
}

LayerSpec any_layer() {
  LayerSpec layer;
  layer.kind = static_cast<LayerKind>(*rc::gen::inRange(0, 9));
  layer.units = *any_number();
  layer.kernel = {*any_number(), *any_number()};
  layer.stride = {*any_number(), *any_number()};
  if (*rc::gen::arbitrary<bool>()) layer.padding = {*any_number(), *any_number()};
  return layer;
}

RC_GTEST_PROP(MakeLayout, AnySpecIsRefusedInWordsOrLaidOutWithoutGapsWithinTheLimits, ()) {
  ModelSpec spec;
  spec.input = {*any_number(), *any_number(), *any_number()};
  spec.classes = *rc::gen::inRange<uint32_t>(0, 5);
  const size_t count = *rc::gen::inRange<size_t>(0, 6);
  for (size_t i = 0; i < count; ++i) RC_ASSERT(spec.layers.push_back(any_layer()));
  if (*rc::gen::arbitrary<bool>()) {
    RC_ASSERT(spec.layers.push_back(flatten()));
    RC_ASSERT(spec.layers.push_back(dense(spec.classes)));
  }
  const Result<ModelLayout> layout = make_layout(spec);
  if (!layout) {
    RC_ASSERT(layout.failure().text()[0] != '\0');
    RC_CLASSIFY(true, "refused");
    return;
  }
  RC_ASSERT(layout->outputs.size() == spec.layers.size());
  uint64_t next = 0;
  for (const TensorInfo& tensor : layout->tensors) {
    RC_ASSERT(tensor.offset == next);
    RC_ASSERT(tensor.count > 0U);
    RC_ASSERT(tensor.layer < spec.layers.size());
    next += tensor.count;
  }
  RC_ASSERT(next == layout->parameter_count);
  RC_ASSERT(next <= kParametersMax);
  for (const Shape& output : layout->outputs) {
    RC_ASSERT(output.count() > 0U);
    RC_ASSERT(output.count() <= kActivationMax);
  }
}

}  // namespace
}  // namespace runnel::plan
