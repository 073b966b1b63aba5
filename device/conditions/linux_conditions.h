// What Linux knows of a device's condition, from its sysfs and procfs.
//
// Battery and external power: /sys/class/power_supply (batteries of mice and the like left out). Temperature:
// /sys/class/thermal and the batteries' own. Metered: the interface of the default route (/proc/net/route and
// ipv6_route) is a mobile modem (DEVTYPE=wwan, or a point-to-point link), or is named by the user. Time: the C
// library's local time.
//
// Threads: one at a time. Trust: files may be missing or hold anything; what makes no sense counts as not known.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "device/conditions/conditions.h"

namespace runnel::device {

struct LinuxConditionOptions {
  std::string root;                             // before /sys and /proc; for tests and containers
  std::vector<std::string> metered_interfaces;  // that cost by volume, whatever they are
  std::function<int64_t()> unix_time_s;         // REQUIRES: not null
};

class LinuxConditions final : public ConditionSource {
 public:
  explicit LinuxConditions(LinuxConditionOptions options) : options_(std::move(options)) {}
  Observed observe() override;

 private:
  void observe_power(Observed& observed) const;
  void observe_temperature(Observed& observed) const;
  std::optional<std::string> outgoing_interface() const;
  bool is_metered(const std::string& interface) const;

  LinuxConditionOptions options_;
};

}  // namespace runnel::device
