// SCAFFOLD's control variates (Karimireddy et al. 2020): what keeps the local steps of devices with unlike data from
// drifting apart. Every gradient of device i is corrected by c - c_i, where c_i is the mean gradient that its own steps
// of an earlier round have followed, and c the mean of these over the fleet.
//
// c needs no bytes of its own. With option II of the paper a device's change of c_i is what it has sent as its update,
// over a known length, less c; so the mean of the changes is how far the global model has moved, over that length, less
// c. Who sees the global model sees c.
//
// Where updates are compressed, c_i follows what arrives of them: then c, which does so too, stays the mean of the c_i,
// and a device makes up in the next round for what compression took from this one. A coarse codec would have it make up
// for more than it can send; so control variates move by a share `rate` of the paper's change, 1 / (1 + omega) for a
// relative error omega = ||arrived - update||^2 / ||update||^2, as in SCALLION (Huang et al. 2024).
//
// Notation: `reach` is the learning rate times the sum of the weights with which a round's gradients move a model, so
// that steps along one gradient g end at w - reach * g. Spans have one length each, that of the layout's shared part.
// Memory: none.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::train {

// `steps` steps of SGD with momentum m, which begins at rest: sum over k = 1..steps of (1 - m^k) / (1 - m); `steps`
// without momentum. The reach of a round is this times its learning rate.
double scaffold_weight(uint32_t steps, float momentum);

// What Trainer::start() takes: correction = c - c_i.
void scaffold_correction(std::span<const float> global_control, std::span<const float> local_control,
                         std::span<float> correction);

// c after `rounds` rounds in which the global model went from `before` to `now`, and whose reaches add up to `reach`:
// the paper's c <- c + share * (mean gradient - c), once a round, where `share` is the part of the fleet that trains in
// a round, times `rate`. Of several rounds only the mean is known; it stands for each of them. REQUIRES: reach > 0,
// rounds > 0, share in (0, 1].
void scaffold_global_control(std::span<const float> before, std::span<const float> now, double reach, double share,
                             uint32_t rounds, std::span<float> global_control);

// 1 / (1 + omega) for an update and what of it arrives; 1 if they are the same.
double scaffold_rate(std::span<const float> update, std::span<const float> arrived);

// After a round, c_i <- c_i + rate * (-c - arrived / reach); with a rate of 1 option II of the paper. REQUIRES: reach >
// 0.
void scaffold_local_control(std::span<const float> global_control, std::span<const float> arrived, double reach,
                            double rate, std::span<float> local_control);

}  // namespace runnel::train
