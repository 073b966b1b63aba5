#include "coordinator/state_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "coordinator/config/model_file.h"
#include "runtime/host/file_bytes.h"

namespace runnel::coordinator {
namespace {

constexpr uint64_t kTextBytesMax = 1U << 20;

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

Failure missing_file(const Failure& failure, const std::string& path) {
  if (failure.error() != Error::kNotFound) return failure;
  return fail(Error::kNotFound, "%s: missing; restore it from a backup, or start a new fleet in another folder",
              path.c_str());
}

Failure load_ticket_key(const std::string& path, std::array<uint8_t, 32>& key) {
  Result<std::vector<uint8_t>> bytes = host::read_file(path, kTextBytesMax);
  if (!bytes) return missing_file(bytes.failure(), path);
  if (bytes->size() != key.size()) {
    return fail(Error::kCorrupt, "%s: %zu bytes, not %zu", path.c_str(), bytes->size(), key.size());
  }
  std::copy(bytes->begin(), bytes->end(), key.begin());
  return Error::kOk;
}

Failure load_into(std::string& text, const std::string& path) {
  Result<std::string> read = read_text_file(path);
  if (!read) return missing_file(read.failure(), path);
  text = std::move(*read);
  return Error::kOk;
}

}  // namespace

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::vector<std::string> StateFolder::files() const {
  return {ca_key(),     ca_certificate(), coordinator_key(), coordinator_certificate(),
          ticket_key(), plan(),           model(),           database()};
}

Failure StateFolder::require() const {
  if (exists(database())) return Error::kOk;
  return fail(Error::kNotFound, "%s: no fleet here; make one with: runnel-coordinator init --state %s", path_.c_str(),
              path_.c_str());
}

Result<std::string> read_text_file(const std::string& path) {
  Result<std::vector<uint8_t>> bytes = host::read_file(path, kTextBytesMax);
  if (!bytes) return bytes.failure();
  return std::string(bytes->begin(), bytes->end());
}

std::string key_permission_notice(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || (status.st_mode & 077U) == 0) return {};
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(status.st_mode & 07777U));
  return path + ": a secret that others on this machine may read (mode " + mode + "); chmod 600 " + path;
}

Result<host::Authority> load_authority(const StateFolder& folder) {
  RUNNEL_TRY(folder.require());
  host::Authority authority;
  RUNNEL_TRY(load_into(authority.certificate_pem, folder.ca_certificate()));
  RUNNEL_TRY(load_into(authority.key_pem, folder.ca_key()));
  return authority;
}

Result<RunInputs> load_run_inputs(const StateFolder& folder) {
  RUNNEL_TRY(folder.require());
  RunInputs inputs;
  RUNNEL_TRY(load_into(inputs.credentials.ca_pem, folder.ca_certificate()));
  RUNNEL_TRY(load_into(inputs.credentials.certificate_pem, folder.coordinator_certificate()));
  RUNNEL_TRY(load_into(inputs.credentials.key_pem, folder.coordinator_key()));
  RUNNEL_TRY(load_ticket_key(folder.ticket_key(), inputs.ticket_key));
  RUNNEL_TRY(load_into(inputs.plan_toml, folder.plan()));
  RUNNEL_TRY(load_into(inputs.model_toml, folder.model()));

  Result<FleetPlan> plan = parse_fleet_plan(inputs.plan_toml);
  if (!plan) return Failure(plan.failure()).prefix("%s", folder.plan().c_str());
  inputs.plan = *plan;
  Result<plan::ModelSpec> model = parse_model_file(inputs.model_toml);
  if (!model) return Failure(model.failure()).prefix("%s", folder.model().c_str());
  inputs.model = *model;
  Result<plan::ModelLayout> layout = make_layout(inputs.model);
  if (!layout) return Failure(layout.failure()).prefix("%s", folder.model().c_str());
  inputs.layout = *layout;
  inputs.database_path = folder.database();
  for (const std::string& secret : {folder.ca_key(), folder.coordinator_key(), folder.ticket_key()}) {
    if (std::string notice = key_permission_notice(secret); !notice.empty())
      inputs.notices.push_back(std::move(notice));
  }
  return inputs;
}

}  // namespace runnel::coordinator
