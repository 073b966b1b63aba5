// What a user would otherwise take from Debian, over the same vectors: zstd and lz4 over half floats, bytes and packed
// four-bit levels, zfp at fixed accuracy. Each is optional at configure time.
//
// Speeds are those of the compressor alone, without the quantization before it, so they flatter these rows.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/named_values.h"
#include "bench/trial_row.h"

namespace runnel::bench {

// Of zstd, lz4 and zfp, those that this program was built without.
std::vector<std::string> absent_rivals();

// `wanted` says whether to measure a scheme: "zstd-1/fp16", "lz4/int8", "lz4/nibbles", "zfp", ...
std::vector<TrialRow> run_rival_trials(const NamedValues& data, const std::function<bool(const std::string&)>& wanted,
                                       double seconds_min);

}  // namespace runnel::bench
