#include "coordinator/config/fleet_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/host/toml_table.h"

namespace runnel::coordinator {
namespace {

using host::TomlTable;

Failure count_in_range(const char* name, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return Error::kOk;
  return fail(Error::kOutOfRange, "%s must be %llu..%llu, not %llu", name, static_cast<unsigned long long>(low),
              static_cast<unsigned long long>(high), static_cast<unsigned long long>(value));
}

Failure real_in_range(const char* name, double value, double low, double high) {
  if (std::isfinite(value) && value >= low && value <= high) return Error::kOk;
  return fail(std::isfinite(value) ? Error::kOutOfRange : Error::kNotFinite, "%s must be %.10g..%.10g, not %g", name,
              low, high, value);
}

Failure read_fleet(TomlTable& table, FleetPlan& plan) {
  RUNNEL_TRY(table.read("rounds", plan.rounds));
  RUNNEL_TRY(table.read("seed", plan.seed));
  RUNNEL_TRY(table.read("min_devices", plan.min_devices));
  RUNNEL_TRY(table.read("cohort", plan.cohort));
  RUNNEL_TRY(table.read("over_selection", plan.over_selection));
  RUNNEL_TRY(table.read("quorum", plan.quorum));
  return table.read("deadline_seconds", plan.deadline_seconds);
}

Failure read_training(TomlTable& table, plan::TrainingSpec& training) {
  RUNNEL_TRY(table.read("learning_rate", training.learning_rate));
  RUNNEL_TRY(table.read("momentum", training.momentum));
  RUNNEL_TRY(table.read("weight_decay", training.weight_decay));
  RUNNEL_TRY(table.read("proximal_mu", training.proximal_mu));
  RUNNEL_TRY(table.read("batch_size", training.batch_size));
  RUNNEL_TRY(table.read("local_epochs", training.local_epochs));
  RUNNEL_TRY(table.read("local_steps", training.local_steps));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(training));
}

Failure read_codec(TomlTable& table, plan::CodecSpec& codec) {
  std::string name = plan::codec_name(codec.codec);
  RUNNEL_TRY(table.read("name", name));
  Result<plan::CodecId> known = codec_from_name(name);
  if (!known) return table.at("name", known.error(), known.failure().text());
  codec.codec = *known;
  RUNNEL_TRY(table.read("levels", codec.levels));
  if (table.has("bits")) {
    double bits = 0.0;
    RUNNEL_TRY(table.read("bits", bits));
    if (table.has("levels")) return table.at("bits", Error::kMalformed, "stands next to levels: one of them only");
    if (Failure bad = plan::set_bits(codec, bits); !bad.ok()) return table.at("bits", bad.error(), bad.text());
  }
  RUNNEL_TRY(table.read("bucket", codec.bucket));
  RUNNEL_TRY(table.read("exact_coordinates_max", codec.exact_coordinates_max));
  RUNNEL_TRY(table.read("step", codec.step));
  RUNNEL_TRY(table.read("rotate", codec.rotate));
  RUNNEL_TRY(table.read("error_feedback", codec.error_feedback));
  RUNNEL_TRY(table.read("keep", codec.keep));
  std::string coder = plan::coder_name(codec.coder);
  RUNNEL_TRY(table.read("coder", coder));
  Result<plan::Coder> known_coder = coder_from_name(coder);
  if (!known_coder) return table.at("coder", known_coder.error(), known_coder.failure().text());
  codec.coder = *known_coder;
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(codec));
}

}  // namespace

Result<plan::CodecId> codec_from_name(std::string_view name) {
  for (uint8_t number = 0; number < plan::kCodecCount; ++number) {
    const auto codec = static_cast<plan::CodecId>(number);
    if (name == plan::codec_name(codec)) return codec;
  }
  std::string known;
  for (uint8_t number = 0; number < plan::kCodecCount; ++number) {
    known += (number == 0 ? "" : ", ") + std::string(plan::codec_name(static_cast<plan::CodecId>(number)));
  }
  return fail(Error::kUnknownName, "must be one of %s, not '%.*s'", known.c_str(), static_cast<int>(name.size()),
              name.data());
}

Result<plan::Coder> coder_from_name(std::string_view name) {
  for (uint8_t number = 0; number < plan::kCoderCount; ++number) {
    const auto coder = static_cast<plan::Coder>(number);
    if (name == plan::coder_name(coder)) return coder;
  }
  return fail(Error::kUnknownName, "must be auto, elias, fixed, rans, model or raw, not '%.*s'",
              static_cast<int>(name.size()), name.data());
}

