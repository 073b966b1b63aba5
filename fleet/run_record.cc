#include "fleet/run_record.h"

#include <bit>

namespace runnel::fleet {

std::string codec_label(const RunConfig& config) {
  if (config.codec != "qsgd") return config.codec;
  const uint32_t bits = static_cast<uint32_t>(std::bit_width(config.levels)) + 1;
  if (config.levels == (1U << (bits - 1)) - 1) return "qsgd, " + std::to_string(bits) + " bits";
  return "qsgd, " + std::to_string(config.levels) + " levels";
}

}  // namespace runnel::fleet
