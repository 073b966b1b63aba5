// What the vector kernels are not built for; to be included before Highway. They keep vectors in arrays and structs,
// which vectors of unknown length do not allow: machines that have such (SVE, RISC-V) run the fixed ones or the
// reference.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
