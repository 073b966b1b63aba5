#include "runtime/data/generated_task.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "runtime/base/rng.h"
#include "runtime/data/generated_readings.h"
#include "runtime/data/generated_text.h"

namespace runnel::data {
namespace {

constexpr double kSamplesPerSecond = 50.0;
constexpr double kCountsPerG = 1024.0;
constexpr uint32_t kHarmonics = 3;
constexpr uint32_t kTestPeople = 40;
constexpr double kPhaseSpread =
    0.42;  // of a step, in which a window may begin: wide enough to blur a class's mean signal

// Independent streams from one seed.
enum class Draw : uint64_t { kStyle = 0x67656E740001, kExamples, kTestStyle, kTestExamples };
constexpr uint64_t kTestSeed = 0x74657374;

using Vector = std::array<double, kGeneratedChannels>;

constexpr double radians(double degrees) {
  return degrees * std::numbers::pi / 180.0;
}

// In the wearer's frame: x forward, y left, z up.
struct Activity {
  double step_hz;
  double pitch_deg;  // how the sensor's carrier leans forward, on average
  double roll_deg;   // and to the left
  double amplitude_g[kGeneratedChannels][kHarmonics];
  double phase[kGeneratedChannels][kHarmonics];  // of each harmonic against the step, in turns
};

// Neighbours share pace and strength and differ in the mix and timing of harmonics.
constexpr Activity kActivities[kGeneratedClasses] = {
    // standing: a slow sway
    {.step_hz = 0.9,
     .pitch_deg = 4,
     .roll_deg = 2,
     .amplitude_g = {{0.051, 0.025, 0.017}, {0.051, 0.017, 0.017}, {0.017, 0.017, 0.009}},
     .phase = {{0.00, 0.20, 0.10}, {0.30, 0.10, 0.00}, {0.10, 0.40, 0.20}}},
    // walking: bounce at the second harmonic
    {.step_hz = 1.9,
     .pitch_deg = 8,
     .roll_deg = 0,
     .amplitude_g = {{0.272, 0.153, 0.051}, {0.187, 0.068, 0.068}, {0.204, 0.391, 0.085}},
     .phase = {{0.00, 0.25, 0.10}, {0.25, 0.00, 0.40}, {0.10, 0.00, 0.30}}},
    // stairs up: slower, leaning, mostly the first harmonic
    {.step_hz = 1.6,
     .pitch_deg = 16,
     .roll_deg = 0,
     .amplitude_g = {{0.357, 0.102, 0.068}, {0.170, 0.085, 0.034}, {0.408, 0.153, 0.102}},
     .phase = {{0.10, 0.40, 0.00}, {0.30, 0.10, 0.20}, {0.00, 0.35, 0.15}}},
    // stairs down: sharp landings, so high harmonics
    {.step_hz = 1.9,
     .pitch_deg = 2,
     .roll_deg = 0,
     .amplitude_g = {{0.204, 0.187, 0.204}, {0.170, 0.102, 0.136}, {0.238, 0.238, 0.340}},
     .phase = {{0.00, 0.05, 0.10}, {0.20, 0.35, 0.10}, {0.00, 0.05, 0.10}}},
    // running: like walking, faster and stronger
    {.step_hz = 2.6,
     .pitch_deg = 12,
     .roll_deg = 0,
     .amplitude_g = {{0.442, 0.238, 0.102}, {0.306, 0.136, 0.085}, {0.425, 0.714, 0.187}},
     .phase = {{0.05, 0.30, 0.10}, {0.25, 0.05, 0.40}, {0.15, 0.00, 0.25}}},
    // cycling: round in the forward plane, a quarter turn between forward and up
    {.step_hz = 1.4,
     .pitch_deg = 22,
     .roll_deg = 0,
     .amplitude_g = {{0.391, 0.051, 0.034}, {0.102, 0.051, 0.051}, {0.323, 0.051, 0.051}},
     .phase = {{0.00, 0.10, 0.30}, {0.15, 0.20, 0.10}, {0.25, 0.30, 0.00}}},
};

struct Style {
  std::array<Vector, kGeneratedChannels> mounting;  // rows of a rotation matrix
  Vector gain;
  Vector offset_g;
  Vector drift_g;  // over one window
  double tempo;    // factor on the step frequency
  double vigour;   // factor on amplitudes
  double noise_g;
  double lean_deg;  // added to the pitch
};

double between(Rng& rng, double low, double high) {
  return low + (high - low) * rng.uniform();
}

// A rotation by `angle` about `axis` (Rodrigues' formula).
std::array<Vector, kGeneratedChannels> rotation(Vector axis, double angle) {
  const double length = std::sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]) + 1e-12;
  for (double& part : axis) part /= length;
  const double c = std::cos(angle);
  const double s = std::sin(angle);
  std::array<Vector, kGeneratedChannels> matrix{};
  for (size_t i = 0; i < kGeneratedChannels; ++i) {
    for (size_t j = 0; j < kGeneratedChannels; ++j) matrix[i][j] = (1.0 - c) * axis[i] * axis[j] + (i == j ? c : 0.0);
    const size_t next = (i + 1) % kGeneratedChannels;
    const size_t last = (i + 2) % kGeneratedChannels;
    matrix[i][next] -= s * axis[last];
    matrix[i][last] += s * axis[next];
  }
  return matrix;
}

