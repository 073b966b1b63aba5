// The command lines of runnel-coordinator and runnel-device for a run: pure text, from the run's configuration.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fleet/run_config.h"

namespace runnel::fleet {

// "d00", "d01", ...: as many digits as the largest index needs, and at least two.
std::string device_name(uint32_t index, uint32_t count);

std::vector<std::string> init_arguments(const RunConfig& config, const std::string& state_folder);
std::vector<std::string> enroll_arguments(const std::vector<std::string>& names, const std::string& state_folder,
                                          const std::string& endpoint, const std::string& out_folder);
std::vector<std::string> coordinator_arguments(const RunConfig& config, const std::string& state_folder,
                                               const std::string& events_path, const std::string& dump_folder);

struct DeviceArguments {
  uint32_t index = 0;
  std::string bundle;
  std::string state_folder;
  std::string endpoint;  // of the device's own emulated link
  std::string events_path;
  std::string dump_folder;  // empty: no frames are dumped
};
std::vector<std::string> device_arguments(const RunConfig& config, const DeviceArguments& device);

}  // namespace runnel::fleet
