#include "runtime/tensor/row_kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <limits>

#include "runtime/base/instruction_set.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

// Small whole numbers, so that ties and zeros of both signs are common, and here and there what is not a number.
std::vector<float> awkward_values(Rng& rng, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(rng.below(5)) - 2.0F;
    if (rng.below(40) == 0) value = std::numeric_limits<float>::quiet_NaN();
    if (rng.below(10) == 0) value = -0.0F;
  }
  return values;
}

// The same, but for zeros of one sign: a sum may skip a zero.
std::vector<float> values_to_add(Rng& rng, size_t count) {
  std::vector<float> values = random_values(rng, count);
  for (float& value : values) value += 2.0F;
  return values;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::isnan(value) ? 0xFFFFFFFFU : std::bit_cast<uint32_t>(value));
  return bits;
}

// Runs both on the same untouched memory; the first with every set of instructions.
void expect_same(size_t floats, const std::function<void(float*)>& work,
                 const std::function<void(float*)>& plain_work) {
  std::vector<float> expected(floats, 77.0F);
  plain_work(expected.data());
  for (const std::string set : {"reference", "sse4", "avx2", "avx512", "neon"}) {
    if (!limit_instruction_set(set)) continue;
    std::vector<float> found(floats, 77.0F);
    work(found.data());
    EXPECT_EQ(bits_of(expected), bits_of(found)) << set;
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

struct Sizes {
  explicit Sizes(Rng& rng)
      : rows(in_range(rng, 1, 40)),
        columns(in_range(rng, 1, 40)),
        from_gap(in_range(rng, 0, 3)),
        to_gap(in_range(rng, 0, 3)) {}
  size_t rows;
  size_t columns;
  size_t from_gap;
  size_t to_gap;
};

TEST(RowKernels, TranspositionsAreThoseOfThePlainLoops) {
  Rng rng(71);
  for (int trial = 0; trial < 200; ++trial) {
    const Sizes size(rng);
    const size_t from_stride = size.columns + size.from_gap;
    const size_t to_stride = size.rows + size.to_gap;
    SCOPED_TRACE(std::to_string(size.rows) + " x " + std::to_string(size.columns));
    const std::vector<float> from = awkward_values(rng, size.rows * from_stride);
    const std::vector<float> bias = awkward_values(rng, size.columns);
    const bool rectify = trial % 2 == 0;
    const float* some_bias = trial % 3 == 0 ? nullptr : bias.data();
    const size_t floats = size.columns * to_stride;
    expect_same(
        floats,
        [&](float* to) {
          transpose({from.data(), from_stride}, size.rows, size.columns, {to, to_stride});
        },
        [&](float* to) {
          plain::transpose({from.data(), from_stride}, size.rows, size.columns, {to, to_stride});
        });
    expect_same(
        floats,
        [&](float* to) {
          finish_transposed({from.data(), from_stride}, size.rows, size.columns, some_bias, rectify, {to, to_stride});
        },
        [&](float* to) {
          plain::finish_transposed({from.data(), from_stride}, size.rows, size.columns, some_bias, rectify,
                                   {to, to_stride});
        });
  }
}

TEST(RowKernels, CopiesAndSumsAreThoseOfThePlainLoops) {
  Rng rng(72);
  for (int trial = 0; trial < 200; ++trial) {
    const Sizes size(rng);
    const size_t blocks = in_range(rng, 1, 4);
    const size_t from_stride = size.columns + size.from_gap;
    const size_t to_stride = size.columns + size.to_gap;
    const size_t from_block = size.rows * from_stride + 1;
    const size_t to_block = size.rows * to_stride + 2;
    SCOPED_TRACE(std::to_string(size.rows) + " x " + std::to_string(size.columns));
    const std::vector<float> from = awkward_values(rng, blocks * from_block);
    expect_same(
        blocks * to_block,
        [&](float* to) {
          copy_blocks({from.data(), from_stride}, from_block, blocks, size.rows, size.columns, {to, to_stride},
                      to_block);
        },
        [&](float* to) {
          plain::copy_blocks({from.data(), from_stride}, from_block, blocks, size.rows, size.columns, {to, to_stride},
                             to_block);
        });
    const std::vector<float> added = values_to_add(rng, size.rows * from_stride);
    const size_t period = in_range(rng, 1, 6);
    expect_same(
        period,
        [&](float* to) {
          add_row_sums({added.data(), from_stride}, size.rows, size.columns, -0.3F, period, to);
        },
        [&](float* to) {
          plain::add_row_sums({added.data(), from_stride}, size.rows, size.columns, -0.3F, period, to);
        });
  }
}

TEST(RowKernels, PoolingIsThatOfThePlainLoops) {
  Rng rng(73);
  for (int trial = 0; trial < 200; ++trial) {
    const size_t count = in_range(rng, 1, 3);
    const size_t height = in_range(rng, 2, 9);
    const size_t width = in_range(rng, 2, 40);
    SCOPED_TRACE(std::to_string(height) + " x " + std::to_string(width));
    const size_t pooled = count * (height / 2) * (width / 2);
    const std::vector<float> planes = awkward_values(rng, count * height * width);
    const std::vector<float> gradient = random_values(rng, pooled);
    expect_same(
        pooled, [&](float* to) { max_pool_2x2(planes.data(), count, height, width, to); },
        [&](float* to) { plain::max_pool_2x2(planes.data(), count, height, width, to); });
    for (const bool rectified : {false, true}) {
      expect_same(
          planes.size(),
          [&](float* to) {
            max_pool_gradient_2x2(planes.data(), gradient.data(), count, height, width, rectified, to);
          },
          [&](float* to) {
            plain::max_pool_gradient_2x2(planes.data(), gradient.data(), count, height, width, rectified, to);
          });
    }
  }
}

}  // namespace
}  // namespace runnel::tensor
