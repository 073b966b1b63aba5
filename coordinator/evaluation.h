// Held-out evaluation of each new model, a batch at a time, so that the coordinator's loop never stalls for it.
//
// Every model is evaluated, in order; the loop slows the rounds down when more than kWaitingMax wait (see full()).
// Memory: one arena, and a copy of each waiting model. Threads: one at a time.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator/store/store.h"
#include "runtime/data/dataset.h"
#include "runtime/train/evaluator.h"
#include "runtime/train/metrics.h"

namespace runnel::coordinator {

class HeldOutEvaluation {
 public:
  static constexpr size_t kWaitingMax = 4;

  // `examples` must outlive this. Fails when the model does not fit the examples.
  static Result<std::unique_ptr<HeldOutEvaluation>> create(const plan::ModelSpec& spec, const data::Dataset& examples);

  void add(uint32_t round, const ModelRecord& model);
  bool busy() const { return !waiting_.empty(); }
  bool full() const { return waiting_.size() >= kWaitingMax; }

  // One batch. The result when a model is done; nullopt otherwise. On failure that model is given up (kNotFinite: its
  // numbers have run away).
  Result<std::optional<Evaluation>> step();

 private:
  struct Waiting {
    uint32_t round;
    ModelRecord model;
  };
  HeldOutEvaluation(const plan::ModelSpec& spec, const plan::ModelLayout& layout, const data::Dataset& examples)
      : spec_(spec), examples_(examples), metrics_(spec, layout) {}
  Evaluation result();

  const plan::ModelSpec spec_;
  const data::Dataset& examples_;
  train::Metrics metrics_;
  std::vector<uint8_t> block_;
  std::optional<train::Evaluator> evaluator_;
  std::deque<Waiting> waiting_;
  bool started_ = false;
};

}  // namespace runnel::coordinator