Failure check(const FleetPlan& plan) {
  RUNNEL_TRY(count_in_range("rounds", plan.rounds, 1, 1000000));
  RUNNEL_TRY(count_in_range("seed", plan.seed, 0, std::numeric_limits<int64_t>::max()));
  RUNNEL_TRY(count_in_range("min_devices", plan.min_devices, 1, 1000000));
  RUNNEL_TRY(count_in_range("cohort", plan.cohort, 0, 1000000));
  RUNNEL_TRY(real_in_range("over_selection", plan.over_selection, 0.0, 4.0));
  RUNNEL_TRY(count_in_range("quorum", plan.quorum, 1, 1000000));
  if (plan.cohort != 0 && plan.quorum > plan.cohort) {
    return fail(Error::kOutOfRange, "quorum must be at most the cohort, %u, not %u", plan.cohort, plan.quorum);
  }
  RUNNEL_TRY(real_in_range("deadline_seconds", plan.deadline_seconds, 0.1, 31536000.0));
  RUNNEL_TRY(check(plan.training));
  return check(plan.codec);
}

Result<FleetPlan> parse_fleet_plan(const std::string& toml) {
  Result<TomlTable> table = TomlTable::parse(toml);
  if (!table) return table.failure();
  FleetPlan plan;
  RUNNEL_TRY(read_fleet(*table, plan));
  Result<TomlTable> training = table->table("training");
  if (!training) return training.failure();
  Result<TomlTable> codec = table->table("codec");
  if (!codec) return codec.failure();
  RUNNEL_TRY(table->refuse_unread());
  RUNNEL_TRY(read_training(*training, plan.training));
  RUNNEL_TRY(read_codec(*codec, plan.codec));
  RUNNEL_TRY(table->locate(check(plan)));
  return plan;
}

std::string fleet_plan_toml(const FleetPlan& plan) {
  using host::toml_float;
  std::string text = "# How this fleet trains. Read when the coordinator starts.\n";
  const auto line = [&text](const char* key, const std::string& value, const char* comment) {
    std::string assignment = std::string(key) + " = " + value;
    assignment.resize(std::max<size_t>(assignment.size() + 1, 32), ' ');
    text += assignment + "# " + comment + "\n";
  };
  line("rounds", std::to_string(plan.rounds), "rounds of training in all");
  line("seed", std::to_string(plan.seed), "the same seed, data and updates give the same model");
  line("min_devices", std::to_string(plan.min_devices), "devices that must be there before the first round opens");
  line("cohort", std::to_string(plan.cohort), "devices a round; 0 = all that are there");
  line("over_selection", toml_float(plan.over_selection),
       "this share more devices are asked; the first `cohort` count");
  line("quorum", std::to_string(plan.quorum), "fewest updates that may close a round at its deadline");
  line("deadline_seconds", toml_float(plan.deadline_seconds), "a round's length at most");

  text += "\n[training]                      # SGD on each device\n";
  line("learning_rate", toml_float(plan.training.learning_rate), "step size");
  line("momentum", toml_float(plan.training.momentum), "0 = none");
  line("weight_decay", toml_float(plan.training.weight_decay), "0 = none");
  line("proximal_mu", toml_float(plan.training.proximal_mu), "pull towards the round's model (FedProx); 0 = FedAvg");
  line("batch_size", std::to_string(plan.training.batch_size), "examples a step");
  line("local_epochs", std::to_string(plan.training.local_epochs), "passes over the device's data a round");
  line("local_steps", std::to_string(plan.training.local_steps), "steps a round instead of epochs; 0 = epochs");

  text += "\n[codec]                         # how updates are compressed\n";
  const plan::CodecSpec& codec = plan.codec;
  line("name", host::toml_quoted(plan::codec_name(codec.codec)), "docs/quantization.md says which for what");
  if (plan::has_step(codec.codec) || codec.codec == plan::CodecId::kEden) {
    line("bits", toml_float(double{codec.bits}),
         "a coordinate; while step is 0 each device finds the step that gives it");
  } else {
    line("levels", std::to_string(codec.levels), "with b bits a number, 2^(b-1) - 1; `bits = b` says the same");
  }
  line("step", toml_float(double{codec.step}), "of the schemes with one absolute step; 0 = found from bits");
  line("bucket", std::to_string(codec.bucket), "numbers that share one norm, in the schemes with norms");
  line("exact_coordinates_max", std::to_string(codec.exact_coordinates_max),
       "tensors up to this size are sent exactly, unless one step serves all");
  line("rotate", codec.rotate ? "true" : "false", "two rounds of the randomized Hadamard transform first");
  line("error_feedback", codec.error_feedback ? "true" : "false", "a device makes up later for what compression loses");
  line("keep", toml_float(double{codec.keep}), "share of the numbers that are sent, drawn from the seed");
  line("coder", host::toml_quoted(plan::coder_name(codec.coder)), "auto = whichever makes the update shortest");
  return text;
}

}  // namespace runnel::coordinator
