#include "coordinator/coordinator_session.h"

#include <algorithm>

#include "coordinator/commands/score_text.h"
#include "runtime/host/log.h"
#include "runtime/host/release_memory.h"
#include "runtime/host/sha256.h"
#include "runtime/host/stop_signal.h"

namespace runnel::coordinator {
namespace {

using host::log_line;
using host::LogLevel;

// After the last goodbye was handed to the socket: time for it to leave the machine.
constexpr Duration kGoodbyeTime = milliseconds(500);
// Messages taken before decisions are stored: bounds the size of one transaction and the wait for an answer.
constexpr int kMessagesPerTurn = 2048;
// Free memory goes back to the system when it has been busy and now nothing is due for a while.
constexpr uint64_t kMessagesOfABurst = 1000;
constexpr uint64_t kSleepersOfABurst = 100;
constexpr Duration kQuiet = seconds(1);

std::string model_sha256(const ModelRecord& model) {
  return host::sha256_hex(
      {reinterpret_cast<const uint8_t*>(model.parameters.data()), model.parameters.size() * sizeof(float)});
}

const char* metric_name_of(const Evaluation& evaluation) {
  return plan::metric_name(metric_of(evaluation.metric));
}

// A listener takes lines of up to 64 KiB.
std::string_view event_details(const Evaluation& evaluation) {
  constexpr size_t kDetailsBytesMax = 30'000;
  return evaluation.details.size() <= kDetailsBytesMax ? std::string_view(evaluation.details) : std::string_view();
}

}  // namespace

CoordinatorSession::CoordinatorSession(const SessionSettings& settings, CoordinatorEngine engine, Store& store,
                                       host::CoordinatorLink& link, host::CoordinatorChannels& channels,
                                       HeldOutEvaluation* evaluation, host::EventLog& events, host::FrameDump& dump)
    : settings_(settings),
      engine_(std::move(engine)),
      store_(store),
      link_(link),
      channels_(channels),
      evaluation_(evaluation),
      events_(events),
      dump_(dump) {}

Failure CoordinatorSession::run() {
  RUNNEL_TRY(tell_closed_rounds());
  for (;;) {
    take_messages();
    const Instant now = clock_.now();
    const size_t awake = channels_.awake_sessions();
    channels_.handle_timeout(now);
    asleep_since_release_ += awake - std::min(awake, channels_.awake_sessions());
    take_channel_events(now);
    engine_.handle_timeout(now);
    if (evaluation_ == nullptr || !evaluation_->full()) store_decisions(now);
    send_frames(now);
    evaluate();
    report();
    if (host::stop_requested()) return Error::kOk;
    if (may_exit(now)) return Error::kOk;
    const Duration wait = pause(clock_.now());
    const bool much = messages_since_release_ >= kMessagesOfABurst || asleep_since_release_ >= kSleepersOfABurst;
    if (wait >= kQuiet && much) {
      // What many devices at once needed (handshakes, records of sessions that sleep by now) is not needed any more.
      host::release_unused_memory();
      messages_since_release_ = asleep_since_release_ = 0;
    }
    RUNNEL_TRY(link_.wait(wait));
  }
}

void CoordinatorSession::take_messages() {
  host::RoutingId from;
  for (int taken = 0; taken < kMessagesPerTurn && link_.receive(from, received_); ++taken) {
    const Instant now = clock_.now();
    ++messages_since_release_;
    channels_.handle_message(from, received_, now);
    take_channel_events(now);
    for (host::SessionId session = 0; channels_.poll_plaintext(session, received_);) {
      if (dump_.enabled()) dump("in", received_);
      engine_.handle_frame(now, session, received_);
    }
  }
}

void CoordinatorSession::take_channel_events(Instant now) {
  for (host::CoordinatorEvent event; channels_.poll_event(event);) {
    switch (event.kind) {
      case host::CoordinatorEvent::Kind::kOpened:
        log_line(LogLevel::kDebug, "session with %s (%s handshake)", event.device.name.c_str(),
                 event.resumed ? "abbreviated" : "full");
        engine_.handle_session_opened(now, event.session, event.device.name);
        break;
      case host::CoordinatorEvent::Kind::kClosed:
        engine_.handle_session_closed(now, event.session);
        break;
      case host::CoordinatorEvent::Kind::kFailed:
        log_line(LogLevel::kWarning, "no session with %s: %s",
                 event.device.name.empty() ? "an unknown peer" : event.device.name.c_str(), event.failure.text());
        events_.write("warning", {{"text", std::string_view(event.failure.text())}});
        break;
    }
  }
}

void CoordinatorSession::store_decisions(Instant now) {
  while (StoreRequest* request = engine_.poll_store(now)) {
    const Failure outcome = carry_out(*request, store_, host::unix_seconds());
    if (const auto* open = std::get_if<OpenRound>(request); open != nullptr && outcome.ok()) {
      log_line(LogLevel::kInfo, "round %u open: %zu devices, model version %llu", open->round.round,
               open->round.selected.size(), static_cast<unsigned long long>(open->round.base_version));
    }
    engine_.handle_stored(now, outcome);
  }
}

void CoordinatorSession::dump(const char* direction, ByteView bytes) {
  const std::vector<uint8_t> aligned(bytes.begin(), bytes.end());
  const Result<wire::Message> message = wire::decode_frame(aligned);
  dump_.write(direction, message ? wire::message_name(*message) : "malformed", "rnl", aligned);
}

void CoordinatorSession::send_frames(Instant now) {
  const auto flush = [&] {
    host::RoutingId to;
    while (channels_.poll_message(to, outgoing_)) {
      const Error error = link_.send(to, outgoing_);
      // A full queue means a peer that does not read: like a peer that is gone, it asks again when it is back.
      if (error != Error::kOk && outgoing_.size() >= host::kMessageHeaderBytes) {
        engine_.handle_unreachable(now, load_le<uint64_t>(outgoing_.data() + 1));
      }
    }
  };
  flush();
  while (const auto frame = engine_.poll_frame(now)) {
    if (dump_.enabled()) dump("out", frame->bytes);
    if (const Failure bad = channels_.send(frame->session, frame->bytes); !bad.ok()) {
      engine_.handle_unreachable(now, frame->session);
    }
    flush();
  }
  while (const auto session = engine_.poll_close()) {
    flush();
    channels_.close(*session);
    flush();
  }
}

void CoordinatorSession::evaluate() {
  if (evaluation_ == nullptr || !evaluation_->busy()) return;
  Result<std::optional<Evaluation>> outcome = evaluation_->step();
  if (!outcome) {
    log_line(LogLevel::kError, "the model cannot be evaluated: %s", outcome.failure().text());
    events_.write("warning", {{"text", std::string_view(outcome.failure().text())}});
    if (unevaluated_.empty()) return;
    report_evaluated(unevaluated_.begin()->second, std::nullopt);
    unevaluated_.erase(unevaluated_.begin());
    return;
  }
  if (!outcome->has_value()) return;
  const Evaluation& evaluation = **outcome;
  newest_ = evaluation;
  if (const Failure bad = store_.record_evaluation(evaluation); !bad.ok()) {
    log_line(LogLevel::kWarning, "the evaluation of model version %llu is not stored: %s",
             static_cast<unsigned long long>(evaluation.model_version), bad.text());
  }
  if (const auto found = unevaluated_.find(evaluation.round); found != unevaluated_.end()) {
    report_evaluated(found->second, evaluation);
    unevaluated_.erase(found);
  }
}

void CoordinatorSession::report() {
  while (const std::optional<Event> event = engine_.poll_event()) {
    if (const auto* change = std::get_if<DeviceChange>(&*event)) {
      events_.write("device", {{"name", std::string_view(change->device)},
                               {"state", std::string_view(device_activity_name(change->activity))},
                               {"round", uint64_t{change->round}}});
    } else if (const auto* warning = std::get_if<Warning>(&*event)) {
      log_line(LogLevel::kWarning, "%s", warning->text.c_str());
      events_.write("warning", {{"text", std::string_view(warning->text)}});
    } else if (const auto* result = std::get_if<RoundResult>(&*event)) {
      report_round(*result);
    }
  }
  if (!engine_.finished() || finish_reported_ || !unevaluated_.empty()) return;
  finish_reported_ = true;
  finished_at_ = clock_.now();
  const RoundEngine& rounds = engine_.rounds();
  const std::string sha256 = model_sha256(rounds.model());
  const auto figure = [&](double value) { return newest_.has_value() ? std::optional<double>(value) : std::nullopt; };
  events_.write("finished", {{"rounds", uint64_t{rounds.rounds_closed()}},
                             {"accuracy", figure(newest_.has_value() ? newest_->accuracy : 0.0)},
                             {"loss", figure(newest_.has_value() ? newest_->loss : 0.0)},
                             {"metric", std::string_view(newest_.has_value() ? metric_name_of(*newest_) : "none")},
                             {"value", figure(newest_.has_value() ? newest_->value : 0.0)},
                             {"details", newest_.has_value() ? event_details(*newest_) : std::string_view()},
                             {"model_sha256", std::string_view(sha256)},
                             {"parameters", uint64_t{rounds.model().parameters.size()}},
                             {"updates_accepted", engine_.counters().updates_accepted},
                             {"updates_repeated", engine_.counters().updates_repeated},
                             {"updates_refused", engine_.counters().updates_refused},
                             {"updates_late", engine_.counters().updates_late},
                             {"updates_deferred", engine_.counters().updates_deferred},
                             {"held_bytes_max", engine_.counters().held_bytes_max}});
  log_line(LogLevel::kInfo, "the run is finished: %u rounds, model %s", rounds.rounds_closed(), sha256.c_str());
  if (rounds.away_count() > 0)
    log_line(LogLevel::kInfo, "%zu devices are away and due back: waiting to tell them", rounds.away_count());
}

void CoordinatorSession::report_round(const RoundResult& result) {
  events_.write("round_closed", {{"round", uint64_t{result.round}}});
  if (evaluation_ == nullptr) {
    report_evaluated(result, std::nullopt);
    return;
  }
  evaluation_->add(result.round, result.model);
  RoundResult kept = result;
  kept.model.parameters = {};
  unevaluated_[result.round] = std::move(kept);
}

void CoordinatorSession::report_evaluated(const RoundResult& result, const std::optional<Evaluation>& evaluation) {
  char figures[120] = "";
  if (evaluation.has_value()) {
    const plan::Metric metric = metric_of(evaluation->metric);
    std::snprintf(figures, sizeof figures, ", test %s %s, loss %.4f", plan::metric_name(metric),
                  metric_value_text(metric, evaluation->value).c_str(), evaluation->loss);
  }
  log_line(LogLevel::kInfo, "round %u closed: %u devices, %.2f bits a coordinate, %.1f s%s", result.round,
           result.participants, result.bits_per_coordinate, result.seconds, figures);
  write_round(result, evaluation);
}

// Whoever was killed between a round's end and the words for it says them now. Listeners may know them already.
Failure CoordinatorSession::tell_closed_rounds() {
  const Result<std::vector<RoundHistory>> history = store_.history();
  if (!history) return history.failure();
  for (const RoundHistory& entry : *history) {
    if (entry.evaluated) newest_ = entry.evaluation;
    if (entry.evaluated || evaluation_ == nullptr || entry.result.round != engine_.rounds().rounds_closed()) {
      write_round(entry.result, entry.evaluated ? std::optional<Evaluation>(entry.evaluation) : std::nullopt);
      continue;
    }
    RoundResult newest = entry.result;  // of older ones the model is gone
    newest.model = engine_.rounds().model();
    report_round(newest);
  }
  return Error::kOk;
}

void CoordinatorSession::write_round(const RoundResult& result, const std::optional<Evaluation>& evaluation) {
  events_.write("round", {{"round", uint64_t{result.round}},
                          {"accuracy", evaluation ? std::optional<double>(evaluation->accuracy) : std::nullopt},
                          {"loss", evaluation ? std::optional<double>(evaluation->loss) : std::nullopt},
                          {"metric", std::string_view(evaluation ? metric_name_of(*evaluation) : "none")},
                          {"value", evaluation ? std::optional<double>(evaluation->value) : std::nullopt},
                          {"training_loss", result.mean_loss},
                          {"participants", uint64_t{result.participants}},
                          {"bits_per_coordinate", result.bits_per_coordinate},
                          {"uplink_bytes", channels_.counters().bytes_received},
                          {"downlink_bytes", channels_.counters().bytes_sent},
                          {"seconds", result.seconds},
                          {"model_version", result.model.version}});
}

bool CoordinatorSession::may_exit(Instant now) {
  if (!settings_.exit_when_finished || !finish_reported_) return false;
  if (engine_.rounds().away_count() > 0) return false;  // they are coming, to hear that it is over
  const bool told =
      engine_.everyone_told() && engine_.told_count() >= settings_.devices_expected && settings_.devices_expected > 0;
  return now - finished_at_ >= (told ? kGoodbyeTime : settings_.linger);
}

Duration CoordinatorSession::pause(Instant now) const {
  if (evaluation_ != nullptr && evaluation_->busy()) return Duration::zero();
  Instant next = std::min(engine_.next_timeout(), channels_.next_timeout());
  if (finish_reported_ && settings_.exit_when_finished) next = std::min(next, now + milliseconds(50));
  return next == kNever ? host::CoordinatorLink::kForever : std::max(Duration::zero(), next - now);
}

}  // namespace runnel::coordinator
