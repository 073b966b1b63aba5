#include "fleet/machine_line.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

// The value of the first "key : value" line whose key begins with `key`; empty when there is none.
std::string first_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? std::string{} : line.substr(begin);
  }
  return {};
}

}  // namespace

std::string machine_line() {
  utsname name{};
  ::uname(&name);
  std::string processor = first_value("/proc/cpuinfo", "model name");
  if (processor.empty()) processor = first_value("/proc/cpuinfo", "Hardware");
  if (processor.empty()) processor = name.machine;
  const auto pages = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return processor + ", " + std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " cores, " +
         format_bytes(pages * page_bytes) + " memory, " + name.sysname + " " + name.release + " (" + name.machine + ")";
}

}  // namespace runnel::fleet
