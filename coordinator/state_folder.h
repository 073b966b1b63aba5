// Where a fleet lives on the coordinator's disk: the names of its files, and loading them with errors that say what to
// do.
//
//   ca.key ca.crt                     the fleet's root of trust; the key is needed for enrolling only
//   coordinator.key coordinator.crt   what the coordinator proves itself with
//   ticket.key                        32 random bytes: devices resume sessions over the coordinator's restarts
//   plan.toml model.toml              how to train, and what
//   fleet.db run.lock bundles/        the store, the running coordinator's lock, bundles for devices
//
// Trust: the folder belongs to whoever runs the fleet; its files may still be damaged or missing.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "runtime/base/result.h"
#include "runtime/host/pki.h"
#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

inline constexpr const char* kDefaultStateFolder = "fleet-state";
inline constexpr const char* kCoordinatorName = "coordinator";  // the common name in its certificate

// "a/b/" and "a/b" are the same folder, but not to everything that takes a path apart.
std::string without_trailing_slash(std::string path);

class StateFolder {
 public:
  explicit StateFolder(std::string path) : path_(without_trailing_slash(std::move(path))) {}

  const std::string& path() const { return path_; }
  std::string ca_key() const { return file("ca.key"); }
  std::string ca_certificate() const { return file("ca.crt"); }
  std::string coordinator_key() const { return file("coordinator.key"); }
  std::string coordinator_certificate() const { return file("coordinator.crt"); }
  std::string ticket_key() const { return file("ticket.key"); }
  std::string plan() const { return file("plan.toml"); }
  std::string model() const { return file("model.toml"); }
  std::string database() const { return file("fleet.db"); }
  std::string bundles() const { return file("bundles"); }

  // Every file that init makes; bundles and locks come later.
  std::vector<std::string> files() const;

  // kNotFound, with the command that makes one, if this is not a fleet's folder.
  Failure require() const;

 private:
  std::string file(const char* name) const { return path_ + "/" + name; }
  std::string path_;
};

// A text file of the folder, of at most 1 MiB; failures name its path.
Result<std::string> read_text_file(const std::string& path);

// Empty, or what to do about a secret that others on this machine can read.
std::string key_permission_notice(const std::string& path);

// The authority that signs: ca.crt and ca.key.
Result<host::Authority> load_authority(const StateFolder& folder);

// Everything that `run` needs from the folder, read and checked on its own; the store is opened by whoever runs it.
struct RunInputs {
  host::Credentials credentials;  // of the coordinator
  std::array<uint8_t, 32> ticket_key{};
  FleetPlan plan;
  std::string plan_toml;
  plan::ModelSpec model;
  plan::ModelLayout layout;
  std::string model_toml;
  std::string database_path;
  std::vector<std::string> notices;  // worth a warning, none of them an error
};

// Failures begin with the path of the file that they are about.
Result<RunInputs> load_run_inputs(const StateFolder& folder);

}  // namespace runnel::coordinator
