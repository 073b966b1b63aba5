// A made-up text that needs no files: sentences of a small grammar, about machines and what they report. Every device
// has a style: its favourite words, how long its sentences are, how it spells numbers. The test set comes from
// styles that no device has. Windows are as of text_windows.h, of 64 characters.
//
// Determinism: the same seed and device give the same text everywhere: integers only.
#pragma once

#include <cstdint>

#include "runtime/data/dataset.h"

namespace runnel::data {

inline constexpr uint32_t kGeneratedTextWindow = 64;

Dataset generate_text_part(uint32_t examples, uint32_t device, uint64_t seed);
Dataset generate_text_test_set(uint32_t examples);

}  // namespace runnel::data