Style draw_style(Rng rng) {
  Style style{};
  const Vector axis = {rng.normal(), rng.normal(), rng.normal()};
  style.mounting = rotation(axis, radians(12.0 * rng.normal()));
  for (double& gain : style.gain) gain = between(rng, 0.9, 1.1);
  for (double& offset : style.offset_g) offset = 0.06 * rng.normal();
  for (double& drift : style.drift_g) drift = 0.03 * rng.normal();
  style.tempo = between(rng, 0.87, 1.15);
  style.vigour = between(rng, 0.8, 1.25);
  style.noise_g = between(rng, 0.03, 0.08);
  style.lean_deg = 6.0 * rng.normal();
  return style;
}

class Recorder {
 public:
  Recorder(uint32_t examples, float scale)
      : data_(ElementType::kI16, kGeneratedInputs, kGeneratedClasses, scale / static_cast<float>(kCountsPerG)) {
    data_.reserve(examples);
  }

  // One window: what the wearer does, turned into the sensor's frame, distorted, and rounded to counts.
  void record(uint32_t label, const Style& style, Rng& rng) {
    const Activity& activity = kActivities[label];
    const double pitch = radians(activity.pitch_deg + style.lean_deg + 5.0 * rng.normal());
    const double roll = radians(activity.roll_deg + 5.0 * rng.normal());
    const Vector gravity = {-std::sin(pitch), std::cos(pitch) * std::sin(roll), std::cos(pitch) * std::cos(roll)};
    const double turns_a_sample = activity.step_hz * style.tempo * (1.0 + 0.05 * rng.normal()) / kSamplesPerSecond;
    const double phase = kPhaseSpread * rng.uniform();
    // A harmonic a * cos(n * step + phase) is kept as its parts along cos(n * step) and sin(n * step).
    double cosine_part[kGeneratedChannels][kHarmonics];
    double sine_part[kGeneratedChannels][kHarmonics];
    for (uint32_t channel = 0; channel < kGeneratedChannels; ++channel) {
      for (uint32_t n = 0; n < kHarmonics; ++n) {
        const double amplitude = activity.amplitude_g[channel][n] * style.vigour * (1.0 + 0.2 * rng.normal());
        cosine_part[channel][n] = amplitude * std::cos(radians(360.0 * activity.phase[channel][n]));
        sine_part[channel][n] = -amplitude * std::sin(radians(360.0 * activity.phase[channel][n]));
      }
    }

    for (uint32_t sample = 0; sample < kGeneratedSamples; ++sample) {
      const double step = radians(360.0 * (phase + turns_a_sample * sample));
      const double step_cosine = std::cos(step);
      const double step_sine = std::sin(step);
      double cosine = 1.0;
      double sine = 0.0;
      Vector worn = gravity;
      for (uint32_t n = 0; n < kHarmonics; ++n) {
        const double turned = cosine * step_cosine - sine * step_sine;
        sine = sine * step_cosine + cosine * step_sine;
        cosine = turned;
        for (uint32_t channel = 0; channel < kGeneratedChannels; ++channel) {
          worn[channel] += cosine_part[channel][n] * cosine + sine_part[channel][n] * sine;
        }
      }
      const double drifted = static_cast<double>(sample) / kGeneratedSamples - 0.5;
      for (uint32_t channel = 0; channel < kGeneratedChannels; ++channel) {
        double felt = 0.0;
        for (uint32_t i = 0; i < kGeneratedChannels; ++i) felt += style.mounting[channel][i] * worn[i];
        felt = style.gain[channel] * felt + style.offset_g[channel] + style.drift_g[channel] * drifted +
               style.noise_g * rng.normal();
        const double counts = std::clamp(std::round(felt * kCountsPerG), -32768.0, 32767.0);
        window_[channel * kGeneratedSamples + sample] = static_cast<int16_t>(counts);
      }
    }
    const Failure appended = data_.append({reinterpret_cast<const uint8_t*>(window_.data()), sizeof window_}, label);
    RUNNEL_ASSERT(appended.ok());
  }

