#include "fleet/command_line.h"

#include <CLI/CLI.hpp>
#include <map>
#include <vector>

#include "fleet/fleet_error.h"
#include "fleet/link_profiles.h"
#include "runtime/plan/round_plan.h"

namespace runnel::fleet {
namespace {

// Values that need more than a plain option before they are a RunConfig.
struct Raw {
  std::vector<std::string> kill_device;
  std::optional<uint32_t> kill_coordinator;
};

class Options {
 public:
  explicit Options(CLI::App& app) : app_(app) {}
  void group(const std::string& name) { group_ = name; }
  template <typename T>
  CLI::Option* add(const std::string& flag, T& value, const std::string& text) {
    return app_.add_option(flag, value, text)->group(group_);
  }
  // Passed on to the coordinator, which judges the value.
  void pass_on(const std::string& flag, RunConfig& config, const std::string& text) {
    app_.add_option_function<std::string>(
            flag, [&config, flag](const std::string& value) { config.plan_options.emplace_back(flag, value); }, text)
        ->group(group_);
  }
  void pass_flag_on(const std::string& flag, RunConfig& config, const std::string& text) {
    app_.add_flag_callback(
            flag, [&config, flag] { config.plan_options.emplace_back(flag, ""); }, text)
        ->group(group_);
  }
  CLI::Option* flag(const std::string& name, bool& value, const std::string& text) {
    return app_.add_flag(name, value, text)->group(group_);
  }

