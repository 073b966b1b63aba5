// The device's side of the protocol as a pure state machine: greet, fetch the plan and the model, have it trained, keep
// the update safe, upload it until the coordinator says that it is durable, go on where it stopped.
//
// Use: call a handle_*, then poll_action() until it says nothing, then sleep until next_timeout() or the next input.
// Order of outputs: an update is in the outbox, durably, before the first frame that offers it.
// Memory: the model that is held (see model_transfer.h) and one chunk; both sized by the coordinator's announcements
// within options' limits.
// Time: passed in. Threads: one at a time. Trust: frames may hold anything; they change nothing unless they make sense
// now.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "device/engine/carried.h"
#include "device/engine/model_transfer.h"
#include "device/engine/outbox.h"
#include "device/engine/upload_rate.h"
#include "runtime/base/rng.h"
#include "runtime/base/time.h"
#include "runtime/base/timer_table.h"
#include "runtime/wire/frame.h"

namespace runnel::device {

// What happens to an update that is trained while the outbox has no room for it (docs/durability.md).
enum class QueueFull : uint8_t {
  kFold,  // the oldest that was never offered goes into the next one if its plan carries; else it is dropped
  kStop,  // nothing is trained before there is room
};

struct DeviceOptions {
  FixedString<wire::kNameBytesMax> name;  // as in the certificate
  FixedString<63> software;
  Duration reconnect_after_min =
      milliseconds(500);  // first pause after a lost link; doubles up to the maximum, with jitter
  Duration reconnect_after_max = seconds(60);
  Duration connect_timeout = seconds(90);   // connection and secure session, handshake retransmissions included
  Duration reply_timeout = seconds(60);     // silence while something is owed to us, before the link counts as dead
  Duration store_retry_after = seconds(5);  // pause before storing an update again when the disk refused it
  uint32_t model_window_bytes = 64 * 1024;  // model bytes asked for at a time
  uint64_t model_bytes_max = 64ULL << 20;   // largest Model message that is accepted
  QueueFull queue_full = QueueFull::kFold;
  Duration queue_age_max = seconds(7 * 86400);  // an update that waited longer is dropped; up to 68 years
  // For boards with little memory. No update makes up for another, or builds upon one that waits: either
  // takes one fp32 a parameter.
  bool plain_updates_only = false;
  // Where a delta is added to the model, if it is long enough; else operator new gives as much. Nobody else may use it
  // while the engine handles a frame and no training is under way. It must outlive the engine.
  std::span<float> delta_scratch{};
};

// What the device's condition allows now (docs/power.md).
struct Permissions {
  bool training = true;
  bool link = true;  // to be connected at all: fetch models, send updates
};

enum class DeviceState : uint8_t {
  kOffline,     // no link; waiting to try again
  kConnecting,  // link or secure session not there yet
  kGreeting,    // Hello sent
  kWaiting,     // nothing to do until the coordinator has a plan for us
  kDownloading,
  kTraining,
  kUploading,
  kFinished,  // the coordinator said that the run is over
  kRefused,   // the coordinator wants nothing to do with us; see last_refusal()
};
const char* device_state_name(DeviceState state);

// What the caller is asked to do.
struct Connect {};
struct Disconnect {};
struct SendFrame {
  ByteView bytes;  // valid until the next call of the engine
};
struct StartTraining {
  plan::RoundPlan plan;
  uint64_t sequence = 0;     // of the update to come
  ByteView model;            // a Model message that decodes; valid until StopTraining or the training is handled
  Carried carried;           // what the update has to make up for
  std::vector<float> ahead;  // to be added to the model before training: updates on this plan that still wait
  bool retry = false;        // the round was trained already, and its update kept: only compress what is carried
  rate::RateHistory history;
};
// What training gives.
struct TrainedUpdate {
  std::vector<uint8_t> message;  // an Update message; empty = it cannot arrive in time, all of it is in the residual
  std::vector<float> residual;   // what the next update has to make up for; empty = nothing
  uint64_t payload_bytes = 0;    // of the encoded tensors in the message
  uint32_t coordinates = 0;
  rate::RateDecision decision;
};
struct StopTraining {};
using Action = std::variant<Connect, Disconnect, SendFrame, StartTraining, StopTraining>;

// Something worth a line in a log.
struct Notice {
  enum class Kind : uint8_t {
    kUpdateStored,
    kUpdateKept,
    kUpdateDurable,
    kUpdateRefused,
    kQueue,  // an update had to leave the outbox before its turn
    kStorage,
    kBadFrame,
    kPlan,
    kRefusal,
    kLink
  } kind;
  std::string text;
};

class DeviceEngine {
 public:
  // `outbox` and `keeper` must outlive the engine. `rng` is for back-off jitter alone.
  // `keeper` may be null: then the model is fetched in full after a restart.
  DeviceEngine(const DeviceOptions& options, Outbox& outbox, Rng rng, Instant now, ModelKeeper* keeper = nullptr);

