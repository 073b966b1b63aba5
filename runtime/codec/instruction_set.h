// Which implementation of the hot loops runs. Every loop exists twice: a plain reference, always built, and a fast one
// (Google Highway, several instruction sets in one binary) that makes the same bits. The widest set that the processor
// has is chosen at the first call.
//
// Threads: limit_instruction_set() is for tests and benchmarks, before any other thread encodes or decodes.
#pragma once

#include <string_view>

namespace runnel::codec {

// True if the reference is to run: in a build without fast kernels, or after limit_instruction_set("reference").
bool use_reference();

// What runs now: "reference", "sse4", "avx2", "avx512", "neon" or another name of Highway's in lower case.
std::string_view instruction_set();

// From now on runs only this set ("reference" or a name as above), or again the widest for "auto". False, and nothing
// changes, if this processor or this build does not have it.
bool limit_instruction_set(std::string_view name);

}  // namespace runnel::codec
