// Which programs are to be killed, and when: faults on purpose, each of which strikes once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runnel::fleet {

// Kill device `device` as soon as it reports `state` in `round`.
struct DeviceFault {
  uint32_t device = 0;
  uint32_t round = 0;
  std::string state;  // "training" or "uploading"
};

class FaultPlan {
 public:
  // "INDEX@ROUND:training" or "INDEX@ROUND:uploading". Throws FleetError.
  void add_device_fault(std::string_view text);
  // Kill the coordinator once the first device reports that it is uploading in `round`.
  void set_coordinator_fault(uint32_t round) { coordinator_round_ = round; }

  bool empty() const { return device_faults_.empty() && !coordinator_round_; }
  uint32_t device_index_max() const;

  // Whether a device's report triggers a fault; the fault is then used up.
  bool strikes_device(uint32_t device, std::string_view state, uint32_t round);
  bool strikes_coordinator(std::string_view state, uint32_t round);

  // Back to the text of the command line.
  std::vector<std::string> device_texts() const;
  std::optional<uint32_t> coordinator_round() const { return coordinator_round_; }

 private:
  std::vector<DeviceFault> device_faults_;
  std::optional<uint32_t> coordinator_round_;
};

}  // namespace runnel::fleet
