#include "runtime/train/schedule.h"

#include <algorithm>

#include "runtime/base/arena.h"
#include "runtime/train/pack_buffers.h"

namespace runnel::train {
namespace {

constexpr uint64_t kLinesMax = 1ULL << 31;
constexpr uint32_t kValuesMax = plan::kLayersMax + 1;

// While the schedule is made, a Place is the index of a buffer.
class Scheduler {
 public:
  Scheduler(const Graph& graph, const ScheduleOptions& options, Schedule& schedule)
      : graph_(graph),
        options_(options),
        schedule_(schedule),
        layer_count_(static_cast<uint32_t>(graph.layers.size())) {
    for (auto* places : {&value_buffers_[0], &value_buffers_[1], &gradient_buffers_}) places->fill(kNowhere);
    for (uint32_t index = 0; index < layer_count_; ++index) RUNNEL_ASSERT(schedule_.places.push_back({}));
    cut();
  }

  void run() {
    if (graph_.training) find_what_is_kept();
    touch_value(0, 0);
    for (uint32_t index = 0; index < layer_count_; ++index) forward(index);
    ++now_;
    schedule_.input = value_buffers_[0][0];
    schedule_.output = touch_value(graph_.value_class[layer_count_], 0);
    if (graph_.keeps_input) touch_value(0, 0);
    if (!graph_.training) return;
    schedule_.output_gradient = touch_gradient(layer_count_);
    ++now_;
    for (uint32_t segment = segment_count(); segment-- > 0;) {
      if (segment + 1 < segment_count()) {
        for (uint32_t index = begin_of(segment); index < end_of(segment); ++index) forward_again(index, segment);
      }
      for (uint32_t index = end_of(segment); index-- > begin_of(segment);) backward(index, segment);
    }
  }

  Failure pack() {
    uint64_t all = 0;
    for (const Buffer& buffer : buffers_) all += buffer.lines;
    if (all > kLinesMax) return fail(Error::kLimit, "the network would need more than 128 GB");
    schedule_.lines = pack_buffers(buffers_);
    schedule_.lines_alive = lines_alive_max(buffers_);
    resolve(schedule_.input);
    resolve(schedule_.output);
    resolve(schedule_.output_gradient);
    for (LayerPlaces& at : schedule_.places) {
      for (auto* inputs : {&at.inputs, &at.kept_inputs, &at.input_gradients, &at.written_gradients}) {
        for (Place& place : *inputs) resolve(place);
      }
      for (Place* place : {&at.output, &at.saved, &at.workspace, &at.kept_output, &at.kept_saved, &at.again_workspace,
                           &at.backward_workspace, &at.output_gradient, &at.weight_gradient})
        resolve(*place);
    }
    return Error::kOk;
  }

 private:
  uint32_t segment_count() const { return static_cast<uint32_t>(schedule_.segment_starts.size()); }
  uint32_t begin_of(uint32_t segment) const { return schedule_.segment_starts[segment]; }
  uint32_t end_of(uint32_t segment) const {
    return segment + 1 < segment_count() ? schedule_.segment_starts[segment + 1] : layer_count_;
  }
  bool is_last(uint32_t segment) const { return segment + 1 == segment_count(); }
  // The segment in which a class of values is made; the model's input is made before all of them.
  uint32_t segment_of(uint32_t value_class) const { return value_class == 0 ? UINT32_MAX : segments_[value_class - 1]; }

  // Cuts the layers into segments of about equal activations, never between values that share memory.
  void cut() {
    RUNNEL_ASSERT(schedule_.segment_starts.push_back(0));
    uint64_t total = 0;
    for (uint32_t index = 0; index < layer_count_; ++index) total += weight_of(index);
    uint64_t sum = 0;
    for (uint32_t index = 0; index < layer_count_; ++index) {
      const uint32_t wanted = segment_count();
      const bool own_memory = graph_.value_class[index + 1] == index + 1;
      if (index > 0 && own_memory && wanted < options_.segments && wanted < kSegmentsMax &&
          sum * options_.segments >= total * wanted) {
        RUNNEL_ASSERT(schedule_.segment_starts.push_back(static_cast<uint16_t>(index)));
      }
      segments_[index] = static_cast<uint16_t>(segment_count() - 1);
      sum += weight_of(index);
    }
  }
  // Elements that the layer adds to what is kept.
  uint64_t weight_of(uint32_t index) const {
    const Layer& layer = graph_.layers[index];
    const bool own_memory = graph_.value_class[index + 1] == index + 1;
    return layer.has_backward && own_memory ? layer.output.count() : 0;
  }

  // From the last segment to the first: which values the backward passes look at, which of them are kept from the first
  // forward pass because a later segment needs them, and which layers run again for the others.
  void find_what_is_kept() {
    for (uint32_t segment = segment_count(); segment-- > 0;) {
      std::array<bool, kValuesMax> needed{};
      const auto use = [&](uint32_t value) {
        const uint32_t value_class = graph_.value_class[value];
        if (segment_of(value_class) == segment) {
          needed[value_class] = true;
        } else {
          kept_[value_class] = true;
        }
      };
      for (uint32_t index = begin_of(segment); index < end_of(segment); ++index) {
        const Layer& layer = graph_.layers[index];
        if (!layer.has_backward) continue;
        if (backward_reads_input(layer.kind())) use(layer.sources[0]);
        if (backward_reads_output(layer.kind())) use(index + 1);
        again_[index] = !is_last(segment) && saved_floats(layer, options_.batch_size) != 0;
      }
      if (is_last(segment)) continue;
      std::array<bool, kValuesMax> made_again{};
      std::array<bool, plan::kLayersMax> done{};
      for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t index = end_of(segment); index-- > begin_of(segment);) {
          const uint32_t value_class = graph_.value_class[index + 1];
          const bool wanted = graph_.layers[index].live && (again_[index] || made_again[value_class] ||
                                                            (needed[value_class] && !kept_[value_class]));
          if (!wanted || done[index]) continue;
          changed = done[index] = true;
          again_[index] = true;
          made_again[value_class] = true;
          for (const uint16_t source : graph_.layers[index].sources) use(source);
        }
      }
    }
  }

