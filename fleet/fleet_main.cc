// runnel-fleet: emulates a fleet on one machine with the real programs.

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/command_line.h"
#include "fleet/fleet_run.h"
#include "fleet/html_report.h"
#include "fleet/machine_line.h"
#include "fleet/netns/shape_command.h"
#include "fleet/run_json.h"
#include "fleet/run_reporter.h"
#include "fleet/simulate/simulate_command.h"
#include "fleet/stop_signals.h"
#include "fleet/summary_table.h"
#include "fleet/text_format.h"
#include "fleet/watch/watch_command.h"

namespace runnel::fleet {
namespace {

RunRecord run_one(const RunConfig& config, const std::string& position, StopSignals& signals) {
  const auto reporter = make_reporter(STDOUT_FILENO, std::cout, position + codec_label(config));
  return run_fleet(config, *reporter, signals);
}

// The same run with another codec; two runs need two work folders.
RunConfig comparison_config(const CommandLine& line) {
  RunConfig config = line.config;
  config.codec = line.compare_codec;
  if (!config.work_folder.empty()) config.work_folder += "/" + line.compare_codec;
  if (!config.dump_frames.empty()) config.dump_frames += "/" + line.compare_codec;
  return config;
}

void execute(const CommandLine& line, const std::string& command) {
  StopSignals signals;
  std::optional<RunRecord> comparison;
  const bool compared = !line.compare_codec.empty();
  RunConfig first = line.config;
  if (compared && !first.work_folder.empty()) first.work_folder += "/" + first.codec;
  if (compared && !first.dump_frames.empty()) first.dump_frames += "/" + first.codec;
  const RunRecord record = run_one(first, compared ? "1/2  " : "", signals);
  if (compared) {
    std::cout << std::endl;
    comparison = run_one(comparison_config(line), "2/2  ", signals);
  }
  const RunRecord* other = comparison ? &*comparison : nullptr;
  const RunContext context{command, machine_line()};
  std::cout << '\n' << summary_table(record, other) << '\n';
  if (!record.model_sha256.empty()) std::cout << "Model sha256 " << record.model_sha256 << '\n';
  if (!line.json_path.empty()) {
    write_text_file(line.json_path, run_json(record, other, context));
    std::cout << "Results: " << line.json_path << '\n';
  }
  if (!line.report_path.empty()) {
    write_text_file(line.report_path, html_report(record, other, context, now_text()));
    std::cout << "Report: " << line.report_path << '\n';
  }
}

int main_program(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "simulate") return simulate_command(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "shape") return shape_command(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "watch") return watch_command(argc, argv);
  const auto parsed = parse_command_line(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  try {
    execute(std::get<CommandLine>(parsed), shell_command(std::vector<std::string>(argv, argv + argc)));
    return 0;
  } catch (const Interrupted& interrupted) {
    std::cerr << "runnel-fleet: interrupted; all programs of the fleet are stopped\n";
    return interrupted.exit_code();
  } catch (const std::exception& error) {
    std::cerr << "runnel-fleet: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace
}  // namespace runnel::fleet

int main(int argc, char** argv) {
  return runnel::fleet::main_program(argc, argv);
}
