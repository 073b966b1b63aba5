#include "fleet/watch/watch_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "fleet/html_report.h"
#include "fleet/link_table.h"
#include "fleet/machine_line.h"
#include "fleet/run_json.h"
#include "fleet/run_reporter.h"
#include "fleet/stop_signals.h"
#include "fleet/summary_table.h"
#include "fleet/text_format.h"
#include "fleet/watch/watched_fleet.h"

namespace runnel::fleet {
namespace {

constexpr int kTickMs = 100;
// For the devices, once the run is finished. One that is killed just then may miss it.
constexpr double kFarewellS = 15.0;

struct WatchOptions {
  RunConfig config;
  std::string folder;
  std::string title = "fleet";
  std::string json_path;
  std::string report_path;
  double timeout_s = 0.0;
};

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

RunRecord watch(const WatchOptions& options, StopSignals& signals) {
  const auto reporter = make_reporter(STDOUT_FILENO, std::cout, options.title + ": " + codec_label(options.config));
  WatchedFleet fleet(options.config, options.folder, *reporter);
  const double began_s = steady_seconds();
  std::optional<double> finished_at_s;
  for (;;) {
    const double now_s = steady_seconds() - began_s;
    fleet.read_new(now_s);
    reporter->on_tick(fleet.record());
    if (fleet.finished() && !finished_at_s) finished_at_s = now_s;
    if (fleet.all_done() || (finished_at_s && now_s > *finished_at_s + kFarewellS)) return fleet.close(now_s);
    if (options.timeout_s > 0.0 && now_s > options.timeout_s) {
      throw FleetError("the run is not over after " + format_duration(options.timeout_s) + " (--timeout)");
    }
    signals.wait(kTickMs);
  }
}

void report(const WatchOptions& options, const RunRecord& record, const std::string& command) {
  const RunContext context{command, machine_line()};
  std::cout << '\n' << summary_table(record, nullptr) << '\n' << link_table(record) << '\n';
  if (!record.model_sha256.empty()) std::cout << "Model sha256 " << record.model_sha256 << '\n';
  if (!options.json_path.empty()) write_text_file(options.json_path, run_json(record, nullptr, context));
  if (!options.report_path.empty()) {
    write_text_file(options.report_path, html_report(record, nullptr, context, now_text()));
  }
}

}  // namespace

int watch_command(int argc, const char* const* argv) {
  CLI::App app("Shows a fleet whose programs write their events into one folder.", "runnel-fleet");
  app.require_subcommand(1);
  CLI::App* watch_app = app.add_subcommand("watch", "Live view and report of a fleet that was started elsewhere");
  WatchOptions options;
  RunConfig& config = options.config;
  watch_app->add_option("--folder", options.folder, "where coordinator.events, d00.events, d00.link ... are")
      ->required();
  watch_app->add_option("--title", options.title, "what to call the fleet")->capture_default_str();
  watch_app->add_option("--devices", config.devices, "devices")->check(CLI::Range(1, 5000))->capture_default_str();
  watch_app->add_option("--profile", config.profile, "of the links, for the report")->capture_default_str();
  watch_app->add_option("--trace", config.trace_file, "of the links, for the report");
  watch_app->add_option("--rounds", config.rounds, "planned")->capture_default_str();
  watch_app->add_option("--seed", config.seed, "for the report")->capture_default_str();
  watch_app->add_option("--model", config.model, "for the report")->capture_default_str();
  watch_app->add_option("--data", config.data, "for the report")->capture_default_str();
  watch_app->add_option("--codec", config.codec, "for the report")->capture_default_str();
  watch_app->add_option("--timeout", options.timeout_s, "give up after so many seconds; 0 for never")
      ->check(CLI::Range(0.0, 1e9));
  watch_app->add_option("--json", options.json_path, "write the results as JSON");
  watch_app->add_option("--report", options.report_path, "write a report as one HTML file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  try {
    StopSignals signals;
    const RunRecord record = watch(options, signals);
    report(options, record, shell_command(std::vector<std::string>(argv, argv + argc)));
    return 0;
  } catch (const Interrupted& interrupted) {
    return interrupted.exit_code();
  } catch (const std::exception& error) {
    std::cerr << "runnel-fleet: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace runnel::fleet
