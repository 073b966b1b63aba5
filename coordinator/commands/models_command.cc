#include "coordinator/commands/models_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "coordinator/commands/starting_model.h"
#include "coordinator/config/model_file.h"
#include "runtime/train/memory_plan.h"

namespace runnel::coordinator {
namespace {

std::string shape_text(const plan::Shape& shape) {
  std::string text = std::to_string(shape.channels);
  if (shape.height == 1 && shape.width == 1) return text;
  return text + "x" + std::to_string(shape.height) + "x" + std::to_string(shape.width);
}

// Of a device, in KiB, with the plan's defaults otherwise.
Result<uint64_t> training_kib(const plan::ModelSpec& spec, uint32_t batch_size) {
  plan::TrainingSpec training;
  training.batch_size = batch_size;
  Result<train::MemoryPlan> memory = train::training_memory(spec, training);
  if (!memory) return memory.failure();
  return uint64_t{(memory->total_bytes + 1023) / 1024};
}

}  // namespace

Failure print_models(const ModelsOptions& options, std::ostream& out) {
  if (!options.model.empty() || !options.onnx_path.empty()) {
    Result<StartingModel> model = choose_starting_model(options.model, options.onnx_path);
    if (!model) return model.failure();
    out << model->toml;
    return Error::kOk;
  }
  char line[256];
  std::snprintf(line, sizeof line, "%-15s %10s %10s %12s %12s  %s\n", "model", "input", "parameters", "KiB, batch 1",
                "KiB, batch 8", "for");
  out << line;
  for (const BuiltinModel& model : builtin_models()) {
    Result<plan::ModelSpec> spec = parse_model_file(std::string(model.toml));
    if (!spec) return spec.failure();
    Result<plan::ModelLayout> layout = plan::make_layout(*spec);
    if (!layout) return layout.failure();
    Result<uint64_t> one = training_kib(*spec, 1);
    if (!one) return one.failure();
    Result<uint64_t> eight = training_kib(*spec, 8);
    if (!eight) return eight.failure();
    std::snprintf(line, sizeof line, "%-15s %10s %10u %12llu %12llu  ", std::string(model.name).c_str(),
                  shape_text(spec->input).c_str(), layout->parameter_count, static_cast<unsigned long long>(*one),
                  static_cast<unsigned long long>(*eight));
    out << line << model.purpose << "\n";
  }
  return Error::kOk;
}

CLI::App* add_models_command(CLI::App& app, ModelsOptions& options) {
  CLI::App* command = app.add_subcommand("models", "List the built-in models, or print one as a model file");
  command->add_option("--model", options.model, "Print this built-in model or model.toml");
  command->add_option("--onnx", options.onnx_path, "Print the model of an ONNX file");
  return command;
}

}  // namespace runnel::coordinator
