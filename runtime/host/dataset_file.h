// From a DataSpec to examples in memory: reads IDX and CSV files, plain or gzip, and keeps one device's rows only.
//
// Labels (and keys, and the split) are read first, then the partition says which rows are wanted, then the large file
// is streamed past and the wanted rows are copied out of it. Memory: the rows that are kept, plus while loading 2 bytes
// a row for labels, 4 for the partition (8 with a split), and some 70 KiB. Never the whole file. Trust: files are
// anybody's bytes. A Failure names the file, what is wrong and where: rows are counted from 0 in the order of the file,
// lines and columns of a CSV file from 1.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/data/data_spec.h"
#include "runtime/data/dataset.h"

namespace runnel::host {

// The training rows of device `index` of `count`. Every device that names the same files and the same seed gets its own
// part of one and the same partition. class_count() is one more than the largest label in the whole file.
Result<data::Dataset> load_training_part(const data::DataSpec& spec, uint32_t index, uint32_t count, uint64_t seed);

// The TEST files, or the rows that the split marks 1, or the generated held-out set. kNotFound when the spec has none
// of them; the text says what to pass. class_count() is one more than the largest label in the file that was read,
// which for a test file of its own may be less than the training file's.
Result<data::Dataset> load_test_set(const data::DataSpec& spec);

}  // namespace runnel::host
