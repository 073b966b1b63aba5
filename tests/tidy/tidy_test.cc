// Reads the project's own sources: who includes whom, what the core must not touch, tests that nobody builds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path;  // from the project's root
  std::string text;
};

const fs::path kRoot = RUNNEL_SOURCE_DIR;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool has_extension(const fs::path& path, std::initializer_list<const char*> extensions) {
  for (const char* extension : extensions) {
    if (path.extension() == extension) return true;
  }
  return false;
}

std::vector<Source> sources(std::initializer_list<const char*> folders, std::initializer_list<const char*> extensions) {
  std::vector<Source> found;
  for (const char* folder : folders) {
    if (!fs::exists(kRoot / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (!entry.is_regular_file() || !has_extension(entry.path(), extensions)) continue;
      found.push_back({fs::relative(entry.path(), kRoot).generic_string(), read(entry.path())});
    }
  }
  return found;
}

std::vector<Source> product_sources() {
  return sources({"runtime", "device", "gateway", "coordinator", "fleet"}, {".h", ".cc"});
}

bool begins_with(const std::string& text, const std::string& start) {
  return text.rfind(start, 0) == 0;
}

std::vector<std::string> own_includes(const std::string& text) {
  static const std::regex pattern("#include \"([^\"]+)\"");
  std::vector<std::string> includes;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) includes.push_back((*it)[1]);
  return includes;
}

// Folder -> the folders whose headers it may include, besides its own. The longest matching folder rules.
const std::map<std::string, std::vector<std::string>> kLadder = {
    {"runtime/base", {}},
    {"runtime/plan", {"runtime/base"}},
    {"runtime/tensor", {"runtime/base"}},
    {"runtime/data", {"runtime/base", "runtime/plan"}},
    {"runtime/train", {"runtime/base", "runtime/plan", "runtime/tensor", "runtime/data/example_source.h"}},
    {"runtime/codec", {"runtime/base", "runtime/plan"}},
    {"runtime/rate", {"runtime/base", "runtime/plan", "runtime/codec"}},
    {"runtime/wire", {"runtime/base", "runtime/plan", "schemas/"}},
    {"runtime/journal", {"runtime/base"}},
    {"runtime/serial", {"runtime/base"}},
    {"runtime/host", {"runtime/"}},
    {"device/engine",
     {"runtime/base", "runtime/plan", "runtime/wire", "runtime/journal", "runtime/codec", "runtime/rate"}},
    {"device/conditions", {"runtime/base"}},
    {"device/port", {"device/engine", "runtime/"}},
    {"device", {"device/conditions", "device/engine", "runtime/"}},
    {"gateway", {"runtime/"}},
    {"coordinator/engine",
     {"runtime/base", "runtime/plan", "runtime/wire", "runtime/journal", "runtime/codec", "runtime/rate",
      "coordinator/store/store.h", "coordinator/config/fleet_plan.h"}},
    {"coordinator/store", {"runtime/base"}},
    {"coordinator/config", {"runtime/base", "runtime/plan", "runtime/host"}},
    {"coordinator/onnx", {"runtime/base", "runtime/plan", "coordinator/config"}},
    {"coordinator", {"coordinator/", "runtime/"}},
    {"fleet",
     {"fleet/", "device/engine", "device/training_task.h", "coordinator/engine", "coordinator/store/store.h",
      "coordinator/config", "coordinator/commands/plan_overrides.h", "runtime/"}},
};

std::string room_of(const std::string& path) {
  std::string best;
  for (const auto& [folder, allowed] : kLadder) {
    if (begins_with(path, folder + "/") && folder.size() > best.size()) best = folder;
  }
  return best;
}

TEST(Tidy, EveryFolderIncludesOnlyWhatItMay) {
  size_t checked = 0;
  for (const Source& source : product_sources()) {
    const std::string room = room_of(source.path);
    ASSERT_FALSE(room.empty()) << source.path << " lies in no known folder";
    for (const std::string& include : own_includes(source.text)) {
      ++checked;
      bool allowed = begins_with(include, room + "/") && room_of(include) == room;
      for (const std::string& target : kLadder.at(room)) allowed = allowed || begins_with(include, target);
      EXPECT_TRUE(allowed) << source.path << " includes " << include << ", which " << room << " may not";
    }
  }
  EXPECT_GT(checked, 100U) << "the sources were not found";
}

TEST(Tidy, IncludesArePathsFromTheRootThatExist) {
  for (const Source& source : product_sources()) {
    for (const std::string& include : own_includes(source.text)) {
      if (begins_with(include, "schemas/")) continue;  // generated
      EXPECT_TRUE(fs::exists(kRoot / include)) << source.path << " includes " << include;
    }
  }
}

