#include "runtime/train/network.h"

#include <algorithm>

#include "runtime/base/rng.h"
#include "runtime/tensor/embedding.h"
#include "runtime/tensor/join.h"
#include "runtime/train/layer_sizes.h"

namespace runnel::train {
namespace {

constexpr size_t kFloatsPerLine = Arena::kAlignment / sizeof(float);
constexpr size_t kWeightsWorthDeferring = 16384;  // fewer stay in the nearest cache

}  // namespace

Failure Network::take(const plan::ModelSpec& spec, const plan::ModelLayout& layout, Use use) {
  return make_graph(spec, layout, use == Use::kTraining, graph_);
}

Result<Network> Network::plan(const plan::ModelSpec& spec, const ScheduleOptions& options, Use use,
                              BlockLayout& block_layout) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  if (!layout) return layout.failure();
  Network network;
  RUNNEL_TRY(network.take(spec, *layout, use));
  RUNNEL_TRY(network.reserve(options, block_layout));
  return network;
}

Failure Network::reserve(const ScheduleOptions& options, BlockLayout& block_layout) {
  if (Failure failure = make_schedule(graph_, options, schedule_); !failure.ok()) return failure;
  for (uint32_t index = 0; index < graph_.layers.size(); ++index) {
    const Layer& layer = graph_.layers[index];
    saved_floats_[index] = static_cast<uint32_t>(saved_floats(layer, options.batch_size));
    workspace_floats_[index] = static_cast<uint32_t>(workspace_floats(layer, options.batch_size));
  }
  piece_ = block_layout.add<float>(schedule_.lines * kFloatsPerLine);
  block_bytes_ = schedule_.lines * Arena::kAlignment;
  deferred_.clear();
  for (uint32_t index = 0; options.defers_steps && index < graph_.layers.size(); ++index) {
    const Layer& layer = graph_.layers[index];
    if (layer.kind() != plan::LayerKind::kDense || !layer.has_backward || layer.trained.count < kWeightsWorthDeferring)
      continue;
    if (deferred_.size() == deferred_.capacity()) break;
    DeferredLayer deferred;
    deferred.layer = index;
    deferred.steps.batch = options.batch_size;
    deferred.piece = block_layout.add<float>(tensor::deferred_floats(dense_of(layer), options.batch_size));
    RUNNEL_ASSERT(deferred_.push_back(deferred));
  }
  return Error::kOk;
}

uint64_t Network::alive_bytes() const {
  return schedule_.lines_alive * Arena::kAlignment;
}

void Network::bind(MutableByteView block) {
  block_ = piece_.in(block);
  for (DeferredLayer& deferred : deferred_) {
    deferred.steps =
        tensor::no_steps(dense_of(graph_.layers[deferred.layer]), deferred.steps.batch, deferred.piece.in(block));
  }
}

tensor::DeferredSteps* Network::deferred_of(uint32_t layer) {
  for (DeferredLayer& deferred : deferred_) {
    if (deferred.layer == layer) return &deferred.steps;
  }
  return nullptr;
}

void Network::apply_deferred_steps(std::span<float> parameters) {
  for (DeferredLayer& deferred : deferred_) {
    const Layer& layer = graph_.layers[deferred.layer];
    tensor::apply_deferred(dense_of(layer), deferred.steps,
                           parameters.subspan(layer.tensors[0].offset, layer.tensors[0].count));
  }
}

void Network::forget_deferred_steps() {
  for (DeferredLayer& deferred : deferred_) deferred.steps.count = deferred.steps.ahead = 0;
}

const Network::DeferredLayer* Network::reader_of_input() const {
  if (deferred_.empty()) return nullptr;
  const uint16_t source = graph_.layers[deferred_[0].layer].sources[0];
  return graph_.value_class[source] == 0 ? &deferred_[0] : nullptr;
}

uint32_t Network::wants_ahead() const {
  const DeferredLayer* layer = reader_of_input();
  if (layer == nullptr || layer->steps.count != 0) return 0;
  return static_cast<uint32_t>(tensor::kDeferredMax / layer->steps.batch * layer->steps.batch);
}

std::span<float> Network::ahead_input(uint32_t example) {
  return deferred_[0].steps.inputs.subspan(size_t{example} * graph_.input_count, graph_.input_count);
}

void Network::look_ahead(std::span<const float> parameters, uint32_t examples) {
  DeferredLayer& deferred = deferred_[0];
  const Layer& layer = graph_.layers[deferred.layer];
  tensor::look_ahead(dense_of(layer), examples, parameters.subspan(layer.tensors[0].offset, layer.tensors[0].count),
                     deferred.steps);
}

std::span<float> Network::at(Place place, size_t floats) const {
  return place == kNowhere ? std::span<float>{} : block_.subspan(place * kFloatsPerLine, floats);
}

std::span<float> Network::input(uint32_t example) {
  return at(schedule_.input, (size_t{example} + 1) * graph_.input_count).last(graph_.input_count);
}

std::span<const float> Network::inputs(uint32_t examples) const {
  return at(schedule_.input, size_t{examples} * graph_.input_count);
}

std::span<const float> Network::outputs(uint32_t examples) const {
  return at(schedule_.output, size_t{examples} * graph_.output_count);
}

std::span<float> Network::output_gradient(uint32_t examples) {
  return at(schedule_.output_gradient, size_t{examples} * graph_.output_count);
}

