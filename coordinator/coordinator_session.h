// The coordinator's loop: socket, secure channels, engine, store and evaluation put together. The only place of the
// coordinator that waits.
//
// One thread. Each turn takes every message that is there, then makes the updates among them durable in one
// transaction, then sends what is due, then evaluates one batch if a new model waits, then sleeps until a message, a
// timer or a signal.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/engine/coordinator_engine.h"
#include "coordinator/evaluation.h"
#include "runtime/host/coordinator_channels.h"
#include "runtime/host/coordinator_link.h"
#include "runtime/host/event_log.h"
#include "runtime/host/frame_dump.h"
#include "runtime/host/monotonic_clock.h"

namespace runnel::coordinator {

struct SessionSettings {
  bool exit_when_finished = false;
  Duration linger = seconds(10);  // once finished: how long devices that are away may still come and be told
  size_t devices_expected = 0;    // once that many have been told, there is nobody left to linger for; 0 = unknown
};

class CoordinatorSession {
 public:
  // `evaluation` may be null: there is no held-out data then. Everything passed in must outlive the session.
  CoordinatorSession(const SessionSettings& settings, CoordinatorEngine engine, Store& store,
                     host::CoordinatorLink& link, host::CoordinatorChannels& channels, HeldOutEvaluation* evaluation,
                     host::EventLog& events, host::FrameDump& dump);

  // Runs until a signal asks to stop, or the run is finished and the settings say to exit then.
  Failure run();
  bool finished() const { return engine_.finished(); }

 private:
  void take_messages();
  void take_channel_events(Instant now);
  void store_decisions(Instant now);
  void send_frames(Instant now);
  void evaluate();
  void report();
  void report_round(const RoundResult& result);
  void report_evaluated(const RoundResult& result, const std::optional<Evaluation>& evaluation);
  Failure tell_closed_rounds();
  void write_round(const RoundResult& result, const std::optional<Evaluation>& evaluation);
  bool may_exit(Instant now);
  Duration pause(Instant now) const;
  void dump(const char* direction, ByteView bytes);

  const SessionSettings settings_;
  CoordinatorEngine engine_;
  Store& store_;
  host::CoordinatorLink& link_;
  host::CoordinatorChannels& channels_;
  HeldOutEvaluation* evaluation_;
  host::EventLog& events_;
  host::FrameDump& dump_;
  host::MonotonicClock clock_;
  std::vector<uint8_t> received_;
  uint64_t messages_since_release_ = 0;
  uint64_t asleep_since_release_ = 0;
  std::vector<uint8_t> outgoing_;
  std::map<uint32_t, RoundResult> unevaluated_;  // rounds closed, their figures still to come
  std::optional<Evaluation> newest_;
  Instant finished_at_ = kNever;
  bool finish_reported_ = false;
};

}  // namespace runnel::coordinator
