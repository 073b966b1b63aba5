// The device's loop: link, secure channel, engine, outbox and trainer put together. The only place of the device that
// waits.
//
// One thread: while training, each turn of the loop runs one minibatch and then looks at the network; otherwise it
// sleeps until a message, a timer or a signal.
#pragma once

#include <memory>
#include <string>

#include "device/conditions/conditions.h"
#include "device/engine/device_engine.h"
#include "device/training_task.h"
#include "runtime/host/device_uplink.h"
#include "runtime/host/event_log.h"
#include "runtime/host/frame_dump.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/host/service_manager.h"

namespace runnel::device {

struct SessionSettings {
  std::string endpoint;      // tcp://HOST:PORT of the coordinator
  std::string session_path;  // where the secure session is kept over restarts; empty: nowhere
  DeviceOptions engine;
  size_t training_bytes_max = 0;  // 0 = no limit
  ConditionSpec training_conditions;
  ConditionSpec link_conditions;
  ConditionSource* conditions = nullptr;  // null: nobody looks, and everything is allowed; must outlive the session
  Duration look_every = seconds(30);
};

class DeviceSession : private host::UplinkListener {
 public:
  DeviceSession(const SessionSettings& settings, Outbox& outbox, const data::ExampleSource& examples,
                host::DeviceLink& link, host::DeviceChannel& channel, host::EventLog& events, host::FrameDump& dump,
                Rng rng, ModelKeeper* keeper = nullptr);

  // Before run(): what it keeps back, and where local layers are kept.
  TrainingTask& training() { return task_; }

  // Runs until the coordinator says that the run is over (kOk), it refuses the device for good (kUntrusted, with its
  // words), or a signal asks to stop (kOk; stopped() is then true).
  Failure run();
  bool stopped() const { return stopped_; }

 private:
  Failure run_loop();
  void look_at_conditions(Instant now);
  void tell_wall_clock(Instant now);
  void report_gate(const char* name, const Gate& gate);
  void on_session_up(Instant now) override;
  void on_uplink_down(Instant now, host::UplinkLoss loss, const char* why) override;
  void on_frame(Instant now, ByteView frame) override;
  void carry_out(const Action& action, Instant now);
  bool training_goes_on() const { return task_.active() && engine_.may_train(); }
  void train_one_step(Instant now);
  void report_evaluation();
  void log_decision(const TrainedUpdate& update, const rate::LinkLimits& limits) const;
  void report_rate(const RateReport& report);
  void report();
  void start_training(const StartTraining& request, Instant now);

  const SessionSettings settings_;
  host::DeviceLink& link_;
  host::DeviceUplink uplink_;
  host::EventLog& events_;
  host::FrameDump& dump_;
  host::MonotonicClock clock_;
  host::ServiceManager service_;
  Gate training_gate_;
  Gate link_gate_;
  Instant look_at_;  // at the conditions; never without any
  Instant tell_clock_at_{};
  DeviceEngine engine_;
  TrainingTask task_;
  size_t reported_bytes_ = 0;  // of memory for training, the most so far
  bool stopped_ = false;
  DeviceState reported_state_ = DeviceState::kOffline;
  uint32_t reported_round_ = 0;
  Duration reported_ping_{};
};

}  // namespace runnel::device
