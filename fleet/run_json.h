// A finished run as JSON, for scripts and benchmarks.
//
// {"config":{...}, "machine":"...", "command":"...",
//  "rounds":[{"round","accuracy","loss","participants","uplink_bytes","downlink_bytes","bits_per_coordinate","seconds"}],
//  "final":{"accuracy","loss","model_sha256","parameters","uplink_bytes_per_device","downlink_bytes_per_device",
//           "device_rss_bytes_max","coordinator_rss_bytes_max","seconds" (from the start of the devices to the end of
//           all programs),"training_seconds" (from the first plan to the last model)},
//  "devices":[{"name","uplink_bytes","downlink_bytes","connections","refused","cuts","rss_bytes_max","arena_bytes",
//              "updates_acknowledged","restarts","outages":[[begin,end],...]}],
//  "warnings":[...], "comparison":{the same for the other codec, when there is one}}
// Bytes are the emulated links' counts. A round's bytes are those of all devices since the round before; what follows
// the last round (the farewell) counts for the devices only. Accuracy and loss are null without a test set.
#pragma once

#include <string>

#include "fleet/run_record.h"

namespace runnel::fleet {

struct RunContext {
  std::string command;  // exactly as a shell would read it
  std::string machine;
};

// `comparison` may be null. The text ends in a newline.
std::string run_json(const RunRecord& record, const RunRecord* comparison, const RunContext& context);

// Writes the whole text or throws FleetError.
void write_text_file(const std::string& path, const std::string& text);

}  // namespace runnel::fleet