std::span<float> Network::layer_gradient(uint32_t layer) const {
  return at(schedule_.places[layer].weight_gradient, graph_.layers[layer].trained.count);
}

Failure Network::check_input(uint32_t examples) const {
  for (const Layer& layer : graph_.layers) {
    if (layer.kind() != plan::LayerKind::kEmbedding || !layer.live) continue;
    RUNNEL_TRY(tensor::check_symbols(embedding_of(layer), inputs(examples)));
  }
  return Error::kOk;
}

void Network::begin_minibatch(uint64_t key, uint32_t first_example) {
  minibatch_key_ = key;
  first_example_ = first_example;
}

uint64_t Network::dropout_key(uint32_t layer) const {
  return derive_key(minibatch_key_, layer);
}

uint32_t Network::dropout_first(uint32_t layer) const {
  return first_example_ * static_cast<uint32_t>(graph_.layers[layer].output.count());
}

void Network::forward(std::span<const float> parameters, uint32_t examples, std::span<float> statistics) {
  RUNNEL_ASSERT(parameters.size() == graph_.parameter_count);
  for (uint32_t layer = 0; layer < layer_count(); ++layer) run_forward(layer, parameters, examples, statistics, false);
}

void Network::run_forward(uint32_t index, std::span<const float> parameters, uint32_t examples,
                          std::span<float> statistics, bool again) {
  const Layer& layer = graph_.layers[index];
  if (!layer.live) return;
  const LayerPlaces& places = schedule_.places[index];
  ForwardPass pass;
  pass.examples = examples;
  for (size_t which = 0; which < layer.sources.size(); ++which) {
    const Place place = again ? places.kept_inputs[which] : places.inputs[which];
    pass.inputs[which] = at(place, size_t{examples} * layer.source_counts[which]);
  }
  pass.output = at(again ? places.kept_output : places.output, static_cast<size_t>(examples * layer.output.count()));
  pass.saved = at(again ? places.kept_saved : places.saved, saved_floats_[index]);
  pass.workspace = at(again ? places.again_workspace : places.workspace, workspace_floats_[index]);
  pass.parameters = parameters;
  pass.statistics = statistics;
  pass.training = graph_.training;
  pass.deferred = deferred_of(index);
  if (layer.kind() == plan::LayerKind::kDropout) {
    pass.dropout_key = dropout_key(index);
    pass.dropout_first = dropout_first(index);
  }
  forward_layer(layer, pass);
}

bool Network::begin_backward(uint32_t index, std::span<const float> parameters, uint32_t examples) {
  const auto& starts = schedule_.segment_starts;
  for (size_t segment = 0; segment + 1 < starts.size(); ++segment) {
    if (index + 1 != starts[segment + 1]) continue;
    for (uint32_t layer = starts[segment]; layer <= index; ++layer) {
      if (schedule_.places[layer].again) run_forward(layer, parameters, examples, {}, true);
    }
  }
  return graph_.layers[index].has_backward;
}

void Network::backward_layer(uint32_t index, std::span<const float> parameters, uint32_t examples,
                             std::span<float> weight_gradient, float scale) {
  const Layer& layer = graph_.layers[index];
  const LayerPlaces& places = schedule_.places[index];
  BackwardPass pass;
  pass.examples = examples;
  if (backward_reads_input(layer.kind()))
    pass.input = at(places.kept_inputs[0], size_t{examples} * layer.source_counts[0]);
  if (backward_reads_output(layer.kind()))
    pass.output = at(places.kept_output, static_cast<size_t>(examples * layer.output.count()));
  pass.parameters = parameters;
  pass.saved = at(places.kept_saved, saved_floats_[index]);
  pass.output_gradient = at(places.output_gradient, static_cast<size_t>(examples * layer.output.count()));
  pass.weight_gradient = weight_gradient;
  if (!weight_gradient.empty()) pass.deferred = deferred_of(index);
  pass.scale = scale;
  for (size_t which = 0; which < layer.sources.size(); ++which)
    pass.input_gradients[which] = at(places.written_gradients[which], size_t{examples} * layer.source_counts[which]);
  pass.workspace = at(places.backward_workspace, workspace_floats_[index]);
  if (layer.kind() == plan::LayerKind::kDropout) {
    pass.dropout_key = dropout_key(index);
    pass.dropout_first = dropout_first(index);
  }
  train::backward_layer(layer, pass);

  for (size_t which = 0; which < layer.sources.size(); ++which) {
    const Place to = places.input_gradients[which];
    if (to == kNowhere) continue;
    const bool adds = !layer.first_to_write_gradient[which];
    if (!adds && to == places.written_gradients[which]) continue;
    const std::span<float> total = at(to, size_t{examples} * layer.source_counts[which]);
    if (adds) {
      tensor::add_into(pass.input_gradients[which], total);
    } else {
      std::ranges::copy(pass.input_gradients[which], total.begin());
    }
  }
}

void Network::backward(std::span<const float> parameters, uint32_t examples, std::span<float> gradient) {
  for (uint32_t layer = layer_count(); layer-- > 0;) {
    if (!begin_backward(layer, parameters, examples)) continue;
    const ParameterRange range = trained(layer);
    backward_layer(layer, parameters, examples, gradient.subspan(range.count == 0 ? 0 : range.offset, range.count),
                   1.0F);
  }
}

}  // namespace runnel::train
