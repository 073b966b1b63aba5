// dlib's networks as a contestant of train_bench: the same two models, plain SGD, batches ready in memory.
#include <dlib/dnn.h>

#include <algorithm>
#include <vector>

#include "bench/train_peer.h"

namespace {

using namespace dlib;

using Mlp = loss_multiclass_log<fc<10, relu<fc<64, relu<fc<128, input<matrix<float>>>>>>>>;
template <long kUnits, typename Below>
using Convolution = relu<add_layer<con_<kUnits, 3, 3, 1, 1, 1, 1>, Below>>;
template <typename Below>
using Pool = add_layer<max_pool_<2, 2, 2, 2, 0, 0>, Below>;
using Cnn =
    loss_multiclass_log<fc<10, relu<fc<128, Pool<Convolution<32, Pool<Convolution<16, input<matrix<float>>>>>>>>>>;

template <typename Net>
double rate_of(size_t batch, double seconds) {
  constexpr size_t kImages = 1024;
  dlib::rand random;
  std::vector<matrix<float>> images(kImages);
  std::vector<unsigned long> labels(kImages);
  for (size_t i = 0; i < kImages; ++i) {
    images[i].set_size(28, 28);
    for (float& pixel : images[i]) pixel = random.get_random_float();
    labels[i] = random.get_random_32bit_number() % 10;
  }
  Net net;
  std::vector<sgd> solvers(Net::num_computational_layers, sgd(0.0F, 0.0F));
  std::vector<resizable_tensor> batches(kImages / batch);
  for (size_t i = 0; i < batches.size(); ++i) {
    const auto first = images.begin() + static_cast<std::ptrdiff_t>(i * batch);
    net.to_tensor(first, first + static_cast<std::ptrdiff_t>(batch), batches[i]);
  }
  const auto step = [&](size_t index) {
    const size_t which = index % batches.size();
    const auto label = labels.begin() + static_cast<std::ptrdiff_t>(which * batch);
    net.compute_parameter_gradients(batches[which], label);
    net.update_parameters(solvers, 0.001);
  };
  return runnel::bench::peer_rate(batch, seconds, step);
}

}  // namespace

int main() {
  runnel::bench::serve_peer([](const std::string& model, size_t batch, double seconds) {
    return model == "mlp" ? rate_of<Mlp>(batch, seconds) : rate_of<Cnn>(batch, seconds);
  });
  return 0;
}
