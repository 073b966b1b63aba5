// The model on its way to this device, and the one that it holds.
//
// Asks for the wanted version in stretches and puts the chunks together: a Model message, or a ModelDelta that is added
// to the held version. The sum is checked against the coordinator's checksum before it counts; a delta that does not
// fit costs only time, for the model is then asked for in full. What is partly here when a newer version
// is wanted is fetched to its end all the same, as the coordinator lets it ("the anchor"): from there a delta leads on,
// so that a device makes progress whose link takes longer than a round for the whole. Memory: the held model; while one
// comes, its message (with a full one the held model goes first), and while a delta is added one fp32 a parameter.
// Threads: one at a time. Trust: chunks may hold anything; nothing counts as held unless it decodes, is finite and is
// the version wanted.
#pragma once

#include <optional>
#include <span>

#include "device/engine/model_keeper.h"
#include "runtime/codec/available.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/reassembly.h"

namespace runnel::device {

class ModelTransfer {
 public:
  // `window_bytes`: asked for at a time. `bytes_max`: of the largest Model message. `keeper` may be null: then the
  // model does not outlive a restart. `scratch`: where a delta is added, if it is long enough. A build that cannot read
  // deltas (codec/available.h) does as if it held nothing whenever it asks for a model.
  ModelTransfer(uint32_t window_bytes, uint64_t bytes_max, ModelKeeper* keeper, std::span<float> scratch = {},
                bool reads_deltas = codec::is_available(plan::CodecId::kDeadzone))
      : window_bytes_(window_bytes),
        bytes_max_(bytes_max),
        keeper_(keeper),
        scratch_(scratch),
        reads_deltas_(reads_deltas) {}

  // What the keeper has. kNotFound when that is nothing; otherwise fails with why nothing is held.
  Failure restore();

  bool holds(uint64_t run, uint64_t version) const {
    return held_.complete() && held_run_ == run && held_version_ == version;
  }
  bool holds_any() const { return held_.complete(); }
  uint64_t held_run() const { return held_run_; }
  uint64_t held_version() const { return held_version_; }
  // From which a delta may lead; 0 = none.
  uint64_t delta_base_version() const { return reads_deltas_ && holds_any() ? held_version_ : 0; }
  // A Model message that decodes. REQUIRES: holds_any().
  ByteView held() const { return held_.bytes(); }

  // That version is wanted from now on; a transfer of the same goes on where it is, and so does a full one of an
  // earlier version of the run.
  void want(uint64_t run, uint64_t version, uint64_t model_bytes);
  // The wanted version comes as a delta against `base_version` without being asked for. If that is not the one held, or
  // a transfer is under way already, it will be asked for all the same.
  void expect_delta(uint64_t base_version);
  // Nothing is wanted any more; what is held stays.
  void stop();
  // The coordinator does not have the earlier version any more: begins with the one that is wanted. False if it was not
  // an earlier one that was on its way.
  bool give_up_anchor();
  // What was asked for on an earlier link will not come any more.
  void handle_link_up() { requested_bytes_ = incoming_.received_bytes(); }

  enum class Outcome : uint8_t {
    kIgnored,   // of a transfer that was given up
    kMore,      // there is more to come
    kHeld,      // the wanted model is held, or the anchor from which a delta leads to it
    kDropped,   // the chunk does not follow; `why`
    kFallback,  // the delta does not hold; the full model is asked for now; `why`
    kRefused,   // the model does not hold, or has no room here; nothing is wanted any more; `why`
  };
  Outcome handle_chunk(const wire::ModelChunk& chunk, Failure& why);

  // True while a chunk should be on its way.
  bool awaits_chunk() const { return wanted() && requested_bytes_ > incoming_.received_bytes(); }
  // True if some of the wanted model is here.
  bool under_way() const { return wanted() && incoming_.received_bytes() > 0; }
  // The next stretch to ask for.
  std::optional<wire::ModelRequest> poll_request();

  // Writes the held model down for the next start. kOk without a keeper.
  Failure keep();

 private:
  bool wanted() const { return wanted_version_ != 0 && !holds(wanted_run_, wanted_version_); }
  uint64_t base() const { return held_run_ == wanted_run_ ? delta_base_version() : 0; }
  // The version that is asked for: the anchor's, or the one wanted.
  uint64_t fetched_version() const { return anchor_version_ != 0 ? anchor_version_ : wanted_version_; }
  uint64_t fetched_bytes() const { return anchor_version_ != 0 ? anchor_bytes_ : wanted_bytes_; }
  Failure take_full();
  Failure take_delta();

  uint32_t window_bytes_;
  uint64_t bytes_max_;
  ModelKeeper* keeper_;
  std::span<float> scratch_;
  bool reads_deltas_;

  wire::Reassembly held_;
  uint64_t held_run_ = 0;
  uint64_t held_version_ = 0;

  uint64_t wanted_run_ = 0;
  uint64_t wanted_version_ = 0;  // 0 = none
  uint64_t wanted_bytes_ = 0;    // of the full model
  uint64_t anchor_version_ = 0;  // earlier than the wanted one, and partly here; 0 = none
  uint64_t anchor_bytes_ = 0;
  wire::Reassembly incoming_;
  uint64_t incoming_base_ = 0;    // of the message under way; 0 = it is full
  uint64_t requested_bytes_ = 0;  // up to where it was asked for
};

}  // namespace runnel::device
