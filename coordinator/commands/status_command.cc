#include "coordinator/commands/status_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

#include "coordinator/commands/score_text.h"
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
  plan::Metric metric = plan::Metric::kAccuracy;
  for (const RoundHistory& entry : history) {
    if (entry.evaluated) metric = metric_of(entry.evaluation.metric);
  }
  rows.push_back(
      {"round", "model", "devices", plan::metric_name(metric), "loss", "training loss", "bits/number", "seconds"});
  for (const RoundHistory& entry : history) {
    const RoundResult& result = entry.result;
    rows.push_back({std::to_string(result.round), std::to_string(result.model.version),
                    std::to_string(result.participants),
                    entry.evaluated ? metric_value_text(metric, entry.evaluation.value) : "-",
                    entry.evaluated ? number(entry.evaluation.loss, 4) : "-", number(result.mean_loss, 4),
                    number(result.bits_per_coordinate, 2), number(result.seconds, 1)});
  }
  print_table(rows, out);
}

// What devices found on examples of their own: the worst, the one in the middle and the best, by what they made of the
// model; then all of them.
void print_evaluations(std::vector<DeviceEvaluation> found, std::ostream& out) {
  const plan::Metric metric = metric_of(found.front().metric);
  std::erase_if(found, [&](const DeviceEvaluation& each) { return metric_of(each.metric) != metric; });
  const bool rises = plan::larger_is_better(metric);
  std::stable_sort(found.begin(), found.end(), [rises](const DeviceEvaluation& a, const DeviceEvaluation& b) {
    return rises ? a.value_after < b.value_after : a.value_after > b.value_after;
  });
  const bool tuned =
      std::any_of(found.begin(), found.end(), [](const DeviceEvaluation& each) { return each.tuned_steps > 0; });
  out << "\non the devices' own examples, " << plan::metric_name(metric)
      << " of the model that came, and of the device's "
      << "own after training" << (tuned ? ", and fine-tuned for itself:\n" : ":\n");
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"", "device", "round", "examples", "before", "after", "loss before", "loss after"});
  if (tuned) rows.back().insert(rows.back().end(), {"steps", "fine-tuned", "loss fine-tuned"});
  const auto add = [&](const char* which, const DeviceEvaluation& each) {
    rows.push_back({which, each.device, std::to_string(each.round), std::to_string(each.examples),
                    metric_value_text(metric, each.value_before), metric_value_text(metric, each.value_after),
                    number(each.loss_before, 4), number(each.loss_after, 4)});
    if (!tuned) return;
    const bool own = each.tuned_steps > 0;
    rows.back().insert(rows.back().end(),
                       {std::to_string(each.tuned_steps), own ? metric_value_text(metric, each.value_tuned) : "-",
                        own ? number(each.loss_tuned, 4) : "-"});
  };
  add("worst", found.front());
  add("median", found[found.size() / 2]);
  add("best", found.back());
  constexpr size_t kListedMax = 100;
  std::stable_sort(found.begin(), found.end(),
                   [](const DeviceEvaluation& a, const DeviceEvaluation& b) { return a.device < b.device; });
  for (size_t i = 0; i < std::min(kListedMax, found.size()); ++i) add("", found[i]);
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
  Result<std::vector<DeviceEvaluation>> evaluations = (*store)->device_evaluations();
  if (!evaluations) return evaluations.failure();
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
  if (!evaluations->empty()) print_evaluations(std::move(*evaluations), out);
  return Error::kOk;
}

CLI::App* add_status_command(CLI::App& app, StatusOptions& options) {
  CLI::App* command = app.add_subcommand("status", "Show the rounds and the devices");
  command->add_option("--state", options.state_folder, "The fleet's folder")->capture_default_str();
  return command;
}

}  // namespace runnel::coordinator
