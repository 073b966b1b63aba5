#include "coordinator/commands/init_command.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>

#include "coordinator/config/model_file.h"
#include "coordinator/engine/public_model.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/host/entropy.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/train/initialize.h"

namespace runnel::coordinator {
namespace {

// Certificates begin a day early: a device whose clock is behind must not refuse its coordinator.
constexpr int64_t kClockSlackS = host::kDayS;

struct ChosenModel {
  std::string toml;
  plan::ModelSpec spec;
  plan::ModelLayout layout;
};

ByteView bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

template <typename T>
void override_with(const std::optional<T>& given, T& value) {
  if (given) value = *given;
}

Result<FleetPlan> choose_plan(const InitOptions& options) {
  FleetPlan plan;
  // A new fleet follows DQ-SGD's schedule where its codec has a step without bias; a plan file says for itself.
  const bool default_codec = !options.plan.codec || *options.plan.codec == plan::codec_name(plan.codec.codec);
  if (options.plan_path.empty() && default_codec) plan.rate.mode = plan::RateMode::kError;
  if (!options.plan_path.empty()) {
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

Result<ChosenModel> choose_model(const std::string& model) {
  ChosenModel chosen;
  if (const BuiltinModel* builtin = find_builtin_model(model)) {
    chosen.toml = "# " + std::string(builtin->purpose) + std::string(builtin->toml);
  } else if (model.ends_with(".toml") || model.find('/') != std::string::npos) {
    Result<std::string> text = read_text_file(model);
    if (!text) return text.failure();
    chosen.toml = std::move(*text);
  } else {
    std::string names;
    for (const BuiltinModel& known : builtin_models()) names += " " + std::string(known.name);
    return fail(Error::kUnknownName, "--model: '%s' is neither a .toml file nor one of:%s", model.c_str(),
                names.c_str());
  }
  Result<plan::ModelSpec> spec = parse_model_file(chosen.toml);
  if (!spec) return Failure(spec.failure()).prefix("%s", model.c_str());
  chosen.spec = *spec;
  Result<plan::ModelLayout> layout = make_layout(chosen.spec);
  if (!layout) return Failure(layout.failure()).prefix("%s", model.c_str());
  chosen.layout = *layout;
  return chosen;
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

Failure write_run(const StateFolder& folder, const FleetPlan& plan, const ChosenModel& model, host::Entropy& entropy) {
  const std::string plan_toml = fleet_plan_toml(plan);
  RUNNEL_TRY(host::write_file_atomically(folder.plan(), bytes_of(plan_toml), 0644));
  RUNNEL_TRY(host::write_file_atomically(folder.model(), bytes_of(model.toml), 0644));
  ModelRecord initial{1, std::vector<float>(model.layout.parameter_count)};
  train::initialize_parameters(model.layout, plan.seed, initial.parameters);
  if (plan.downlink.quantized()) initial.parameters = on_downlink_grid(initial.parameters);
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(folder.database(), true);
  if (!store) return store.failure();
  uint64_t run = 0;
  while (run == 0) run = entropy.next_u64();
  return (*store)->create_run({run, plan_toml, model.toml}, initial);
}

void describe(const StateFolder& folder, const InitOptions& options, const FleetPlan& plan, const ChosenModel& model,
              std::ostream& out) {
  const std::string state = options.state_folder == kDefaultStateFolder ? "" : " --state " + folder.path();
  out << "Made the fleet '" << options.fleet_name << "' in " << folder.path() << ":\n"
      << "  model  " << model.spec.name.view() << ", " << model.layout.parameter_count << " parameters (model.toml)\n"
      << "  plan   " << plan.rounds << " rounds, " << plan::codec_name(plan.codec.codec);
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

Failure override_rate(const PlanOverrides& given, FleetPlan& plan) {
  // Who names a width wants that width.
  if (given.bits || given.levels || given.step) plan.rate.mode = plan::RateMode::kFixed;
  if (given.rate) {
    Result<plan::RateMode> mode = rate_mode_from_name(*given.rate);
    if (!mode) return Failure(mode.failure()).prefix("--rate");
    plan.rate.mode = *mode;
  }
  if (given.late) {
    if (*given.late != "keep" && *given.late != "send")
      return fail(Error::kUnknownName, "--late must be keep or send, not '%s'", given.late->c_str());
    plan.rate.late = *given.late == "keep" ? plan::LatePolicy::kKeep : plan::LatePolicy::kSend;
  }
  override_with(given.error_share, plan.rate.error_share);
  override_with(given.resolution, plan.rate.resolution);
  override_with(given.budget_bytes, plan.rate.budget_bytes);
  override_with(given.horizon, plan.horizon);
  plan.rate.deadline = plan.rate.deadline && !given.no_rate_deadline;
  plan.rate.save_time = plan.rate.save_time || given.save_time;
  plan.rate.per_layer = plan.rate.per_layer || given.per_layer;
  return Error::kOk;
}

}  // namespace

Failure apply_overrides(const PlanOverrides& given, FleetPlan& plan) {
  override_with(given.rounds, plan.rounds);
  override_with(given.seed, plan.seed);
  override_with(given.min_devices, plan.min_devices);
  override_with(given.cohort, plan.cohort);
  override_with(given.quorum, plan.quorum);
  override_with(given.over_selection, plan.over_selection);
  override_with(given.deadline_seconds, plan.deadline_seconds);
  override_with(given.local_epochs, plan.training.local_epochs);
  override_with(given.local_steps, plan.training.local_steps);
  override_with(given.batch_size, plan.training.batch_size);
  override_with(given.learning_rate, plan.training.learning_rate);
  override_with(given.learning_rate_end, plan.training.learning_rate_end);
  if (given.schedule) {
    Result<plan::Schedule> schedule = schedule_from_name(*given.schedule);
    if (!schedule) return Failure(schedule.failure()).prefix("--schedule");
    plan.training.schedule = *schedule;
  }
  override_with(given.momentum, plan.training.momentum);
  override_with(given.weight_decay, plan.training.weight_decay);
  override_with(given.proximal_mu, plan.training.proximal_mu);
  if (given.codec) {
    Result<plan::CodecId> codec = codec_from_name(*given.codec);
    if (!codec) return Failure(codec.failure()).prefix("--codec");
    plan.codec.codec = *codec;
  }
  if (given.bits && given.levels)
    return fail(Error::kInvalidArgument, "--bits and --levels say the same: give one of them");
  if (given.bits) {
    if (Failure bad = plan::set_bits(plan.codec, *given.bits); !bad.ok()) return bad.prefix("--bits");
    if (!given.step) plan.codec.step = 0.0F;
  }
  if (given.levels && !plan::has_levels(plan.codec.codec)) {
    return fail(Error::kInvalidArgument, "--levels: %s has none", plan::codec_name(plan.codec.codec));
  }
  if (given.coder) {
    Result<plan::Coder> coder = coder_from_name(*given.coder);
    if (!coder) return Failure(coder.failure()).prefix("--coder");
    plan.codec.coder = *coder;
  }
  override_with(given.step, plan.codec.step);
  override_with(given.keep, plan.codec.keep);
  if (given.downlink_bits) {
    plan.downlink.bits = *given.downlink_bits;
    plan.downlink.step = 0.0F;
    if (Failure bad = check(plan.downlink); !bad.ok()) return bad.prefix("--downlink-bits");
  }
  plan.codec.rotate = plan.codec.rotate || given.rotate;
  plan.codec.error_feedback = plan.codec.error_feedback || given.error_feedback;
  override_with(given.levels, plan.codec.levels);
  override_with(given.bucket, plan.codec.bucket);
  return override_rate(given, plan);
}

Failure init_fleet(const InitOptions& options, std::ostream& out) {
  // Everything that can be wrong with the words is found before the disk is touched.
  Result<FleetPlan> plan = choose_plan(options);
  if (!plan) return plan.failure();
  Result<ChosenModel> model = choose_model(options.model);
  if (!model) return model.failure();
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
  command->add_option("--model", options.model, models)->capture_default_str();
  command->add_option("--plan", options.plan_path, "A plan.toml to begin with; the options below go over it");
  command->add_option("--name", options.fleet_name, "The fleet's name in its certificates")->capture_default_str();

  PlanOverrides& plan = options.plan;
  command->add_option("--rounds", plan.rounds, "Rounds of training in all")->group("Rounds");
  command->add_option("--seed", plan.seed, "Of everything random in the run")->group("Rounds");
  command->add_option("--min-devices", plan.min_devices, "Devices that must be there before the first round")
      ->group("Rounds");
  command->add_option("--cohort", plan.cohort, "Devices a round; 0 = all")->group("Rounds");
  command->add_option("--quorum", plan.quorum, "Fewest updates that may close a round at its deadline")
      ->group("Rounds");
  command->add_option("--over-selection", plan.over_selection, "Ask this share more devices than the cohort")
      ->group("Rounds");
  command->add_option("--deadline", plan.deadline_seconds, "A round's length at most, in seconds")->group("Rounds");
  command->add_option("--epochs", plan.local_epochs, "Passes over a device's data a round")->group("Training");
  command->add_option("--steps", plan.local_steps, "Steps a round instead of epochs")->group("Training");
  command->add_option("--batch", plan.batch_size, "Examples a step")->group("Training");
  command->add_option("--learning-rate", plan.learning_rate, "Step size")->group("Training");
  command->add_option("--schedule", plan.schedule, "Of the learning rate: constant, linear, cosine, exponential")
      ->group("Training");
  command->add_option("--learning-rate-end", plan.learning_rate_end, "Learning rate of the last round")
      ->group("Training");
  command->add_option("--momentum", plan.momentum, "0 = none")->group("Training");
  command->add_option("--weight-decay", plan.weight_decay, "0 = none")->group("Training");
  command->add_option("--proximal-mu", plan.proximal_mu, "FedProx's pull towards the round's model; 0 = FedAvg")
      ->group("Training");
  std::string codecs = "How an update is compressed:";
  for (uint8_t k = 0; k < plan::kCodecCount; ++k) {
    codecs += std::string(" ") + plan::codec_name(static_cast<plan::CodecId>(k));
  }
  command->add_option("--codec", plan.codec, codecs)->group("Compression");
  CLI::Option* bits =
      command->add_option("--bits", plan.bits,
                          "Bits a number: 2..16 for schemes with levels, any real number for dithered, deadzone, eden");
  bits->group("Compression");
  command->add_option("--levels", plan.levels, "Levels above zero, 1..32767")->excludes(bits)->group("Compression");
  command->add_option("--bucket", plan.bucket, "Numbers that share one norm")->group("Compression");
  command
      ->add_option("--downlink-bits", plan.downlink_bits,
                   "Bits a number that the model's changes take on their way down; 0 = the full model every round")
      ->group("Compression");
  command->add_option("--step", plan.step, "Absolute step; 0 = found from the bits")->group("Compression");
  command->add_option("--keep", plan.keep, "Share of the numbers that are sent")->group("Compression");
  command->add_option("--coder", plan.coder, "auto, elias, fixed, rans, model or raw")->group("Compression");
  command->add_flag("--rotate", plan.rotate, "Randomized Hadamard transform first")->group("Compression");
  command->add_flag("--error-feedback", plan.error_feedback, "Devices make up for what compression loses")
      ->group("Compression");
  std::string modes = "How fine an update is (error, unless a width is given or the codec has none):";
  for (uint8_t k = 0; k < plan::kRateModeCount; ++k) {
    modes += std::string(" ") + plan::rate_mode_name(static_cast<plan::RateMode>(k));
  }
  command->add_option("--rate", plan.rate, modes)->group("Rate");
  command->add_option("--error-share", plan.error_share, "error: share of the final noise that quantization may cause")
      ->group("Rate");
  command->add_option("--budget-bytes", plan.budget_bytes, "budget: update bytes of one device over the whole run")
      ->group("Rate");
  command->add_option("--horizon", plan.horizon, "An error of round 1 counts e^-horizon of one of the last round")
      ->group("Rate");
  command->add_option("--resolution", plan.resolution, "feddq: the step it keeps")->group("Rate");
  command->add_option("--late", plan.late, "What cannot arrive in time: keep it for the next round, or send it")
      ->group("Rate");
  command->add_flag("--no-rate-deadline", plan.no_rate_deadline, "Updates as the rule says, whatever the link carries")
      ->group("Rate");
  command->add_flag("--save-time", plan.save_time, "Coarser on slow links: the least time, not the fewest bytes")
      ->group("Rate");
  command->add_flag("--per-layer", plan.per_layer, "One step a tensor instead of one for all")->group("Rate");
  return command;
}

}  // namespace runnel::coordinator
