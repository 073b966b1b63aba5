#include "runtime/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace runnel::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T, size_t kCount>
ByteView bytes_of(const std::array<T, kCount>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), sizeof(T) * kCount};
}

template <typename T>
std::vector<float> stored_and_read(ElementType type, const std::array<T, 3>& values, float scale) {
  Dataset dataset(type, 3, 10, scale);
  EXPECT_TRUE(dataset.append(bytes_of(values), 7).ok());
  std::vector<float> read(3);
  EXPECT_EQ(dataset.read_labelled(0, read), 7U);
  return read;
}

TEST(Dataset, ReadsEveryElementTypeScaled) {
  EXPECT_THAT(stored_and_read<uint8_t>(ElementType::kU8, {0, 1, 255}, 0.5F), ElementsAre(0.0F, 0.5F, 127.5F));
  EXPECT_THAT(stored_and_read<int8_t>(ElementType::kI8, {-128, 1, 127}, 2.0F), ElementsAre(-256.0F, 2.0F, 254.0F));
  EXPECT_THAT(stored_and_read<int16_t>(ElementType::kI16, {-32768, 300, 32767}, 1.0F),
              ElementsAre(-32768.0F, 300.0F, 32767.0F));
  EXPECT_THAT(stored_and_read<int32_t>(ElementType::kI32, {-65536, 0, 1 << 20}, 1.0F),
              ElementsAre(-65536.0F, 0.0F, 1048576.0F));
  EXPECT_THAT(stored_and_read<float>(ElementType::kF32, {-1.5F, 0.25F, 3.0F}, -2.0F), ElementsAre(3.0F, -0.5F, -6.0F));
}

TEST(Dataset, RowsOfBytesCostBytes) {
  constexpr uint32_t kRows = 1000;
  constexpr uint32_t kInputs = 784;
  Dataset dataset(ElementType::kU8, kInputs, 10, 1.0F / 255.0F);
  dataset.reserve(kRows);
  const std::vector<uint8_t> row(kInputs, 9);
  for (uint32_t i = 0; i < kRows; ++i) ASSERT_TRUE(dataset.append(row, i % 10).ok());
  EXPECT_EQ(dataset.example_count(), kRows);
  EXPECT_EQ(dataset.memory_bytes(), kRows * (kInputs + sizeof(uint16_t)));
}

TEST(Dataset, RefusesWhatDoesNotFitAndStaysUnchanged) {
  Dataset dataset(ElementType::kF32, 3, 2, 10.0F);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(dataset.append(bytes_of(std::array{1.0F, 2.0F}), 0).error(), Error::kShape);
  EXPECT_EQ(dataset.append(bytes_of(std::array{1.0F, 2.0F, 3.0F}), 2).error(), Error::kOutOfRange);
  const Failure nan = dataset.append(bytes_of(std::array{1.0F, std::nanf(""), 3.0F}), 0);
  EXPECT_EQ(nan.error(), Error::kNotFinite);
  EXPECT_THAT(nan.text(), HasSubstr("column 2"));
  EXPECT_EQ(dataset.append(bytes_of(std::array{1.0F, 2.0F, -kInfinity}), 0).error(), Error::kNotFinite);
  EXPECT_EQ(dataset.append(bytes_of(std::array{1e38F, 2.0F, 3.0F}), 0).error(), Error::kNotFinite)
      << "beyond a float once scaled";
  EXPECT_EQ(dataset.example_count(), 0U);
}

TEST(Dataset, KeepsALabelForEveryPosition) {
  Dataset text(ElementType::kU8, 3, 70, 1.0F, 3);
  ASSERT_TRUE(text.append(bytes_of(std::array<uint8_t, 3>{1, 2, 3}), std::array{2.0F, 3.0F, 69.0F}).ok());
  ASSERT_TRUE(text.append(bytes_of(std::array<uint8_t, 3>{4, 5, 6}), std::array{5.0F, 6.0F, 0.0F}).ok());
  EXPECT_EQ(text.append(bytes_of(std::array<uint8_t, 3>{4, 5, 6}), std::array{5.0F, 6.0F, 70.0F}).error(),
            Error::kOutOfRange);
  EXPECT_EQ(text.append(bytes_of(std::array<uint8_t, 3>{4, 5, 6}), std::array{5.5F, 6.0F, 0.0F}).error(),
            Error::kOutOfRange);
  EXPECT_EQ(text.append(bytes_of(std::array<uint8_t, 3>{4, 5, 6}), 5).error(), Error::kShape);
  ASSERT_EQ(text.example_count(), 2U);
  std::vector<float> input(3);
  std::vector<float> target(3);
  text.read(1, input, target);
  EXPECT_THAT(input, ElementsAre(4.0F, 5.0F, 6.0F));
  EXPECT_THAT(target, ElementsAre(5.0F, 6.0F, 0.0F));
}

TEST(Dataset, KeepsNumbersAsTheyAre) {
  Dataset values(ElementType::kI16, 3, 0, 0.5F, 2);
  ASSERT_TRUE(values.append(bytes_of(std::array<int16_t, 3>{2, 4, 6}), std::array{-1.25F, 1e6F}).ok());
  EXPECT_EQ(values.append(bytes_of(std::array<int16_t, 3>{2, 4, 6}), std::array{1.0F, std::nanf("")}).error(),
            Error::kNotFinite);
  EXPECT_EQ(values.append(bytes_of(std::array<int16_t, 3>{2, 4, 6}), std::array{1.0F}).error(), Error::kShape);
  EXPECT_EQ(values.append(bytes_of(std::array<int16_t, 3>{2, 4, 6}), 1).error(), Error::kShape);
  ASSERT_EQ(values.example_count(), 1U);
  EXPECT_EQ(values.class_count(), 0U);
  std::vector<float> input(3);
  std::vector<float> target(2);
  values.read(0, input, target);
  EXPECT_THAT(input, ElementsAre(1.0F, 2.0F, 3.0F)) << "scaled";
  EXPECT_THAT(target, ElementsAre(-1.25F, 1e6F)) << "not scaled";
  values.read(0, input, {});
}

}  // namespace
}  // namespace runnel::data