  // Which of the two copies of a class a segment looks at: what is made again is the second, unless it is kept.
  uint32_t copy_of(uint32_t value_class, uint32_t segment) const {
    return value_class != 0 && segment_of(value_class) == segment && !is_last(segment) && !kept_[value_class] ? 1 : 0;
  }

  Place add_buffer(uint64_t floats) {
    if (floats == 0) return kNowhere;
    constexpr uint64_t kFloatsPerLine = Arena::kAlignment / sizeof(float);
    RUNNEL_ASSERT(buffers_.push_back({(floats + kFloatsPerLine - 1) / kFloatsPerLine, 0, now_, now_}));
    return static_cast<Place>(buffers_.size() - 1);
  }
  Place touch(Place place) {
    if (place != kNowhere) buffers_[place].last = now_;
    return place;
  }
  Place touch_value(uint32_t value_class, uint32_t copy) {
    Place& place = value_buffers_[copy][value_class];
    if (place == kNowhere) place = add_buffer(uint64_t{options_.batch_size} * graph_.value_count(value_class));
    return touch(place);
  }
  Place touch_gradient(uint32_t value) {
    Place& place = gradient_buffers_[graph_.gradient_class[value]];
    if (place == kNowhere) place = add_buffer(uint64_t{options_.batch_size} * graph_.value_count(value));
    return touch(place);
  }
  void resolve(Place& place) const {
    if (place != kNowhere) place = static_cast<Place>(buffers_[place].place);
  }

  void forward(uint32_t index) {
    const Layer& layer = graph_.layers[index];
    if (!layer.live) return;
    ++now_;
    LayerPlaces& at = schedule_.places[index];
    for (size_t which = 0; which < layer.sources.size(); ++which)
      at.inputs[which] = touch_value(graph_.value_class[layer.sources[which]], 0);
    at.output = touch_value(graph_.value_class[index + 1], 0);
    at.saved = add_buffer(saved_floats(layer, options_.batch_size));
    at.workspace = add_buffer(workspace_floats(layer, options_.batch_size));
  }

  void forward_again(uint32_t index, uint32_t segment) {
    if (!again_[index]) return;
    const Layer& layer = graph_.layers[index];
    LayerPlaces& at = schedule_.places[index];
    at.again = true;
    for (size_t which = 0; which < layer.sources.size(); ++which) {
      const uint32_t value_class = graph_.value_class[layer.sources[which]];
      at.kept_inputs[which] = touch_value(value_class, copy_of(value_class, segment));
    }
    const uint32_t value_class = graph_.value_class[index + 1];
    at.kept_output = touch_value(value_class, copy_of(value_class, segment));
    at.kept_saved = add_buffer(saved_floats(layer, options_.batch_size));
    at.again_workspace = add_buffer(workspace_floats(layer, options_.batch_size));
    ++now_;
  }

  void backward(uint32_t index, uint32_t segment) {
    const Layer& layer = graph_.layers[index];
    if (!layer.has_backward) return;
    LayerPlaces& at = schedule_.places[index];
    if (backward_reads_input(layer.kind())) {
      const uint32_t value_class = graph_.value_class[layer.sources[0]];
      at.kept_inputs[0] = touch_value(value_class, copy_of(value_class, segment));
    }
    if (backward_reads_output(layer.kind())) {
      const uint32_t value_class = graph_.value_class[index + 1];
      at.kept_output = touch_value(value_class, copy_of(value_class, segment));
    }
    if (!at.again) at.kept_saved = at.saved;
    touch(at.kept_saved);
    at.output_gradient = touch_gradient(index + 1);
    const bool moves_gradient = is_view(layer.kind()) || works_in_place(layer.kind()) ||
                                layer.kind() == plan::LayerKind::kGelu || layer.kind() == plan::LayerKind::kAdd;
    for (size_t which = 0; which < layer.sources.size(); ++which) {
      if (!layer.wants_input_gradient[which]) continue;
      at.input_gradients[which] = touch_gradient(layer.sources[which]);
      if (moves_gradient) {
        at.written_gradients[which] = at.output_gradient;
      } else if (layer.first_to_write_gradient[which]) {
        at.written_gradients[which] = at.input_gradients[which];
      } else {
        at.written_gradients[which] = add_buffer(uint64_t{options_.batch_size} * layer.source_counts[which]);
      }
    }
    if (options_.layer_gradients) at.weight_gradient = add_buffer(layer.trained.count);
    at.backward_workspace = add_buffer(workspace_floats(layer, options_.batch_size));
    ++now_;
  }

  const Graph& graph_;
  const ScheduleOptions options_;
  Schedule& schedule_;
  const uint32_t layer_count_;
  Buffers buffers_;
  uint32_t now_ = 0;
  std::array<Place, kValuesMax> value_buffers_[2];  // by class; the second: when made again
  std::array<Place, kValuesMax> gradient_buffers_;
  std::array<uint16_t, plan::kLayersMax> segments_{};
  std::array<bool, kValuesMax> kept_{};
  std::array<bool, plan::kLayersMax> again_{};
};

}  // namespace

Failure make_schedule(const Graph& graph, const ScheduleOptions& options, Schedule& schedule) {
  schedule = {};
  Scheduler scheduler(graph, options, schedule);
  scheduler.run();
  return scheduler.pack();
}

}  // namespace runnel::train
