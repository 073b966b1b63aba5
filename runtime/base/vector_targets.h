// What the vector kernels are built for; to be included before Highway. Four sets of instructions cover what runs Linux
// (SSE4, AVX2, AVX-512, NEON); each one more would only add to the program and to the time that it takes to build.
// Vectors are kept in arrays and structs, which those of unknown length (SVE, RISC-V) do not allow: such machines run
// NEON or the plain kernels.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_AVX3_DL)
