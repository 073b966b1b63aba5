#include "runtime/host/dataset_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "runtime/data/csv_parser.h"
#include "runtime/data/idx_header.h"
#include "runtime/data/partition.h"
#include "runtime/host/idx_file.h"
#include "runtime/host/text_file.h"

namespace runnel::host {
namespace {

using data::CsvRow;
using data::DataKind;
using data::Dataset;
using data::DataSpec;
using data::ElementType;

// What a header promises is not believed before it has been read: no more than this is reserved on its word.
constexpr uint32_t kRowsReservedMax = 1U << 20;

// What is known about a file of examples before its values are loaded.
struct Outline {
  std::vector<uint16_t> labels;               // of all rows; all 0 where there are none
  uint32_t target_count = 0;                  // numbers to predict instead of a label
  uint32_t input_count = 0;                   // CSV only; an IDX file says it itself
  ElementType narrowest = ElementType::kF32;  // CSV only: the smallest type that holds every value exactly

  uint32_t class_count() const {
    return target_count > 0 ? 0 : uint32_t{*std::max_element(labels.begin(), labels.end())} + 1;
  }
};

Result<Outline> outline_idx(const std::string& labels_path) {
  Outline outline;
  RUNNEL_TRY(for_each_idx_integer(
      labels_path, "labels",
      [&outline](uint32_t rows) {
        outline.labels.reserve(std::min(rows, kRowsReservedMax));
        return Failure(Error::kOk);
      },
      [&outline](int32_t label) {
        if (label < 0 || static_cast<uint32_t>(label) > data::kLabelMax) {
          return fail(Error::kOutOfRange, "the label %d is not from 0 to %u", label, data::kLabelMax);
        }
        outline.labels.push_back(static_cast<uint16_t>(label));
        return Failure(Error::kOk);
      }));
  return outline;
}

Failure parse_csv_file(const std::string& path, uint32_t target_count, data::CsvRowSink& sink) {
  Result<GzipFile> file = GzipFile::open(path);
  if (!file.ok()) return file.failure();
  data::CsvParser parser(target_count);
  std::array<uint8_t, 4096> piece;
  for (;;) {
    const Result<size_t> read = file->read(piece);
    if (!read.ok()) return read.failure();
    const bool end = *read < piece.size();
    Failure failure = parser.feed(ByteView(piece).first(*read), sink);
    if (failure.ok() && end) failure = parser.finish(sink);
    if (!failure.ok()) return failure.prefix("%s", path.c_str());
    if (end) return Error::kOk;
  }
}

class CsvOutliner final : public data::CsvRowSink {
 public:
  Failure handle_row(const CsvRow& row) override {
    if (outline_.labels.size() == std::numeric_limits<uint32_t>::max()) return Error::kLimit;
    outline_.labels.push_back(static_cast<uint16_t>(row.label));
    outline_.input_count = static_cast<uint32_t>(row.values.size());
    for (const float value : row.values) {
      if (value != std::trunc(value)) all_u8_ = all_i16_ = false;
      if (value < 0.0F || value > 255.0F) all_u8_ = false;
      if (value < -32768.0F || value > 32767.0F) all_i16_ = false;
    }
    return Error::kOk;
  }

  Outline take() {
    outline_.narrowest = all_u8_ ? ElementType::kU8 : all_i16_ ? ElementType::kI16 : ElementType::kF32;
    return std::move(outline_);
  }

 private:
  Outline outline_;
  bool all_u8_ = true;
  bool all_i16_ = true;
};

Result<Outline> outline_csv(const std::string& path, uint32_t target_count) {
  CsvOutliner outliner;
  RUNNEL_TRY(parse_csv_file(path, target_count, outliner));
  Outline outline = outliner.take();
  outline.target_count = target_count;
  return outline;
}

Result<Outline> outline(const DataSpec& spec, const std::string& path, const std::string& labels_path) {
  return spec.kind == DataKind::kIdx ? outline_idx(labels_path) : outline_csv(path, spec.target_count);
}

// Keeps the rows whose ascending numbers are given, out of rows that come by in order.
class RowPicker {
 public:
  explicit RowPicker(const std::vector<uint32_t>& wanted) : wanted_(wanted) {}
  bool takes_next() {
    const bool takes = next_ < wanted_.size() && wanted_[next_] == row_;
    if (takes) ++next_;
    ++row_;
    return takes;
  }

