#include "coordinator/commands/init_command.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>

#include "coordinator/commands/starting_model.h"
#include "coordinator/config/model_file.h"
#include "coordinator/engine/public_model.h"
#include "coordinator/engine/robust_aggregate.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/host/entropy.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/train/memory_plan.h"

namespace runnel::coordinator {
namespace {

// Certificates begin a day early: a device whose clock is behind must not refuse its coordinator.
constexpr int64_t kClockSlackS = host::kDayS;

ByteView bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Result<FleetPlan> choose_plan(const InitOptions& options) {
  FleetPlan plan;
  // A new fleet follows DQ-SGD's schedule where its codec has a step without bias; a plan file says for itself.
  const bool default_codec = !options.plan.codec || *options.plan.codec == plan::codec_name(plan.codec.codec);
  if (options.plan_path.empty()) {
    Result<FleetPlan> begin = new_fleet_plan(options.model);
    if (!begin) return begin.failure();
    plan = *begin;
    if (default_codec) plan.rate.mode = plan::RateMode::kError;
  } else {
    Result<std::string> text = read_text_file(options.plan_path);
    if (!text) return text.failure();
    Result<FleetPlan> parsed = parse_fleet_plan(*text);
    if (!parsed) return Failure(parsed.failure()).prefix("%s", options.plan_path.c_str());
    plan = *parsed;
  }
  RUNNEL_TRY(apply_overrides(options.plan, plan));
  if (Failure bad = check(plan); !bad.ok()) return bad;
  return plan;
}

// True: made now. False: it was there, and empty.
Result<bool> make_folder(const std::string& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (std::filesystem::exists(status)) {
    if (!std::filesystem::is_directory(status))
      return fail(Error::kDuplicate, "%s: there is a file of that name", path.c_str());
    for (const std::string& file : StateFolder(path).files()) {
      if (std::filesystem::exists(file, code)) {
        return fail(Error::kDuplicate, "%s: holds a fleet already (%s); nothing was changed", path.c_str(),
                    file.c_str());
      }
    }
    if (!std::filesystem::is_empty(path, code) || code) {
      return fail(Error::kDuplicate, "%s: not empty; nothing was changed. Choose a new folder", path.c_str());
    }
    if (::chmod(path.c_str(), 0700) != 0) return host::fail_with_errno(errno, path, "chmod");
    return false;
  }
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, code);
  if (::mkdir(path.c_str(), 0700) != 0) return host::fail_with_errno(errno, path, "mkdir");
  return true;
}

Failure write_keys(const StateFolder& folder, const std::string& fleet_name, host::Entropy& entropy) {
  const int64_t begin_s = host::unix_seconds() - kClockSlackS;
  Result<host::Authority> authority = host::create_authority(fleet_name, begin_s, entropy);
  if (!authority) return authority.failure();
  Result<host::CertificateInfo> root = host::parse_certificate(authority->certificate_pem);
  if (!root) return root.failure();
  Result<host::Credentials> credentials = host::create_credentials(
      *authority, kCoordinatorName, host::Role::kCoordinator, {begin_s, root->not_after_s}, entropy);
  if (!credentials) return credentials.failure();
  std::array<uint8_t, 32> ticket_key{};
  entropy.fill(ticket_key);
  RUNNEL_TRY(host::write_file_atomically(folder.ca_key(), bytes_of(authority->key_pem), 0600));
  RUNNEL_TRY(host::write_file_atomically(folder.ca_certificate(), bytes_of(authority->certificate_pem), 0644));
  RUNNEL_TRY(host::write_file_atomically(folder.coordinator_key(), bytes_of(credentials->key_pem), 0600));
  RUNNEL_TRY(
      host::write_file_atomically(folder.coordinator_certificate(), bytes_of(credentials->certificate_pem), 0644));
  return host::write_file_atomically(folder.ticket_key(), ticket_key, 0600);
}

Failure write_run(const StateFolder& folder, const FleetPlan& plan, const StartingModel& model,
                  host::Entropy& entropy) {
  const std::string plan_toml = fleet_plan_toml(plan);
  RUNNEL_TRY(host::write_file_atomically(folder.plan(), bytes_of(plan_toml), 0644));
  RUNNEL_TRY(host::write_file_atomically(folder.model(), bytes_of(model.toml), 0644));
  ModelRecord initial{1, std::vector<float>(model.layout.parameter_count)};
  model.fill(plan.seed, initial.parameters);
  begin_public_model(plan.downlink, model.layout.shared_count, initial.parameters);
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(folder.database(), true);
  if (!store) return store.failure();
  uint64_t run = 0;
  while (run == 0) run = entropy.next_u64();
  return (*store)->create_run({run, plan_toml, model.toml}, initial);
}

// Empty without an ONNX file.
std::string trained_text(const StartingModel& model) {
  if (model.trained_path.empty()) return {};
  const bool all = model.layers_trained == model.spec.layers.size();
  std::string text = "  start  parameters from " + model.trained_path;
  if (!all) text += "; layers from " + std::to_string(model.layers_trained) + " on begin at random";
  return text + "\n";
}

void describe(const StateFolder& folder, const InitOptions& options, const FleetPlan& plan, const StartingModel& model,
              std::ostream& out) {
  const std::string state = options.state_folder == kDefaultStateFolder ? "" : " --state " + folder.path();
  out << "Made the fleet '" << options.fleet_name << "' in " << folder.path() << ":\n"
      << "  model  " << model.spec.name.view() << ", " << model.layout.parameter_count << " parameters (model.toml)\n"
      << trained_text(model) << "  plan   " << plan.rounds << " rounds, " << plan::codec_name(plan.codec.codec);
  if (plan.rate.mode != plan::RateMode::kFixed) out << " by the rule " << plan::rate_mode_name(plan.rate.mode);
  if (plan.codec.codec == plan::CodecId::kQsgd) out << " with " << plan.codec.levels << " levels";
  if (plan.rate.mode == plan::RateMode::kFixed && plan::has_step(plan.codec.codec) && plan.codec.step == 0.0F)
    out << " at " << plan.codec.bits << " bits a number";
  out << " (plan.toml)\n"
      << "  keys   ca.key signs devices and is the fleet's secret: keep a copy somewhere safe\n"
      << "Next:\n"
      << "  runnel-coordinator enroll device-1 device-2" << state << "\n"
      << "  runnel-coordinator run" << state << "\n";
}

}  // namespace

