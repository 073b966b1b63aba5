#include "runtime/rate/rate_rule.h"

#include <algorithm>
#include <cmath>

#include "runtime/codec/update_codec.h"
#include "runtime/rate/dq_schedule.h"
#include "runtime/rate/rate_curve.h"
#include "runtime/rate/run_forecast.h"

namespace runnel::rate {
namespace {

using plan::CodecId;
using plan::CodecSpec;
using plan::RateMode;

constexpr double kStepMin = 1e-30;
constexpr double kStepMax = 1e30;
constexpr double kEdenBitsMin = 0.1;
constexpr double kEdenBitsMax = 4.0;

bool is_exponential(CodecId id) {
  return id == CodecId::kNuqsgd || id == CodecId::kNuqsgdInf;
}

uint32_t levels_max(CodecId id) {
  return is_exponential(id) ? 30 : 32767;
}

double bits_max(CodecId id) {
  return is_exponential(id) ? 6.0 : 16.0;
}

// Real-valued uniform levels as the codec's: exponential ones are one fewer, as in plan::set_bits.
uint32_t whole_levels(CodecId id, double levels) {
  const double whole = std::ceil(levels) - (is_exponential(id) ? 1.0 : 0.0);
  return static_cast<uint32_t>(std::clamp(whole, 1.0, static_cast<double>(levels_max(id))));
}

// What comes out of a dithered step has the noise of the step even where the update is silent, step^2 / 12 a
// coordinate. So many times the update's root mean square is a step at most that a number of bytes asks for: what is
// coarser saves next to nothing.
constexpr double kNoisyStepOfBytes = 32.0;
// The residual of error feedback shrinks only while the noise is less than what is compressed (here half its energy);
// else it grows from round to round, whatever is trained.
constexpr double kNoisyStepWithFeedback = 2.4;

float step_within(const Subject& subject, double bytes_max) {
  return codec::step_for_bytes(subject.plan.codec, subject.values, subject.seed, std::max(0.0, bytes_max),
                               subject.scratch);
}

double fixed_step(const Subject& subject) {
  const CodecSpec& spec = subject.plan.codec;
  if (spec.step != 0.0F) return static_cast<double>(spec.step);
  return static_cast<double>(step_within(subject, static_cast<double>(spec.bits) * subject.count() / 8.0));
}

// sum c_t ||g_t||^2 over the run, times what error_share makes of it.
double granted_error(const Subject& subject, const RunForecast& run) {
  double sum = 0.0;
  for (const RunForecast::Station& station : run.stations()) {
    sum += station.rounds * std::exp(station.log_weight) * station.norm * station.norm;
  }
  const auto share = static_cast<double>(subject.plan.rate.error_share);
  return share / (1.0 - share) * sum;
}

double error_step(const Subject& subject) {
  const RunForecast run(subject.plan, subject.history, subject.norm, true);
  const auto k = static_cast<double>(subject.plan.rate.k);
  const double step_end =
      k > 0.0 ? 1.0 / k : step_end_for_error(subject.plan.rounds, subject.values.size(), granted_error(subject, run));
  return step(step_end, run.present().log_weight);
}

double bytes_left(const Subject& subject) {
  return static_cast<double>(subject.plan.rate.budget_bytes) - static_cast<double>(subject.history.bytes_spent);
}

// Delta_end by bisection, so that the present update and the forecasts of those to come take what is left.
double budget_step(const Subject& subject) {
  const double scale = quantized_scale(subject.plan.codec, subject.norm, subject.values.size());
  RateCurve curve(subject.plan.codec, subject.values, subject.seed, scale, subject.scratch);
  if (subject.rounds_left() == 1) {
    const double all = static_cast<double>(step_within(subject, bytes_left(subject) - subject.overhead_bytes));
    return std::min(all, curve.coarsest());
  }
  const RunForecast run(subject.plan, subject.history, subject.norm, false);
  const double left = bytes_left(subject) - subject.overhead_bytes * subject.rounds_left();
  double low = std::log(curve.finest());
  double high = std::log(curve.coarsest());
  for (int halving = 0; halving < 40; ++halving) {
    const double middle = 0.5 * (low + high);
    double sum = 0.0;
    for (const RunForecast::Station& station : run.stations()) {
      // Relative to the present one: a smaller update at the same step is this one at a coarser step.
      const double log_step = middle + 0.5 * (run.present().log_weight - station.log_weight);
      sum += station.rounds * curve.bytes_at(std::exp(log_step) * subject.norm / station.norm);
    }
    (sum > left ? low : high) = middle;
  }
  return std::exp(high);
}

double kimad_bytes(const Subject& subject) {
  return subject.limits.round_bytes - subject.limits.overhead_bytes - subject.overhead_bytes;
}

// ||g_b||^2 times the coordinates of a bucket, summed over the buckets, over ||g||^2: the `d` of q = d ||g||^2 / (4
// s^2) where each bucket has its own norm. With L2 norms it is the bucket's coordinates.
double effective_coordinates(const Subject& subject) {
  const CodecSpec& spec = subject.plan.codec;
  const bool largest = spec.codec == CodecId::kQsgdInf || spec.codec == CodecId::kNuqsgdInf;
  double sum = 0.0;
  for (const plan::TensorInfo& info : subject.layout.tensors) {
    const std::span<const float> tensor = subject.values.subspan(info.offset, info.count);
    for (size_t first = 0; first < tensor.size(); first += spec.bucket) {
      const std::span<const float> bucket = tensor.subspan(first, std::min<size_t>(spec.bucket, tensor.size() - first));
      double squares = 0.0;
      double most = 0.0;
      for (const float value : bucket) {
        squares += double{value} * double{value};
        most = std::max(most, std::abs(double{value}));
      }
      sum += static_cast<double>(bucket.size()) * (largest ? most * most : squares);
    }
  }
  return std::max(1.0, sum / (subject.norm * subject.norm));
}

double error_levels(const Subject& subject) {
  const RunForecast run(subject.plan, subject.history, subject.norm, true);
  auto k = static_cast<double>(subject.plan.rate.k);
  if (k == 0.0) {
    const auto coordinates = static_cast<uint64_t>(effective_coordinates(subject));
    k = k_for_error(subject.plan.rounds, coordinates, granted_error(subject, run));
  }
  return levels(k, run.present().log_weight, subject.norm);
}

// The same as dq_schedule.h's k_for_bits, over the stations of a long run.
double budget_levels(const Subject& subject) {
  const CodecSpec& spec = subject.plan.codec;
  const RunForecast run(subject.plan, subject.history, subject.norm, false);
  const double norm_bits = 32.0 / spec.bucket;
  const double bits_a_round = 8.0 * even_share_bytes(subject) / subject.count() - norm_bits;
  const double total = bits_a_round * subject.rounds_left();
  double low = -300.0;
  double high = 300.0;
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = 0.5 * (low + high);
    double sum = 0.0;
    for (const RunForecast::Station& station : run.stations()) {
      const double s = levels(std::exp(middle), station.log_weight, station.norm);
      sum += station.rounds * std::clamp(bits(s), 2.0, bits_max(spec.codec));
    }
    (sum > total ? high : low) = middle;
  }
  return levels(std::exp(low), run.present().log_weight, subject.norm);
}

double feddq_levels(const Subject& subject) {
  const double ratio = subject.range / static_cast<double>(subject.plan.rate.resolution);
  const double width = ratio > 1.0 ? std::ceil(std::log2(ratio)) : 0.0;
  return std::exp2(std::clamp(width, 2.0, bits_max(subject.plan.codec.codec)) - 1.0) - 1.0;
}

double rival_levels(const Subject& subject) {
  const double levels = std::round(subject.plan.codec.levels * static_cast<double>(subject.plan.rate.weight_ratio));
  return std::max(1.0, levels);
}

// Kimad has looked at the link already.
double time_factor(const Subject& subject) {
  if (!subject.plan.rate.save_time || subject.plan.rate.mode == RateMode::kKimad) return 1.0;
  // What a budget leaves for its last round has no later round to be made up in.
  if (subject.plan.rate.mode == RateMode::kBudget && subject.rounds_left() == 1) return 1.0;
  return bandwidth_factor(subject.limits.goodput.bytes_per_second, subject.limits.bandwidth_mean);
}

double step_of_mode(const Subject& subject) {
  const plan::RateSpec& rate = subject.plan.rate;
  switch (rate.mode) {
    case RateMode::kFixed:
      break;
    case RateMode::kError:
      if (subject.norm > 0.0 || rate.k > 0.0F) return error_step(subject);
      break;
    case RateMode::kBudget:
      // With error feedback the norm is also what earlier steps left: a schedule after it would chase its own residual.
      if (subject.norm > 0.0 && subject.plan.codec.error_feedback)
        return static_cast<double>(step_within(subject, even_share_bytes(subject)));
      if (subject.norm > 0.0) return budget_step(subject);
      break;
    case RateMode::kFeddq:
      return static_cast<double>(rate.resolution);
    case RateMode::kAdaquantfl:
    case RateMode::kDadaquant:
      if (subject.norm > 0.0) return subject.norm / rival_levels(subject);
      break;
    case RateMode::kKimad:
      if (std::isfinite(subject.limits.round_bytes)) {
        return static_cast<double>(step_within(subject, kimad_bytes(subject)));
      }
      break;
  }
  return fixed_step(subject);
}

double levels_of_mode(const Subject& subject) {
  if (subject.norm > 0.0) {
    switch (subject.plan.rate.mode) {
      case RateMode::kError:
        return error_levels(subject);
      case RateMode::kBudget:
        return budget_levels(subject);
      case RateMode::kFeddq:
        return feddq_levels(subject);
      case RateMode::kAdaquantfl:
      case RateMode::kDadaquant:
        return rival_levels(subject);
      case RateMode::kFixed:
      case RateMode::kKimad:
        break;
    }
  }
  return subject.plan.codec.levels;
}

// The modes whose levels are counted as the codec counts them.
bool counts_as_codec(RateMode mode) {
  return mode == RateMode::kFixed || mode == RateMode::kKimad || mode == RateMode::kAdaquantfl ||
         mode == RateMode::kDadaquant;
}

}  // namespace

