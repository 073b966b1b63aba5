// Which implementation of the kernels runs. The hot loops exist twice: plain, always built, and fast (Google Highway,
// several instruction sets in one binary); the widest set that the processor has is chosen at the first call. All sets
// with a fused multiply-add make the same bits; in a build with RUNNEL_EXACT, all sets and the plain loops do.
//
// Threads: limit_instruction_set() is for tests and benchmarks, before any other thread computes. What it chooses among
// Highway's sets holds for the whole program, for the codecs too.
#pragma once

#include <string_view>

namespace runnel::tensor {

// True if the plain kernels are to run: in a build without fast ones, or after limit_instruction_set("reference").
bool use_reference();

// What runs now: "reference", "sse4", "avx2", "avx512", "neon" or another name of Highway's in lower case.
std::string_view instruction_set();

// From now on runs only this set ("reference" or a name as above), or again the widest for "auto". False, and nothing
// changes, if this processor or this build does not have it.
bool limit_instruction_set(std::string_view name);

}  // namespace runnel::tensor
