// Eigen's matrix product in a loop of one's own, as a contestant of train_bench: the multilayer perceptron alone,
// gradients added straight to the weights. What one would write without a library for training.
#include <Eigen/Core>
#include <array>
#include <vector>

#include "bench/train_peer.h"

namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Layer {
  Rows weight;  // [units][inputs]
  Eigen::RowVectorXf bias;
  Rows output;
  Rows gradient;
};

double rate_of(const std::string& model, size_t batch, double seconds) {
  if (model != "mlp") return 0.0;
  constexpr Eigen::Index kImages = 1024;
  constexpr std::array<Eigen::Index, 4> kUnits = {784, 128, 64, 10};
  const auto rows = static_cast<Eigen::Index>(batch);
  const Rows images = Rows::Random(kImages, 784).cwiseAbs();
  std::vector<Layer> layers(3);
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].weight = 0.05F * Rows::Random(kUnits[i + 1], kUnits[i]);
    layers[i].bias = Eigen::RowVectorXf::Zero(kUnits[i + 1]);
    layers[i].output.resize(rows, kUnits[i + 1]);
    layers[i].gradient.resize(rows, kUnits[i + 1]);
  }
  const auto step = [&](size_t index) {
    const auto first = static_cast<Eigen::Index>(index * batch % (kImages - batch + 1));
    const auto input = images.middleRows(first, rows);
    for (size_t i = 0; i < layers.size(); ++i) {
      Layer& layer = layers[i];
      if (i == 0) {
        layer.output.noalias() = input * layer.weight.transpose();
      } else {
        layer.output.noalias() = layers[i - 1].output * layer.weight.transpose();
      }
      layer.output.rowwise() += layer.bias;
      if (i + 1 < layers.size()) layer.output = layer.output.cwiseMax(0.0F);
    }
    Rows& gradient = layers.back().gradient;
    for (Eigen::Index row = 0; row < rows; ++row) {
      const auto logits = layers.back().output.row(row).array();
      const Eigen::Array<float, 1, Eigen::Dynamic> powers = (logits - logits.maxCoeff()).exp();
      gradient.row(row) = (powers / powers.sum()).matrix();
      gradient(row, (first + row) % 10) -= 1.0F;
    }
    gradient /= static_cast<float>(rows);
    for (size_t i = layers.size(); i-- > 0;) {
      Layer& layer = layers[i];
      if (i > 0) {
        Layer& below = layers[i - 1];
        below.gradient.noalias() = layer.gradient * layer.weight;
        below.gradient = (below.output.array() > 0.0F).select(below.gradient, 0.0F);
        layer.weight.noalias() -= 0.001F * layer.gradient.transpose() * below.output;
      } else {
        layer.weight.noalias() -= 0.001F * layer.gradient.transpose() * input;
      }
      layer.bias -= 0.001F * layer.gradient.colwise().sum();
    }
  };
  return runnel::bench::peer_rate(batch, seconds, step);
}

}  // namespace

int main() {
  runnel::bench::serve_peer(rate_of);
  return 0;
}
