#include "runtime/train/network.h"

#include <algorithm>

#include "runtime/base/rng.h"
#include "runtime/tensor/embedding.h"
#include "runtime/tensor/join.h"
#include "runtime/train/layer_sizes.h"

namespace runnel::train {
namespace {

constexpr size_t kFloatsPerLine = Arena::kAlignment / sizeof(float);

}  // namespace

Result<Network> Network::plan(const plan::ModelSpec& spec, const ScheduleOptions& options, Use use,
                              BlockLayout& block_layout) {
  const Result<Graph> graph = make_graph(spec, use == Use::kTraining);
  if (!graph) return graph.failure();
  return plan(*graph, options, block_layout);
}

Result<Network> Network::plan(const Graph& graph, const ScheduleOptions& options, BlockLayout& block_layout) {
  const Result<Schedule> schedule = make_schedule(graph, options);
  if (!schedule) return schedule.failure();
  Network network;
  network.graph_ = graph;
  network.schedule_ = *schedule;
  for (uint32_t index = 0; index < graph.layers.size(); ++index) {
    const Layer& layer = graph.layers[index];
    network.saved_floats_[index] = static_cast<uint32_t>(saved_floats(layer, options.batch_size));
    network.workspace_floats_[index] = static_cast<uint32_t>(workspace_floats(layer, options.batch_size));
  }
  network.piece_ = block_layout.add<float>(schedule->lines * kFloatsPerLine);
  network.block_bytes_ = schedule->lines * Arena::kAlignment;
  return network;
}

uint64_t Network::alive_bytes() const {
  return schedule_.lines_alive * Arena::kAlignment;
}

void Network::bind(MutableByteView block) {
  block_ = piece_.in(block);
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
  pass.output = at(again ? places.kept_output : places.output, examples * layer.output.count());
  pass.saved = at(again ? places.kept_saved : places.saved, saved_floats_[index]);
  pass.workspace = at(again ? places.again_workspace : places.workspace, workspace_floats_[index]);
  pass.parameters = parameters;
  pass.statistics = statistics;
  pass.training = graph_.training;
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
  if (backward_reads_output(layer.kind())) pass.output = at(places.kept_output, examples * layer.output.count());
  pass.parameters = parameters;
  pass.saved = at(places.kept_saved, saved_floats_[index]);
  pass.output_gradient = at(places.output_gradient, examples * layer.output.count());
  pass.weight_gradient = weight_gradient;
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
