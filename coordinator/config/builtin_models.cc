// The models that come with runnel, as the files a user would write.
#include "coordinator/config/model_file.h"

namespace runnel::coordinator {

const std::vector<BuiltinModel>& builtin_models() {
  static const std::vector<BuiltinModel> models = {
      {"sensor-cnn", "three-axis windows of 64 samples, the generated task; 15 thousand parameters", R"toml(
name = "sensor-cnn"
input = [3, 1, 64]   # axes, 1, samples
classes = 6

[[layer]]
kind = "conv2d"
units = 16
kernel = [1, 5]
padding = [0, 2]

[[layer]]
kind = "relu"

[[layer]]
kind = "max_pool2d"
kernel = [1, 2]

[[layer]]
kind = "conv2d"
units = 32
kernel = [1, 5]
padding = [0, 2]

[[layer]]
kind = "relu"

[[layer]]
kind = "max_pool2d"
kernel = [1, 2]

[[layer]]
kind = "flatten"

[[layer]]
kind = "dense"
units = 24

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 6
)toml"},
      {"sensor-mlp", "the same windows as 192 plain numbers; 15 thousand parameters", R"toml(
name = "sensor-mlp"
input = [192]
classes = 6

[[layer]]
kind = "dense"
units = 64

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 32

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 6
)toml"},
      {"fashion-cnn", "28x28 grey images, ten classes (Fashion-MNIST, MNIST); 52 thousand parameters", R"toml(
name = "fashion-cnn"
input = [1, 28, 28]
classes = 10

[[layer]]
kind = "conv2d"
units = 8
kernel = 3
padding = 1

[[layer]]
kind = "relu"

[[layer]]
kind = "max_pool2d"
kernel = 2

[[layer]]
kind = "conv2d"
units = 16
kernel = 3
padding = 1

[[layer]]
kind = "relu"

[[layer]]
kind = "max_pool2d"
kernel = 2

[[layer]]
kind = "flatten"

[[layer]]
kind = "dense"
units = 64

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 10
)toml"},
      {"fashion-mlp", "the same images without convolutions; 109 thousand parameters", R"toml(
name = "fashion-mlp"
input = [1, 28, 28]
classes = 10

[[layer]]
kind = "flatten"

[[layer]]
kind = "dense"
units = 128

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 64

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 10
)toml"},
      {"har-cnn", "nine-channel windows of 128 samples, six activities (UCI HAR); 37 thousand parameters", R"toml(
name = "har-cnn"
input = [9, 1, 128]  # channels, 1, samples
classes = 6

[[layer]]
kind = "conv2d"
units = 16
kernel = [1, 5]
padding = [0, 2]

[[layer]]
kind = "relu"

[[layer]]
kind = "max_pool2d"
kernel = [1, 2]

[[layer]]
kind = "conv2d"
units = 32
kernel = [1, 5]
padding = [0, 2]

[[layer]]
kind = "relu"

[[layer]]
kind = "max_pool2d"
kernel = [1, 4]

[[layer]]
kind = "flatten"

[[layer]]
kind = "dense"
units = 64

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 6
)toml"},
      {"digits-mlp", "8x8 handwritten digits as 64 numbers, ten classes; 5 thousand parameters", R"toml(
name = "digits-mlp"
input = [64]
classes = 10

[[layer]]
kind = "dense"
units = 64

[[layer]]
kind = "relu"

[[layer]]
kind = "dense"
units = 10
)toml"},
      {"digits-cnn", "the same digits as 8x8 images; 11 thousand parameters", R"toml(
name = "digits-cnn"
input = [1, 8, 8]
classes = 10
layer = [
  { kind = "conv2d", units = 16, kernel = 3, padding = 1 },
  { kind = "relu" },
  { kind = "conv2d", units = 16, kernel = 3, padding = 1 },
  { kind = "relu" },
  { kind = "max_pool2d", kernel = 2 },
  { kind = "flatten" },
  { kind = "dense", units = 32 },
  { kind = "relu" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"softmax", "multinomial logistic regression of 28x28 images; 8 thousand parameters", R"toml(
name = "softmax"
input = [1, 28, 28]
classes = 10
layer = [
  { kind = "flatten" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"mlp", "28x28 images, two hidden layers of 128 and 64; 109 thousand parameters", R"toml(
name = "mlp"
input = [1, 28, 28]
classes = 10
layer = [
  { kind = "flatten" },
  { kind = "dense", units = 128 },
  { kind = "relu" },
  { kind = "dense", units = 64 },
  { kind = "relu" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"lenet5", "28x28 images, after LeCun et al. 1998: tanh and mean pools; 62 thousand parameters", R"toml(
name = "lenet5"
input = [1, 28, 28]
classes = 10
layer = [
  { kind = "conv2d", units = 6, kernel = 5, padding = 2 },
  { kind = "tanh" },
  { kind = "avg_pool2d", kernel = 2 },
  { kind = "conv2d", units = 16, kernel = 5 },
  { kind = "tanh" },
  { kind = "avg_pool2d", kernel = 2 },
  { kind = "flatten" },
  { kind = "dense", units = 120 },
  { kind = "tanh" },
  { kind = "dense", units = 84 },
  { kind = "tanh" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"cnn-small", "28x28 images, trained within 256 KiB; 11 thousand parameters", R"toml(
name = "cnn-small"
input = [1, 28, 28]
classes = 10
layer = [
  { kind = "conv2d", units = 8, kernel = 3, stride = 2, padding = 1 },
  { kind = "relu" },
  { kind = "conv2d", units = 16, kernel = 3, padding = 1 },
  { kind = "relu" },
  { kind = "max_pool2d", kernel = 2 },
  { kind = "conv2d", units = 16, kernel = 3, padding = 1 },
  { kind = "relu" },
  { kind = "flatten" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"cnn-bench", "28x28 images, the network of the training benchmark; 207 thousand parameters", R"toml(
name = "cnn-bench"
input = [1, 28, 28]
classes = 10
layer = [
  { kind = "conv2d", units = 16, kernel = 3, padding = 1 },
  { kind = "relu" },
  { kind = "max_pool2d", kernel = 2 },
  { kind = "conv2d", units = 32, kernel = 3, padding = 1 },
  { kind = "relu" },
  { kind = "max_pool2d", kernel = 2 },
  { kind = "flatten" },
  { kind = "dense", units = 128 },
  { kind = "relu" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"resnet8", "32x32 colour images (CIFAR-10), three residual blocks with group norm; 78 thousand parameters",
       R"toml(
name = "resnet8"
input = [3, 32, 32]
classes = 10
layer = [
  { kind = "conv2d", units = 16, kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu", name = "stem" },
  { kind = "conv2d", units = 16, kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu" },
  { kind = "conv2d", units = 16, kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", name = "main1", groups = 8 },
  { kind = "add", inputs = ["main1", "stem"] },
  { kind = "relu", name = "block1" },
  { kind = "conv2d", units = 32, kernel = 3, stride = 2, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu" },
  { kind = "conv2d", units = 32, kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", name = "main2", groups = 8 },
  { kind = "conv2d", name = "skip2", inputs = "block1", units = 32, kernel = 1, stride = 2 },
  { kind = "add", inputs = ["main2", "skip2"] },
  { kind = "relu", name = "block2" },
  { kind = "conv2d", units = 64, kernel = 3, stride = 2, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu" },
  { kind = "conv2d", units = 64, kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", name = "main3", groups = 8 },
  { kind = "conv2d", name = "skip3", inputs = "block2", units = 64, kernel = 1, stride = 2 },
  { kind = "add", inputs = ["main3", "skip3"] },
  { kind = "relu", name = "block3" },
  { kind = "global_avg_pool" },
  { kind = "flatten" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"mobilenet-tiny",
       "32x32 colour images, depthwise separable convolutions with group norm; 21 thousand parameters", R"toml(
name = "mobilenet-tiny"
input = [3, 32, 32]
classes = 10
layer = [
  { kind = "conv2d", units = 16, kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "depthwise_conv2d", kernel = 3, stride = 2, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "conv2d", units = 32, kernel = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "depthwise_conv2d", kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "conv2d", units = 32, kernel = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "depthwise_conv2d", kernel = 3, stride = 2, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "conv2d", units = 64, kernel = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "depthwise_conv2d", kernel = 3, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "conv2d", units = 64, kernel = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "depthwise_conv2d", kernel = 3, stride = 2, padding = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "conv2d", units = 128, kernel = 1, bias = false },
  { kind = "group_norm", groups = 8 },
  { kind = "relu6" },
  { kind = "global_avg_pool" },
  { kind = "flatten" },
  { kind = "dense", units = 10 },
]
)toml"},
      {"har-1dcnn", "nine-channel windows of 128 samples, six activities (UCI HAR); 21 thousand parameters", R"toml(
name = "har-1dcnn"
input = [9, 1, 128]  # channels, 1, samples
classes = 6
loss = { kind = "softmax", label_smoothing = 0.1 }
layer = [
  { kind = "conv1d", units = 24, kernel = 11, stride = 2, padding = 5 },
  { kind = "relu" },
  { kind = "conv1d", units = 32, kernel = 9, padding = 4 },
  { kind = "relu" },
  { kind = "max_pool1d", kernel = 2 },
  { kind = "dropout", rate = 0.2 },
  { kind = "conv1d", units = 48, kernel = 7, padding = 3 },
  { kind = "relu", name = "features" },
  { kind = "global_avg_pool", name = "mean" },
  { kind = "global_max_pool", name = "peak", inputs = ["features"] },
  { kind = "concat", inputs = ["mean", "peak"] },
  { kind = "flatten" },
  { kind = "dropout", rate = 0.3 },
  { kind = "dense", units = 6 },
]
)toml",
       R"toml(
[training]
learning_rate = 0.05
schedule = "cosine"
weight_decay = 0.003
batch_size = 16
local_steps = 6
[server]
optimizer = "momentum"
momentum = 0.9
)toml"},
      {"gru-char", "the next character at each of 64 places, 96 characters; 78 thousand parameters", R"toml(
name = "gru-char"
input = [1, 1, 64]   # one number a character
classes = 96
layer = [
  { kind = "embedding", vocabulary = 96, units = 32 },
  { kind = "gru", units = 128, every_step = true },
  { kind = "conv1d", units = 96, kernel = 1 },
]
)toml",
       R"toml(
[training]
learning_rate = 1.0
batch_size = 8
local_epochs = 2
)toml"},
      {"ae-sensor", "an autoencoder of three-axis windows of 64 samples, for anomalies; 26 thousand parameters", R"toml(
name = "ae-sensor"
input = [3, 1, 64]
outputs = 192
loss = { kind = "mse", target = "input" }
layer = [
  { kind = "flatten" },
  { kind = "dense", units = 64 },
  { kind = "relu" },
  { kind = "dense", units = 12 },
  { kind = "relu" },
  { kind = "dense", units = 64 },
  { kind = "relu" },
  { kind = "dense", units = 192 },
]
)toml"},
  };
  return models;
}

}  // namespace runnel::coordinator
