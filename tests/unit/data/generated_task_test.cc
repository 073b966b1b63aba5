#include "runtime/data/generated_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace runnel::data {
namespace {

using Window = std::array<float, kGeneratedInputs>;

PartitionSpec dirichlet(double alpha) {
  PartitionSpec spec;
  spec.kind = PartitionKind::kDirichlet;
  spec.alpha = alpha;
  return spec;
}

std::vector<Window> windows_of(const Dataset& dataset) {
  std::vector<Window> windows(dataset.example_count());
  for (uint32_t i = 0; i < dataset.example_count(); ++i) dataset.read(i, windows[i], {});
  return windows;
}

std::array<uint32_t, kGeneratedClasses> label_counts(const Dataset& dataset) {
  std::array<uint32_t, kGeneratedClasses> counts{};
  for (uint32_t i = 0; i < dataset.example_count(); ++i) ++counts[dataset.label(i)];
  return counts;
}

double largest_label_share(const Dataset& dataset) {
  const auto counts = label_counts(dataset);
  return static_cast<double>(*std::max_element(counts.begin(), counts.end())) / dataset.example_count();
}

Window mean_of(const std::vector<Window>& windows) {
  Window mean{};
  for (const Window& window : windows) {
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += window[i] / static_cast<float>(windows.size());
  }
  return mean;
}

double distance(const Window& a, const Window& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * static_cast<double>(a[i] - b[i]);
  return std::sqrt(sum);
}

TEST(GeneratedTask, IsAFunctionOfSeedAndDevice) {
  const GeneratedSpec spec;
  const Dataset a = generate_training_part(spec, dirichlet(1.0), 1.0F, 3, 7);
  const Dataset b = generate_training_part(spec, dirichlet(1.0), 1.0F, 3, 7);
  EXPECT_EQ(windows_of(a), windows_of(b));
  EXPECT_EQ(label_counts(a), label_counts(b));
  EXPECT_NE(windows_of(a), windows_of(generate_training_part(spec, dirichlet(1.0), 1.0F, 4, 7)));
  EXPECT_NE(windows_of(a), windows_of(generate_training_part(spec, dirichlet(1.0), 1.0F, 3, 8)));
  EXPECT_EQ(windows_of(generate_test_set(spec, 1.0F)), windows_of(generate_test_set(spec, 1.0F)));
}

TEST(GeneratedTask, HasTheStatedShape) {
  const Dataset part = generate_training_part({}, dirichlet(1.0), 1.0F, 0, 1);
  EXPECT_EQ(part.input_count(), 192U);
  EXPECT_EQ(part.class_count(), 6U);
  EXPECT_EQ(part.element_type(), ElementType::kI16);
  EXPECT_EQ(part.memory_bytes(), part.example_count() * (192U * 2U + 2U));
}

TEST(GeneratedTask, DevicesHaveHalfToOneAndAHalfTimesTheExamples) {
  GeneratedSpec spec;
  spec.examples = 24;
  uint32_t fewest = UINT32_MAX;
  uint32_t most = 0;
  uint32_t sum = 0;
  for (uint32_t device = 0; device < 200; ++device) {
    const uint32_t count = generate_training_part(spec, dirichlet(1.0), 1.0F, device, 1).example_count();
    fewest = std::min(fewest, count);
    most = std::max(most, count);
    sum += count;
  }
  EXPECT_GE(fewest, 12U);
  EXPECT_LE(fewest, 14U);
  EXPECT_LE(most, 36U);
  EXPECT_GE(most, 34U);
  EXPECT_NEAR(sum / 200.0, 24.0, 2.0);
}

TEST(GeneratedTask, LabelsAreSkewedAsAsked) {
  GeneratedSpec spec;
  spec.examples = 100;
  double skewed = 0.0;
  double mixed = 0.0;
  PartitionSpec iid;
  double even = 0.0;
  for (uint32_t device = 0; device < 20; ++device) {
    skewed += largest_label_share(generate_training_part(spec, dirichlet(0.1), 1.0F, device, 1)) / 20.0;
    mixed += largest_label_share(generate_training_part(spec, dirichlet(1.0), 1.0F, device, 1)) / 20.0;
    even += largest_label_share(generate_training_part(spec, iid, 1.0F, device, 1)) / 20.0;
  }
  EXPECT_GT(skewed, 0.7);
  EXPECT_GT(skewed, mixed + 0.15);
  EXPECT_GT(mixed, even + 0.1);
  EXPECT_LT(even, 0.3);
}

TEST(GeneratedTask, TestLabelsAreUniform) {
  const Dataset test = generate_test_set({}, 1.0F);
  ASSERT_EQ(test.example_count(), 1200U);
  for (const uint32_t count : label_counts(test)) EXPECT_EQ(count, 200U);
}

TEST(GeneratedTask, ValuesAreAccelerationsInG) {
  for (const Window& window : windows_of(generate_test_set({}, 1.0F))) {
    double square = 0.0;
    for (const float value : window) {
      ASSERT_TRUE(std::isfinite(value));
      ASSERT_LT(std::abs(value), 6.0F);
      square += value * static_cast<double>(value);
    }
    const double rms_g = std::sqrt(square / kGeneratedSamples);
    EXPECT_GT(rms_g, 0.6);  // gravity is always there
    EXPECT_LT(rms_g, 3.0);
  }
}

TEST(GeneratedTask, ScaleMultipliesEveryValue) {
  const GeneratedSpec spec;
  const auto plain = windows_of(generate_training_part(spec, dirichlet(1.0), 1.0F, 3, 7));
  const auto scaled = windows_of(generate_training_part(spec, dirichlet(1.0), 0.5F, 3, 7));
  ASSERT_EQ(plain.size(), scaled.size());
  for (size_t i = 0; i < plain[0].size(); ++i) EXPECT_FLOAT_EQ(scaled[0][i], plain[0][i] * 0.5F);
}

// Same labels everywhere (iid), so what sets devices apart is their style.
TEST(GeneratedTask, DevicesDifferByStyle) {
  GeneratedSpec spec;
  spec.examples = 800;
  const PartitionSpec iid;
  const Window a = mean_of(windows_of(generate_training_part(spec, iid, 1.0F, 0, 1)));
  const auto other = windows_of(generate_training_part(spec, iid, 1.0F, 1, 1));
  const auto half = static_cast<ptrdiff_t>(other.size() / 2);
  const Window b_first = mean_of({other.begin(), other.begin() + half});
  const Window b_second = mean_of({other.begin() + half, other.end()});
  EXPECT_GT(distance(a, b_first), 3.0 * distance(b_first, b_second));
}

// The nearest class mean is a linear rule: it must know something, and be far from enough.
TEST(GeneratedTask, ALinearRuleLearnsSomethingButNotTheTask) {
  std::array<std::vector<Window>, kGeneratedClasses> by_class;
  for (uint32_t device = 0; device < 10; ++device) {
    const Dataset part = generate_training_part({}, dirichlet(1.0), 1.0F, device, 1);
    const auto windows = windows_of(part);
    for (uint32_t i = 0; i < part.example_count(); ++i) by_class[part.label(i)].push_back(windows[i]);
  }
  std::array<Window, kGeneratedClasses> means;
  for (uint32_t k = 0; k < kGeneratedClasses; ++k) means[k] = mean_of(by_class[k]);
  const Dataset test = generate_test_set({}, 1.0F);
  const auto windows = windows_of(test);
  uint32_t right = 0;
  for (uint32_t i = 0; i < test.example_count(); ++i) {
    uint32_t nearest = 0;
    for (uint32_t k = 1; k < kGeneratedClasses; ++k) {
      if (distance(windows[i], means[k]) < distance(windows[i], means[nearest])) nearest = k;
    }
    right += nearest == test.label(i) ? 1 : 0;
  }
  const double accuracy = static_cast<double>(right) / test.example_count();
  EXPECT_GT(accuracy, 0.35);
  EXPECT_LT(accuracy, 0.85);
}

}  // namespace
}  // namespace runnel::data
