// The coordinator's side of the protocol as a pure state machine: sessions and frames on one side, the rounds on the
// other.
//
// Use: call a handle_*, then poll_frame() until it says nothing; once no input is waiting, poll_store() and carry it
// out (so that updates which arrived together are made durable together); then sleep until next_timeout() or the next
// input. Order of outputs: an acknowledgement is polled only after the transaction that makes its update durable
// succeeded. Memory: a few hundred bytes a session, updates within options' bound until they are durable, and what
// RoundEngine holds. Threads: one at a time. Trust: a session's device name is what the secure channel vouched for; its
// frames may hold anything.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "coordinator/engine/model_messages.h"
#include "coordinator/engine/round_engine.h"
#include "coordinator/engine/upload_pace.h"
#include "coordinator/engine/upload_table.h"
#include "runtime/wire/frame.h"

namespace runnel::coordinator {

using SessionId = uint64_t;

struct CoordinatorOptions {
  RoundOptions round;
  plan::ModelSpec model;
  std::string software;
  uint32_t chunk_bytes = wire::kChunkBytesMax;  // an update's chunk, at most: devices make theirs fit their links
  uint32_t window_bytes = 32 * 1024;            // update bytes a device may have under way
  uint32_t model_chunk_bytes = 8192;
  uint32_t offer_bytes_max = 4096;      // an update up to this size may come within its offer; 0 = none
  uint32_t push_bytes_max = 32 * 1024;  // a delta up to this size follows its plan without being asked for; 0 = none
  uint64_t delta_cache_bytes_max = 64ULL << 20;  // of messages for devices that hold older versions
  uint32_t ping_after_ms = 300'000;              // silence after which a device asks for a sign of life; 0 = never
  uint64_t uploads_bytes_max = UploadOptions{}.bytes_max;                  // of all updates that are not durable yet
  uint64_t update_bytes_max = 64ULL << 20;                                 // of one update
  uint64_t uploads_unsaved_bytes_max = UploadOptions{}.unsaved_bytes_max;  // see there
  uint32_t uploads_age_max_s = 7 * 86400;  // of silence, before what is there of an update is dropped
  int64_t started_at = 0;                  // unix seconds, to tell how old stored parts are; 0 = take them as new
  size_t sessions_max = 65536;
  uint32_t resend_after_ms = 5000;      // pause before an update that was damaged on its way is sent again
  uint32_t busy_pause_max_ms = 20'000;  // longest that a device is told to wait that found no room; see UploadPace
  size_t uploads_moving_max = UploadOptions{}.moving_max;  // see there; not more than sessions that stay awake

  UploadOptions uploads() const;
};

enum class DeviceActivity : uint8_t { kOnline, kTraining, kUploading, kWaiting, kOffline };
const char* device_activity_name(DeviceActivity activity);

// What a person watching would want to know.
struct DeviceChange {
  std::string device;
  DeviceActivity activity = DeviceActivity::kOffline;
  uint32_t round = 0;
};
struct Warning {
  std::string text;
};
using Event = std::variant<DeviceChange, Warning, RoundResult>;

struct Counters {
  uint64_t frames_in = 0;
  uint64_t frames_dropped = 0;  // malformed, or not allowed in the session's state
  uint64_t updates_accepted = 0;
  uint64_t updates_refused = 0;
  uint64_t updates_repeated = 0;  // acknowledged again without counting again
  uint64_t updates_late = 0;      // accepted into a later round than they were trained for
  uint64_t updates_deferred = 0;  // offers that found no room
  uint64_t held_bytes_max = 0;    // the most that updates have taken here at once: see held_bytes()
};

class CoordinatorEngine {
 public:
  CoordinatorEngine(const CoordinatorOptions& options, RoundEngine rounds);

  // A session stands. `device` is the authenticated name; empty when the link is not secured, and Hello's name is
  // believed.
  void handle_session_opened(Instant now, SessionId session, const std::string& device);
  void handle_session_closed(Instant now, SessionId session);
  // A frame could not be delivered: the device is away for now; its session may come back.
  void handle_unreachable(Instant now, SessionId session);
  void handle_frame(Instant now, SessionId session, ByteView bytes);
  void handle_timeout(Instant now);
  void handle_stored(Instant now, const Failure& failure);

  struct OutgoingFrame {
    SessionId session;
    ByteView bytes;  // valid until the next call of the engine
  };
  std::optional<OutgoingFrame> poll_frame(Instant now);
  std::optional<SessionId> poll_close();  // a session that is to be ended
  StoreRequest* poll_store(Instant now);
  std::optional<Event> poll_event();
  Instant next_timeout() const;

