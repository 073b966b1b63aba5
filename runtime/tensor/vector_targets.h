// What the vector kernels of this room are built for (as everywhere: base/vector_targets.h), and their one way to
// multiply and add; to be included before Highway.
//
// RUNNEL_MUL_ADD(a, b, c) is a * b + c with one rounding, where the instructions have that, and with two in a build
// with RUNNEL_EXACT, whose bits are those of the plain kernels everywhere.
#pragma once

#include "runtime/base/vector_targets.h"

#ifdef RUNNEL_EXACT
#define RUNNEL_MUL_ADD(a, b, c) hn::Add(hn::Mul((a), (b)), (c))
#else
#define RUNNEL_MUL_ADD(a, b, c) hn::MulAdd((a), (b), (c))
#endif
