#include "bench/rate_settings.h"

#include <cmath>
#include <stdexcept>

namespace runnel::bench {
namespace {

using coordinator::FleetPlan;
using plan::CodecId;
using plan::RateMode;
using Apply = std::function<void(FleetPlan&, uint32_t)>;

void use_codec(FleetPlan& plan, CodecId codec, double bits) {
  plan.codec.codec = codec;
  if (bits > 0.0) {
    if (const Failure bad = plan::set_bits(plan.codec, bits); !bad.ok()) throw std::runtime_error(bad.text());
  }
  // Trellis-coded values are unbiased only behind a rotation; what a dead zone loses is made up for.
  plan.codec.rotate = codec == CodecId::kTrellis;
  plan.codec.error_feedback = codec == CodecId::kDeadzone;
}

Apply fixed(CodecId codec, double bits) {
  return [=](FleetPlan& plan, uint32_t) {
    use_codec(plan, codec, bits);
    plan.rate.mode = RateMode::kFixed;
    plan.rate.deadline = false;
  };
}

constexpr uint32_t kRivalLevelsMax = 127;        // of the rules that raise the levels: 8 bits
constexpr double kMessageOverheadBytes = 250.0;  // of an Update message beyond its payload

// Rules that know of no deadline do not get ours.
Apply rival(RateMode mode, CodecId codec) {
  return [=](FleetPlan& plan, uint32_t) {
    use_codec(plan, codec, 0.0);
    if (mode == RateMode::kAdaquantfl || mode == RateMode::kDadaquant) plan.codec.levels = kRivalLevelsMax;
    plan.rate.mode = mode;
    plan.rate.deadline = false;
  };
}

Apply by_error(CodecId codec, float error_share) {
  return [=](FleetPlan& plan, uint32_t) {
    use_codec(plan, codec, 0.0);
    plan.rate.mode = RateMode::kError;
    plan.rate.error_share = error_share;
  };
}

// As many bytes in the whole run as `bits` a coordinate in each round would take.
Apply by_budget(CodecId codec, double bits) {
  return [=](FleetPlan& plan, uint32_t parameters) {
    use_codec(plan, codec, 0.0);
    plan.rate.mode = RateMode::kBudget;
    plan.rate.budget_bytes =
        static_cast<uint64_t>(std::llround((bits / 8.0 * parameters + kMessageOverheadBytes) * plan.rounds));
  };
}

std::vector<RateSetting> make_settings() {
  using Kind = SettingKind;
  return {
      {"fp32", Kind::kExact, fixed(CodecId::kFp32, 0.0)},

      {"qsgd-2", Kind::kQsgd, fixed(CodecId::kQsgd, 2.0)},
      {"qsgd-4", Kind::kQsgd, fixed(CodecId::kQsgd, 4.0)},
      {"qsgd-8", Kind::kQsgd, fixed(CodecId::kQsgd, 8.0)},
      {"eden-1", Kind::kFixed, fixed(CodecId::kEden, 1.0)},
      {"dithered-1", Kind::kFixed, fixed(CodecId::kDithered, 1.0)},
      {"deadzone-0.5", Kind::kFixed, fixed(CodecId::kDeadzone, 0.5)},
      {"deadzone-0.25", Kind::kFixed, fixed(CodecId::kDeadzone, 0.25)},

      {"feddq", Kind::kRival, rival(RateMode::kFeddq, CodecId::kQsgdInf)},
      {"adaquantfl", Kind::kRival, rival(RateMode::kAdaquantfl, CodecId::kQsgd)},
      {"dadaquant", Kind::kRival, rival(RateMode::kDadaquant, CodecId::kQsgd)},
      {"kimad", Kind::kRival, rival(RateMode::kKimad, CodecId::kDeadzone)},

      {"error-dithered", Kind::kOurs, by_error(CodecId::kDithered, 0.3F)},
      {"budget-dithered", Kind::kOurs, by_budget(CodecId::kDithered, 0.3)},
      {"budget-deadzone", Kind::kOurs, by_budget(CodecId::kDeadzone, 0.15)},
      {"budget-trellis", Kind::kOurs, by_budget(CodecId::kTrellis, 0.3)},
  };
}

}  // namespace

const char* setting_kind_name(SettingKind kind) {
  switch (kind) {
    case SettingKind::kExact:
      return "exact";
    case SettingKind::kQsgd:
      return "fixed qsgd";
    case SettingKind::kFixed:
      return "fixed";
    case SettingKind::kRival:
      return "rival";
    case SettingKind::kOurs:
      return "ours";
  }
  return "unknown";
}

const std::vector<RateSetting>& rate_settings() {
  static const std::vector<RateSetting> settings = make_settings();
  return settings;
}

coordinator::FleetPlan plan_of(const RateSetting& setting, const coordinator::FleetPlan& base, uint32_t parameters) {
  coordinator::FleetPlan plan = base;
  setting.apply(plan, parameters);
  if (const Failure bad = coordinator::check(plan); !bad.ok()) {
    throw std::runtime_error(setting.name + ": " + bad.text());
  }
  return plan;
}

}  // namespace runnel::bench
