#include "fleet/fleet_setup.h"

#include <algorithm>
#include <numeric>
#include <system_error>

#include "fleet/endpoint.h"
#include "fleet/fleet_error.h"
#include "fleet/program_arguments.h"
#include "runtime/base/rng.h"

namespace runnel::fleet {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kOrderKey = 0x6F72646572;  // keeps this use of the seed apart from all others

std::string dump_folder(const RunConfig& config, const std::string& name) {
  if (config.dump_frames.empty()) return {};
  std::error_code error;
  const fs::path folder = fs::absolute(config.dump_frames, error) / name;
  fs::create_directories(folder, error);
  if (error) throw FleetError("cannot make the folder " + folder.string() + ": " + error.message());
  return folder.string();
}

}  // namespace

std::vector<FleetMember*> FleetMembers::all() {
  std::vector<FleetMember*> result = {&coordinator};
  for (FleetMember& device : devices) result.push_back(&device);
  return result;
}

FleetMembers prepare_members(const Programs& programs, const RunConfig& config, const WorkFolder& work,
                             const Enrolment& enrolment, const LinkProxy& proxy) {
  const fs::path logs = work.folder("logs");
  FleetMembers members;
  members.coordinator.name = "runnel-coordinator";
  members.coordinator.options = {programs.coordinator,
                                 coordinator_arguments(config, enrolment.coordinator_state.string(),
                                                       ChildProcess::kEventsPath, dump_folder(config, "coordinator")),
                                 (logs / "coordinator.log").string()};
  for (uint32_t i = 0; i < config.devices; ++i) {
    FleetMember device;
    device.name = device_name(i, config.devices);
    DeviceArguments arguments;
    arguments.index = i;
    arguments.bundle = enrolment.bundles[i].string();
    arguments.state_folder = work.folder("devices/" + device.name).string();
    arguments.endpoint = "tcp://" + connect_address(config.bind) + ":" + std::to_string(proxy.port(i));
    arguments.events_path = ChildProcess::kEventsPath;
    arguments.dump_folder = dump_folder(config, device.name);
    device.options = {programs.device, device_arguments(config, arguments), (logs / (device.name + ".log")).string()};
    members.devices.push_back(std::move(device));
  }
  return members;
}

std::vector<uint32_t> start_sequence(const RunConfig& config) {
  std::vector<uint32_t> order(config.devices);
  std::iota(order.begin(), order.end(), 0U);
  if (config.start_order == StartOrder::kReverse) std::reverse(order.begin(), order.end());
  if (config.start_order == StartOrder::kRandom) {
    Rng rng(derive_key(config.seed, kOrderKey));
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  }
  return order;
}

}  // namespace runnel::fleet
