// What a user would otherwise take from Debian, over the same vectors: zstd and lz4 behind this library's codes of
// fixed width (half floats, bytes, four bits), and zfp at fixed accuracy. Each is optional at configure time.
//
// zstd and lz4 have two rows each: the whole way, from floats to bytes and back into a sum, which is what to compare
// with this library's own coders, and the compressor alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/named_values.h"
#include "bench/trial_row.h"

namespace runnel::bench {

// Of zstd, lz4 and zfp, those that this program was built without.
std::vector<std::string> absent_rivals();

// `wanted` says whether to measure a scheme: "zstd-1/fp16", "lz4/int8", "lz4/nibbles", "zfp", ... Throws
// std::runtime_error if a vector cannot be encoded or a compressor does not give back what it got.
std::vector<TrialRow> run_rival_trials(const NamedValues& data, const std::function<bool(const std::string&)>& wanted,
                                       double seconds_min);

}  // namespace runnel::bench
