// runnel-coordinator: the program that makes a fleet, lets devices in, and leads them through the rounds.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "coordinator/commands/enroll_command.h"
#include "coordinator/commands/export_command.h"
#include "coordinator/commands/init_command.h"
#include "coordinator/commands/models_command.h"
#include "coordinator/commands/revoke_command.h"
#include "coordinator/commands/status_command.h"
#include "coordinator/run_command.h"

namespace {

int report(const runnel::Failure& failure) {
  if (failure.ok()) return 0;
  const char* text = failure.text()[0] != '\0' ? failure.text() : runnel::error_name(failure.error());
  std::fprintf(stderr, "runnel-coordinator: %s\n", text);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace runnel::coordinator;  // NOLINT(google-build-using-namespace): this file only joins its parts
  CLI::App app{"Leads a fleet of devices that train a shared model on their own data."};
  app.set_version_flag("--version", "runnel-coordinator " RUNNEL_VERSION);
  app.require_subcommand(1);

  InitOptions init;
  EnrollOptions enroll;
  RunOptions run;
  StatusOptions status;
  ExportOptions export_options;
  RevokeOptions revoke;
  ModelsOptions models;
  const CLI::App* init_command = add_init_command(app, init);
  const CLI::App* enroll_command = add_enroll_command(app, enroll);
  const CLI::App* run_command = add_run_command(app, run);
  const CLI::App* status_command = add_status_command(app, status);
  const CLI::App* export_command = add_export_command(app, export_options);
  const CLI::App* revoke_command = add_revoke_command(app, revoke);
  const CLI::App* models_command = add_models_command(app, models);
  CLI11_PARSE(app, argc, argv);

  if (init_command->parsed()) return report(init_fleet(init, std::cout));
  if (enroll_command->parsed()) return report(enroll_devices(enroll, std::cout));
  if (run_command->parsed()) return report(run_coordinator(run));
  if (status_command->parsed()) return report(print_status(status, std::cout));
  if (export_command->parsed()) return report(export_model(export_options, std::cout));
  if (revoke_command->parsed()) return report(revoke_device(revoke, std::cout));
  if (models_command->parsed()) return report(print_models(models, std::cout));
  return 1;
}