  const ModelMessages& model_messages() const { return messages_; }
  const RoundEngine& rounds() const { return rounds_; }
  const Counters& counters() const { return counters_; }
  bool finished() const { return rounds_.phase() == RoundEngine::Phase::kFinished; }
  // True once every device that is connected has been told that the run is over.
  bool everyone_told() const;
  size_t told_count() const;
  size_t session_count() const { return sessions_.size(); }
  // Of updates that are not durable yet: never above uploads_bytes_max.
  uint64_t upload_bytes_held() const { return uploads_.held_bytes() + rounds_.waiting_bytes(); }
  // The same and what is on its way to the disk: at most UploadTable::kSaveBytesMax more.
  uint64_t held_bytes() const { return upload_bytes_held() + uploads_.saving_bytes(); }
  size_t upload_count() const { return uploads_.size(); }

 private:
  // A range that a session has asked for, of the message that brings the model to a device which holds `held_version`.
  struct ModelRange {
    uint64_t version = 0;
    uint64_t held_version = 0;
    uint64_t base_version = 0;  // of that message
    uint64_t next = 0;
    uint64_t end = 0;
  };
  struct Session {
    std::string device;  // empty until authenticated or believed
    bool welcomed = false;
    bool reachable = true;
    bool queued = false;  // in ready_
    bool welcome_due = false;
    bool plan_due = false;
    bool bye_due = false;
    bool told_finished = false;
    bool close_after = false;  // once its last frame is out
    bool unavailable = false;  // it cannot train now
    uint8_t deferrals = 0;     // of its update, one after another
    std::optional<uint64_t> pong_due;
    std::optional<wire::UpdateAck> ack_due;
    std::optional<wire::Refusal> refusal_due;
    std::string refusal_detail;
    ModelRange model;
    uint64_t held_version = 0;    // of this run's model, as far as is known; 0 = none
    uint64_t pushed_version = 0;  // the newest that was sent without being asked for
    uint16_t protocol = wire::kProtocolMax;
    uint32_t chunk_bytes_max = wire::kChunkBytesMax;  // of a model, so that its frame fits the device
    DeviceActivity activity = DeviceActivity::kOnline;
  };

  void on(Instant now, SessionId id, Session& session, const wire::Hello& hello);
  void on(Instant now, SessionId id, Session& session, const wire::ModelRequest& request);
  void on(Instant now, SessionId id, Session& session, const wire::UpdateOffer& offer);
  void on(Instant now, SessionId id, Session& session, const wire::UpdateChunk& chunk);
  void on(Instant now, SessionId id, Session& session, const wire::Ping& ping);
  void on(Instant now, SessionId id, Session& session, const wire::Pong& pong);
  void on(Instant now, SessionId id, Session& session, const wire::Bye& bye);
  template <typename Unexpected>
  void on(Instant now, SessionId id, Session& session, const Unexpected& message);

  uint64_t push_delta(Session& session);
  std::optional<ModelMessages::Message> model_message(uint64_t version, uint64_t held_version);
  void restore_uploads();
  void finish_upload(Instant now, const std::string& device);
  void finish_parked(Instant now);
  void refuse_upload(Instant now, const std::string& device, wire::Reason reason, std::string detail);
  void refuse_closed_uploads(Instant now);
  uint32_t busy_retry_ms(Instant now, Session& session, uint64_t bytes);
  void refuse(SessionId id, Session& session, wire::Reason reason, std::string detail, uint64_t sequence = 0,
              uint32_t retry_after_ms = 0);
  void make_ready(SessionId id, Session& session);
  void set_activity(Session& session, DeviceActivity activity);
  void take_round_outcomes(Instant now);
  std::optional<wire::Message> next_message(Instant now, Session& session);
  std::optional<wire::Message> let_rest(Instant now, Session& session);
  Session* session_of(const std::string& device, SessionId* id = nullptr);
  void add_event(Event event);
  void drop_frame(const Session& session, const std::string& why);

  CoordinatorOptions options_;
  RoundEngine rounds_;
  UploadTable uploads_;
  UploadPace upload_pace_;
  std::set<std::string> parked_;          // devices whose whole update waits for a round that takes it
  std::unique_ptr<StoreRequest> saving_;  // of uploads_, with the caller
  wire::FrameBuilder builder_;
  std::unordered_map<SessionId, Session> sessions_;
  std::map<std::string, SessionId> session_by_device_;
  std::deque<SessionId> ready_;  // sessions with something to send, each at most once
  std::deque<SessionId> closing_;
  std::deque<Event> events_;
  ModelMessages messages_;
  Counters counters_;
};

}  // namespace runnel::coordinator
