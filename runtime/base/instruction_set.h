// Which implementation of the hot loops runs, in the codecs and in training. Every such loop exists twice: plain,
// always built, and fast (Google Highway, several instruction sets in one binary); the widest set that the processor
// has is chosen at the first call. A codec's bits are the same with all of them. In training all sets with a fused
// multiply-add make the same bits; in a build with RUNNEL_EXACT, all sets and the plain loops do.
//
// Threads: limit_instruction_set() is for tests and benchmarks, before any other thread computes.
#pragma once

#include <string_view>

namespace runnel {

// True if the plain kernels are to run: in a build without fast ones, or after limit_instruction_set("reference").
bool use_reference();

// What runs now: "reference", "sse4", "avx2", "avx512", "neon" or another name of Highway's in lower case.
std::string_view instruction_set();

// From now on runs only this set ("reference" or a name as above), or again the widest for "auto". False, and nothing
// changes, if this processor or this build does not have it.
bool limit_instruction_set(std::string_view name);

}  // namespace runnel