Failure init_fleet(const InitOptions& options, std::ostream& out) {
  // Everything that can be wrong with the words is found before the disk is touched.
  Result<FleetPlan> plan = choose_plan(options);
  if (!plan) return plan.failure();
  // An ONNX file says the model itself unless another is asked for.
  const std::string default_model = options.onnx_path.empty() ? "sensor-cnn" : "";
  Result<StartingModel> model =
      choose_starting_model(options.model.empty() ? default_model : options.model, options.onnx_path);
  if (!model) return model.failure();
  if (Result<train::MemoryPlan> memory = train::training_memory(model->spec, plan->training); !memory)
    return Failure(memory.failure()).prefix("this model cannot be trained");
  if (model->layout.shared_count == 0) {
    return fail(Error::kInvalidArgument, "the model has no layer that the fleet trains together");
  }
  RUNNEL_TRY(RobustAggregate::check(*plan, model->layout.shared_count));
  if (!host::valid_name(options.fleet_name)) {
    return fail(Error::kInvalidArgument, "--name must be 1 to 63 of A-Z a-z 0-9 . _ -, not '%s'",
                options.fleet_name.c_str());
  }
  Result<std::unique_ptr<host::Entropy>> entropy = host::Entropy::create();
  if (!entropy) return entropy.failure();

  const StateFolder folder(options.state_folder);
  Result<bool> made = make_folder(folder.path());
  if (!made) return made.failure();
  Failure written = write_keys(folder, options.fleet_name, **entropy);
  if (written.ok()) written = write_run(folder, *plan, *model, **entropy);
  if (!written.ok()) {
    std::error_code ignored;
    for (const std::string& file : folder.files()) {
      for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file + suffix, ignored);
    }
    if (*made) std::filesystem::remove(folder.path(), ignored);
    return written;
  }
  describe(folder, options, *plan, *model, out);
  return Error::kOk;
}

CLI::App* add_init_command(CLI::App& app, InitOptions& options) {
  CLI::App* command = app.add_subcommand("init", "Make a fleet: its keys, its plan, its first model");
  command->add_option("--state", options.state_folder, "The fleet's folder; must not be there yet")
      ->capture_default_str();
  std::string models = "A model.toml, or a built-in model:";
  for (const BuiltinModel& model : builtin_models()) models += " " + std::string(model.name);
  command->add_option("--model", options.model, models)->default_str("sensor-cnn");
  command->add_option("--onnx", options.onnx_path,
                      "An ONNX file to begin from: its parameters, and its model unless --model says another");
  command->add_option("--plan", options.plan_path, "A plan.toml to begin with; the options below go over it");
  command->add_option("--name", options.fleet_name, "The fleet's name in its certificates")->capture_default_str();

  add_plan_options(*command, options.plan);
  return command;
}

}  // namespace runnel::coordinator
