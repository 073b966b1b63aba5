// From a text file, plain or gzip, to windows of characters: one device's, or those held out for testing.
//
// By speaker, device i has what the i-th speaker says (data/text_windows.h says in which order); iid, the windows of
// all speakers are dealt equally. Either way the last tenth of what each speaker says is for testing. Memory: the whole
// text, twice, while loading. Trust: anybody's bytes.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/data/data_spec.h"
#include "runtime/data/dataset.h"

namespace runnel::host {

inline constexpr size_t kTextBytesMax = size_t{256} << 20;

// kInvalidArgument when there are more devices than speakers (or than windows), kNotFound when the device's speaker
// says less than one window, kLimit when the file has more than kTextBytesMax.
Result<data::Dataset> load_text_part(const data::DataSpec& spec, uint32_t index, uint32_t count, uint64_t seed);
Result<data::Dataset> load_text_test_set(const data::DataSpec& spec);

}  // namespace runnel::host
