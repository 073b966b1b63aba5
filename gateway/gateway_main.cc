// runnel-gateway: the program for boards behind a serial line or UDP.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "gateway/gateway_command.h"

namespace {

// Somebody has to act: starting it again changes nothing. The same number as runnel-device's.
constexpr int kRefusedStatus = 3;

int report(const runnel::Failure& failure) {
  if (failure.ok()) return 0;
  const char* text = failure.text()[0] != '\0' ? failure.text() : runnel::error_name(failure.error());
  std::fprintf(stderr, "runnel-gateway: %s\n", text);
  return failure.error() == runnel::Error::kUntrusted ? kRefusedStatus : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Speaks for boards that are too small for a secure channel: each has its own certificate here, and its own link "
      "to the coordinator."};
  app.set_version_flag("--version", "runnel-gateway " RUNNEL_VERSION);
  runnel::gateway::GatewayOptions options;
  app.add_option(
         "--board", options.boards,
         "BUNDLE=ADDRESS, again for each board. BUNDLE: what `runnel-coordinator enroll` wrote for it. ADDRESS: "
         "/dev/ttyUSB0@115200 | unix:PATH | tcp:HOST:PORT | udp://HERE:PORT,from=BOARD:PORT")
      ->required();
  app.add_option("--coordinator", options.coordinator, "tcp://HOST:PORT instead of the bundles'");
  app.add_option("--state", options.state_folder, "Folder for the boards' secure sessions")->capture_default_str();
  app.add_option("--report-every", options.report_seconds, "Seconds between lines with each board's bytes")
      ->check(CLI::Range(1, 30 * 86400))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return report(runnel::gateway::run_gateway(options));
}
