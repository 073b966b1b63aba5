#include "fleet/work_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

namespace fs = std::filesystem;

TEST(WorkFolder, ATemporaryOneIsItsOwnAndGoesAway) {
  fs::path path;
  {
    const WorkFolder one("", false);
    const WorkFolder other("", false);
    EXPECT_NE(one.path(), other.path());
    EXPECT_FALSE(one.stays());
    path = one.path();
    EXPECT_TRUE(fs::is_directory(one.folder("a/b")));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(WorkFolder, KeepKeepsIt) {
  fs::path path;
  {
    const WorkFolder kept("", true);
    path = kept.path();
  }
  EXPECT_TRUE(fs::is_directory(path));
  fs::remove_all(path);
}

TEST(WorkFolder, AGivenOneMustBeEmptyAndStays) {
  const WorkFolder parent("", false);
  const fs::path given = parent.path() / "given";
  {
    const WorkFolder work(given.string(), false);
    EXPECT_TRUE(work.stays());
  }
  EXPECT_TRUE(fs::is_directory(given));
  std::ofstream(given / "file") << "x";
  EXPECT_THROW(WorkFolder(given.string(), false), FleetError);
  EXPECT_THROW(WorkFolder("/proc/nowhere", false), FleetError);
}

}  // namespace
}  // namespace runnel::fleet
