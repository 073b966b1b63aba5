#include "runtime/tensor/product.h"

#define EIGEN_MPL2_ONLY
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>
#include <algorithm>

#include "runtime/base/error.h"

namespace runnel::tensor {
namespace {

using Eigen::Index;

// Panels of 128 columns x 256 depth and 256 depth x 64 rows: 128 KiB and 64 KiB, within the L2 cache of any processor
// that runs Linux. Part of what makes results repeat: changing them changes the order of summation.
constexpr size_t kColumnsBlock = 128;
constexpr size_t kRowsBlock = 64;
constexpr size_t kDepthBlock = 256;
constexpr size_t kPanelAlignment = 16;  // floats; 64 bytes

size_t column_panel(const ProductSize& size) {
  const size_t count = std::min(size.columns, kColumnsBlock) * std::min(size.depth, kDepthBlock);
  return (count + kPanelAlignment - 1) / kPanelAlignment * kPanelAlignment;
}

size_t row_panel(const ProductSize& size) {
  return std::min(size.rows, kRowsBlock) * std::min(size.depth, kDepthBlock);
}

// Hands Eigen's block kernel our panels and our block sizes. Going through the operators of Eigen::Map instead would
// take both from the processor's cache sizes, and the panels from the stack or the heap.
class Blocking : public Eigen::internal::level3_blocking<float, float> {
 public:
  Blocking(const ProductSize& size, std::span<float> workspace) {
    RUNNEL_ASSERT(workspace.size() >= product_workspace(size));
    m_blockA = workspace.data();
    m_blockB = workspace.data() + column_panel(size);
    m_mc = static_cast<Index>(std::min(size.columns, kColumnsBlock));
    m_nc = static_cast<Index>(std::min(size.rows, kRowsBlock));
    m_kc = static_cast<Index>(std::min(size.depth, kDepthBlock));
  }
};

// Eigen's kernel writes column-major results, so it computes transpose(c) += transpose(b) * transpose(a); a row-major
// matrix is its transpose in column-major order.
template <int kOrderOfB, int kOrderOfA>
void run(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c, std::span<float> workspace, float scale) {
  if (size.rows == 0 || size.columns == 0 || size.depth == 0) return;
  Blocking blocking(size, workspace);
#ifdef __clang_analyzer__
  // It cannot see that the panels are never null, and reports what Eigen would do if they were.
  static_cast<void>(a), static_cast<void>(b), static_cast<void>(c), static_cast<void>(blocking);
#else
  using Kernel = Eigen::internal::general_matrix_matrix_product<Index, float, kOrderOfB, false, float, kOrderOfA, false,
                                                                Eigen::ColMajor, 1>;
  const auto index = [](size_t value) { return static_cast<Index>(value); };
  Kernel::run(index(size.columns), index(size.rows), index(size.depth), b.data, index(b.stride), a.data,
              index(a.stride), c.data, 1, index(c.stride), scale, blocking);
#endif
}

}  // namespace

size_t product_workspace(const ProductSize& size) {
  return column_panel(size) + row_panel(size);
}

void add_product(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c, std::span<float> workspace,
                 float scale) {
  run<Eigen::ColMajor, Eigen::ColMajor>(size, a, b, c, workspace, scale);
}

void add_product_b_transposed(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c,
                              std::span<float> workspace, float scale) {
  run<Eigen::RowMajor, Eigen::ColMajor>(size, a, b, c, workspace, scale);
}

void add_product_a_transposed(const ProductSize& size, ConstMatrix a, ConstMatrix b, Matrix c,
                              std::span<float> workspace, float scale) {
  run<Eigen::ColMajor, Eigen::RowMajor>(size, a, b, c, workspace, scale);
}

}  // namespace runnel::tensor