  Dataset take() { return std::move(data_); }

 private:
  Dataset data_;
  std::array<int16_t, kGeneratedInputs> window_{};
};

// The weight of each class, summing to 1.
std::array<double, kGeneratedClasses> draw_label_weights(const PartitionSpec& labels, Rng& rng) {
  RUNNEL_ASSERT(labels.kind == PartitionKind::kIid || labels.kind == PartitionKind::kDirichlet);
  std::array<double, kGeneratedClasses> weights{};
  double sum = 0.0;
  if (labels.kind == PartitionKind::kDirichlet) {
    for (double& weight : weights) sum += weight = rng.gamma(labels.alpha);
  }
  for (double& weight : weights) weight = sum > 0.0 ? weight / sum : 1.0 / kGeneratedClasses;
  return weights;
}

uint32_t draw_label(const std::array<double, kGeneratedClasses>& weights, Rng& rng) {
  double left = rng.uniform();
  for (uint32_t label = 0; label < kGeneratedClasses; ++label) {
    left -= weights[label];
    if (left < 0.0) return label;
  }
  // Rounding ate the last weight: any class that can occur at all.
  return static_cast<uint32_t>(std::max_element(weights.begin(), weights.end()) - weights.begin());
}

}  // namespace

Dataset generate_training_part(const GeneratedSpec& spec, const PartitionSpec& labels, float scale, uint32_t device,
                               uint64_t seed) {
  if (spec.task == GeneratedTask::kReadings) return generate_readings_part(spec.examples, device, seed);
  if (spec.task == GeneratedTask::kText) return generate_text_part(spec.examples, device, seed);
  const Style style = draw_style(Rng(derive_key(seed, static_cast<uint64_t>(Draw::kStyle), device)));
  Rng rng(derive_key(seed, static_cast<uint64_t>(Draw::kExamples), device));
  const uint32_t fewest = spec.examples / 2;
  const auto examples = static_cast<uint32_t>(fewest + rng.below(uint64_t{spec.examples} + 1));
  const auto weights = draw_label_weights(labels, rng);
  Recorder recorder(examples, scale);
  for (uint32_t i = 0; i < examples; ++i) recorder.record(draw_label(weights, rng), style, rng);
  return recorder.take();
}

Dataset generate_test_set(const GeneratedSpec& spec, float scale) {
  if (spec.task == GeneratedTask::kReadings) return generate_readings_test_set(spec.test_examples);
  if (spec.task == GeneratedTask::kText) return generate_text_test_set(spec.test_examples);
  std::array<Style, kTestPeople> people;
  for (uint32_t i = 0; i < kTestPeople; ++i) {
    people[i] = draw_style(Rng(derive_key(kTestSeed, static_cast<uint64_t>(Draw::kTestStyle), i)));
  }
  Rng rng(derive_key(kTestSeed, static_cast<uint64_t>(Draw::kTestExamples)));
  Recorder recorder(spec.test_examples, scale);
  for (uint32_t i = 0; i < spec.test_examples; ++i) {
    recorder.record(i % kGeneratedClasses, people[i / kGeneratedClasses % kTestPeople], rng);
  }
  return recorder.take();
}

}  // namespace runnel::data
