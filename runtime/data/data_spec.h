// What a user says about the data, as values: the texts of --data, --partition, --split and --scale, parsed. No file is
// touched here.
//
//   --data       idx:IMAGES,LABELS[,TEST_IMAGES,TEST_LABELS][;normal=LABELS]
//                csv:TRAIN[,TEST][;targets=N | ;normal=LABELS]
//                text:FILE[;window=T][;speakers=N]
//                generated[:task=activity|readings|text][,examples=N][,test_examples=N][;normal=LABELS]
//   --partition  iid | dirichlet:ALPHA | shards:K | key:IDX_FILE | speaker (of text)
//   --split      an IDX file with one u8 for each row of the training file: 0 = training, 1 = test
//   --scale      a number, or a fraction such as 1/255
//
// targets=N: the last N columns are numbers to predict, not a label. normal=0+2: only examples with these labels are
// for training; in the test part they are labelled 0 and all others 1, for a detector of what is unusual.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/data/element_type.h"
#include "runtime/data/generated_task.h"
#include "runtime/data/partition.h"

namespace runnel::data {

inline constexpr uint32_t kTargetsMax = 4096;  // columns to predict
inline constexpr uint32_t kTextWindowMax = 4096;

enum class DataKind : uint8_t { kIdx, kCsv, kText, kGenerated };

struct DataSpec {
  DataKind kind = DataKind::kGenerated;
  std::string train_path;         // IDX images, or CSV
  std::string train_labels_path;  // IDX only
  std::string test_path;          // empty: no test file
  std::string test_labels_path;   // IDX only
  uint32_t target_count = 0;      // CSV: columns to predict; 0: the last one is a label
  uint32_t window = 64;           // text: characters of one example
  uint32_t speakers = 0;          // text: only those who say most; 0 = all
  std::vector<uint16_t> normal;   // labels of usual examples; empty: labels are classes
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
