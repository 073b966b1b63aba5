// Labelled examples in memory, kept in the element type in which they were stored: a row of u8 pixels costs one byte a
// pixel, and becomes floats only in read().
//
// Memory: example_count() * (input_count() * element size + 2) bytes, plus what reserve() took in advance.
// Threads: any number may read; append() needs the dataset to itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"
#include "runtime/data/element_type.h"
#include "runtime/data/example_source.h"

namespace runnel::data {

inline constexpr uint32_t kLabelMax = 65535;

class Dataset final : public ExampleSource {
 public:
  // An empty dataset. `class_count` is 1..65536 and covers the labels of the whole file, not only of the rows kept
  // here. Every value is multiplied by `scale` when it is read.
  Dataset(ElementType type, uint32_t input_count, uint32_t class_count, float scale);

  // Takes memory for exactly `rows` rows, so that appending them moves nothing and wastes nothing.
  void reserve(uint32_t rows);

  // Appends one row of input_count() elements in the processor's byte order. Fails, and leaves the dataset unchanged,
  // when the size is wrong (kShape), the label is not below class_count() (kOutOfRange), or a scaled value is not a
  // finite float (kNotFinite; the text names the column, counted from 1).
  Failure append(ByteView values, uint32_t label);

  uint32_t example_count() const override { return static_cast<uint32_t>(labels_.size()); }
  uint32_t input_count() const override { return input_count_; }
  uint32_t class_count() const override { return class_count_; }
  uint32_t read(uint32_t index, std::span<float> input) const override;

  uint32_t label(uint32_t index) const { return labels_[index]; }
  ElementType element_type() const { return type_; }
  float scale() const { return scale_; }
  size_t memory_bytes() const { return values_.capacity() + labels_.capacity() * sizeof(uint16_t); }

 private:
  ElementType type_;
  uint32_t input_count_;
  uint32_t class_count_;
  float scale_;
  size_t row_bytes_;
  std::vector<uint8_t> values_;
  std::vector<uint16_t> labels_;
};

}  // namespace runnel::data
