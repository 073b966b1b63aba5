// The model that a fleet begins with: a built-in one, one from a model file, one from an ONNX file, or a model file's
// with an ONNX file's parameters.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

struct StartingModel {
  std::string toml;
  plan::ModelSpec spec;
  plan::ModelLayout layout;
  std::vector<float> trained;   // parameters from an ONNX file; empty without one
  uint32_t layers_trained = 0;  // the first so many layers have theirs from the file
  std::string trained_path;     // the file

  // The first model's parameters: drawn from the seed, but for those that are trained already. REQUIRES:
  // parameters.size() == layout.parameter_count.
  void fill(uint64_t seed, std::vector<float>& parameters) const;
};

// `model`: a built-in model's name or a path to a model.toml; empty: the ONNX file's own. `onnx_path`: empty, or a file
// with trained parameters. With both, layers take theirs from the file in order as long as kinds and sizes agree; the
// layers from the first that does not on begin at random, and none of them may be frozen. Failures name the file.
Result<StartingModel> choose_starting_model(const std::string& model, const std::string& onnx_path);

}  // namespace runnel::coordinator
