// Some rows of a dataset that others share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/data/dataset.h"
#include "runtime/data/example_source.h"

namespace runnel::data {

class RowsOf final : public ExampleSource {
 public:
  // Every row is below all->example_count().
  RowsOf(std::shared_ptr<const Dataset> all, std::vector<uint32_t> rows)
      : all_(std::move(all)), rows_(std::move(rows)) {}
  uint32_t example_count() const override { return static_cast<uint32_t>(rows_.size()); }
  uint32_t input_count() const override { return all_->input_count(); }
  uint32_t class_count() const override { return all_->class_count(); }
  uint32_t target_count() const override { return all_->target_count(); }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override {
    all_->read(rows_[index], input, target);
  }

 private:
  std::shared_ptr<const Dataset> all_;
  std::vector<uint32_t> rows_;
};

}  // namespace runnel::data
