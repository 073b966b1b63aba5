#include "runtime/train/graph.h"

#include <algorithm>

namespace runnel::train {
namespace {

using plan::LayerKind;
using ValueFlags = std::array<bool, plan::kLayersMax + 1>;
using Readers = std::array<uint16_t, plan::kLayersMax + 1>;  // of each value

void add_layers(const plan::ModelSpec& spec, const plan::ModelLayout& layout, Graph& graph) {
  for (uint32_t index = 0; index < spec.layers.size(); ++index) {
    Layer layer;
    layer.spec = spec.layers[index];
    layer.output = layout.outputs[index];
    for (uint32_t which = 0; which < plan::input_count(layer.spec); ++which) {
      const uint32_t source = plan::source_of(spec, index, which);
      const plan::Shape shape = source == 0 ? spec.input : layout.outputs[source - 1];
      if (which == 0) layer.input = shape;
      RUNNEL_ASSERT(layer.sources.push_back(static_cast<uint16_t>(source)));
      layer.source_counts[which] = static_cast<uint32_t>(shape.count());
    }
    RUNNEL_ASSERT(graph.layers.push_back(layer));
  }
  for (const plan::TensorInfo& tensor : layout.tensors) {
    Layer& layer = graph.layers[tensor.layer];
    RUNNEL_ASSERT(layer.tensors.push_back({tensor.offset, tensor.count}));
    if (!tensor.trained) continue;
    // What a layer trains comes before its running statistics.
    if (layer.trained.count == 0) layer.trained.offset = tensor.offset;
    RUNNEL_ASSERT(layer.trained.offset + layer.trained.count == tensor.offset);
    layer.trained.count += tensor.count;
  }
}

void find_live(Graph& graph) {
  graph.layers.back().live = true;
  for (size_t index = graph.layers.size(); index-- > 0;) {
    if (!graph.layers[index].live) continue;
    for (const uint16_t source : graph.layers[index].sources) {
      if (source != 0) graph.layers[source - 1].live = true;
    }
  }
}

// Where gradients go, from what the trained layers need.
void find_gradients(Graph& graph) {
  ValueFlags wanted{};
  for (size_t index = 0; index < graph.layers.size(); ++index) {
    Layer& layer = graph.layers[index];
    bool any = layer.trained.count != 0;
    for (size_t which = 0; which < layer.sources.size(); ++which) {
      layer.wants_input_gradient[which] = wanted[layer.sources[which]];
      any = any || layer.wants_input_gradient[which];
    }
    wanted[index + 1] = any;
    layer.has_backward = any && layer.live;
  }
  ValueFlags written{};
  for (size_t index = graph.layers.size(); index-- > 0;) {
    Layer& layer = graph.layers[index];
    if (!layer.has_backward) continue;
    for (size_t which = 0; which < layer.sources.size(); ++which) {
      if (!layer.wants_input_gradient[which]) continue;
      layer.first_to_write_gradient[which] = !written[layer.sources[which]];
      written[layer.sources[which]] = true;
    }
  }
}

// Where a layer works in place, nothing else may look at what it overwrites: not a layer that reads one of those values
// too, nor, in training, the backward pass of the layers that made them.
bool may_overwrite(const Graph& graph, const Readers& readers, uint32_t value) {
  const uint16_t root = graph.value_class[value];
  if (root == 0) return false;
  for (uint32_t other = root; other <= value; ++other) {
    if (graph.value_class[other] != root) continue;
    if (readers[other] != 1) return false;
    const Layer& maker = graph.layers[other - 1];
    if (graph.training && maker.has_backward && backward_reads_output(maker.kind())) return false;
  }
  return true;
}

Readers count_readers(const Graph& graph) {
  Readers readers{};
  for (const Layer& layer : graph.layers) {
    if (!layer.live) continue;
    for (const uint16_t source : layer.sources) ++readers[source];
  }
  return readers;
}

// A maximum pooling whose maximum a rectifier has made 0 has no gradient to pass on, and sees that by itself.
void join_rectifiers_to_pools(Graph& graph) {
  const Readers readers = count_readers(graph);
  for (Layer& layer : graph.layers) {
    if (layer.kind() != LayerKind::kMaxPool2d || !layer.has_backward) continue;
    const uint16_t source = layer.sources[0];
    if (source == 0 || readers[source] != 1) continue;
    Layer& below = graph.layers[source - 1];
    if (below.kind() == LayerKind::kRelu && below.has_backward) layer.passes_relu = below.passes_relu = true;
  }
}

void share_values(Graph& graph) {
  const Readers readers = count_readers(graph);
  for (uint32_t index = 0; index < graph.layers.size(); ++index) {
    Layer& layer = graph.layers[index];
    graph.value_class[index + 1] = static_cast<uint16_t>(index + 1);
    if (!layer.live) continue;
    const uint16_t source = layer.sources[0];
    const bool in_place = works_in_place(layer.kind()) && may_overwrite(graph, readers, source);
    if (!is_view(layer.kind()) && !in_place) continue;
    graph.value_class[index + 1] = graph.value_class[source];
    if (layer.kind() != LayerKind::kRelu) continue;
    Layer& maker = graph.layers[source - 1];
    if (maker.kind() != LayerKind::kDense && maker.kind() != LayerKind::kConv2d) continue;
    maker.relu_follows = true;
    layer.relu_done = true;
  }
}

void share_gradients(Graph& graph) {
  for (uint32_t value = 0; value <= graph.layers.size(); ++value)
    graph.gradient_class[value] = static_cast<uint16_t>(value);
  for (uint32_t index = static_cast<uint32_t>(graph.layers.size()); index-- > 0;) {
    const Layer& layer = graph.layers[index];
    if (!layer.has_backward) continue;
    const bool adds = layer.kind() == LayerKind::kAdd;
    if (!adds && !is_view(layer.kind()) && !works_in_place(layer.kind()) && layer.kind() != LayerKind::kGelu) continue;
    for (size_t which = 0; which < layer.sources.size(); ++which) {
      const uint16_t source = layer.sources[which];
      if (!layer.wants_input_gradient[which] || !layer.first_to_write_gradient[which]) continue;
      if (std::count(layer.sources.begin(), layer.sources.end(), source) != 1) continue;
      graph.gradient_class[source] = graph.gradient_class[index + 1];
      break;  // the other inputs of a sum get copies
    }
  }
}

}  // namespace

Failure make_graph(const plan::ModelSpec& spec, const plan::ModelLayout& layout, bool training, Graph& graph) {
  graph = {};
  graph.training = training;
  graph.keeps_input = spec.loss.target == plan::TargetKind::kInput;
  graph.input_count = static_cast<uint32_t>(spec.input.count());
  graph.output_count = static_cast<uint32_t>(layout.outputs.back().count());
  graph.parameter_count = layout.parameter_count;
  add_layers(spec, layout, graph);
  find_live(graph);
  if (training) find_gradients(graph);
  share_values(graph);
  if (training) share_gradients(graph);
  if (training) join_rectifiers_to_pools(graph);
  for (uint32_t index = 0; index < graph.layers.size(); ++index) {
    const Layer& layer = graph.layers[index];
    if (layer.kind() == LayerKind::kEmbedding && graph.value_class[layer.sources[0]] != 0)
      return fail(Error::kUnsupported, "layer %u (embedding): it must read the model's input", index);
  }
  return Error::kOk;
}

}  // namespace runnel::train
