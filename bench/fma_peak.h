// What one core can do at most: multiplications and additions on registers, with the instruction set that the training
// kernels use now (see base/instruction_set.h). A fused multiply-add counts as two operations.
#pragma once

namespace runnel::bench {

// Billions of operations a second, the best of several short runs.
double peak_gflops();

}  // namespace runnel::bench
