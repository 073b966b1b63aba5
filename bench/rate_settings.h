// What rate_bench compares: ways to compress updates, each a name and what it changes in a fleet's plan. To compare
// another one, add a line to the table in the .cc file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coordinator/config/fleet_plan.h"

namespace runnel::bench {

enum class SettingKind : uint8_t {
  kExact,  // fp32
  kQsgd,   // QSGD at a fixed width
  kFixed,  // another scheme at a fixed width
  kRival,  // another paper's rule for the width
  kOurs,   // DQ-SGD with entropy-coded steps
};
const char* setting_kind_name(SettingKind kind);

struct RateSetting {
  std::string name;
  SettingKind kind = SettingKind::kFixed;
  // `plan` holds the training, the rounds and the deadline; `parameters` is the model's size.
  std::function<void(coordinator::FleetPlan& plan, uint32_t parameters)> apply;
};

const std::vector<RateSetting>& rate_settings();

// The plan of a setting, from a base without compression. Throws std::runtime_error when it is not a valid one.
coordinator::FleetPlan plan_of(const RateSetting& setting, const coordinator::FleetPlan& base, uint32_t parameters);

}  // namespace runnel::bench
