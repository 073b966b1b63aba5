// What `runnel-gateway` does: relays for boards that are too small for a secure channel of their own, until a signal
// asks to stop.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace runnel::gateway {

struct GatewayOptions {
  std::string coordinator;          // empty: each board's bundle says
  std::vector<std::string> boards;  // BUNDLE=ADDRESS
  std::string state_folder = "gateway-state";
  uint32_t report_seconds = 3600;  // between lines with each board's counters
};

// Failures name the option, file or board that they are about.
Failure run_gateway(const GatewayOptions& options);

}  // namespace runnel::gateway
