#include "fleet/run_record.h"

#include <string>

#include "fleet/text_format.h"

namespace runnel::fleet {

std::string codec_label(const RunConfig& config) {
  std::string label = config.codec;
  if (config.codec == "fp32") return label;
  const auto number = [](double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  };
  // What `runnel-coordinator init` makes of a codec without a width.
  const bool by_default = !config.rate && config.codec == "dithered" && !config.bits && !config.levels && !config.step;
  if (by_default) label += ", error";
  if (config.rate && *config.rate != "fixed") label += ", " + *config.rate;
  if (config.budget_bytes) label += " of " + format_bytes(static_cast<uint64_t>(*config.budget_bytes));
  if (config.bits) label += ", " + number(*config.bits) + (*config.bits == 1.0 ? " bit" : " bits");
  if (config.levels) label += ", " + std::to_string(*config.levels) + " levels";
  if (config.step && *config.step > 0.0) label += ", step " + number(*config.step);
  if (config.rotate) label += ", rotated";
  if (config.error_feedback) label += ", error feedback";
  if (config.keep_share) label += ", " + number(100.0 * *config.keep_share) + " % sent";
  return label;
}

}  // namespace runnel::fleet
