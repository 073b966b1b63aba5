// What the vector kernels are built for; to be included before Highway. Four sets of instructions cover what runs Linux
// (SSE4, AVX2, AVX-512, NEON); each one more would only add to the program and to the time that it takes to build.
// Vectors are kept in arrays, which those of unknown length (SVE, RISC-V) do not allow: such machines run NEON or the
// plain kernels.
//
// RUNNEL_MUL_ADD(a, b, c) is a * b + c with one rounding, where the instructions have that, and with two in a build
// with RUNNEL_EXACT, whose bits are those of the plain kernels everywhere.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_AVX3_DL)

#ifdef RUNNEL_EXACT
#define RUNNEL_MUL_ADD(a, b, c) hn::Add(hn::Mul((a), (b)), (c))
#else
#define RUNNEL_MUL_ADD(a, b, c) hn::MulAdd((a), (b), (c))
#endif
