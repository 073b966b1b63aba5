// Examples in memory, kept in the element type in which they were stored: a row of u8 pixels costs one byte a pixel,
// and becomes floats only in read(). What they are compared with is labels (2 bytes each) or numbers (4 bytes each).
//
// Memory: example_count() * (input_count() * element size + target_count() * (2 or 4)) bytes, plus what reserve() took
// in advance.
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
  // An empty dataset. `class_count` covers the labels of the whole file, not only of the rows kept here; at most 65536,
  // and 0 where targets are numbers. Every input value is multiplied by `scale` when it is read; targets are not.
  Dataset(ElementType type, uint32_t input_count, uint32_t class_count, float scale, uint32_t target_count = 1);

  // Takes memory for exactly `rows` rows, so that appending them moves nothing and wastes nothing.
  void reserve(uint32_t rows);

  // Appends one row of input_count() elements in the processor's byte order. Fails, and leaves the dataset unchanged,
  // when a size is wrong (kShape), a label is not a whole number below class_count() (kOutOfRange), or a scaled value
  // or a target is not a finite float (kNotFinite; the text names the column, counted from 1).
  Failure append(ByteView values, std::span<const float> target);
  Failure append(ByteView values, uint32_t label);

  uint32_t example_count() const override { return example_count_; }
  uint32_t input_count() const override { return input_count_; }
  uint32_t target_count() const override { return target_count_; }
  uint32_t class_count() const override { return class_count_; }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override;

  // For a detector of what is unusual: examples with these labels get the label 0, all others 1; or are left out, if
  // `usual_only`. REQUIRES: one label an example.
  Dataset marked(std::span<const uint16_t> usual, bool usual_only) const;

  // REQUIRES: one label an example.
  uint32_t label(uint32_t index) const { return labels_[index]; }
  ElementType element_type() const { return type_; }
  float scale() const { return scale_; }
  size_t memory_bytes() const {
    return values_.capacity() + labels_.capacity() * sizeof(uint16_t) + numbers_.capacity() * sizeof(float);
  }

 private:
  Failure check_target(std::span<const float> target) const;

  ElementType type_;
  uint32_t input_count_;
  uint32_t class_count_;
  uint32_t target_count_;
  uint32_t example_count_ = 0;
  float scale_;
  size_t row_bytes_;
  std::vector<uint8_t> values_;
  std::vector<uint16_t> labels_;  // of all examples, where there are classes
  std::vector<float> numbers_;    // and else
};

}  // namespace runnel::data
