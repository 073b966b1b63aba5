#include "coordinator/config/fleet_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/host/toml_table.h"
#include "runtime/plan/range_check.h"

namespace runnel::coordinator {
namespace {

using host::TomlTable;
using plan::count_in_range;

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
  std::string schedule = plan::schedule_name(training.schedule);
  RUNNEL_TRY(table.read("schedule", schedule));
  Result<plan::Schedule> known = schedule_from_name(schedule);
  if (!known) return table.at("schedule", known.error(), known.failure().text());
  training.schedule = *known;
  RUNNEL_TRY(table.read("learning_rate_end", training.learning_rate_end));
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

Failure read_rate(TomlTable& table, plan::RateSpec& rate, double& horizon) {
  std::string mode = plan::rate_mode_name(rate.mode);
  RUNNEL_TRY(table.read("mode", mode));
  Result<plan::RateMode> known = rate_mode_from_name(mode);
  if (!known) return table.at("mode", known.error(), known.failure().text());
  rate.mode = *known;
  RUNNEL_TRY(table.read("horizon", horizon));
  RUNNEL_TRY(table.read("error_share", rate.error_share));
  RUNNEL_TRY(table.read("budget_bytes", rate.budget_bytes));
  RUNNEL_TRY(table.read("resolution", rate.resolution));
  RUNNEL_TRY(table.read("deadline", rate.deadline));
  RUNNEL_TRY(table.read("save_time", rate.save_time));
  RUNNEL_TRY(table.read("per_layer", rate.per_layer));
  RUNNEL_TRY(table.read("step_ratio_max", rate.step_ratio_max));
  std::string late = rate.late == plan::LatePolicy::kKeep ? "keep" : "send";
  RUNNEL_TRY(table.read("late", late));
  if (late != "keep" && late != "send")
    return table.at("late", Error::kUnknownName, ("must be keep or send, not '" + late + "'").c_str());
  rate.late = late == "keep" ? plan::LatePolicy::kKeep : plan::LatePolicy::kSend;
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(rate));
}

Failure read_downlink(TomlTable& table, DownlinkSpec& downlink) {
  RUNNEL_TRY(table.read("bits", downlink.bits));
  RUNNEL_TRY(table.read("step", downlink.step));
  RUNNEL_TRY(table.read("deltas", downlink.deltas));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(downlink));
}

// The number whose name it is, of `count` that `name_of` knows.
template <typename Id>
Result<Id> from_name(std::string_view name, uint8_t count, const char* (*name_of)(Id)) {
  std::string known;
  for (uint8_t number = 0; number < count; ++number) {
    const char* each = name_of(static_cast<Id>(number));
    if (name == each) return static_cast<Id>(number);
    known += (number == 0 ? "" : number + 1 == count ? " or " : ", ") + std::string(each);
  }
  return fail(Error::kUnknownName, "must be one of %s, not '%.*s'", known.c_str(), static_cast<int>(name.size()),
              name.data());
}

}  // namespace

Result<plan::RateMode> rate_mode_from_name(std::string_view name) {
  return from_name<plan::RateMode>(name, plan::kRateModeCount, plan::rate_mode_name);
}

Result<plan::Schedule> schedule_from_name(std::string_view name) {
  return from_name<plan::Schedule>(name, plan::kScheduleCount, plan::schedule_name);
}

Result<plan::CodecId> codec_from_name(std::string_view name) {
  return from_name<plan::CodecId>(name, plan::kCodecCount, plan::codec_name);
}

Result<plan::Coder> coder_from_name(std::string_view name) {
  return from_name<plan::Coder>(name, plan::kCoderCount, plan::coder_name);
}

Failure check(const DownlinkSpec& downlink) {
  if (downlink.bits != 0.0) RUNNEL_TRY(real_in_range("bits", downlink.bits, 0.01, 16.0));
  RUNNEL_TRY(count_in_range("deltas", downlink.deltas, 1, 1000));
  if (downlink.step == 0.0F) return Error::kOk;
  RUNNEL_TRY(real_in_range("step", double{downlink.step}, 0x1p-20, 1.0));
  int exponent = 0;
  if (std::frexp(downlink.step, &exponent) == 0.5F) return Error::kOk;
  return fail(Error::kOutOfRange, "step must be a power of two, not %g", static_cast<double>(downlink.step));
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
  RUNNEL_TRY(check(plan.downlink));
  RUNNEL_TRY(check(plan.codec));
  RUNNEL_TRY(real_in_range("horizon", plan.horizon, 0.0, 20.0));
  return check(plan.rate);
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
  Result<TomlTable> rate = table->table("rate");
  if (!rate) return rate.failure();
  Result<TomlTable> downlink = table->table("downlink");
  if (!downlink) return downlink.failure();
  RUNNEL_TRY(table->refuse_unread());
  RUNNEL_TRY(read_training(*training, plan.training));
  RUNNEL_TRY(read_codec(*codec, plan.codec));
  RUNNEL_TRY(read_downlink(*downlink, plan.downlink));
  RUNNEL_TRY(read_rate(*rate, plan.rate, plan.horizon));
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
  line("schedule", host::toml_quoted(plan::schedule_name(plan.training.schedule)),
       "of the learning rate: constant, linear, cosine or exponential");
  line("learning_rate_end", toml_float(double{plan.training.learning_rate_end}),
       "in the last round, unless it is constant");

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

  text += "\n[downlink]                      # how the model goes down to devices that hold an older version\n";
  line("bits", toml_float(plan.downlink.bits), "a number of each round's delta; 0 = always the full model");
  line("step", toml_float(double{plan.downlink.step}), "a power of two instead of bits; 0 = found from bits");
  line("deltas", std::to_string(plan.downlink.deltas), "rounds a device may miss before it gets the full model");

  text += "\n[rate]                          # how fine an update is; docs/rate.md\n";
  const plan::RateSpec& rate = plan.rate;
  line("mode", host::toml_quoted(plan::rate_mode_name(rate.mode)),
       "fixed (as in [codec]), error, budget, feddq, adaquantfl, dadaquant or kimad");
  line("horizon", toml_float(plan.horizon), "an error of round 1 counts e^-horizon of one of the last round");
  line("error_share", toml_float(double{rate.error_share}),
       "error: share of the noise in the final loss that quantization may cause");
  line("budget_bytes", std::to_string(rate.budget_bytes), "budget: update bytes of one device over the whole run");
  line("resolution", toml_float(double{rate.resolution}), "feddq: the step it keeps");
  line("deadline", rate.deadline ? "true" : "false", "never more than the link carries before the round closes");
  line("late", rate.late == plan::LatePolicy::kKeep ? "\"keep\"" : "\"send\"",
       "what cannot arrive in time: keep it for the next round, or send it all the same");
  line("step_ratio_max", toml_float(double{rate.step_ratio_max}), "at most this much coarser to meet a deadline");
  line("save_time", rate.save_time ? "true" : "false", "coarser on slow links: the least time, not the fewest bytes");
  line("per_layer", rate.per_layer ? "true" : "false", "one step a tensor instead of one for all");
  return text;
}

}  // namespace runnel::coordinator