 private:
  const std::vector<uint32_t>& wanted_;
  size_t next_ = 0;
  uint32_t row_ = 0;
};

Result<Dataset> keep_idx_rows(const DataSpec& spec, const std::string& path, const std::string& labels_path,
                              const Outline& outline, const std::vector<uint32_t>& rows) {
  Result<IdxFile> file = IdxFile::open(path);
  if (!file.ok()) return file.failure();
  const data::IdxHeader& header = file->header();
  if (header.rows() != outline.labels.size()) {
    return fail(Error::kShape, "%s has %u rows, but %s has %zu labels", path.c_str(), header.rows(),
                labels_path.c_str(), outline.labels.size());
  }
  Dataset dataset(header.type, header.row_values, outline.class_count(), spec.effective_scale(header.type));
  dataset.reserve(static_cast<uint32_t>(rows.size()));
  RowPicker picker(rows);
  std::vector<uint8_t> values(header.row_bytes());
  for (uint32_t row = 0; row < header.rows(); ++row) {
    RUNNEL_TRY(file->read_rows(values));
    if (!picker.takes_next()) continue;
    Failure appended = dataset.append(values, outline.labels[row]);
    if (!appended.ok()) return appended.prefix("%s: row %u", path.c_str(), row);
  }
  RUNNEL_TRY(file->expect_end());
  return dataset;
}

class CsvKeeper final : public data::CsvRowSink {
 public:
  CsvKeeper(const Outline& outline, const std::vector<uint32_t>& rows, float scale)
      : outline_(outline),
        picker_(rows),
        dataset_(outline.narrowest, outline.input_count, outline.class_count(), scale,
                 std::max(1U, outline.target_count)) {
    dataset_.reserve(static_cast<uint32_t>(rows.size()));
    stored_.reserve(outline.input_count * data::element_bytes(outline.narrowest));
  }

  Failure handle_row(const CsvRow& row) override {
    // The file is read twice, and may have been replaced in between.
    if (seen_ == outline_.labels.size() || row.label != outline_.labels[seen_]) return fail_changed();
    ++seen_;
    if (!picker_.takes_next()) return Error::kOk;
    stored_.clear();
    switch (outline_.narrowest) {
      case ElementType::kU8:
        store<uint8_t>(row.values);
        break;
      case ElementType::kI16:
        store<int16_t>(row.values);
        break;
      default:
        store<float>(row.values);
        break;
    }
    return outline_.target_count > 0 ? dataset_.append(stored_, row.targets) : dataset_.append(stored_, row.label);
  }

  Result<Dataset> take() {
    if (seen_ != outline_.labels.size()) return fail_changed();
    return std::move(dataset_);
  }

 private:
  static Failure fail_changed() { return fail(Error::kIo, "the file changed while it was being read"); }

  template <typename T>
  void store(std::span<const float> values) {
    stored_.resize(values.size_bytes() / sizeof(float) * sizeof(T));
    for (size_t i = 0; i < values.size(); ++i) {
      // A changed file again: a value beyond the type must not be converted, which would be undefined.
      const float low = static_cast<float>(std::numeric_limits<T>::lowest());
      const float high = static_cast<float>(std::numeric_limits<T>::max());
      store_le(stored_.data() + i * sizeof(T), static_cast<T>(std::clamp(values[i], low, high)));
    }
  }

