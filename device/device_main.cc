// runnel-device: the device's program.

#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>

#include "device/request_command.h"
#include "device/run_command.h"
#include "runtime/plan/metric.h"

namespace {

// Many short-lived blocks of some 100 KB: give them back to the system at once, and keep one heap. A device counts
// pages.
void keep_heap_small() {
  mallopt(M_MMAP_THRESHOLD, 64 * 1024);
  mallopt(M_TRIM_THRESHOLD, 64 * 1024);
  mallopt(M_ARENA_MAX, 1);
}

// Somebody has to act: starting it again changes nothing. The service file knows this number.
constexpr int kRefusedStatus = 3;

int report(const runnel::Failure& failure) {
  if (failure.ok()) return 0;
  const char* text = failure.text()[0] != '\0' ? failure.text() : runnel::error_name(failure.error());
  std::fprintf(stderr, "runnel-device: %s\n", text);
  return failure.error() == runnel::Error::kUntrusted ? kRefusedStatus : 1;
}

void add_run_options(CLI::App& command, runnel::device::RunOptions& options) {
  command.add_option("--bundle", options.bundle_path, "What `runnel-coordinator enroll` wrote for this device")
      ->check(CLI::ExistingFile);
  command.add_option("--state", options.state_folder, "Folder for the outbox (default device-state/NAME)");
  command.add_option("--coordinator", options.coordinator, "tcp://HOST:PORT instead of the bundle's");
  command
      .add_option(
          "--data", options.data,
          "idx:IMAGES,LABELS | csv:FILE[;targets=N] | text:FILE[;window=T] | generated[:task=NAME]; ;normal=LABELS "
          "to train on these alone")
      ->capture_default_str();
  command.add_option("--partition", options.partition,
                     "Emulation: iid | dirichlet:ALPHA | shards:K | key:IDX_FILE | speaker (of text)");
  command
      .add_option("--holdout", options.holdout,
                  "Share of the examples that the device evaluates on and does not train on (default 0)")
      ->check(CLI::Range(0.0, 0.9));
  command
      .add_option("--fine-tune", options.fine_tune_steps,
                  "Steps by which each model that comes is fine-tuned for this device alone, and evaluated; with "
                  "--holdout (default 0)")
      ->check(CLI::Range(0U, runnel::plan::kFineTuneStepsMax));
  command.add_option("--part", options.part, "Emulation: this device's part of the data, from 0");
  command.add_option("--parts", options.parts, "Emulation: how many parts");
  command.add_option("--seed", options.seed,
                     "Emulation: of the partition and of generated data; the same on all devices");
  command.add_option("--split", options.split, "IDX file: 0 = training row, 1 = test row");
  command.add_option("--scale", options.scale, "Factor for every input value, for example 1/255");
  command.add_option("--ram-max", options.ram_bytes_max, "Most bytes for training, for example 4M (default: no limit)")
      ->transform(CLI::AsSizeValue(false));
  command
      .add_option("--outbox,--outbox-max", options.outbox_bytes,
                  "Size of the outbox file: twice what waits in it may take (default 16M, sparse)")
      ->transform(CLI::AsSizeValue(false));
  command
      .add_option("--queue-full", options.queue_full,
                  "fold: an update for which the outbox has no room pushes the oldest into the next one, or out; stop: "
                  "nothing is trained before there is room (default fold)")
      ->check(CLI::IsMember({"fold", "stop"}));
  command
      .add_option("--queue-age-max", options.queue_age_max_s,
                  "An update that waited longer is dropped, for example 36h (default 7d)")
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}},
                                        CLI::AsNumberWithUnit::CASE_INSENSITIVE, "TIME"))
      ->check(CLI::Range(60.0, 10.0 * 365 * 86400));
  command
      .add_option("--keep-model", options.keep_model,
                  "yes or no: keep the model over restarts, so that only what changed is fetched (default yes)")
      ->option_text("yes|no");
  command.add_option("--events", options.events_path, "Write happenings as JSON lines to this file");
  command.add_option("--dump-frames", options.dump_folder, "Write every plaintext frame to this folder");
  auto* plaintext = command.add_flag("--insecure-plaintext", options.insecure_plaintext,
                                     "No encryption, no authentication (for experiments)");
  command.add_option("--name", options.name, "Device name when there is no bundle")->needs(plaintext);
}

// The same conditions for training and for the link, each with its own prefix.
void add_conditions(CLI::App& command, const std::string& prefix, const std::string& what,
                    runnel::device::ConditionSpec& spec, std::string& hours) {
  command
      .add_option(prefix + "-battery-min", spec.battery_min, what + ": only from this charge on, or when fed (percent)")
      ->check(CLI::Range(0.0, 100.0));
  command.add_flag(prefix + "-external-power", spec.external_power, what + ": only while charging or fed");
  command.add_option(prefix + "-hours", hours,
                     what + ": only within these, for example 22:00-06:00,12:00-13:00 (local time)");
  command.add_option(prefix + "-temperature-max", spec.temperature_max, what + ": only up to so many degrees Celsius");
  command.add_flag(prefix + "-unmetered", spec.unmetered, what + ": only on networks that do not cost by volume");
}

void add_condition_options(CLI::App& command, runnel::device::RunOptions& options) {
  add_conditions(command, "--train", "Train", options.training_conditions, options.training_hours);
  add_conditions(command, "--link", "Connect", options.link_conditions, options.link_hours);
  command.add_option("--metered-interface", options.metered_interfaces,
                     "A network that costs by volume, for example eth1");
  command.add_option("--look-every", options.look_seconds, "Seconds between looks at the conditions")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command.add_option("--system-root", options.system_root, "Where /sys and /proc are (default: the system's own)");
}

}  // namespace

int main(int argc, char** argv) {
  keep_heap_small();
  CLI::App app{"Trains a shared model on this device's own data and sends compressed updates to a coordinator."};
  app.set_version_flag("--version", "runnel-device " RUNNEL_VERSION);
  app.require_subcommand(1);

  runnel::device::RunOptions run;
  CLI::App* run_command = app.add_subcommand("run", "Take part in the training until the run is over");
  add_run_options(*run_command, run);
  add_condition_options(*run_command, run);

  runnel::device::RequestOptions request;
  CLI::App* request_command =
      app.add_subcommand("request", "Make this device's key here, and a request for its certificate");
  request_command->add_option("NAME", request.name, "The device's name")->required();
  request_command->add_option("--folder", request.folder, "Where NAME.key and NAME.csr go")
      ->check(CLI::ExistingDirectory);

  CLI11_PARSE(app, argc, argv);
  return report(run_command->parsed() ? runnel::device::run_device(run) : runnel::device::make_request(request));
}
