// Vectors on disk: float32 in the processor's byte order and nothing else.
#pragma once

#include <filesystem>
#include <span>

#include "bench/named_values.h"

namespace runnel::bench {

// Named after the file, without its extension. Throws std::runtime_error with the path and what is wrong: it cannot be
// read, is empty, is no whole number of floats, or holds a value that is not finite.
NamedValues read_raw_file(const std::filesystem::path& path);

// Throws std::runtime_error if the file cannot be written.
void write_raw_file(const std::filesystem::path& path, std::span<const float> values);

}  // namespace runnel::bench
