#include "coordinator/commands/revoke_command.h"

#include <CLI/CLI.hpp>

#include "coordinator/store/sqlite_store.h"

namespace runnel::coordinator {

Failure revoke_device(const RevokeOptions& options, std::ostream& out) {
  const StateFolder folder(options.state_folder);
  RUNNEL_TRY(folder.require());
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(folder.database(), false);
  if (!store) return store.failure();
  Result<DeviceRecord> known = (*store)->device(options.name);
  if (!known) return known.failure();
  RUNNEL_TRY((*store)->revoke(options.name));
  out << options.name << (known->revoked ? " was revoked already" : " is revoked") << " (certificate " << known->serial
      << "). Enrolling it again gives it a new certificate.\n";
  return Error::kOk;
}

CLI::App* add_revoke_command(CLI::App& app, RevokeOptions& options) {
  CLI::App* command = app.add_subcommand("revoke", "Shut a device out");
  command->add_option("NAME", options.name, "The device")->required();
  command->add_option("--state", options.state_folder, "The fleet's folder")->capture_default_str();
  return command;
}

}  // namespace runnel::coordinator
