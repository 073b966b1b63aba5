// What a user says about the data, as values: the texts of --data, --partition, --split and --scale, parsed. No file is
// touched here.
//
//   --data       idx:IMAGES,LABELS[,TEST_IMAGES,TEST_LABELS] | csv:TRAIN[,TEST] |
//   generated[:examples=N][,test_examples=N]
//   --partition  iid | dirichlet:ALPHA | shards:K | key:IDX_FILE
//   --split      an IDX file with one u8 for each row of the training file: 0 = training, 1 = test
//   --scale      a number, or a fraction such as 1/255
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/data/element_type.h"
#include "runtime/data/generated_task.h"
#include "runtime/data/partition.h"

namespace runnel::data {

enum class DataKind : uint8_t { kIdx, kCsv, kGenerated };

struct DataSpec {
  DataKind kind = DataKind::kGenerated;
  std::string train_path;         // IDX images, or CSV
  std::string train_labels_path;  // IDX only
  std::string test_path;          // empty: no test file
  std::string test_labels_path;   // IDX only
  GeneratedSpec generated;
  PartitionSpec partition;  // generated data: iid or dirichlet, and about labels only
  std::string split_path;   // empty: every row of the training file is for training
  std::optional<float> scale;

  // What every value is multiplied by: the given scale, else 1/255 for u8 values of an IDX file and 1 for the rest.
  float effective_scale(ElementType stored) const {
    if (scale) return *scale;
    return kind == DataKind::kIdx && stored == ElementType::kU8 ? 1.0F / 255.0F : 1.0F;
  }
};

// Empty texts for `partition`, `split` and `scale` mean: not given. Without a partition, rows of a file are dealt iid,
// and generated labels are dirichlet:1. Fails with kInvalidArgument; the text names the option and quotes what is wrong
// in it.
Result<DataSpec> parse_data_spec(std::string_view data, std::string_view partition, std::string_view split,
                                 std::string_view scale);

}  // namespace runnel::data
