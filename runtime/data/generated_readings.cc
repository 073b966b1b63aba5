#include "runtime/data/generated_readings.h"

#include <array>
#include <cmath>

#include "runtime/base/rng.h"

namespace runnel::data {
namespace {

enum class Draw : uint64_t { kParts = 0x726561640001, kWeather };
constexpr uint64_t kTestSeed = 0x72656164;
constexpr uint32_t kTestDevices = 12;
constexpr uint32_t kSensors = 4;

// Of the kind of sensor, the same everywhere: how it answers to either gas, and to temperature and humidity.
struct Kind {
  double first;
  double second;
  double temperature;
  double humidity;
  double bend;
};
constexpr std::array<Kind, kSensors> kKinds = {
    {{1.2, 0.2, 0.3, -0.1, 0.7}, {0.3, 1.1, -0.2, 0.3, 0.9}, {0.8, -0.7, 0.4, 0.2, 0.5}, {-0.2, 0.9, 0.5, -0.4, 1.1}}};

struct Parts {
  std::array<double, kSensors> gain;
  std::array<double, kSensors> offset;
  double noise;
  double climate;
};

Parts draw_parts(Rng rng) {
  Parts parts{};
  for (double& gain : parts.gain) gain = std::exp(0.15 * rng.normal());
  for (double& offset : parts.offset) offset = 0.15 * rng.normal();
  parts.noise = 0.03 + 0.07 * rng.uniform();
  parts.climate = rng.normal();
  return parts;
}

void measure(const Parts& parts, Rng& rng, Dataset& data) {
  const double temperature = 0.7 * parts.climate + 0.7 * rng.normal();
  const double humidity = rng.normal() - 0.4 * temperature;
  const std::array<double, kReadingsTargets> gases = {rng.normal(), rng.normal()};
  std::array<float, kReadingsInputs> input{};
  for (uint32_t i = 0; i < kSensors; ++i) {
    const Kind& kind = kKinds[i];
    const double answer =
        kind.first * gases[0] + kind.second * gases[1] + kind.temperature * temperature + kind.humidity * humidity;
    const double bent = answer + kind.bend * std::tanh(answer) * (1.0 + 0.3 * temperature);
    input[i] = static_cast<float>(0.6 * parts.gain[i] * bent + parts.offset[i] + parts.noise * rng.normal());
  }
  input[kSensors] = static_cast<float>(temperature + 0.1 * rng.normal());
  input[kSensors + 1] = static_cast<float>(humidity + 0.1 * rng.normal());
  const std::array<float, kReadingsTargets> target = {static_cast<float>(gases[0]), static_cast<float>(gases[1])};
  RUNNEL_ASSERT(data.append({reinterpret_cast<const uint8_t*>(input.data()), sizeof input}, target).ok());
}

Dataset empty_set(uint32_t examples) {
  Dataset data(ElementType::kF32, kReadingsInputs, 0, 1.0F, kReadingsTargets);
  data.reserve(examples);
  return data;
}

}  // namespace

Dataset generate_readings_part(uint32_t examples, uint32_t device, uint64_t seed) {
  const Parts parts = draw_parts(Rng(derive_key(seed, static_cast<uint64_t>(Draw::kParts), device)));
  Rng rng(derive_key(seed, static_cast<uint64_t>(Draw::kWeather), device));
  const auto count = static_cast<uint32_t>(examples / 2 + rng.below(uint64_t{examples} + 1));
  Dataset data = empty_set(count);
  for (uint32_t i = 0; i < count; ++i) measure(parts, rng, data);
  return data;
}

Dataset generate_readings_test_set(uint32_t examples) {
  std::array<Parts, kTestDevices> devices{};
  for (uint32_t i = 0; i < kTestDevices; ++i)
    devices[i] = draw_parts(Rng(derive_key(kTestSeed, static_cast<uint64_t>(Draw::kParts), i)));
  Rng rng(derive_key(kTestSeed, static_cast<uint64_t>(Draw::kWeather)));
  Dataset data = empty_set(examples);
  for (uint32_t i = 0; i < examples; ++i) measure(devices[i % kTestDevices], rng, data);
  return data;
}

}  // namespace runnel::data
