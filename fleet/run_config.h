// Everything that describes one emulated run, as the command line gives it. Values that are only passed on to the two
// programs stay text where those programs are the judges of them; an absent value leaves their default in place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fleet/fault_plan.h"

namespace runnel::fleet {

enum class StartOrder : uint8_t { kForward, kReverse, kRandom };

struct RunConfig {
  // The fleet.
  uint32_t devices = 8;
  StartOrder start_order = StartOrder::kForward;
  std::string profile = "none";  // a link profile's name; not used when trace_file is given
  std::string trace_file;
  std::string bind = "127.0.0.1";
  FaultPlan faults;
  double kill_every_s = 0.0;  // a program is killed now and then; 0 = never
  double cut_every_s = 0.0;   // each link is cut now and then; 0 = never
  double timeout_s = 0.0;     // of the whole run; 0 for none

  // The data.
  std::string data = "generated";
  std::string partition;
  std::string split;
  std::string scale;
  std::optional<double> holdout;      // share of its examples that a device evaluates on
  std::optional<uint32_t> fine_tune;  // steps of each model, for the device alone

  // The training.
  std::string model = "sensor-cnn";
  uint32_t rounds = 10;
  uint64_t seed = 1;
  std::optional<uint32_t> epochs;
  std::optional<uint32_t> steps;
  std::optional<uint32_t> batch;
  std::optional<double> learning_rate;
  std::optional<double> learning_rate_end;
  std::optional<std::string> schedule;
  std::optional<double> momentum;
  std::optional<double> weight_decay;
  std::optional<double> proximal_mu;

  // The round.
  std::optional<uint32_t> cohort;
  std::optional<uint32_t> quorum;
  std::optional<double> over_selection;
  std::optional<double> deadline_s;

  // The update.
  std::string codec = "dithered";
  std::optional<double> bits;      // a coordinate; what the coordinator makes of it depends on the codec
  std::optional<uint32_t> levels;  // positive levels, instead of bits
  std::optional<uint32_t> bucket;  // coordinates that share a norm
  std::optional<double> step;
  std::optional<double> keep_share;  // share of coordinates sent
  std::optional<std::string> coder;
  bool rotate = false;
  bool error_feedback = false;
  std::optional<double> downlink_bits;  // a number of the model's changes; 0 = the full model every round
  std::optional<std::string> rate;      // the rule of how fine an update is
  std::optional<double> error_share, horizon, resolution;
  std::optional<double> budget_bytes;  // whole
  std::optional<std::string> late;
  bool no_rate_deadline = false;
  bool save_time = false;
  bool per_layer = false;

  // Further options of `runnel-coordinator init`, passed on as they are: a flag has an empty value.
  std::vector<std::pair<std::string, std::string>> plan_options;

  // Where things are and go.
  std::string bin_folder;   // of the two programs; empty: next to this one
  std::string work_folder;  // empty: a new temporary folder
  bool keep = false;
  bool insecure_plaintext = false;
  std::string dump_frames;
};

}  // namespace runnel::fleet
