#include "coordinator/commands/export_command.h"

#include <CLI/CLI.hpp>

#include "coordinator/commands/safetensors.h"
#include "coordinator/config/model_file.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/sha256.h"

namespace runnel::coordinator {

Failure export_model(const ExportOptions& options, std::ostream& out) {
  const bool safetensors = options.out_path.ends_with(".safetensors");
  if (!safetensors && !options.out_path.ends_with(".f32")) {
    return fail(Error::kInvalidArgument, "--out must end in .safetensors or .f32, not '%s'", options.out_path.c_str());
  }
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
  if (safetensors) {
    const auto file = encode_safetensors(*spec, *layout, model->version, sha256, model->parameters);
    RUNNEL_TRY(host::write_file_atomically(options.out_path, file));
  } else {
    RUNNEL_TRY(host::write_file_atomically(options.out_path, raw));
  }
  out << options.out_path << ": model " << spec->name.view() << " version " << model->version << ", "
      << layout->parameter_count << " parameters\nsha256 " << sha256 << "\n";
  return Error::kOk;
}

CLI::App* add_export_command(CLI::App& app, ExportOptions& options) {
  CLI::App* command = app.add_subcommand("export", "Write a model to a file");
  command->add_option("--state", options.state_folder, "The fleet's folder")->capture_default_str();
  command->add_option("--out", options.out_path, "FILE.safetensors, or FILE.f32 for the bare numbers")->required();
  command->add_option("--version", options.version, "The model's version; the newest otherwise");
  return command;
}

}  // namespace runnel::coordinator
