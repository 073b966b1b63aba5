#include "coordinator/commands/export_command.h"

#include <CLI/CLI.hpp>

#include "coordinator/commands/safetensors.h"
#include "coordinator/config/model_file.h"
#include "coordinator/onnx/onnx_export.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/sha256.h"

namespace runnel::coordinator {
namespace {

enum class Format { kSafetensors, kOnnx, kBare };

Result<Format> format_of(const ExportOptions& options) {
  const std::string& path = options.out_path;
  const size_t dot = path.rfind('.');
  const std::string ending = dot == std::string::npos ? "" : path.substr(dot + 1);
  const std::string& format = options.format.empty() ? ending : options.format;
  if (format == "safetensors") return Format::kSafetensors;
  if (format == "onnx") return Format::kOnnx;
  if (format == "f32") return Format::kBare;
  if (!options.format.empty())
    return fail(Error::kUnknownName, "--format must be safetensors, onnx or f32, not '%s'", format.c_str());
  return fail(Error::kInvalidArgument, "--out must end in .safetensors, .onnx or .f32, not '%s', or say --format",
              path.c_str());
}

}  // namespace

Failure export_model(const ExportOptions& options, std::ostream& out) {
  Result<Format> format = format_of(options);
  if (!format) return format.failure();
  const StateFolder folder(options.state_folder);
  RUNNEL_TRY(folder.require());
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(folder.database(), false);
  if (!store) return store.failure();
  // The store's own text, not model.toml: it is what the parameters belong to.
  Result<RunRecord> run = (*store)->run();
  if (!run) return run.failure();
  Result<plan::ModelSpec> spec = parse_model_file(run->model_toml);
  if (!spec) return Failure(spec.failure()).prefix("%s: the stored model", folder.database().c_str());
  Result<plan::ModelLayout> layout = make_layout(*spec);
  if (!layout) return layout.failure();
  Result<ModelRecord> model = (*store)->model(options.version);
  if (!model) return model.failure();
  if (model->parameters.size() != layout->parameter_count) {
    return fail(Error::kCorrupt, "%s: model version %llu has %zu parameters, its description %u",
                folder.database().c_str(), static_cast<unsigned long long>(model->version), model->parameters.size(),
                layout->parameter_count);
  }

  const ByteView raw{reinterpret_cast<const uint8_t*>(model->parameters.data()),
                     model->parameters.size() * sizeof(float)};
  const std::string sha256 = host::sha256_hex(raw);
  switch (*format) {
    case Format::kSafetensors:
      RUNNEL_TRY(host::write_file_atomically(
          options.out_path, encode_safetensors(*spec, *layout, model->version, sha256, model->parameters)));
      break;
    case Format::kOnnx: {
      OnnxGraph graph = export_onnx(*spec, *layout, model->parameters);
      graph.metadata.emplace_back("runnel.version", std::to_string(model->version));
      graph.metadata.emplace_back("runnel.sha256", sha256);
      RUNNEL_TRY(host::write_file_atomically(options.out_path, write_onnx(graph)));
      break;
    }
    case Format::kBare:
      RUNNEL_TRY(host::write_file_atomically(options.out_path, raw));
      break;
  }
  out << options.out_path << ": model " << spec->name.view() << " version " << model->version << ", "
      << layout->parameter_count << " parameters\nsha256 " << sha256 << "\n";
  return Error::kOk;
}

CLI::App* add_export_command(CLI::App& app, ExportOptions& options) {
  CLI::App* command = app.add_subcommand("export", "Write a model to a file");
  command->add_option("--state", options.state_folder, "The fleet's folder")->capture_default_str();
  command->add_option("--out", options.out_path, "FILE.safetensors, FILE.onnx, or FILE.f32 for the bare numbers")
      ->required();
  command->add_option("--format", options.format, "safetensors, onnx or f32, whatever the file is called");
  command->add_option("--version", options.version, "The model's version; the newest otherwise");
  return command;
}

}  // namespace runnel::coordinator