  // What an engine with nothing to do knows beyond its outbox and its model: a simulation of very many devices keeps
  // this instead of the engine.
  struct Idle;
  // nullopt while there is something to do, or on its way.
  std::optional<Idle> idle() const;
  // Goes on where idle() was asked, as if the engine had been there all the time. The outbox and the keeper must be as
  // they were.
  DeviceEngine(const DeviceOptions& options, Outbox& outbox, Instant now, ModelKeeper* keeper, const Idle& idle);

  // A secure session stands on a connected link: also after a reconnection, and again if the session had to be remade.
  void handle_session_up(Instant now);
  // The link is gone, or could not be made. `why` is for the log.
  void handle_link_down(Instant now, const char* why);
  void handle_frame(Instant now, ByteView bytes);
  // The Update message for the training asked for last; it is ignored if the training was stopped meanwhile.
  void handle_training_done(Instant now, uint64_t sequence, TrainedUpdate update);
  // Training cannot be done (the model does not fit the memory or the data); the round is left to the others.
  void handle_training_failed(Instant now, const Failure& why);
  // Without the link the device disconnects, and what it has trained waits. Without training, a device with nothing to
  // send disconnects too; while connected it says that it is not available.
  void handle_permissions(Instant now, Permissions permissions);
  // The wall clock, in seconds since 1970: now and then, first before anything else. Only how long an update waited
  // depends on it, and never by more than the device was off.
  void handle_wall_clock(Instant now, uint64_t unix_s);
  void handle_timeout(Instant now);

  // The next thing to do; nullopt when there is nothing. Call it after every handle_*.
  std::optional<Action> poll_action(Instant now);
  std::optional<Notice> poll_notice();
  // How an update fared that this process made, once that is known.
  std::optional<RateReport> poll_rate_report();
  // What the link grants to an update that is compressed now.
  rate::LinkLimits link_limits(Instant now) const { return rate_.limits(now); }
  Instant next_timeout() const { return timers_.next_timeout(); }
  // False while a training under way is to pause.
  bool may_train() const { return allowed_.training; }
  // Silence after which the coordinator wants a sign of life; zero: none, or not known yet.
  Duration ping_after() const { return ping_after_; }

  DeviceState state() const;
  uint32_t round() const;                      // of the plan or update at hand; 0 when there is none
  uint32_t rounds() const { return rounds_; }  // as the coordinator said
  uint64_t updates_acknowledged() const { return updates_acknowledged_; }
  uint64_t last_acknowledged() const { return last_acknowledged_; }  // sequence, by this process; 0 = none
  uint64_t bytes_resent() const { return bytes_resent_; }            // of update payload, sent again after a break
  const std::string& last_refusal() const { return last_refusal_; }

 private:
  enum class Timer : uint8_t { kReconnect, kConnect, kReply, kPing, kStore, kOffer, kAnswer, kAge, kCount };
  enum class Link : uint8_t { kDown, kConnecting, kGreeting, kUp };
  enum class Upload : uint8_t { kIdle, kOffer, kWaitAck, kStreaming };
  enum class Training : uint8_t { kIdle, kAsked, kRunning };

  void on(Instant now, const wire::Welcome& welcome);
  void on(Instant now, const wire::RoundPlan& plan);
  void on(Instant now, const wire::ModelChunk& chunk);
  void on(Instant now, const wire::UpdateAck& ack);
  void on(Instant now, const wire::Refusal& refusal);
  void on(Instant now, const wire::Ping& ping);
  void on(Instant now, const wire::Pong& pong);
  void on(Instant now, const wire::Bye& bye);
  template <typename Unexpected>
  void on(Instant now, const Unexpected& message);

  void begin_upload();
  void reset_upload();
  bool uploading(uint64_t sequence) const;
  bool goes_on_with_plan(const plan::RoundPlan& newer) const;
  bool room_for_another();
  void make_room(Instant now);
  bool give_way(Instant now);
  bool fold(Instant now, const OutboxEntry& entry);
  void drop_update(Instant now, const OutboxEntry& entry, const char* why);
  void drop_overtaken(Instant now, const plan::RoundPlan& plan);
  bool fate_open(const plan::RoundPlan& plan) const;
  void give_back_overtaken(Instant now, const plan::RoundPlan& plan);
  void say_durable(const OutboxEntry& entry);
  bool settle_counted(Instant now, const OutboxEntry& entry);
  Carried take_carried(const plan::RoundPlan& plan);
  std::vector<float> sum_of_waiting(const plan::RoundPlan& plan);
  Failure add_entry(const OutboxEntry& entry, std::vector<float>& sums);
  void consider_further(Instant now);
  void follow_ages(Instant now);
  void drop_too_old(Instant now);
  void report(std::optional<RateReport> report);
  void begin_plan(Instant now);
  void store_update(Instant now);
  enum class Fate : uint8_t { kTaken, kLate, kRefused, kUnwanted, kUnusable };
  void give_up_upload(Instant now);
  bool read_chunk(Instant now, uint64_t bytes);
  ByteView sent_chunk(Instant now, uint64_t bytes);
  void settle_update(Instant now, Fate fate);
  bool carries(const plan::RoundPlan& plan) const {
    return !options_.plain_updates_only && (plan.codec.error_feedback || plan.rate.deadline);
  }
  StartTraining training_request(Instant now);
  void stop_training();
  void finish_if_settled();
  void drop_link(Instant now, const char* why);
  bool link_wanted() const { return allowed_.link && (allowed_.training || outbox_.pending()); }
  void follow_link_wish(Instant now);
  void expect_reply(Instant now) { timers_.set(Timer::kReply, now + options_.reply_timeout); }
  void expect_answer(Instant now) { timers_.set(Timer::kAnswer, now + options_.reply_timeout); }
  void heard(Instant now);
  bool owed_anything() const;
  bool holds_model() const;
  std::optional<Action> poll_frame(Instant now);
  uint32_t upload_chunk_bytes() const;
  std::optional<Action> send(const wire::Message& message);
  void notice(Notice::Kind kind, const char* format, ...) __attribute__((format(printf, 3, 4)));

