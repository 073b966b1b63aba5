#include "fleet/fault_plan.h"

#include <algorithm>
#include <charconv>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

bool parse_number(std::string_view text, uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace

void FaultPlan::add_device_fault(std::string_view text) {
  const size_t at = text.find('@');
  const size_t colon = text.find(':');
  DeviceFault fault;
  if (at == std::string_view::npos || colon == std::string_view::npos || colon < at ||
      !parse_number(text.substr(0, at), fault.device) ||
      !parse_number(text.substr(at + 1, colon - at - 1), fault.round)) {
    throw FleetError("'" + std::string(text) + "' is not of the form INDEX@ROUND:training or INDEX@ROUND:uploading");
  }
  fault.state = text.substr(colon + 1);
  if (fault.state != "training" && fault.state != "uploading") {
    throw FleetError("'" + std::string(text) + "': the state must be training or uploading");
  }
  device_faults_.push_back(fault);
}

uint32_t FaultPlan::device_index_max() const {
  uint32_t highest = 0;
  for (const DeviceFault& fault : device_faults_) highest = std::max(highest, fault.device);
  return highest;
}

bool FaultPlan::strikes_device(uint32_t device, std::string_view state, uint32_t round) {
  const auto found = std::find_if(device_faults_.begin(), device_faults_.end(), [&](const DeviceFault& fault) {
    return fault.device == device && fault.round == round && fault.state == state;
  });
  if (found == device_faults_.end()) return false;
  device_faults_.erase(found);
  return true;
}

bool FaultPlan::strikes_coordinator(std::string_view state, uint32_t round) {
  if (!coordinator_round_ || *coordinator_round_ != round || state != "uploading") return false;
  coordinator_round_.reset();
  return true;
}

std::vector<std::string> FaultPlan::device_texts() const {
  std::vector<std::string> texts;
  texts.reserve(device_faults_.size());
  for (const DeviceFault& fault : device_faults_) {
    texts.push_back(std::to_string(fault.device) + "@" + std::to_string(fault.round) + ":" + fault.state);
  }
  return texts;
}

}  // namespace runnel::fleet
