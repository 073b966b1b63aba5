// A model described in a file, model.toml, and the models that come with runnel.
//
//   name = "my-cnn"
//   input = [1, 28, 28]            # channels, height, width; or [features]
//   classes = 10
//   [[layer]]
//   kind = "conv2d"                # dense | conv2d | max_pool2d | avg_pool2d | relu | flatten
//   units = 8
//   kernel = 3                     # or [height, width]; the same for stride and padding
//   padding = 1
//
// A layer takes the keys that it needs and no others: dense: units; conv2d: units, kernel, stride (1), padding (0);
// pools: kernel, stride (the kernel's, so that windows do not overlap).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

// Reads a model file; failures name the line, or the layer and its key. The result has passed plan::make_layout.
Result<plan::ModelSpec> parse_model_file(const std::string& toml);

std::string model_file_toml(const plan::ModelSpec& spec);

struct BuiltinModel {
  std::string_view name;
  std::string_view purpose;
  std::string_view toml;
};
const std::vector<BuiltinModel>& builtin_models();

// Null for a name that is not among them.
const BuiltinModel* find_builtin_model(std::string_view name);

}  // namespace runnel::coordinator
