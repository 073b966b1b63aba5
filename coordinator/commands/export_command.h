// `runnel-coordinator export`: a model of the run as a file for other programs.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "coordinator/state_folder.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

struct ExportOptions {
  std::string state_folder = kDefaultStateFolder;
  std::string out_path;  // .safetensors, .onnx, or .f32: the parameters alone, little-endian
  std::string format;    // the same words; empty: what the file's name ends in
  uint64_t version = 0;  // 0 = the newest
};

// Adds the subcommand and its options; they are written to `options`, which must outlive the parsing.
CLI::App* add_export_command(CLI::App& app, ExportOptions& options);

// Writes the file (replacing one of that name) and prints the SHA-256 of the parameters as little-endian fp32, the same
// for every format. kNotFound: the store no longer has that version.
Failure export_model(const ExportOptions& options, std::ostream& out);

}  // namespace runnel::coordinator
