// A model described in a file, model.toml, and the models that come with runnel. docs/models.md says what each layer
// takes.
//
//   name = "my-cnn"
//   input = [1, 28, 28]            # channels, height, width; or [features]
//   classes = 10
//   [[layer]]
//   kind = "conv2d"
//   units = 8
//   kernel = 3                     # or [height, width]; the same for stride and padding
//   padding = 1
//
// A layer takes the keys that it needs and no others, so that a typing error never becomes a default.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

// Reads a model file; failures name the line, or the layer and its key. The result has passed plan::make_layout.
Result<plan::ModelSpec> parse_model_file(const std::string& toml);

// The text of which parse_model_file() makes the same spec again. REQUIRES: a spec that plan::make_layout accepts, with
// names that valid_layer_name() does, each there once, and parameters' fates only where there are parameters.
std::string model_file_toml(const plan::ModelSpec& spec);

// What a layer may be called: at most 23 of A-Z a-z 0-9 . _ -, and not "input", which is the model's.
bool valid_layer_name(std::string_view name);

struct BuiltinModel {
  std::string_view name;
  std::string_view purpose;
  std::string_view toml;
  std::string_view plan =
      {};  // what a new fleet's plan says for it, as in plan.toml, where that differs from the defaults
};
const std::vector<BuiltinModel>& builtin_models();

// Null for a name that is not among them.
const BuiltinModel* find_builtin_model(std::string_view name);

}  // namespace runnel::coordinator
