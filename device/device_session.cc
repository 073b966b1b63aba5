#include "device/device_session.h"

#include <algorithm>
#include <cmath>

#include "device/keep_alive.h"
#include "runtime/host/log.h"
#include "runtime/host/release_memory.h"
#include "runtime/host/stop_signal.h"

namespace runnel::device {

using host::log_line;
using host::LogLevel;

DeviceSession::DeviceSession(const SessionSettings& settings, Outbox& outbox, const data::ExampleSource& examples,
                             host::DeviceLink& link, host::DeviceChannel& channel, host::EventLog& events,
                             host::FrameDump& dump, Rng rng, ModelKeeper* keeper)
    : settings_(settings),
      link_(link),
      uplink_({settings.endpoint, settings.session_path, ""}, link, channel),
      events_(events),
      dump_(dump),
      training_gate_(settings.training_conditions),
      link_gate_(settings.link_conditions),
      look_at_(settings.conditions == nullptr ? kNever : Instant{}),
      engine_(settings.engine, outbox, rng, clock_.now(), keeper),
      task_(std::string(settings.engine.name.view()), examples, settings.training_bytes_max) {}

Failure DeviceSession::run() {
  service_.tell_ready();
  const Failure outcome = run_loop();
  service_.tell_stopping();
  return outcome;
}

Failure DeviceSession::run_loop() {
  for (;;) {
    const Instant now = clock_.now();
    service_.handle_timeout(now);
    uplink_.turn(now, *this);
    look_at_conditions(now);
    tell_wall_clock(now);
    engine_.handle_timeout(now);
    if (training_goes_on()) train_one_step(now);
    while (const std::optional<Action> action = engine_.poll_action(now)) carry_out(*action, now);
    uplink_.flush();
    report();
    if (engine_.state() == DeviceState::kFinished) return Error::kOk;
    if (engine_.state() == DeviceState::kRefused) {
      return fail(Error::kUntrusted, "the coordinator refuses this device: %s", engine_.last_refusal().c_str());
    }
    if (host::stop_requested()) {
      stopped_ = true;
      return Error::kOk;
    }
    Duration pause = host::DeviceLink::kForever;
    const Instant next = std::min({engine_.next_timeout(), uplink_.next_timeout(), look_at_, service_.next_timeout()});
    if (next != kNever) pause = std::max(Duration::zero(), next - clock_.now());
    // A training may have begun just now.
    const bool training = training_goes_on();
    if (training || uplink_.congested())
      pause = std::min<Duration>(pause, training ? Duration::zero() : milliseconds(20));
    RUNNEL_TRY(link_.wait(pause));
  }
}

// Now and then, for it may have been set meanwhile.
void DeviceSession::tell_wall_clock(Instant now) {
  if (now < tell_clock_at_) return;
  tell_clock_at_ = now + seconds(600);
  engine_.handle_wall_clock(now, static_cast<uint64_t>(std::max<int64_t>(0, host::unix_seconds())));
}

// Asks now and then whether the device's condition allows training and being connected.
void DeviceSession::look_at_conditions(Instant now) {
  if (now < look_at_) return;
  look_at_ = now + settings_.look_every;
  const Observed observed = settings_.conditions->observe();
  const bool training_changed = training_gate_.update(observed);
  const bool link_changed = link_gate_.update(observed);
  engine_.handle_permissions(now, {training_gate_.open(), link_gate_.open()});
  if (training_changed) report_gate("training", training_gate_);
  if (link_changed) report_gate("link", link_gate_);
}

void DeviceSession::report_gate(const char* name, const Gate& gate) {
  log_line(LogLevel::kInfo, gate.open() ? "%s: allowed again%s" : "%s: not now: %s", name, gate.why().c_str());
  events_.write("gate", {{"of", std::string_view(name)}, {"open", gate.open()}, {"why", std::string_view(gate.why())}});
}

void DeviceSession::on_session_up(Instant now) {
  engine_.handle_session_up(now);
}

void DeviceSession::on_uplink_down(Instant now, host::UplinkLoss loss, const char* why) {
  if (loss == host::UplinkLoss::kSession) events_.write("warning", {{"text", std::string_view(why)}});
  engine_.handle_link_down(now, why);
}

void DeviceSession::on_frame(Instant now, ByteView frame) {
  if (dump_.enabled()) {
    const Result<wire::Message> message = wire::decode_frame(frame);
    dump_.write("in", message ? wire::message_name(*message) : "malformed", "rnl", frame);
  }
  engine_.handle_frame(now, frame);
}

void DeviceSession::carry_out(const Action& action, Instant now) {
  if (std::holds_alternative<Connect>(action)) {
    if (const Failure bad = uplink_.connect(); !bad.ok()) engine_.handle_link_down(now, bad.text());
  } else if (std::holds_alternative<Disconnect>(action)) {
    uplink_.close();
  } else if (const auto* frame = std::get_if<SendFrame>(&action)) {
    if (dump_.enabled()) {
      const std::vector<uint8_t> copy(frame->bytes.begin(), frame->bytes.end());
      const Result<wire::Message> message = wire::decode_frame(copy);
      dump_.write("out", message ? wire::message_name(*message) : "malformed", "rnl", copy);
    }
    if (const Failure bad = uplink_.send(frame->bytes); !bad.ok()) {
      // The engine notices by the missing answer and starts over; nothing durable depends on a frame being sent.
      log_line(LogLevel::kWarning, "a frame was not sent: %s %s", error_name(bad.error()), bad.text());
    }
  } else if (const auto* request = std::get_if<StartTraining>(&action)) {
    start_training(*request, now);
  } else if (std::holds_alternative<StopTraining>(action)) {
    task_.stop();
  }
}

void DeviceSession::start_training(const StartTraining& request, Instant now) {
  if (dump_.enabled()) dump_.write("in", "Model", "rnlm", request.model);
  if (const Failure bad = task_.start(request); !bad.ok()) {
    engine_.handle_training_failed(now, bad);
    return;
  }
  const train::MemoryPlan& memory = task_.memory();
  const MemoryBeside& beside = task_.memory_beside();
  const size_t all_bytes = memory.total_bytes + beside.total();
  if (all_bytes <= reported_bytes_) return;
  // Of starting up and of the handshake; training is what stays.
  if (reported_bytes_ == 0) host::release_unused_memory();
  reported_bytes_ = all_bytes;
  log_line(
      LogLevel::kInfo,
      "training memory: %zu bytes in one arena (parameters %zu, gradients %zu, optimizer %zu, activations %zu); %s",
      memory.total_bytes, memory.parameter_bytes, memory.gradient_bytes, memory.optimizer_bytes,
      memory.activation_bytes, train::describe(memory).c_str());
  log_line(LogLevel::kInfo,
           "beside it at most %zu bytes (the model as it came %zu, where training begins %zu, carried over %zu, "
           "evaluation %zu, compressing the update %zu): %zu bytes in all",
           beside.total(), beside.model, beside.begin, beside.carried, beside.evaluation, beside.encoding, all_bytes);
  events_.write("memory", {{"arena_bytes", uint64_t{memory.total_bytes}}});
}

void DeviceSession::train_one_step(Instant now) {
  const Result<bool> trained = task_.step();
  if (!trained) {
    engine_.handle_training_failed(now, trained.failure());
    return;
  }
  if (!*trained) return;
  const rate::LinkLimits limits = engine_.link_limits(now);
  Result<TrainedUpdate> update = task_.finish(limits);
  if (!update) {
    engine_.handle_training_failed(now, update.failure());
    return;
  }
  report_evaluation();
  log_decision(*update, limits);
  if (dump_.enabled() && !update->message.empty()) dump_.write("out", "Update", "rnlu", update->message);
  engine_.handle_training_done(now, task_.sequence(), std::move(*update));
}

void DeviceSession::report_evaluation() {
  const plan::LocalEvaluation& found = task_.evaluation();
  if (found.examples == 0) return;
  const char* name = plan::metric_name(found.metric);
  log_line(LogLevel::kInfo,
           "on %u examples kept back: %s %.4f with the model that came, %.4f after training; loss %.4f, "
           "%.4f",
           found.examples, name, static_cast<double>(found.value_before), static_cast<double>(found.value_after),
           static_cast<double>(found.loss_before), static_cast<double>(found.loss_after));
  const bool tuned = found.tuned_steps > 0;
  if (tuned) {
    log_line(LogLevel::kInfo, "fine-tuned for itself by %u steps: %s %.4f, loss %.4f", found.tuned_steps, name,
             static_cast<double>(found.value_tuned), static_cast<double>(found.loss_tuned));
  }
  const auto if_tuned = [tuned](float value) {
    return tuned ? std::optional(static_cast<double>(value)) : std::nullopt;
  };
  events_.write("evaluated", {{"round", uint64_t{engine_.round()}},
                              {"metric", std::string_view(name)},
                              {"larger_is_better", plan::larger_is_better(found.metric)},
                              {"examples", uint64_t{found.examples}},
                              {"loss_before", static_cast<double>(found.loss_before)},
                              {"value_before", static_cast<double>(found.value_before)},
                              {"loss_after", static_cast<double>(found.loss_after)},
                              {"value_after", static_cast<double>(found.value_after)},
                              {"tuned_steps", uint64_t{found.tuned_steps}},
                              {"loss_tuned", if_tuned(found.loss_tuned)},
                              {"value_tuned", if_tuned(found.value_tuned)}});
}

void DeviceSession::log_decision(const TrainedUpdate& update, const rate::LinkLimits& limits) const {
  const rate::RateDecision& decision = update.decision;
  log_line(LogLevel::kInfo, "round %u trained: loss %.4f, update of %zu bytes, %.2f bits a coordinate", engine_.round(),
           static_cast<double>(task_.mean_loss()), update.message.size(), task_.bits_per_coordinate());
  if (limits.goodput.known()) {
    log_line(LogLevel::kInfo, "link: %.0f bytes a second (%.0f to %.0f), round trip %lld ms, %.1f s to the deadline",
             limits.goodput.bytes_per_second, limits.goodput.low, limits.goodput.high,
             static_cast<long long>(to_ms(limits.goodput.round_trip)),
             static_cast<double>(to_ms(limits.time_left)) / 1000.0);
  }
  log_line(LogLevel::kInfo, "rate: step %.3g (the rule: %.3g), predicted %.0f bytes, the link carries %s, bound by %s",
           decision.step, decision.rule_step, decision.predicted_bytes,
           std::isfinite(decision.link_bytes) ? std::to_string(static_cast<uint64_t>(decision.link_bytes)).c_str()
                                              : "anything so far",
           rate::rate_bound_name(decision.bound));
}

void DeviceSession::report_rate(const RateReport& report) {
  const rate::RateDecision& decision = report.decision;
  const rate::Goodput& goodput = report.goodput;
  const auto known = [&](double value) { return goodput.known() ? std::optional(value) : std::nullopt; };
  events_.write("rate", {{"round", uint64_t{report.round}},
                         {"outcome", std::string_view(upload_outcome_name(report.outcome))},
                         {"carried", report.carried},
                         {"bound", std::string_view(rate::rate_bound_name(decision.bound))},
                         {"bits", report.bits},
                         {"step", decision.step},
                         {"rule_step", decision.rule_step},
                         {"levels", decision.levels},
                         {"norm", decision.norm},
                         {"predicted_bytes", decision.predicted_bytes},
                         {"message_bytes", report.message_bytes},
                         {"budget_bytes", decision.budget_bytes},
                         {"link_bytes", decision.link_bytes},
                         {"seconds_left", static_cast<double>(to_ms(report.time_left)) / 1000.0},
                         {"goodput", known(goodput.bytes_per_second)},
                         {"goodput_low", known(goodput.low)},
                         {"goodput_high", known(goodput.high)},
                         {"round_trip_ms", known(static_cast<double>(to_ms(goodput.round_trip)))}});
  log_line(report.outcome == UploadOutcome::kInTime ? LogLevel::kInfo : LogLevel::kWarning,
           "round %u: predicted %.0f bytes, sent %llu, %s%s", report.round, decision.predicted_bytes,
           static_cast<unsigned long long>(report.message_bytes), upload_outcome_name(report.outcome),
           report.carried ? "; what did not get there is in the next update" : "");
}

void DeviceSession::report() {
  while (const std::optional<Notice> notice = engine_.poll_notice()) {
    const bool warns = notice->kind == Notice::Kind::kUpdateRefused || notice->kind == Notice::Kind::kStorage ||
                       notice->kind == Notice::Kind::kQueue || notice->kind == Notice::Kind::kBadFrame ||
                       notice->kind == Notice::Kind::kRefusal;
    log_line(warns ? LogLevel::kWarning : LogLevel::kInfo, "%s", notice->text.c_str());
    if (warns) events_.write("warning", {{"text", std::string_view(notice->text)}});
  }
  while (const std::optional<RateReport> rate = engine_.poll_rate_report()) report_rate(*rate);
  if (engine_.state() == DeviceState::kWaiting && engine_.ping_after() != reported_ping_) {
    reported_ping_ = engine_.ping_after();
    const uint64_t bytes = keep_alive_bytes_a_day(reported_ping_);
    log_line(LogLevel::kInfo, "while there is nothing to do: a sign of life every %lld s, about %llu bytes a day",
             static_cast<long long>(to_ms(reported_ping_) / 1000), static_cast<unsigned long long>(bytes));
    events_.write("keep_alive", {{"bytes_a_day", bytes}});
  }
  if (engine_.state() == reported_state_ && engine_.round() == reported_round_) return;
  reported_state_ = engine_.state();
  reported_round_ = engine_.round();
  events_.write(
      "state", {{"state", std::string_view(device_state_name(reported_state_))}, {"round", uint64_t{reported_round_}}});
  service_.tell_status(std::string(device_state_name(reported_state_)) + ", round " + std::to_string(reported_round_));
  if (reported_state_ == DeviceState::kFinished) {
    events_.write("done",
                  {{"updates_acknowledged", engine_.updates_acknowledged()}, {"bytes_resent", engine_.bytes_resent()}});
    log_line(LogLevel::kInfo, "the run is over: %llu updates acknowledged, %llu bytes sent more than once",
             static_cast<unsigned long long>(engine_.updates_acknowledged()),
             static_cast<unsigned long long>(engine_.bytes_resent()));
  }
}

}  // namespace runnel::device