double even_share_bytes(const Subject& subject) {
  return bytes_left(subject) / subject.rounds_left() - subject.overhead_bytes;
}

Result<double> payload_bytes(const Subject& subject, const CodecSpec& spec) {
  if (plan::has_step(spec.codec)) {
    return codec::predict_bytes(spec, subject.values, subject.seed, subject.scratch);
  }
  codec::EncodedTensors tensors;
  const Result<size_t> bytes = codec::encode_update(spec, subject.layout, subject.values, subject.seed, subject.output,
                                                    tensors, subject.scratch);
  if (!bytes.ok()) return bytes.failure();
  return static_cast<double>(*bytes);
}

Result<CodecSpec> finest_within(const Subject& subject, CodecSpec spec, double bytes_max) {
  // By bisection over whole levels, or over 32 widths of eden, each a little wider than the last.
  constexpr uint32_t kWidths = 32;
  const bool eden = spec.codec == CodecId::kEden;
  if (!eden && !plan::has_levels(spec.codec)) return spec;
  const double growth = std::pow(static_cast<double>(spec.bits) / kEdenBitsMin, 1.0 / (kWidths - 1));
  const auto spec_at = [&](uint32_t number) {
    CodecSpec at = spec;
    if (eden) {
      at.bits = std::min(spec.bits, static_cast<float>(kEdenBitsMin * std::pow(growth, number - 1) * (1.0 + 1e-6)));
    } else {
      at.levels = number;
    }
    return at;
  };
  uint32_t fits = 1;
  uint32_t beyond = (eden ? kWidths : spec.levels) + 1;
  while (beyond - fits > 1) {
    const uint32_t middle = fits + (beyond - fits) / 2;
    const Result<double> bytes = payload_bytes(subject, spec_at(middle));
    if (!bytes.ok()) return bytes.failure();
    (*bytes <= bytes_max ? fits : beyond) = middle;
  }
  return spec_at(fits);
}

