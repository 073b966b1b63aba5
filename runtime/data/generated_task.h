// A made-up classification task that needs no files: six activities as a three-axis accelerometer worn by different
// people would feel them. A window is a direction of gravity, a few class-specific harmonics of the step frequency at a
// random phase, and noise. Every device has a style of its own (how the sensor is mounted, its gain, offset and drift,
// the wearer's pace and vigour, the noise) and its own mix of labels, so that the data is not identically distributed
// across devices.
//
// A window begins anywhere in almost half a step, so a class's mean signal is blurred: what tells the classes apart is
// the shape of the oscillation, and a linear classifier falls clearly behind a small network. The test set comes from
// styles that no device has. For orientation, 10 devices, FedAvg with one local epoch (learning rate 0.05, momentum
// 0.9, batch 32), after 20 rounds: softmax regression 60-73 %, 64 hidden units 75-87 %, two small convolutions 91-95 %.
//
// Values are stored as i16 counts of 1/1024 g, as such a sensor would deliver them, with the scale to match.
// Determinism: the same seed and device give the same bytes on the same machine; another C library may round
// differently.
#pragma once

#include <cstdint>

#include "runtime/data/dataset.h"
#include "runtime/data/partition.h"

namespace runnel::data {

inline constexpr uint32_t kGeneratedClasses = 6;
inline constexpr uint32_t kGeneratedChannels = 3;  // x, y, z; the model's input shape is 3 x 1 x 64
inline constexpr uint32_t kGeneratedSamples = 64;  // of one window, at 50 Hz
inline constexpr uint32_t kGeneratedInputs = kGeneratedChannels * kGeneratedSamples;
inline constexpr uint32_t kGeneratedExamplesMin = 12;
inline constexpr uint32_t kGeneratedExamplesMax = 1U << 20;

enum class GeneratedTask : uint8_t {
  kActivity,  // described above
  kReadings,  // numbers to predict: generated_readings.h
  kText,      // the next character: generated_text.h
};

struct GeneratedSpec {
  GeneratedTask task = GeneratedTask::kActivity;
  uint32_t examples = 300;  // a device's, on average over devices; each has 50 % to 150 % of it
  uint32_t test_examples = 1200;
};

// The examples of one device, of the spec's task. `labels` says how its classes are weighted: uniformly (iid), or by
// one draw of a symmetric Dirichlet(alpha). Values are multiplied by `scale` on top of the conversion to g (not those
// of the other tasks, which have no classes either). REQUIRES: iid or dirichlet.
Dataset generate_training_part(const GeneratedSpec& spec, const PartitionSpec& labels, float scale, uint32_t device,
                               uint64_t seed);

// The same for everybody: equally many of each class, dealt over people whom no device knows.
Dataset generate_test_set(const GeneratedSpec& spec, float scale);

}  // namespace runnel::data
