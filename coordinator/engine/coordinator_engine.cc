#include "coordinator/engine/coordinator_engine.h"

#include <algorithm>

namespace runnel::coordinator {
namespace {

constexpr size_t kEventsMax = 4096;  // beyond it the oldest go: events are for watching, the store is for keeping

}  // namespace

const char* device_activity_name(DeviceActivity activity) {
  switch (activity) {
    case DeviceActivity::kOnline:
      return "online";
    case DeviceActivity::kTraining:
      return "training";
    case DeviceActivity::kUploading:
      return "uploading";
    case DeviceActivity::kWaiting:
      return "waiting";
    case DeviceActivity::kOffline:
      return "offline";
  }
  return "unknown";
}

// Where deltas lead on from them, or where they may be trained on.
static bool keeps_older_models(const FleetPlan& plan) {
  return plan.downlink.quantized() || plan.policy.policy == plan::RoundPolicy::kBuffered;
}

CoordinatorEngine::CoordinatorEngine(const CoordinatorOptions& options, RoundEngine rounds)
    : options_(options),
      rounds_(std::move(rounds)),
      uploads_(options.uploads()),
      upload_pace_(milliseconds(options.busy_pause_max_ms)),
      messages_(options.round.run, options.model, options.delta_cache_bytes_max,
                keeps_older_models(options.round.plan)) {
  messages_.set_model(rounds_.model());
  restore_uploads();
}

// --- sessions ---

void CoordinatorEngine::handle_session_opened(Instant, SessionId id, const std::string& device) {
  if (sessions_.size() >= options_.sessions_max && !sessions_.contains(id)) {
    closing_.push_back(id);
    return;
  }
  Session& session = sessions_[id];
  session = Session{};
  session.device = device;
}

void CoordinatorEngine::handle_session_closed(Instant now, SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  if (const auto by_name = session_by_device_.find(found->second.device);
      by_name != session_by_device_.end() && by_name->second == id) {
    set_activity(found->second, DeviceActivity::kOffline);
    uploads_.handle_away(by_name->first);
    rounds_.handle_reachable(now, by_name->first, false);
    session_by_device_.erase(by_name);
  }
  sessions_.erase(found);
}

void CoordinatorEngine::handle_unreachable(Instant now, SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  session.reachable = false;
  session.model = {};
  session.pong_due.reset();
  session.ack_due.reset();
  session.refusal_due.reset();
  session.welcome_due = session.plan_due = session.bye_due = false;
  if (!session.welcomed) return;
  set_activity(session, DeviceActivity::kOffline);
  uploads_.handle_away(session.device);
  rounds_.handle_reachable(now, session.device, false);
}

CoordinatorEngine::Session* CoordinatorEngine::session_of(const std::string& device, SessionId* id) {
  const auto by_name = session_by_device_.find(device);
  if (by_name == session_by_device_.end()) return nullptr;
  const auto found = sessions_.find(by_name->second);
  if (found == sessions_.end()) return nullptr;
  if (id != nullptr) *id = found->first;
  return &found->second;
}

size_t CoordinatorEngine::told_count() const {
  return static_cast<size_t>(
      std::count_if(sessions_.begin(), sessions_.end(), [](const auto& entry) { return entry.second.told_finished; }));
}

bool CoordinatorEngine::everyone_told() const {
  return std::all_of(sessions_.begin(), sessions_.end(), [](const auto& entry) {
    return !entry.second.welcomed || !entry.second.reachable || entry.second.told_finished;
  });
}

void CoordinatorEngine::make_ready(SessionId id, Session& session) {
  if (session.queued) return;
  session.queued = true;
  ready_.push_back(id);
}

void CoordinatorEngine::set_activity(Session& session, DeviceActivity activity) {
  if (session.activity == activity && session.welcomed) return;
  session.activity = activity;
  if (!session.device.empty()) add_event(DeviceChange{session.device, activity, rounds_.round()});
}

void CoordinatorEngine::add_event(Event event) {
  if (events_.size() == kEventsMax) events_.pop_front();
  events_.push_back(std::move(event));
}

void CoordinatorEngine::drop_frame(const Session& session, const std::string& why) {
  ++counters_.frames_dropped;
  add_event(Warning{"a frame from " + (session.device.empty() ? std::string("an unknown device") : session.device) +
                    " was dropped: " + why});
}

// --- frames in ---

void CoordinatorEngine::handle_frame(Instant now, SessionId id, ByteView bytes) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  ++counters_.frames_in;
  if (!std::exchange(session.reachable, true) && session.welcomed) {
    rounds_.handle_reachable(now, session.device, true);
    session.plan_due = true;  // one that was on its way may be lost
    make_ready(id, session);
  }
  Result<wire::Message> message = wire::decode_frame(bytes);
  if (!message) {
    drop_frame(session, message.failure().text());
    if (message.error() != Error::kUnsupported)
      refuse(id, session, wire::Reason::kMalformed, message.failure().text(), 0, 60'000);
    return;
  }
  if (!session.welcomed && !std::holds_alternative<wire::Hello>(*message)) {
    drop_frame(session, std::string(wire::message_name(*message)) + " before Hello");
    return;
  }
  std::visit([&](const auto& m) { on(now, id, session, m); }, *message);
  take_round_outcomes(now);
}

template <typename Unexpected>
void CoordinatorEngine::on(Instant, SessionId id, Session& session, const Unexpected& message) {
  const std::string why = std::string(wire::message_name(wire::Message(message))) + " is not for a coordinator";
  drop_frame(session, why);
  refuse(id, session, wire::Reason::kMalformed, why, 0, 60'000);
}

void CoordinatorEngine::on(Instant now, SessionId id, Session& session, const wire::Hello& hello) {
  const std::string claimed(hello.device);
  if (claimed.empty() || (!session.device.empty() && claimed != session.device)) {
    refuse(id, session, wire::Reason::kIdentity,
           "the name \"" + claimed + "\" is not the one of this session, \"" + session.device + "\"");
    session.close_after = true;
    return;
  }
  if (hello.protocol_min > wire::kProtocolMax || hello.protocol_max < wire::kProtocolMin) {
    refuse(id, session, wire::Reason::kVersion,
           "the device speaks protocol " + std::to_string(hello.protocol_min) + " to " +
               std::to_string(hello.protocol_max) + ", this coordinator " + std::to_string(wire::kProtocolMin) +
               " to " + std::to_string(wire::kProtocolMax));
    session.close_after = true;
    return;
  }
  const auto planned = static_cast<uint8_t>(options_.round.plan.codec.codec);
  if (std::find(hello.codecs.begin(), hello.codecs.end(), planned) == hello.codecs.end()) {
    refuse(id, session, wire::Reason::kCodec,
           std::string("the device cannot encode with ") + plan::codec_name(options_.round.plan.codec.codec));
    session.close_after = true;
    return;
  }
  session.device = claimed;
  session.held_version = hello.held_run == options_.round.run ? hello.held_model_version : 0;
  session.pushed_version = 0;
  session.protocol = std::min<uint16_t>(hello.protocol_max, wire::kProtocolMax);
  // A frame has up to so much around its payload. Devices that say less than any build needs get that.
  constexpr uint32_t kAround = wire::kFrameBytesMax - wire::kChunkBytesMax;
  session.chunk_bytes_max = std::clamp(hello.frame_bytes_max, 2 * kAround, wire::kFrameBytesMax) - kAround;
  if (const auto other = session_by_device_.find(claimed); other != session_by_device_.end() && other->second != id) {
    // The device has started anew, or a second machine uses its name: the newest session is the device.
    sessions_.erase(other->second);
    closing_.push_back(other->second);
  }
  session_by_device_[claimed] = id;
  set_activity(session, DeviceActivity::kOnline);
  session.welcomed = true;
  session.model = {};
  session.welcome_due = true;
  session.plan_due = true;
  session.bye_due = finished();
  session.told_finished = false;
  make_ready(id, session);
  session.unavailable = hello.unavailable;
  if (uploads_.sequence(claimed) == 0) rounds_.handle_settled(now, claimed, 0);
  rounds_.handle_device(now, claimed, !hello.unavailable);
}

void CoordinatorEngine::on(Instant now, SessionId id, Session& session, const wire::ModelRequest& request) {
  const auto found =
      request.run == options_.round.run ? model_message(request.model_version, request.held_version) : std::nullopt;
  if (!found.has_value()) {
    // It began with a version that is gone, or asked before it knew of the round that is open now.
    session.model = {};
    rounds_.handle_settled(now, session.device, 0);  // it cannot go on with that version
    session.plan_due = true;
    refuse(id, session, wire::Reason::kUnknownModel,
           "model version " + std::to_string(request.model_version) + " is not kept", 0, 1);
    return;
  }
  session.held_version = request.held_version;
  const ModelMessages::Message& message = *found;
  const uint64_t total = message.bytes.size();
  // Who holds nothing knows the size from the plan. A delta's size shows with its first chunk.
  if (request.bytes == 0 || (request.held_version == 0 && !range_within(request.offset, request.bytes, total))) {
    const std::string why = "ModelRequest of [" + std::to_string(request.offset) + ", +" +
                            std::to_string(request.bytes) + ") of a model of " + std::to_string(total) + " bytes";
    drop_frame(session, why);
    refuse(id, session, wire::Reason::kMalformed, why, 0, 60'000);
    return;
  }
  // Beyond the end: it began with another message, of which nothing is left here. Its first bytes will tell.
  const uint64_t offset = request.offset < total ? request.offset : 0;
  const uint64_t end = offset + std::min<uint64_t>(request.bytes, total - offset);
  ModelRange& range = session.model;
  if (range.next < range.end && range.end == offset && range.base_version == message.base_version &&
      range.version == request.model_version) {
    range.end = end;  // the next stretch of the one that is on its way
  } else {
    range.next = offset;
    range.end = end;
  }
  range.version = request.model_version;
  range.held_version = request.held_version;
  range.base_version = message.base_version;
  make_ready(id, session);
}

// Whoever asks is there, also if it was told to go or was thought lost, and may not have heard of its plan.
void CoordinatorEngine::on(Instant now, SessionId id, Session& session, const wire::Ping& ping) {
  session.pong_due = ping.nonce;
  session.plan_due = true;
  make_ready(id, session);
  rounds_.handle_device(now, session.device, !session.unavailable);
}
void CoordinatorEngine::on(Instant, SessionId, Session&, const wire::Pong&) {}
void CoordinatorEngine::on(Instant now, SessionId id, Session&, const wire::Bye&) {
  handle_unreachable(now, id);
}

void CoordinatorEngine::refuse(SessionId id, Session& session, wire::Reason reason, std::string detail,
                               uint64_t sequence, uint32_t retry_after_ms) {
  if (sequence != 0 && retry_after_ms == 0) ++counters_.updates_refused;
  if (retry_after_ms == 0) {
    add_event(Warning{(session.device.empty() ? std::string("an unknown device") : session.device) + " was refused (" +
                      wire::reason_name(reason) + "): " + detail});
  }
  detail.resize(std::min<size_t>(detail.size(), wire::kTextBytesMax));
  session.refusal_detail = std::move(detail);
  session.refusal_due = wire::Refusal{reason, session.refusal_detail, sequence, retry_after_ms};
  make_ready(id, session);
}

// --- rounds ---

void CoordinatorEngine::take_round_outcomes(Instant now) {
  while (auto accepted = rounds_.poll_accepted()) {
    ++counters_.updates_accepted;
    if (accepted->late) ++counters_.updates_late;
    SessionId id = 0;
    if (Session* session = session_of(accepted->device, &id); session != nullptr && session->reachable) {
      session->ack_due = wire::UpdateAck{accepted->sequence, wire::UpdateState::kDurable, 0};
      set_activity(*session, DeviceActivity::kWaiting);
      make_ready(id, *session);
    }
  }
  while (auto closed = rounds_.poll_closed()) {
    messages_.set_model(rounds_.model());
    for (auto& [id, session] : sessions_) {
      if (session.model.next >= session.model.end) continue;
      // It leads on to the newest version, if it is kept.
      if (model_message(session.model.version, session.model.held_version).has_value()) continue;
      session.model = {};
      refuse(id, session, wire::Reason::kUnknownModel, "round " + std::to_string(closed->result.round) + " is closed",
             0, 1);
    }
    for (const std::string& device : closed->missing) {
      const Session* session = session_of(device);
      if (session == nullptr || !session->reachable)
        rounds_.handle_device(now, device, false);  // until it says hello again
    }
    refuse_closed_uploads(now);
    add_event(std::move(closed->result));
    if (!finished()) continue;
    for (auto& [id, session] : sessions_) {
      if (!session.welcomed || !session.reachable) continue;
      session.bye_due = true;
      make_ready(id, session);
    }
  }
  finish_parked(now);
  while (auto device = rounds_.poll_assigned()) {
    SessionId id = 0;
    Session* session = session_of(*device, &id);
    if (session == nullptr || !session->reachable) continue;
    session->plan_due = true;
    make_ready(id, *session);
  }
  while (auto warning = rounds_.poll_warning()) add_event(Warning{std::move(*warning)});
  if (rounds_.take_plans_changed()) {
    for (auto& [id, session] : sessions_) {
      if (!session.welcomed || !session.reachable) continue;
      session.plan_due = true;
      make_ready(id, session);
    }
  }
}

// --- frames out ---

// What brings that version to a device that holds `held_version`; nullopt if it is not kept.
std::optional<ModelMessages::Message> CoordinatorEngine::model_message(uint64_t version, uint64_t held_version) {
  if (version == messages_.model_version()) return messages_.message_for(held_version, rounds_.model_deltas());
  if (held_version != 0) {
    if (const auto delta = messages_.older(version, held_version); delta.has_value()) return delta;
  }
  return messages_.older(version, 0);
}

// Lines up the delta that brings the device to the newest version, if it is small; the version that it holds, or 0.
uint64_t CoordinatorEngine::push_delta(Session& session) {
  const uint64_t newest = messages_.model_version();
  if (session.held_version == 0 || session.held_version == newest || session.pushed_version == newest) return 0;
  const ModelMessages::Message message = messages_.message_for(session.held_version, rounds_.model_deltas());
  if (message.base_version != session.held_version || message.bytes.size() > options_.push_bytes_max) return 0;
  session.model = {newest, session.held_version, message.base_version, 0, message.bytes.size()};
  session.pushed_version = newest;
  return session.held_version;
}

std::optional<wire::Message> CoordinatorEngine::next_message(Instant now, Session& session) {
  if (session.refusal_due.has_value()) {
    const wire::Refusal refusal = *session.refusal_due;
    session.refusal_due.reset();
    return refusal;
  }
  if (session.close_after) return std::nullopt;
  if (session.welcome_due) {
    session.welcome_due = false;
    wire::Welcome welcome;
    welcome.protocol = session.protocol;
    welcome.software = options_.software;
    welcome.run = options_.round.run;
    welcome.rounds = options_.round.plan.rounds;
    welcome.chunk_bytes_max = options_.chunk_bytes;
    welcome.window_bytes = options_.window_bytes;
    welcome.ping_after_ms = options_.ping_after_ms;
    welcome.last_sequence = rounds_.last_sequence(session.device);
    welcome.offer_bytes_max = std::min(options_.offer_bytes_max, options_.chunk_bytes);
    return welcome;
  }
  if (session.ack_due.has_value()) {
    const wire::UpdateAck ack = *session.ack_due;
    session.ack_due.reset();
    return ack;
  }
  if (session.pong_due.has_value()) {
    const wire::Pong pong{*session.pong_due};
    session.pong_due.reset();
    return pong;
  }
  if (session.plan_due) {
    session.plan_due = false;
    const auto plan = session.unavailable ? std::nullopt : rounds_.plan_for(session.device, now);
    if (plan.has_value()) {
      set_activity(session, DeviceActivity::kTraining);
      return wire::RoundPlan{*plan, messages_.full().bytes.size(),
                             plan->model_version == messages_.model_version() ? push_delta(session) : 0};
    }
  }
  if (session.model.next < session.model.end) {
    const auto found = model_message(session.model.version, session.model.held_version);
    if (!found.has_value() || found->base_version != session.model.base_version) {
      session.model = {};  // others asked for more than there is room to keep
      rounds_.handle_settled(now, session.device, 0);
      session.plan_due = true;
      return wire::Refusal{wire::Reason::kUnknownModel, "that model version is not kept any more", 0, 1};
    }
    const ModelMessages::Message& message = *found;
    const uint64_t bytes = std::min<uint64_t>(
        {options_.model_chunk_bytes, session.chunk_bytes_max, session.model.end - session.model.next});
    const wire::ModelChunk chunk{session.model.version, session.model.next, message.bytes.size(),
                                 message.bytes.subspan(session.model.next, bytes), message.base_version};
    session.model.next += bytes;
    return chunk;
  }
  if (session.bye_due) {
    session.bye_due = false;
    session.told_finished = true;
    return wire::Bye{wire::ByeCause::kFinished};
  }
  return let_rest(now, session);
}

// A device that has nothing to do may go, and hears when it should be back.
std::optional<wire::Message> CoordinatorEngine::let_rest(Instant now, Session& session) {
  if (!session.welcomed || !session.reachable || session.model.next < session.model.end) return std::nullopt;
  if (uploads_.sequence(session.device) != 0) return std::nullopt;
  const std::optional<Pace::Rest> rest = rounds_.rest(session.device, sessions_.size(), now);
  if (!rest.has_value()) return std::nullopt;
  rounds_.handle_resting(now, session.device, *rest);
  session.reachable = false;  // until it says something again
  set_activity(session, DeviceActivity::kWaiting);
  return wire::Bye{wire::ByeCause::kLeaving, static_cast<uint32_t>(to_ms(rest->come_back))};
}

std::optional<CoordinatorEngine::OutgoingFrame> CoordinatorEngine::poll_frame(Instant now) {
  while (!ready_.empty()) {
    const SessionId id = ready_.front();
    ready_.pop_front();
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) continue;
    Session& session = found->second;
    session.queued = false;
    const std::optional<wire::Message> message = next_message(now, session);
    if (!message.has_value()) {
      if (session.close_after) {
        closing_.push_back(id);
        sessions_.erase(found);
      }
      continue;
    }
    const ByteView bytes = builder_.build(*message);
    make_ready(id, session);  // it may have more; the others come first
    return OutgoingFrame{id, bytes};
  }
  return std::nullopt;
}

std::optional<SessionId> CoordinatorEngine::poll_close() {
  if (closing_.empty()) return std::nullopt;
  const SessionId id = closing_.front();
  closing_.pop_front();
  return id;
}

std::optional<Event> CoordinatorEngine::poll_event() {
  if (events_.empty()) return std::nullopt;
  std::optional<Event> event(std::move(events_.front()));
  events_.pop_front();
  return event;
}

}  // namespace runnel::coordinator