double noisy_step_max(const Subject& subject, double ratio) {
  if (subject.norm == 0.0 || subject.plan.codec.codec == CodecId::kDeadzone) return kStepMax;
  const double rms = subject.norm / std::sqrt(subject.count());
  return rms * (subject.plan.codec.error_feedback ? std::min(ratio, kNoisyStepWithFeedback) : ratio);
}

double rule_step(const Subject& subject) {
  double step = step_of_mode(subject) * time_factor(subject);
  const RateMode mode = subject.plan.rate.mode;
  if (mode == RateMode::kBudget || mode == RateMode::kKimad)
    step = std::min(step, noisy_step_max(subject, kNoisyStepOfBytes));
  return std::clamp(step, kStepMin, kStepMax);
}

Result<CodecSpec> rule_spec(const Subject& subject, double& levels) {
  CodecSpec spec = subject.plan.codec;
  const plan::RateSpec& rate = subject.plan.rate;
  const bool last_of_budget = rate.mode == RateMode::kBudget && subject.rounds_left() == 1;
  const bool eden = spec.codec == CodecId::kEden;
  levels = 0.0;
  if (eden && rate.mode == RateMode::kBudget && subject.count() > 0.0) {
    const double bits = 8.0 * even_share_bytes(subject) / subject.count();
    spec.bits = static_cast<float>(std::clamp(bits, kEdenBitsMin + 1e-6, kEdenBitsMax));
  }
  if (plan::has_levels(spec.codec)) {
    levels = levels_of_mode(subject) / time_factor(subject);
    spec.levels = counts_as_codec(rate.mode)
                      ? static_cast<uint32_t>(std::clamp(std::round(levels), 1.0, 1.0 * levels_max(spec.codec)))
                      : whole_levels(spec.codec, levels);
  }
  // The largest that fit into what the link, or the budget, grants.
  const bool kimad = rate.mode == RateMode::kKimad && std::isfinite(subject.limits.round_bytes);
  if (kimad || last_of_budget) {
    if (plan::has_levels(spec.codec)) spec.levels = levels_max(spec.codec);
    if (eden) spec.bits = static_cast<float>(kEdenBitsMax);
    Result<CodecSpec> finest = finest_within(subject, spec, kimad ? kimad_bytes(subject) : even_share_bytes(subject));
    if (finest.ok() && plan::has_levels(spec.codec)) levels = finest->levels;
    return finest;
  }
  return spec;
}

}  // namespace runnel::rate