 private:
  CLI::App& app_;
  std::string group_;
};

const CLI::Range kShare(0.0, 1.0);
const CLI::Range kNotNegative(0.0, 1e9);

void add_places(Options& options, CommandLine& line) {
  RunConfig& config = line.config;
  options.group("Places");
  options.add("--bin", config.bin_folder,
              "folder of runnel-coordinator and runnel-device; next to this program if absent");
  options.add("--work", config.work_folder, "folder for state, bundles and logs; must be new or empty, and stays");
  options.flag("--keep", config.keep, "keep the temporary work folder");
  options.add("--json", line.json_path, "write the results as JSON");
  options.add("--report", line.report_path, "write a report as one HTML file");
}

void add_fleet(Options& options, RunConfig& config, Raw& raw) {
  static const std::map<std::string, StartOrder> kOrders = {
      {"forward", StartOrder::kForward}, {"reverse", StartOrder::kReverse}, {"random", StartOrder::kRandom}};
  options.group("Fleet");
  options.add("--devices", config.devices, "device processes")->check(CLI::Range(1, 5000))->capture_default_str();
  CLI::Option* profile = options.add("--profile", config.profile, "emulated link, made from the seed")
                             ->check(CLI::IsMember(profile_names()))
                             ->capture_default_str();
  options.add("--trace", config.trace_file, "measured links: CSV, plain or gzipped")
      ->check(CLI::ExistingFile)
      ->excludes(profile);
  options.add("--bind", config.bind, "IPv4 address that everything listens on")
      ->check(CLI::ValidIPV4)
      ->capture_default_str();
  options.add("--start-order", config.start_order, "order in which the devices are started")
      ->transform(CLI::CheckedTransformer(kOrders));
  options.add("--kill-device", raw.kill_device,
              "INDEX@ROUND:training|uploading: kill -9 that device then, start it again after 1 s; may be repeated");
  options.add("--kill-coordinator", raw.kill_coordinator,
              "ROUND: kill -9 the coordinator in the middle of it, start it again after 1 s");
  options
      .add("--kill-every", config.kill_every_s,
           "seconds, on average: kill -9 some device or the coordinator, start it again after 1 s; 0 = never")
      ->check(kNotNegative);
  options.add("--cut-every", config.cut_every_s, "seconds, on average: cut each link's connections; 0 = never")
      ->check(kNotNegative);
  options.add("--timeout", config.timeout_s, "give up after so many seconds; 0 for never")->check(kNotNegative);
}

void add_optimizer(Options& options, RunConfig& config) {
  options.pass_on("--optimizer", config, "of the devices: sgd, nesterov, adam or adamw");
  options.pass_on("--beta1", config, "adam and adamw: memory of the mean gradient");
  options.pass_on("--beta2", config, "adam and adamw: memory of its square");
  options.pass_on("--epsilon", config, "adam and adamw: added to the root of the latter");
  options.pass_on("--clip-gradient", config, "largest L2 norm of a step's gradient; 0 = any");
  options.pass_on("--accumulate", config, "minibatches whose gradients make one step");
  options.pass_on("--warmup-rounds", config, "rounds over which the learning rate climbs");
  options.pass_on("--scaffold-share", config, "SCAFFOLD: the share of the fleet that trains in a round; with --steps");
}

void add_training(Options& options, RunConfig& config) {
  options.group("Data and training");
  options.add("--data", config.data, "the data set, as the two programs take it")->capture_default_str();
  options.add("--partition", config.partition, "how the examples are split over the devices");
  options.add("--holdout", config.holdout, "share of its examples that a device evaluates on and does not train on");
  options
      .add("--fine-tune", config.fine_tune,
           "steps by which a device fine-tunes each model for itself, and evaluates it; with --holdout")
      ->check(CLI::Range(1, 1'000'000));
  options.add("--split", config.split, "which examples are for training and which for testing");
  options.add("--scale", config.scale, "factor on the input values");
  options.add("--model", config.model, "a built-in model's name, or a file")->capture_default_str();
  options.add("--rounds", config.rounds, "rounds")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  options.add("--seed", config.seed, "of everything random, links included")->capture_default_str();
  CLI::Option* epochs = options.add("--epochs", config.epochs, "passes over its own data a device makes in a round");
  options.add("--steps", config.steps, "SGD steps a round, instead of epochs")->excludes(epochs);
  options.add("--batch", config.batch, "examples in one SGD step");
  options.add("--learning-rate", config.learning_rate, "of SGD")->check(kNotNegative);
  options
      .add("--learning-rate-end", config.learning_rate_end,
           "learning rate of the last round; 0 = a thousandth of the first")
      ->check(kNotNegative);
  options.add("--schedule", config.schedule, "of the learning rate")
      ->check(CLI::IsMember({"constant", "linear", "cosine", "exponential"}));
  options.add("--momentum", config.momentum, "of SGD")->check(kShare);
  options.add("--weight-decay", config.weight_decay, "of SGD")->check(kShare);
  options.add("--proximal-mu", config.proximal_mu, "FedProx's pull towards the global model")->check(kNotNegative);
  add_optimizer(options, config);
  options.group("Round");
  options.add("--cohort", config.cohort, "devices asked in a round");
  options.add("--quorum", config.quorum, "updates that make a round");
  options
      .add("--over-selection", config.over_selection, "share of devices asked beyond the cohort, to outlast stragglers")
      ->check(CLI::Range(0.0, 100.0));
  options.add("--deadline", config.deadline_s, "seconds a round may take")->check(kNotNegative);
}

void add_plan(Options& options, RunConfig& config) {
  options.group("When updates count");
  options.pass_on("--policy", config, "sync = one model a round; buffered = every K updates move the model");
  options.pass_on("--grace", config, "sync: seconds that uploads under way are waited for in the end");
  options.pass_on("--staleness-max", config, "versions that an update may be behind and still count");
  options.pass_on("--staleness-exponent", config, "a late update counts (1 + versions behind)^-exponent");
  options.pass_on("--buffer", config, "buffered: updates that move the model once (K)");
  options.pass_on("--offline-updates", config, "buffered: further updates of a device that is cut off");
  options.pass_flag_on("--come-back", config, "devices with nothing to do are told when to return");
  options.pass_on("--come-back-seconds", config, "for less than this a connection is not given up");
  options.pass_on("--ping-seconds", config, "silence before a device asks for a sign of life; 0 = never");
  options.group("Aggregation");
  options.pass_on("--aggregation", config, "mean, or against liars: median, trimmed_mean, krum");
  options.pass_on("--clip-norm", config, "an update with a larger norm is scaled down to it; 0 = none");
  options.pass_on("--trim", config, "trimmed_mean: share left out at each end of a coordinate");
  options.pass_on("--byzantine", config, "krum: devices that may lie");
  options.pass_on("--krum-keep", config, "krum: updates that are averaged");
  options.pass_on("--server-optimizer", config, "avg, momentum, adam, yogi or adagrad");
  options.pass_on("--server-learning-rate", config, "1 = the model moves by the aggregate");
  options.pass_on("--server-momentum", config, "momentum: share of the step before");
  options.pass_flag_on("--nesterov", config, "momentum that looks ahead (DiLoCo)");
  options.pass_on("--server-beta1", config, "adam, yogi, adagrad: decay of the mean");
  options.pass_on("--server-beta2", config, "adam, yogi: decay of the squares");
  options.pass_on("--server-tau", config, "adam, yogi, adagrad: how adaptive; smaller is more");
}

std::vector<std::string> codec_names() {
  std::vector<std::string> names;
  for (uint8_t k = 0; k < plan::kCodecCount; ++k) names.emplace_back(plan::codec_name(static_cast<plan::CodecId>(k)));
  return names;
}

void add_codec(Options& options, CommandLine& line) {
  RunConfig& config = line.config;
  options.group("Update");
  options.add("--codec", config.codec, "how an update is compressed")
      ->check(CLI::IsMember(codec_names()))
      ->capture_default_str();
  CLI::Option* bits = options.add("--bits", config.bits, "bits of one coordinate; real for the entropy-coded schemes")
                          ->check(CLI::Range(0.01, 16.0));
  options.add("--levels", config.levels, "positive levels")->check(CLI::Range(1, 32767))->excludes(bits);
  options.add("--bucket", config.bucket, "coordinates that share a norm")->check(CLI::Range(8, 1 << 20));
  options
      .add("--downlink-bits", config.downlink_bits,
           "bits of one number of the model's changes on their way down; 0 = the full model every round")
      ->check(CLI::Range(0.0, 16.0));
  options.add("--step", config.step, "absolute step; 0 = found from the bits")->check(kNotNegative);
  options.add("--keep-share", config.keep_share, "share of coordinates sent")->check(CLI::Range(0.0001, 1.0));
  options.add("--coder", config.coder, "auto, elias, fixed, rans, model or raw");
  options.flag("--rotate", config.rotate, "randomized Hadamard transform first");
  options.flag("--error-feedback", config.error_feedback, "devices make up for what compression loses");
  std::vector<std::string> modes;
  for (uint8_t k = 0; k < plan::kRateModeCount; ++k)
    modes.emplace_back(plan::rate_mode_name(static_cast<plan::RateMode>(k)));
  options
      .add("--rate", config.rate, "rule of how fine an update is; error, unless a width is given or the codec has none")
      ->check(CLI::IsMember(modes));
  options.add("--error-share", config.error_share, "error: share of the final noise that quantization may cause")
      ->check(CLI::Range(1e-6, 0.999));
  options.add("--budget-bytes", config.budget_bytes, "budget: update bytes of one device over the whole run")
      ->check(CLI::Range(1.0, 281474976710656.0));
  options.add("--horizon", config.horizon, "an error of round 1 counts e^-horizon of one of the last round")
      ->check(CLI::Range(0.0, 20.0));
  options.add("--resolution", config.resolution, "feddq: the step it keeps")->check(CLI::Range(1e-12, 1e6));
  options.add("--late", config.late, "what cannot arrive in time: keep it for the next round, or send it")
      ->check(CLI::IsMember({"keep", "send"}));
  options.flag("--no-rate-deadline", config.no_rate_deadline, "updates as the rule says, whatever the link carries");
  options.flag("--save-time", config.save_time, "coarser on slow links: the least time, not the fewest bytes");
  options.flag("--per-layer", config.per_layer, "one step a tensor instead of one for all");
  options.add("--compare", line.compare_codec, "run again with this codec, everything else the same")
      ->check(CLI::IsMember({"fp32"}));
  options.flag("--insecure-plaintext", config.insecure_plaintext, "no encryption, no authentication");
  options.add("--dump-frames", config.dump_frames, "folder for every frame that is sent and received");
}

// Throws CLI::ValidationError.
void complete(CommandLine& line, const Raw& raw) {
  RunConfig& config = line.config;
  try {
    for (const std::string& each : raw.kill_device) config.faults.add_device_fault(each);
  } catch (const FleetError& error) {
    throw CLI::ValidationError("--kill-device", error.what());
  }
  if (!raw.kill_device.empty() && config.faults.device_index_max() >= config.devices) {
    throw CLI::ValidationError("--kill-device", "the fleet has devices 0 to " + std::to_string(config.devices - 1));
  }
  if (raw.kill_coordinator) config.faults.set_coordinator_fault(*raw.kill_coordinator);
  if (config.fine_tune && config.holdout.value_or(0.0) == 0.0) {
    throw CLI::ValidationError("--fine-tune", "needs --holdout: examples to judge the fine-tuned model on");
  }
  if (line.compare_codec == config.codec) {
    throw CLI::ValidationError("--compare", "the run itself uses " + config.codec + " already");
  }
  if (config.cohort && *config.cohort > config.devices) {
    throw CLI::ValidationError("--cohort", "more devices than the fleet has");
  }
}

}  // namespace

RunConfig demo_config() {
  RunConfig config;
  config.devices = 8;
  config.profile = "thin";
  config.data = "generated";
  config.model = "sensor-cnn";
  config.rounds = 12;
  config.seed = 7;
  return config;
}

std::variant<CommandLine, int> parse_command_line(int argc, const char* const* argv) {
  CLI::App app("Runs a real fleet on this machine: one coordinator, N devices, an emulated link for each.",
               "runnel-fleet");
  app.require_subcommand(1);
  app.footer(
      "runnel-fleet simulate: a fleet of any size in virtual time, in one process; see simulate --help.\n"
      "runnel-fleet shape: a program behind a link that the kernel shapes, in a network namespace or container.\n"
      "runnel-fleet watch: live view and report of a fleet that was started elsewhere.");
  CLI::App* run = app.add_subcommand("run", "Train one model with a fleet");
  CommandLine run_line;
  Raw raw;
  Options run_options(*run);
  add_fleet(run_options, run_line.config, raw);
  add_training(run_options, run_line.config);
  add_plan(run_options, run_line.config);
  add_codec(run_options, run_line);
  add_places(run_options, run_line);

  CLI::App* demo = app.add_subcommand(
      "demo", "Eight devices on thin links, adaptive precision against 32 bits, in under three minutes");
  CommandLine demo_line;
  demo_line.command = CommandLine::Command::kDemo;
  demo_line.config = demo_config();
  demo_line.compare_codec = "fp32";
  demo_line.report_path = "runnel-demo.html";
  Options demo_options(*demo);
  demo_options.group("Demonstration");
  demo_options.add("--devices", demo_line.config.devices, "devices")->check(CLI::Range(1, 64))->capture_default_str();
  demo_options.add("--rounds", demo_line.config.rounds, "rounds")->check(CLI::Range(1, 1000))->capture_default_str();
  demo_options.add("--seed", demo_line.config.seed, "of everything random")->capture_default_str();
  demo_options.add("--profile", demo_line.config.profile, "emulated link")
      ->check(CLI::IsMember(profile_names()))
      ->capture_default_str();
  demo_options.group("Training");
  add_optimizer(demo_options, demo_line.config);
  demo_options.add("--learning-rate", demo_line.config.learning_rate, "step size")->check(kNotNegative);
  demo_options.add("--momentum", demo_line.config.momentum, "0 = none")->check(kShare);
  add_places(demo_options, demo_line);

  try {
    app.parse(argc, argv);
    if (run->parsed()) complete(run_line, raw);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return demo->parsed() ? demo_line : run_line;
}

}  // namespace runnel::fleet
