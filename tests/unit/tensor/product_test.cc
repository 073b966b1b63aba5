#include "runtime/tensor/product.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

enum class Form { kPlain, kBTransposed, kATransposed };

void multiply(Form form, const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c, std::span<float> workspace) {
  switch (form) {
    case Form::kPlain:
      return add_product(size, a, b, c, workspace);
    case Form::kBTransposed:
      return add_product_b_transposed(size, a, b, c);
    case Form::kATransposed:
      return add_product_a_transposed(size, a, b, c, workspace);
  }
}

// All three matrices lie inside wider ones, and the rest of c must stay as it is.
void check(Form form, const ProductSize& size, Rng& rng) {
  const size_t a_rows = form == Form::kATransposed ? size.depth : size.rows;
  const size_t a_columns = form == Form::kATransposed ? size.rows : size.depth;
  const size_t b_rows = form == Form::kBTransposed ? size.columns : size.depth;
  const size_t b_columns = form == Form::kBTransposed ? size.depth : size.columns;
  const size_t a_stride = a_columns + in_range(rng, 0, 3);
  const size_t b_stride = b_columns + in_range(rng, 0, 3);
  const size_t c_stride = size.columns + in_range(rng, 0, 3);
  const std::vector<float> a = random_values(rng, a_rows * a_stride);
  const std::vector<float> b = random_values(rng, b_rows * b_stride);
  std::vector<float> c = random_values(rng, size.rows * c_stride);
  std::vector<float> expected = c;
  for (size_t row = 0; row < size.rows; ++row) {
    for (size_t column = 0; column < size.columns; ++column) {
      double total = expected[row * c_stride + column];
      for (size_t k = 0; k < size.depth; ++k) {
        const float left = form == Form::kATransposed ? a[k * a_stride + row] : a[row * a_stride + k];
        const float right = form == Form::kBTransposed ? b[column * b_stride + k] : b[k * b_stride + column];
        total += static_cast<double>(left) * static_cast<double>(right);
      }
      expected[row * c_stride + column] = static_cast<float>(total);
    }
  }
  std::vector<float> workspace(product_workspace(size, Columns::kExactly));
  multiply(form, size, {a.data(), a_stride}, {b.data(), b_stride}, {c.data(), c_stride}, workspace);
  expect_close(expected, c, size.depth);
  for (size_t row = 0; row < size.rows; ++row) {
    for (size_t column = size.columns; column < c_stride; ++column) {
      ASSERT_EQ(expected[row * c_stride + column], c[row * c_stride + column]);
    }
  }
}

constexpr Form kForms[] = {Form::kPlain, Form::kBTransposed, Form::kATransposed};

TEST(Product, AgreesWithPlainSumsOnSmallSizes) {
  Rng rng(11);
  for (const Form form : kForms) {
    for (size_t rows = 1; rows <= 9; ++rows) {
      for (size_t columns = 1; columns <= 18; ++columns) {
        for (const size_t depth : {1U, 2U, 3U, 7U, 16U}) check(form, {rows, columns, depth}, rng);
      }
    }
  }
}

TEST(Product, AgreesWithPlainSumsAcrossBlockBorders) {
  Rng rng(12);
  for (const Form form : kForms) {
    for (const size_t rows : {63U, 64U, 65U, 130U}) {
      for (const size_t columns : {1U, 127U, 129U}) {
        for (const size_t depth : {1U, 255U, 257U, 515U}) check(form, {rows, columns, depth}, rng);
      }
    }
  }
}

TEST(Product, WorkspaceGrowsWithEverySide) {
  const size_t whole = product_workspace({40, 70, 90});
  EXPECT_LE(product_workspace({39, 70, 90}), whole);
  EXPECT_LE(product_workspace({40, 1, 90}), whole);
  EXPECT_LE(product_workspace({40, 70, 3}), whole);
  EXPECT_LT(product_workspace({20, 70, 90}), whole) << "few rows are not packed";
  EXPECT_EQ(product_workspace({20, 64, 90}, Columns::kExactly), 0U) << "and no column is left";
  EXPECT_EQ(product_workspace({4000, 7000, 9000}), product_workspace({4001, 7001, 9001}))
      << "bounded by the block sizes";
}

TEST(Product, AnEmptySideChangesNothing) {
  const std::vector<float> a(16, 1.0F);
  std::vector<float> c(16, 3.0F);
  for (const ProductSize& size : {ProductSize{0, 4, 4}, ProductSize{4, 0, 4}, ProductSize{4, 4, 0}}) {
    add_product(size, {a.data(), 4}, {a.data(), 4}, {c.data(), 4}, {});
  }
  EXPECT_EQ(c, std::vector<float>(16, 3.0F));
}

TEST(Product, BitsDoNotDependOnWhereTheMatricesStand) {
  Rng rng(13);
  const ProductSize size{33, 45, 300};
  const std::vector<float> a = random_values(rng, size.rows * size.depth);
  const std::vector<float> b = random_values(rng, size.depth * size.columns);
  std::vector<float> workspace(product_workspace(size));
  std::vector<float> first(size.rows * size.columns);
  add_product(size, {a.data(), size.depth}, {b.data(), size.columns}, {first.data(), size.columns}, workspace);
  for (size_t shift = 1; shift < 5; ++shift) {
    std::vector<float> moved_a(a.size() + shift);
    std::ranges::copy(a, moved_a.data() + shift);
    std::vector<float> c(first.size() + shift);
    add_product(size, {moved_a.data() + shift, size.depth}, {b.data(), size.columns}, {c.data() + shift, size.columns},
                workspace);
    c.erase(c.begin(), c.begin() + static_cast<std::ptrdiff_t>(shift));
    EXPECT_EQ(first, c);
  }
}

}  // namespace
}  // namespace runnel::tensor
