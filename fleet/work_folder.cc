#include "fleet/work_folder.h"

#include <cstdlib>
#include <system_error>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace fs = std::filesystem;
namespace {

fs::path make_temporary() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) throw FleetError("no temporary folder: " + error.message());
  std::string name = (parent / "runnel-fleet-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw system_error(name);
  return name;
}

}  // namespace

WorkFolder::WorkFolder(const std::string& given, bool keep) {
  if (given.empty()) {
    path_ = make_temporary();
    remove_ = !keep;
    return;
  }
  std::error_code error;
  path_ = fs::absolute(given, error);
  fs::create_directories(path_, error);
  if (error) throw FleetError("cannot make the folder " + given + ": " + error.message());
  if (!fs::is_empty(path_, error)) throw FleetError("the work folder " + given + " is not empty");
}

WorkFolder::~WorkFolder() {
  if (!remove_) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path WorkFolder::folder(const std::string& name) const {
  std::error_code error;
  const fs::path made = path_ / name;
  fs::create_directories(made, error);
  if (error) throw FleetError("cannot make the folder " + made.string() + ": " + error.message());
  return made;
}

}  // namespace runnel::fleet
