#include "coordinator/run_command.h"

#include <algorithm>

#include "coordinator/coordinator_session.h"
#include "coordinator/state_folder.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/host/dataset_file.h"
#include "runtime/host/log.h"
#include "runtime/host/release_memory.h"
#include "runtime/host/stop_signal.h"

namespace runnel::coordinator {
namespace {

using host::log_line;
using host::LogLevel;

constexpr char kSoftware[] = "runnel-coordinator " RUNNEL_VERSION;
constexpr size_t kPeersMax = 16'384;

// Is this certificate one that we let in now? Asked at every handshake.
Failure admit(Store& store, const host::CertificateInfo& certificate) {
  const Result<DeviceRecord> device = store.device(certificate.name);
  if (!device) return device.failure();
  if (device->revoked) return fail(Error::kRevoked, "device %s is revoked", certificate.name.c_str());
  if (device->serial != certificate.serial) {
    return fail(Error::kRevoked, "device %s presents certificate %s, its current one is %s", certificate.name.c_str(),
                certificate.serial.c_str(), device->serial.c_str());
  }
  return Error::kOk;
}

Result<CoordinatorEngine> make_engine(const RunInputs& inputs, const FleetPlan& plan, Store& store) {
  Result<Snapshot> snapshot = store.load();
  if (!snapshot) return snapshot.failure();
  if (snapshot->run.model_toml != inputs.model_toml) {
    return fail(Error::kInvalidArgument,
                "model.toml is not the model that this run began with; a changed model needs a new fleet");
  }
  const Result<std::vector<LedgerEntry>> ledger = store.ledger();
  if (!ledger) return ledger.failure();
  CoordinatorOptions options;
  options.round.run = snapshot->run.run;
  options.round.plan = plan;
  options.round.layout = inputs.layout;
  options.model = inputs.model;
  options.software = kSoftware;
  options.started_at = host::unix_seconds();
  options.ping_after_ms = plan.pace.ping_seconds * 1000;
  if (snapshot->round_open) {
    log_line(LogLevel::kInfo, "going on in round %u with %zu of its updates", snapshot->round.round,
             snapshot->accepted.size());
  }
  Result<RoundEngine> rounds =
      RoundEngine::create(options.round, std::move(snapshot).value(), *ledger, host::MonotonicClock().now());
  if (!rounds) return rounds.failure();
  return CoordinatorEngine(options, std::move(rounds).value());
}

Result<std::unique_ptr<host::CoordinatorChannels>> make_channels(const RunOptions& options, const RunInputs& inputs,
                                                                 Store& store, host::Entropy& entropy) {
  host::CoordinatorChannels::Options channels;
  channels.plaintext = options.insecure_plaintext;
  channels.ticket_key = inputs.ticket_key;
  channels.unix_time_s = host::unix_seconds;
  channels.admit = [&store](const host::CertificateInfo& certificate) { return admit(store, certificate); };
  return host::CoordinatorChannels::create(inputs.credentials, std::move(channels), entropy);
}

// The held-out examples, where --data names any.
struct HeldOut {
  std::optional<data::Dataset> examples;
  std::unique_ptr<HeldOutEvaluation> evaluation;
};

Failure load_held_out(const RunOptions& options, const RunInputs& inputs, HeldOut& held_out) {
  if (options.data.empty()) {
    log_line(LogLevel::kInfo, "without --data there is no held-out evaluation");
    return Error::kOk;
  }
  const Result<data::DataSpec> spec = data::parse_data_spec(options.data, "", options.split, options.scale);
  if (!spec) return spec.failure();
  Result<data::Dataset> examples = host::load_test_set(*spec);
  if (!examples) return examples.failure();
  const bool labelled = inputs.model.loss.target == plan::TargetKind::kLabels;
  if (examples->input_count() != inputs.model.input.count() ||
      (labelled && examples->class_count() > inputs.model.classes)) {
    return fail(Error::kShape, "--data has %u values an example and %u classes, the model \"%s\" takes %llu and %u",
                examples->input_count(), examples->class_count(), inputs.model.name.c_str(),
                static_cast<unsigned long long>(inputs.model.input.count()), inputs.model.classes);
  }
  held_out.examples.emplace(std::move(examples).value());
  Result<std::unique_ptr<HeldOutEvaluation>> evaluation = HeldOutEvaluation::create(inputs.model, *held_out.examples);
  if (!evaluation) return evaluation.failure();
  held_out.evaluation = std::move(evaluation).value();
  return Error::kOk;
}

}  // namespace

CLI::App* add_run_command(CLI::App& app, RunOptions& options) {
  CLI::App* command = app.add_subcommand("run", "Lead the fleet through the rounds of its plan");
  command->add_option("--state", options.state_folder, "The fleet's folder")->capture_default_str();
  command->add_option("--bind", options.bind, "tcp://ADDRESS:PORT to listen on; port 0 takes a free one")
      ->capture_default_str();
  command->add_option(
      "--data", options.data,
      "Held-out examples: idx:...,TEST_IMAGES,TEST_LABELS | csv:TRAIN,TEST | text:FILE | generated, each with "
      "the options that the devices have (docs/tasks.md)");
  command->add_option("--split", options.split, "IDX file: 0 = training row, 1 = test row");
  command->add_option("--scale", options.scale, "Factor for every input value, for example 1/255");
  command->add_option("--min-devices", options.min_devices,
                      "Devices that must be there before the first round (default: the plan's)");
  command->add_flag("--exit-when-finished", options.exit_when_finished,
                    "End once the last round is closed and the devices know");
  command->add_option("--events", options.events_path, "Write happenings as JSON lines to this file");
  command->add_option("--dump-frames", options.dump_folder, "Write every plaintext frame to this folder");
  command->add_flag("--insecure-plaintext", options.insecure_plaintext,
                    "No encryption, no authentication (for experiments)");
  return command;
}

Failure run_coordinator(const RunOptions& options) {
  host::keep_freed_memory();
  const StateFolder folder(options.state_folder);
  RUNNEL_TRY(folder.require());
  Result<RunInputs> inputs = load_run_inputs(folder);
  if (!inputs) return inputs.failure();
  for (const std::string& notice : inputs->notices) log_line(LogLevel::kWarning, "%s", notice.c_str());
  FleetPlan plan = inputs->plan;
  if (options.min_devices != 0) plan.min_devices = options.min_devices;
  if (options.insecure_plaintext) {
    log_line(LogLevel::kWarning, "--insecure-plaintext: updates travel unencrypted and nobody proves who they are");
  }

  Result<std::unique_ptr<host::EventLog>> events = host::EventLog::open(options.events_path);
  if (!events) return Failure(events.failure()).prefix("--events");
  Result<host::FrameDump> dump = host::FrameDump::open(options.dump_folder);
  if (!dump) return Failure(dump.failure()).prefix("--dump-frames");
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(inputs->database_path, false);
  if (!store) return store.failure();
  RUNNEL_TRY((*store)->lock_for_run());
  Result<CoordinatorEngine> engine = make_engine(*inputs, plan, **store);
  if (!engine) return Failure(engine.failure()).prefix("%s", folder.path().c_str());
  HeldOut held_out;
  RUNNEL_TRY(load_held_out(options, *inputs, held_out));

  Result<std::unique_ptr<host::Entropy>> entropy = host::Entropy::create();
  if (!entropy) return entropy.failure();
  Result<std::unique_ptr<host::CoordinatorChannels>> channels = make_channels(options, *inputs, **store, **entropy);
  if (!channels) return channels.failure();
  Result<std::unique_ptr<host::ZmqContext>> context = host::ZmqContext::create(16);
  if (!context) return context.failure();
  host::CoordinatorLink::Options link_options;
  // A connection on which even the device's signs of life fail to come is probed, and given up.
  link_options.keepalive_idle_s = static_cast<int>(std::min(2 * inputs->plan.pace.ping_seconds, 32'767U));
  link_options.peers_max = kPeersMax;
  Result<std::unique_ptr<host::CoordinatorLink>> link = host::CoordinatorLink::create(**context, link_options);
  if (!link) return link.failure();
  if (Failure bad = (*link)->bind(options.bind); !bad.ok()) return bad.prefix("--bind");

  log_line(LogLevel::kInfo, "listening on %s", (*link)->endpoint().c_str());
  (*events)->write("listening", {{"endpoint", std::string_view((*link)->endpoint())}});
  (*events)->write("started", {{"rounds", uint64_t{plan.rounds}},
                               {"parameters", uint64_t{inputs->layout.parameter_count}},
                               {"model_version", engine->rounds().model().version},
                               {"rounds_closed", uint64_t{engine->rounds().rounds_closed()}}});
  SessionSettings settings;
  settings.exit_when_finished = options.exit_when_finished;
  settings.devices_expected = plan.min_devices;
  host::install_stop_signals();
  CoordinatorSession session(settings, std::move(engine).value(), **store, **link, **channels,
                             held_out.evaluation.get(), **events, *dump);
  RUNNEL_TRY(session.run());
  if (!session.finished()) log_line(LogLevel::kInfo, "stopped; `runnel-coordinator run` goes on from here");
  return Error::kOk;
}

}  // namespace runnel::coordinator
