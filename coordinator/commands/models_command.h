// `runnel-coordinator models`: the models that come with runnel, and what training them takes; or one as a model file.
#pragma once

#include <ostream>
#include <string>

#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

struct ModelsOptions {
  std::string model;      // print this one as a model file; empty = list the built-in ones
  std::string onnx_path;  // the same, of an ONNX file
};

// Adds the subcommand and its options; they are written to `options`, which must outlive the parsing.
CLI::App* add_models_command(CLI::App& app, ModelsOptions& options);

// A line a model: input, parameters, and a device's memory for training it with minibatches of 1 and of 8.
Failure print_models(const ModelsOptions& options, std::ostream& out);

}  // namespace runnel::coordinator
