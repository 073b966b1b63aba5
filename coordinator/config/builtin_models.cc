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
  };
  return models;
}

}  // namespace runnel::coordinator
