#include "coordinator/commands/status_command.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

#include "coordinator/config/model_file.h"
#include "coordinator/store/sqlite_store.h"

namespace runnel::coordinator {
namespace {

// Columns as wide as their widest cell; the first one flush left, the others right.
void print_table(const std::vector<std::vector<std::string>>& rows, std::ostream& out) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], row[column].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t column = 0; column < row.size(); ++column) {
      const std::string space(widths[column] - row[column].size(), ' ');
      line += column == 0 ? "  " + row[column] + space : "  " + space + row[column];
    }
    out << line << "\n";
  }
}

std::string number(double value, int decimals) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

void print_rounds(const std::vector<RoundHistory>& history, std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"round", "model", "devices", "accuracy", "loss", "training loss", "bits/number", "seconds"});
  for (const RoundHistory& entry : history) {
    const RoundResult& result = entry.result;
    rows.push_back({std::to_string(result.round), std::to_string(result.model.version),
                    std::to_string(result.participants),
                    entry.evaluated ? number(100.0 * entry.evaluation.accuracy, 2) + " %" : "-",
                    entry.evaluated ? number(entry.evaluation.loss, 4) : "-", number(result.mean_loss, 4),
                    number(result.bits_per_coordinate, 2), number(result.seconds, 1)});
  }
  print_table(rows, out);
}

struct Activity {
  size_t updates = 0;
  uint32_t last_round = 0;
};

void print_devices(const std::vector<DeviceRecord>& devices, const std::map<std::string, Activity>& activities,
                   std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"device", "updates", "last round", "enrolled", "certificate"});
  for (const DeviceRecord& device : devices) {
    const auto found = activities.find(device.name);
    const Activity activity = found == activities.end() ? Activity{} : found->second;
    rows.push_back({device.name, std::to_string(activity.updates),
                    activity.updates == 0 ? "-" : std::to_string(activity.last_round),
                    host::utc_text(device.enrolled_at), device.revoked ? "revoked" : "good"});
  }
  print_table(rows, out);
}

}  // namespace

Failure print_status(const StatusOptions& options, std::ostream& out) {
  const StateFolder folder(options.state_folder);
  RUNNEL_TRY(folder.require());
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(folder.database(), false);
  if (!store) return store.failure();
  Result<Snapshot> snapshot = (*store)->load();
  if (!snapshot) return snapshot.failure();
  Result<std::vector<RoundHistory>> history = (*store)->history();
  if (!history) return history.failure();
  Result<std::vector<DeviceRecord>> devices = (*store)->devices();
  if (!devices) return devices.failure();
  Result<std::vector<LedgerEntry>> ledger = (*store)->ledger();
  if (!ledger) return ledger.failure();
  Result<FleetPlan> plan = parse_fleet_plan(snapshot->run.plan_toml);
  if (!plan) return Failure(plan.failure()).prefix("%s: the stored plan", folder.database().c_str());
  Result<plan::ModelSpec> model = parse_model_file(snapshot->run.model_toml);
  if (!model) return Failure(model.failure()).prefix("%s: the stored model", folder.database().c_str());

  out << "model " << model->name.view() << ", version " << snapshot->model.version << ", "
      << snapshot->model.parameters.size() << " parameters\n"
      << "rounds closed: " << snapshot->rounds_closed << " of " << plan->rounds << "\n";
  if (snapshot->round_open) {
    const bool buffered = plan->policy.policy == plan::RoundPolicy::kBuffered;
    out << "round " << snapshot->round.round << " is open: " << snapshot->accepted.size() << " of "
        << (buffered ? plan->policy.buffer : snapshot->round.selected.size()) << " updates\n";
  }
  if (!history->empty()) print_rounds(*history, out << "\n");

  std::map<std::string, Activity> activities;
  for (const LedgerEntry& entry : *ledger) {
    Activity& activity = activities[entry.device];
    ++activity.updates;
    activity.last_round = std::max(activity.last_round, entry.merged_into);
  }
  if (devices->empty()) {
    out << "\nno devices yet: runnel-coordinator enroll NAME\n";
  } else {
    print_devices(*devices, activities, out << "\n");
  }
  return Error::kOk;
}

CLI::App* add_status_command(CLI::App& app, StatusOptions& options) {
  CLI::App* command = app.add_subcommand("status", "Show the rounds and the devices");
  command->add_option("--state", options.state_folder, "The fleet's folder")->capture_default_str();
  return command;
}

}  // namespace runnel::coordinator
