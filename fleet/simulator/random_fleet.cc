#include "fleet/simulator/random_fleet.h"

#include <algorithm>

#include "fleet/simulator/small_task.h"
#include "runtime/base/crc32c.h"
#include "runtime/base/rng.h"

namespace runnel::fleet {
namespace {

constexpr uint64_t kPlanPart = 0x504C;
constexpr uint64_t kFaultPart = 0x4641;

class Dice {
 public:
  explicit Dice(uint64_t key) : rng_(key) {}
  bool one_in(uint64_t n) { return rng_.below(n) == 0; }
  uint32_t up_to(uint32_t most) { return static_cast<uint32_t>(rng_.below(uint64_t{most} + 1)); }
  double some(double most) { return one_in(2) ? 0.0 : most * rng_.uniform(); }
  double of(std::initializer_list<double> values) { return values.begin()[rng_.below(values.size())]; }

 private:
  Rng rng_;
};

void draw_codec(Dice& dice, coordinator::FleetPlan& plan) {
  plan::CodecSpec& codec = plan.codec;
  codec.codec = static_cast<plan::CodecId>(dice.up_to(plan::kCodecCount - 1));
  static_cast<void>(plan::set_bits(codec, dice.of({1.0, 2.0, 4.0})).ok());
  codec.bucket = 16;
  codec.exact_coordinates_max = dice.one_in(2) ? 4 : 128;
  // With dither and a coarse step what feedback carries on grows from round to round.
  const bool feeds_back = codec.codec != plan::CodecId::kFp32 && codec.codec != plan::CodecId::kDithered;
  codec.error_feedback = feeds_back && dice.one_in(3);
  codec.rotate = dice.one_in(4);
  plan.downlink.bits = dice.of({0.0, 1.0, 2.0});
  plan.downlink.deltas = dice.one_in(3) ? 2 : 32;
}

void draw_rate(Dice& dice, coordinator::FleetPlan& plan) {
  plan.rate.deadline = dice.one_in(2);
  plan.rate.late = dice.one_in(2) ? plan::LatePolicy::kKeep : plan::LatePolicy::kSend;
  if (dice.one_in(2)) return;
  plan.rate.mode = static_cast<plan::RateMode>(dice.up_to(plan::kRateModeCount - 1));
  plan.rate.budget_bytes = plan.rate.mode == plan::RateMode::kBudget ? 400 + dice.up_to(4000) : 0;
  plan.rate.per_layer = dice.one_in(5);
}

void draw_rounds(Dice& dice, uint32_t devices, coordinator::FleetPlan& plan) {
  plan.rounds = 3 + dice.up_to(4);
  plan.min_devices = 1 + dice.up_to(devices - 1);
  plan.cohort = dice.one_in(2) ? 0 : 1 + dice.up_to(devices - 1);
  plan.over_selection = dice.one_in(3) ? 0.5 : 0.0;
  plan.quorum = 1 + dice.up_to((plan.cohort == 0 ? devices : plan.cohort) - 1) / 2;
  plan.deadline_seconds = dice.of({8.0, 20.0, 60.0, 600.0});
  plan.training.batch_size = 8;
  // Not to run away: what no update may hold is refused, and rounds would wait for ever.
  plan.training.learning_rate = 0.02F;
  plan.training.momentum = 0.5F;
  plan.training.local_epochs = 1 + dice.up_to(1);
  coordinator::PolicySpec& policy = plan.policy;
  policy.staleness_max = dice.one_in(2) ? 0 : 1 + dice.up_to(4);
  policy.staleness_exponent = dice.of({0.0, 0.5, 1.0});
  if (dice.one_in(2)) {
    policy.grace_seconds = dice.of({0.0, 3.0});
  } else {
    policy.policy = plan::RoundPolicy::kBuffered;
    policy.buffer = 1 + dice.up_to(devices);
    policy.offline_updates = dice.up_to(3);
    plan.quorum = std::min(plan.quorum, policy.buffer);
  }
  plan.pace.come_back = dice.one_in(4);
  plan.pace.come_back_seconds = dice.of({1.0, 30.0});
  plan.pace.ping_seconds = dice.one_in(2) ? 20 : 300;
}

void draw_server(Dice& dice, coordinator::FleetPlan& plan) {
  if (dice.one_in(2)) plan.aggregation.clip_norm = dice.of({0.0, 0.2});
  if (dice.one_in(3)) {
    plan.aggregation.method =
        static_cast<coordinator::AggregationMethod>(dice.up_to(coordinator::kAggregationMethodCount - 1));
    plan.aggregation.byzantine = 0;
  }
  if (dice.one_in(2)) {
    plan.server.optimizer =
        static_cast<coordinator::ServerOptimizer>(dice.up_to(coordinator::kServerOptimizerCount - 1));
    const bool adaptive = plan.server.optimizer != coordinator::ServerOptimizer::kAvg &&
                          plan.server.optimizer != coordinator::ServerOptimizer::kMomentum;
    plan.server.learning_rate = adaptive ? dice.of({0.003, 0.01}) : dice.of({0.5, 1.0});
    plan.server.nesterov = plan.server.optimizer == coordinator::ServerOptimizer::kMomentum && dice.one_in(2);
  }
}

// Only where the plan allows them; drawn last, so that seeds keep the rest of their plans.
void draw_control_variates(Dice& dice, coordinator::FleetPlan& plan) {
  if (!dice.one_in(2)) return;
  coordinator::FleetPlan with = plan;
  with.training.local_steps = 3 + dice.up_to(5);
  with.training.scaffold_share = static_cast<float>(dice.of({0.5, 1.0}));
  if (coordinator::check(with).ok()) plan = with;
}

FaultModel draw_faults(Dice& dice) {
  FaultModel faults = every_fault();
  if (dice.one_in(6)) return faults;
  faults.latency_max = faults.latency_min + milliseconds(dice.up_to(2000));
  faults.bytes_per_second = 200.0 + dice.some(20'000.0);
  faults.frames_lost = dice.one_in(2) ? 0.0 : dice.some(0.05);
  faults.frames_repeated = dice.some(0.05);
  faults.frames_delayed = dice.some(0.05);
  faults.cuts_per_minute = dice.some(20.0);
  faults.partitions_per_minute = dice.some(0.5);
  faults.device_crashes_per_minute = dice.some(4.0);
  faults.device_crash_per_step = dice.some(0.01);
  faults.coordinator_crashes_per_minute = dice.some(3.0);
  faults.coordinator_crash_per_step = dice.some(0.005);
  faults.disk_full_per_minute = dice.some(2.0);
  faults.clock_jumps_per_minute = dice.some(2.0);
  faults.gates_per_minute = dice.some(1.0);
  faults.hostile_frames_per_minute = dice.some(3.0);
  return faults;
}

coordinator::FleetPlan draw_plan(uint64_t seed, uint32_t devices) {
  // What does not go together is drawn anew.
  for (uint64_t attempt = 0;; ++attempt) {
    Dice dice(derive_key(seed, kPlanPart, attempt));
    coordinator::FleetPlan plan;
    plan.seed = seed >> 1;
    draw_codec(dice, plan);
    draw_rate(dice, plan);
    draw_rounds(dice, devices, plan);
    draw_server(dice, plan);
    draw_control_variates(dice, plan);
    if (coordinator::check(plan).ok()) return plan;
  }
}

}  // namespace

RandomFleet::RandomFleet(uint64_t seed) {
  Dice dice(derive_key(seed, kFaultPart));
  const uint32_t devices = 3 + dice.up_to(3);
  points = clustered_points(devices);
  options.seed = seed;
  options.model = tiny_mlp();
  for (const auto& part : points) options.examples.push_back(part.get());
  options.plan = draw_plan(seed, devices);
  options.faults = draw_faults(dice);
  options.keep_models = !dice.one_in(4);
  options.uploads_bytes_max = dice.one_in(4) ? 4096 : 256U << 20;
  if (dice.one_in(3)) options.chunk_bytes = options.window_bytes = 64;
}

std::string describe(const SimulationOptions& options) {
  const coordinator::FleetPlan& plan = options.plan;
  std::string text = std::to_string(options.examples.size()) + " devices, " + std::to_string(plan.rounds) +
                     " rounds, " + plan::round_policy_name(plan.policy.policy) + " (staleness_max " +
                     std::to_string(plan.policy.staleness_max) + "), " + plan::codec_name(plan.codec.codec) +
                     (plan.codec.error_feedback ? " with error feedback" : "") +
                     (plan.training.scaffold_share > 0.0F ? " and control variates" : "") + ", rate " +
                     plan::rate_mode_name(plan.rate.mode) + (plan.rate.deadline ? " with deadline" : "") + ", " +
                     coordinator::aggregation_method_name(plan.aggregation.method) + ", " +
                     coordinator::server_optimizer_name(plan.server.optimizer);
  if (plan.policy.offline_updates != 0) text += ", " + std::to_string(plan.policy.offline_updates) + " offline updates";
  if (plan.pace.come_back) text += ", come_back";
  return text;
}

uint64_t fingerprint(const SimulationReport& report) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(report.model.data());
  uint64_t key = crc32c({bytes, report.model.size() * sizeof(float)});
  for (const uint64_t part : {static_cast<uint64_t>(report.elapsed.count()), uint64_t{report.rounds},
                              report.updates_counted, report.updates_acknowledged, report.cuts, report.device_crashes,
                              report.coordinator_crashes, report.uplink_bytes, report.downlink_bytes}) {
    key = derive_key(key, part);
  }
  return key;
}

}  // namespace runnel::fleet
