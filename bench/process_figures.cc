#include "bench/process_figures.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace runnel::bench {
namespace {

// The sum of the lines "Key:   123 kB" whose key is one of two.
uint64_t kilobyte_lines(const std::string& path, const std::string& key, const std::string& other = "") {
  std::ifstream file(path);
  uint64_t sum = 0;
  for (std::string line; std::getline(file, line);) {
    const std::string name = line.substr(0, line.find(':'));
    if (name == key || (!other.empty() && name == other)) sum += std::stoull(line.substr(line.find(':') + 1));
  }
  return sum * 1024;
}

}  // namespace

ProcessFigures figures_of(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process);
  ProcessFigures figures;
  figures.resident_bytes = kilobyte_lines(folder + "/status", "VmRSS");
  figures.resident_bytes_max = kilobyte_lines(folder + "/status", "VmHWM");
  figures.private_bytes = kilobyte_lines(folder + "/smaps_rollup", "Private_Clean", "Private_Dirty");
  figures.shared_out_bytes = kilobyte_lines(folder + "/smaps_rollup", "Pss");
  std::ifstream file(folder + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return figures;
  std::istringstream fields(text.substr(end_of_name + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0.0;
  double system = 0.0;
  fields >> user >> system;
  figures.processor_s = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return figures;
}

}  // namespace runnel::bench
