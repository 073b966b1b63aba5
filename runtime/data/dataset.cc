#include "runtime/data/dataset.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/result.h"

namespace runnel::data {
namespace {

template <typename T>
void scale_values(const uint8_t* stored, float scale, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(load_le<T>(stored + i * sizeof(T))) * scale;
}

// The column, counted from 1, of the first value that is not a finite float after scaling; 0 when there is none.
template <typename T>
size_t find_not_finite(ByteView values, float scale) {
  for (size_t i = 0; i < values.size() / sizeof(T); ++i) {
    if (!std::isfinite(static_cast<float>(load_le<T>(values.data() + i * sizeof(T))) * scale)) return i + 1;
  }
  return 0;
}

}  // namespace

Dataset::Dataset(ElementType type, uint32_t input_count, uint32_t class_count, float scale, uint32_t target_count)
    : type_(type),
      input_count_(input_count),
      class_count_(class_count),
      target_count_(target_count),
      scale_(scale),
      row_bytes_(size_t{input_count} * element_bytes(type)) {
  RUNNEL_ASSERT(input_count > 0);
  RUNNEL_ASSERT(target_count > 0 && class_count <= kLabelMax + 1);
}

void Dataset::reserve(uint32_t rows) {
  values_.reserve(rows * row_bytes_);
  if (class_count_ > 0) labels_.reserve(size_t{rows} * target_count_);
  if (class_count_ == 0) numbers_.reserve(size_t{rows} * target_count_);
}

Failure Dataset::check_target(std::span<const float> target) const {
  if (target.size() != target_count_) {
    return fail(Error::kShape, "a target of %zu values where one has %u", target.size(), target_count_);
  }
  for (size_t i = 0; i < target.size(); ++i) {
    if (!std::isfinite(target[i])) return fail(Error::kNotFinite, "target %zu is not a finite number", i + 1);
    if (class_count_ == 0) continue;
    if (target[i] < 0.0F || target[i] >= static_cast<float>(class_count_) || target[i] != std::trunc(target[i])) {
      return fail(Error::kOutOfRange, "label %g where there are %u classes", static_cast<double>(target[i]),
                  class_count_);
    }
  }
  return Error::kOk;
}

Failure Dataset::append(ByteView values, uint32_t label) {
  if (class_count_ == 0) return fail(Error::kShape, "a label where targets are numbers");
  if (label >= class_count_) {
    return fail(Error::kOutOfRange, "label %u where there are %u classes", label, class_count_);
  }
  const auto target = static_cast<float>(label);
  return append(values, {&target, 1});
}

Failure Dataset::append(ByteView values, std::span<const float> target) {
  if (values.size() != row_bytes_) {
    return fail(Error::kShape, "a row of %zu bytes where one has %zu", values.size(), row_bytes_);
  }
  RUNNEL_TRY(check_target(target));
  size_t bad_column = 0;
  if (type_ == ElementType::kF32) bad_column = find_not_finite<float>(values, scale_);
  if (type_ == ElementType::kI32) bad_column = find_not_finite<int32_t>(values, scale_);
  if (bad_column != 0) {
    return fail(Error::kNotFinite, "column %zu: the value is not a finite number (after scaling)", bad_column);
  }
  values_.insert(values_.end(), values.begin(), values.end());
  for (const float value : target) {
    if (class_count_ > 0) labels_.push_back(static_cast<uint16_t>(value));
    if (class_count_ == 0) numbers_.push_back(value);
  }
  ++example_count_;
  return Error::kOk;
}

Dataset Dataset::marked(std::span<const uint16_t> usual, bool usual_only) const {
  RUNNEL_ASSERT(class_count_ > 0 && target_count_ == 1);
  const auto is_usual = [usual](uint16_t label) { return std::find(usual.begin(), usual.end(), label) != usual.end(); };
  Dataset marks(type_, input_count_, 2, scale_);
  marks.reserve(usual_only ? static_cast<uint32_t>(std::count_if(labels_.begin(), labels_.end(), is_usual))
                           : example_count_);
  for (uint32_t row = 0; row < example_count_; ++row) {
    if (usual_only && !is_usual(labels_[row])) continue;
    const uint8_t* values = values_.data() + row * row_bytes_;
    marks.values_.insert(marks.values_.end(), values, values + row_bytes_);
    marks.labels_.push_back(is_usual(labels_[row]) ? 0 : 1);
    ++marks.example_count_;
  }
  return marks;
}

void Dataset::read(uint32_t index, std::span<float> input, std::span<float> target) const {
  RUNNEL_ASSERT(index < example_count_ && input.size() == input_count_);
  RUNNEL_ASSERT(target.empty() || target.size() == target_count_);
  const uint8_t* stored = values_.data() + index * row_bytes_;
  switch (type_) {
    case ElementType::kU8:
      scale_values<uint8_t>(stored, scale_, input);
      break;
    case ElementType::kI8:
      scale_values<int8_t>(stored, scale_, input);
      break;
    case ElementType::kI16:
      scale_values<int16_t>(stored, scale_, input);
      break;
    case ElementType::kI32:
      scale_values<int32_t>(stored, scale_, input);
      break;
    case ElementType::kF32:
      scale_values<float>(stored, scale_, input);
      break;
  }
  const size_t first = size_t{index} * target_count_;
  for (size_t i = 0; i < target.size(); ++i) {
    target[i] = class_count_ > 0 ? static_cast<float>(labels_[first + i]) : numbers_[first + i];
  }
}

}  // namespace runnel::data
