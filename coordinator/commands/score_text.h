// How people read a metric: "91.40 %", "0.3127", and its name.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>

#include "runtime/plan/metric.h"

namespace runnel::coordinator {

inline std::string metric_value_text(plan::Metric metric, double value) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  const bool share = metric == plan::Metric::kAccuracy;
  std::snprintf(text, sizeof text, share ? "%.2f %%" : "%.4f", share ? 100.0 * value : value);
  return text;
}

// The metric that the coordinator's store names; none if it is from a newer runnel.
inline plan::Metric metric_of(uint8_t stored) {
  return stored <= plan::kMetricLast ? static_cast<plan::Metric>(stored) : plan::Metric::kNone;
}

}  // namespace runnel::coordinator