  const DeviceOptions options_;
  Outbox& outbox_;
  Rng rng_;
  TimerTable<Timer> timers_;
  wire::FrameBuilder builder_;

  Link link_ = Link::kDown;
  uint32_t failed_attempts_ = 0;
  Permissions allowed_;
  bool resting_ = false;  // told when to come back, and away until then unless there is something to send
  bool disconnect_wanted_ = false;
  bool connect_wanted_ = false;
  bool hello_wanted_ = false;
  std::optional<uint64_t> pong_wanted_;
  bool ping_wanted_ = false;
  bool stop_training_wanted_ = false;
  bool run_over_ = false;  // said by the coordinator
  bool finished_ = false;  // and nothing of ours is open any more
  bool refused_ = false;
  std::string last_refusal_;

  // As welcomed.
  uint32_t rounds_ = 0;
  uint32_t chunk_bytes_ = 0;
  uint32_t window_bytes_ = 0;
  uint32_t offer_bytes_max_ = 0;  // a whole update that an offer may carry
  Duration ping_after_{};
  uint64_t last_sequence_there_ = 0;  // newest update of ours that the coordinator has

  // The round at hand.
  std::optional<wire::RoundPlan> plan_;
  ModelTransfer model_;
  Training training_ = Training::kIdle;
  uint64_t training_sequence_ = 0;
  bool retry_ = false;                           // of an update that was kept
  std::optional<TrainedUpdate> unsaved_update_;  // trained, but the disk has not taken it yet
  std::optional<wire::RoundPlan> trained_plan_;  // of the newest update: without a link there may be further ones
  bool waits_for_room_ = false;                  // a plan that cannot be trained before the queue is shorter
  UploadRate rate_;
  Instant hello_sent_at_ = kNever;

  Upload upload_ = Upload::kIdle;
  bool upload_resumes_ = false;  // the coordinator may hold a part: ask before sending
  uint64_t upload_sent_bytes_ = 0;
  uint64_t upload_high_bytes_ = 0;  // furthest byte ever sent of this update
  uint64_t upload_acked_bytes_ = 0;
  std::array<uint8_t, wire::kOwnChunkBytesMax> chunk_{};

  Instant aged_at_{};    // the ages in the outbox are as of then
  uint64_t unix_s_ = 0;  // wall clock at unix_at_; 0 = not known
  Instant unix_at_{};

  uint64_t updates_acknowledged_ = 0;
  uint64_t last_acknowledged_ = 0;
  uint64_t bytes_resent_ = 0;
  std::vector<RateReport> reports_;
  std::vector<Notice> notices_;  // at most kNoticesMax; the newest are dropped beyond
};

struct DeviceEngine::Idle {
  uint64_t model_version = 0;  // held; 0 = none
  Rng rng{0};
  TimerTable<Timer> timers;
  Link link = Link::kDown;
  Permissions allowed;
  bool resting = false;
  uint32_t failed_attempts = 0;
  uint32_t rounds = 0, chunk_bytes = 0, window_bytes = 0, offer_bytes_max = 0;
  Duration ping_after{};
  uint64_t last_sequence_there = 0;
  Instant hello_sent_at = kNever;
  std::vector<uint8_t> goodput;            // as GoodputEstimator::save_short() says
  std::shared_ptr<const UploadRate> rate;  // null: nothing but the goodput is known
  Instant aged_at{}, unix_at{};
  uint64_t unix_s = 0;
  uint64_t updates_acknowledged = 0, last_acknowledged = 0, bytes_resent = 0;

  Instant next_timeout() const { return timers.next_timeout(); }
  // If all that is due is a sign of life: true, and its answer is awaited. Else an engine has to deal with it.
  bool take_ping(Instant now, const DeviceOptions& options);
  // The answer came. The next sign of life is due after another silence.
  void handle_pong(Instant now);
};

}  // namespace runnel::device
