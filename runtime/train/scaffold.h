// SCAFFOLD's control variates on the device (Karimireddy et al. 2020): what keeps the local steps of devices with
// unlike data from drifting apart. Every gradient is corrected by c_global - c_local; afterwards the device's own
// control variate becomes the gradient that its steps have followed on average, and what it changed by goes to the
// others.
//
// Memory: none of its own; control variates are as long as the layout's shared part, and zero before the first round.
// Local steps are plain SGD's: with momentum, the average below is not the gradient's (the paper has none).
#pragma once

#include <cstdint>
#include <span>

namespace runnel::train {

// What Trainer::start() takes: correction = c_global - c_local. One length.
void scaffold_correction(std::span<const float> global_control, std::span<const float> local_control,
                         std::span<float> correction);

// Option II of the paper, after a round of `steps` steps with this learning rate and Trainer::update():
//   c_local <- c_local - c_global - update / (steps * learning_rate).
// Writes how much c_local changed to `change`, which c_global moves by the mean of over devices. REQUIRES: one length,
// steps > 0, learning_rate > 0.
void scaffold_next_control(std::span<const float> global_control, std::span<const float> update, uint32_t steps,
                           float learning_rate, std::span<float> local_control, std::span<float> change);

}  // namespace runnel::train
