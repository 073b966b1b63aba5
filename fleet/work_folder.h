// Where a run keeps state, bundles and logs: a new temporary folder that goes away, or a given one that stays.
#pragma once

#include <filesystem>
#include <string>

namespace runnel::fleet {

class WorkFolder {
 public:
  // `given` empty: a new folder under the system's temporary one, removed at the end unless `keep`. Otherwise `given`,
  // which must not exist yet or be empty, and stays. Throws FleetError.
  WorkFolder(const std::string& given, bool keep);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  bool stays() const { return !remove_; }

  // path()/name, made if it is not there.
  std::filesystem::path folder(const std::string& name) const;

 private:
  std::filesystem::path path_;
  bool remove_ = false;
};

}  // namespace runnel::fleet