  const Outline& outline_;
  RowPicker picker_;
  Dataset dataset_;
  std::vector<uint8_t> stored_;
  size_t seen_ = 0;
};

Result<Dataset> keep_csv_rows(const DataSpec& spec, const std::string& path, const Outline& outline,
                              const std::vector<uint32_t>& rows) {
  CsvKeeper keeper(outline, rows, spec.effective_scale(outline.narrowest));
  RUNNEL_TRY(parse_csv_file(path, spec.target_count, keeper));
  Result<Dataset> dataset = keeper.take();
  if (!dataset.ok()) return Failure(dataset.failure()).prefix("%s", path.c_str());
  return dataset;
}

Result<Dataset> keep_rows(const DataSpec& spec, const std::string& path, const std::string& labels_path,
                          const Outline& outline, const std::vector<uint32_t>& rows) {
  if (spec.kind == DataKind::kIdx) return keep_idx_rows(spec, path, labels_path, outline, rows);
  return keep_csv_rows(spec, path, outline, rows);
}

// The file's rows that are for training (`part` 0) or for testing (1), ascending.
Result<std::vector<uint32_t>> rows_of_split(const std::string& split_path, size_t row_count, int32_t part) {
  std::vector<uint32_t> rows;
  uint32_t row = 0;
  RUNNEL_TRY(for_each_idx_integer(
      split_path, "a split's marks",
      [row_count](uint32_t marks) {
        if (marks == row_count) return Failure(Error::kOk);
        return fail(Error::kShape, "%u marks for %zu rows of data", marks, row_count);
      },
      [&rows, &row, part](int32_t mark) {
        if (mark != 0 && mark != 1)
          return fail(Error::kOutOfRange, "the mark %d is neither 0 (training) nor 1 (test)", mark);
        if (mark == part) rows.push_back(row);
        ++row;
        return Failure(Error::kOk);
      }));
  if (rows.empty()) {
    return fail(Error::kNotFound, "%s: no row is marked %d (%s)", split_path.c_str(), part,
                part == 0 ? "training" : "test");
  }
  return rows;
}

// The file's values at `rows`, or all of them when there is no split.
template <typename T>
std::vector<T> at_rows(std::vector<T> values, const DataSpec& spec, const std::vector<uint32_t>& rows) {
  if (spec.split_path.empty()) return values;
  for (size_t i = 0; i < rows.size(); ++i) values[i] = values[rows[i]];  // never overtakes: rows[i] >= i
  values.resize(rows.size());
  return values;
}

Result<data::Partition> partition_by_key(const DataSpec& spec, size_t row_count,
                                         const std::vector<uint32_t>& training_rows, uint32_t count) {
  std::vector<int32_t> keys;
  RUNNEL_TRY(for_each_idx_integer(
      spec.partition.key_path, "keys",
      [&keys, row_count](uint32_t rows) {
        if (rows != row_count) return fail(Error::kShape, "%u keys for %zu rows of data", rows, row_count);
        keys.reserve(rows);
        return Failure(Error::kOk);
      },
      [&keys](int32_t key) {
        keys.push_back(key);
        return Failure(Error::kOk);
      }));
  return data::Partition::by_keys(at_rows(std::move(keys), spec, training_rows), count);
}

// The file's row numbers that belong to the device, ascending.
Result<std::vector<uint32_t>> rows_of_device(const DataSpec& spec, const Outline& outline, uint32_t index,
                                             uint32_t count, uint64_t seed) {
  std::vector<uint32_t> training_rows;  // stays empty without a split: every row is one
  if (!spec.split_path.empty()) {
    Result<std::vector<uint32_t>> rows = rows_of_split(spec.split_path, outline.labels.size(), 0);
    if (!rows.ok()) return rows.failure();
    training_rows = std::move(rows).value();
  }
  const Result<data::Partition> partition =
      spec.partition.kind == data::PartitionKind::kKey
          ? partition_by_key(spec, outline.labels.size(), training_rows, count)
      : training_rows.empty()
          ? data::Partition::by_labels(spec.partition, outline.labels, count, seed)
          : data::Partition::by_labels(spec.partition, at_rows(outline.labels, spec, training_rows), count, seed);
  if (!partition.ok()) return Failure(partition.failure()).prefix("%s", spec.train_path.c_str());
  std::vector<uint32_t> rows = partition->rows_of(index);
  if (!training_rows.empty()) {
    for (uint32_t& row : rows) row = training_rows[row];
  }
  return rows;
}

std::vector<uint32_t> all_rows(size_t count) {
  std::vector<uint32_t> rows(count);
  for (uint32_t row = 0; row < count; ++row) rows[row] = row;
  return rows;
}

Result<Dataset> load_part(const DataSpec& spec, uint32_t index, uint32_t count, uint64_t seed) {
  if (index >= count) return fail(Error::kInvalidArgument, "part %u of %u: parts are counted from 0", index, count);
  if (spec.kind == DataKind::kGenerated) {
    return data::generate_training_part(spec.generated, spec.partition, spec.effective_scale(ElementType::kI16), index,
                                        seed);
  }
  if (spec.kind == DataKind::kText) return load_text_part(spec, index, count, seed);
  const Result<Outline> known = outline(spec, spec.train_path, spec.train_labels_path);
  if (!known.ok()) return known.failure();
  const Result<std::vector<uint32_t>> rows = rows_of_device(spec, *known, index, count, seed);
  if (!rows.ok()) return rows.failure();
  return keep_rows(spec, spec.train_path, spec.train_labels_path, *known, *rows);
}

Result<Dataset> load_tests(const DataSpec& spec) {
  if (spec.kind == DataKind::kGenerated) {
    return data::generate_test_set(spec.generated, spec.effective_scale(ElementType::kI16));
  }
  if (spec.kind == DataKind::kText) return load_text_test_set(spec);
  if (!spec.split_path.empty()) {
    const Result<Outline> known = outline(spec, spec.train_path, spec.train_labels_path);
    if (!known.ok()) return known.failure();
    const Result<std::vector<uint32_t>> rows = rows_of_split(spec.split_path, known->labels.size(), 1);
    if (!rows.ok()) return rows.failure();
    return keep_rows(spec, spec.train_path, spec.train_labels_path, *known, *rows);
  }
  if (spec.test_path.empty()) {
    return fail(Error::kNotFound, "no test data: pass --split IDX_FILE, or --data %s",
                spec.kind == DataKind::kIdx ? "idx:IMAGES,LABELS,TEST_IMAGES,TEST_LABELS" : "csv:TRAIN,TEST");
  }
  const Result<Outline> known = outline(spec, spec.test_path, spec.test_labels_path);
  if (!known.ok()) return known.failure();
  return keep_rows(spec, spec.test_path, spec.test_labels_path, *known, all_rows(known->labels.size()));
}

}  // namespace

Result<Dataset> load_training_part(const DataSpec& spec, uint32_t index, uint32_t count, uint64_t seed) {
  Result<Dataset> part = load_part(spec, index, count, seed);
  if (!part.ok() || spec.normal.empty()) return part;
  Dataset usual = part->marked(spec.normal, true);
  if (usual.example_count() == 0)
    return fail(Error::kNotFound, "part %u of %u: none of its examples has a label of normal=", index, count);
  return usual;
}

Result<Dataset> load_test_set(const DataSpec& spec) {
  Result<Dataset> tests = load_tests(spec);
  if (!tests.ok() || spec.normal.empty()) return tests;
  return tests->marked(spec.normal, false);
}

}  // namespace runnel::host
