// The messages that bring a model to a device: the newest in full, or what it changed since the version that the device
// holds, whichever is shorter; and those of earlier versions that some device is still fetching.
//
// A device that missed rounds gets one delta, composed when it is first asked for and kept while there is room (the
// least recently asked for goes first). Composed again, also after a restart, it has the same bytes: a transfer may go
// on where it broke off. A device whose link takes longer than a round for the whole model goes on with the version
// that it began with, and comes to the newest by a delta from there: so a full message that was asked for stays beside
// the newest one, in the same room and under the same rule. Memory: the full message and up to `cache_bytes_max` of the
// others, or one other if that is longer. Threads: one at a time.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "coordinator/store/store.h"
#include "runtime/plan/model_spec.h"
#include "runtime/wire/frame.h"

namespace runnel::coordinator {

class ModelMessages {
 public:
  // `keeps_older`: of use where deltas lead on from an earlier version, or where it may be trained on.
  ModelMessages(uint64_t run, const plan::ModelSpec& spec, uint64_t cache_bytes_max, bool keeps_older = false)
      : run_(run), spec_(spec), cache_bytes_max_(cache_bytes_max), keeps_older_(keeps_older) {}

  // From now on the newest model is this one.
  void set_model(const ModelRecord& model);

  struct Message {
    uint64_t base_version = 0;  // 0: a Model; else a ModelDelta to be added to this version
    ByteView bytes;             // until the next call
  };
  uint64_t model_version() const { return version_; }
  Message full() const { return {0, full_}; }

  // For a device that holds `held_version` (0 = none) of the model `parameters`, the one last set. `deltas` lead to it,
  // ascending, without a gap.
  Message message_for(uint64_t held_version, std::span<const ModelDelta> deltas);
  // What was given for an earlier version: its model (`base_version` 0), or the delta to it from that version. nullopt
  // if that is not kept.
  std::optional<Message> older(uint64_t version, uint64_t base_version);

  uint64_t cached_bytes() const { return cached_bytes_; }
  uint64_t composed_count() const { return composed_count_; }  // deltas made so far

 private:
  struct Cached {
    uint64_t version;
    uint64_t base_version;
    std::vector<uint8_t> bytes;  // empty: the full model is shorter
  };
  Message touch(std::deque<Cached>::iterator found);
  std::deque<Cached>::iterator find(uint64_t version, uint64_t base_version);
  void add(Cached cached);
  std::vector<uint8_t> make(uint64_t base_version, std::span<const ModelDelta> deltas) const;

  uint64_t run_;
  plan::ModelSpec spec_;
  uint64_t cache_bytes_max_;
  bool keeps_older_;
  uint64_t version_ = 0;
  uint32_t shared_count_ = 0;
  uint32_t checksum_ = 0;
  std::vector<uint8_t> full_;
  bool full_given_ = false;
  std::deque<Cached> cached_;  // the most recently asked for last
  uint64_t cached_bytes_ = 0;
  uint64_t composed_count_ = 0;
};

}  // namespace runnel::coordinator