TEST(Tidy, ThirdPartyHeadersStayInTheirFolder) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> homes = {
      {"<zmq.h", {"runtime/host"}},          {"<mbedtls/", {"runtime/host"}},
      {"<psa/", {"runtime/host"}},           {"<Eigen/", {"bench"}},
      {"<flatbuffers/", {"runtime/wire"}},   {"_generated.h", {"runtime/wire/generated_headers.h"}},
      {"<sqlite3.h", {"coordinator/store"}}, {"<toml++/", {"runtime/host"}},
  };
  for (const Source& source : product_sources()) {
    for (const auto& [header, folders] : homes) {
      if (source.text.find(header) == std::string::npos) continue;
      bool at_home = false;
      for (const std::string& folder : folders) at_home = at_home || begins_with(source.path, folder);
      EXPECT_TRUE(at_home) << source.path << " mentions " << header << "...>";
    }
  }
}

TEST(Tidy, TheCoreReadsNoClockAndThrowsNothing) {
  const std::vector<std::string> core = {"runtime/base",   "runtime/plan", "runtime/tensor", "runtime/train",
                                         "runtime/codec",  "runtime/rate", "runtime/wire",   "runtime/journal",
                                         "runtime/serial", "device/port",  "device/engine",  "coordinator/engine"};
  const std::vector<std::string> banned = {"system_clock", "steady_clock", "gettimeofday", "std::thread",
                                           "std::mutex",   "<random>",     "<iostream>",   "std::rand(",
                                           "getenv(",      "throw ",       "<fstream>",    "time(nullptr)"};
  for (const Source& source : product_sources()) {
    bool in_core = false;
    for (const std::string& folder : core) in_core = in_core || begins_with(source.path, folder + "/");
    if (!in_core) continue;
    for (const std::string& word : banned) {
      EXPECT_EQ(source.text.find(word), std::string::npos) << source.path << " uses " << word;
    }
  }
}

TEST(Tidy, EveryTestFileIsBuilt) {
  std::string lists;
  for (const Source& source : sources({"tests"}, {".txt", ".cmake"})) lists += source.text;
  for (const Source& source : sources({"tests"}, {".cc"})) {
    const std::string name = fs::path(source.path).filename().string();
    EXPECT_NE(lists.find(name), std::string::npos) << source.path << " is built by no CMakeLists.txt";
  }
}

TEST(Tidy, EveryFuzzTargetHasACorpus) {
  for (const Source& source : sources({"tests/fuzz"}, {".cc"})) {
    const std::string stem = fs::path(source.path).stem().string();
    if (stem.size() < 6 || stem.substr(stem.size() - 5) != "_fuzz") continue;
    const fs::path corpus = kRoot / "tests/fuzz/corpus" / stem.substr(0, stem.size() - 5);
    EXPECT_TRUE(fs::exists(corpus) && !fs::is_empty(corpus)) << corpus << " is missing or empty";
  }
}

TEST(Tidy, HeadersOpenWithTheirPurpose) {
  for (const Source& source : product_sources()) {
    if (source.path.substr(source.path.size() - 2) != ".h") continue;
    EXPECT_TRUE(begins_with(source.text, "//")) << source.path << " does not begin with a comment";
    EXPECT_NE(source.text.find("#pragma once"), std::string::npos) << source.path;
  }
}

TEST(Tidy, NothingUnfinishedIsLeftBehind) {
  const std::vector<std::string> banned = {
      "TO"
      "DO",
      "FIX"
      "ME",
      "X"
      "XX",
      "HA"
      "CK"};
  for (const Source& source :
       sources({"runtime", "device", "gateway", "coordinator", "fleet", "tests", "schemas", "scripts", "bench"},
               {".h", ".cc", ".fbs", ".txt", ".cmake", ""})) {
    for (const std::string& word : banned) {
      EXPECT_FALSE(std::regex_search(source.text, std::regex("\\b" + word + "\\b")))
          << source.path << " holds " << word;
    }
  }
}

TEST(Tidy, SourceFilesStayReadable) {
  size_t long_files = 0;
  const std::vector<Source> all = product_sources();
  for (const Source& source : all) {
    const auto lines = std::count(source.text.begin(), source.text.end(), '\n');
    EXPECT_LE(lines, 600) << source.path;
    if (lines > 400) ++long_files;
  }
  EXPECT_LE(long_files * 10, all.size()) << "more than one file in ten is over 400 lines";
}

}  // namespace
