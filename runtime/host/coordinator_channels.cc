#include "runtime/host/coordinator_channels.h"

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <utility>

#include "runtime/host/channel_message.h"
#include "runtime/host/channel_outbox.h"
#include "runtime/host/dtls_session.h"

namespace runnel::host {
namespace {

constexpr int kSleepAttempts = 4;

using Order = std::list<SessionId>;

}  // namespace

struct CoordinatorChannels::State {
  struct Session {
    SessionId id = 0;
    RoutingId reply;                    // where its last authentic record came from
    std::unique_ptr<DtlsSession> dtls;  // null in plaintext mode
    CertificateInfo device;
    bool open = false;
    Instant deadline = kNever;    // of a half-open one
    Order::iterator place;        // in `opened` or `half_open`
    Order::iterator awake_place;  // in `awake`, or its end
    Instant used{};               // REQUIRES: in `awake`
  };
  State(Options channel_options, Entropy& randomness)
      : options(std::move(channel_options)),
        entropy(randomness),
        outbox(options.queued_messages_max, options.hints_per_second_max) {}

  Session* find(SessionId id) {
    const auto found = sessions.find(id);
    return found == sessions.end() ? nullptr : &found->second;
  }

  void push_message(const Session& session, MessageKind kind, ByteView body);
  void push_hint(const RoutingId& to, SessionId session, Instant now);
  void push_event(CoordinatorEvent event);
  void push_plaintext(SessionId session, std::vector<uint8_t> plaintext);

  void handle_records(const RoutingId& from, const ChannelMessage& message, Instant now);
  void handle_frame(const RoutingId& from, const ChannelMessage& message);
  Session* start_session(SessionId id, Instant now);
  void after_session_step(Session& session);
  void open_session(Session& session);
  void touch(Session& session);
  void put_some_to_sleep();
  void put_to_sleep(Session& idle);
  Instant next_sleep() const;
  void fail_session(Session& session, Failure failure);
  void erase(Session& session);

  Options options;
  Entropy& entropy;
  std::unique_ptr<DtlsConfig> config;
  std::map<SessionId, Session> sessions;  // a tree: strangers choose the keys, so no hash table
  std::map<std::string, SessionId> by_name;
  Order half_open;   // oldest first
  Order opened;      // least recently heard from first
  Order awake;       // least recently used first
  Instant newest{};  // that was passed in

  ChannelOutbox outbox;
  std::deque<std::pair<SessionId, std::vector<uint8_t>>> plaintexts;
  std::deque<CoordinatorEvent> events;
  ChannelCounters counters;
};

void CoordinatorChannels::State::push_message(const Session& session, MessageKind kind, ByteView body) {
  if (outbox.push(session.reply, kind, session.id, body)) {
    counters.bytes_sent += kMessageHeaderBytes + body.size();
  } else {
    ++counters.messages_dropped;
  }
}

void CoordinatorChannels::State::push_hint(const RoutingId& to, SessionId session, Instant now) {
  if (outbox.push_hint(to, session, now)) {
    ++counters.hints_sent;
    counters.bytes_sent += kMessageHeaderBytes;
  } else {
    ++counters.messages_dropped;
  }
}

void CoordinatorChannels::State::push_event(CoordinatorEvent event) {
  const bool droppable = event.kind == CoordinatorEvent::Kind::kFailed;
  if (droppable && events.size() >= options.queued_events_max) return;
  events.push_back(std::move(event));
}

void CoordinatorChannels::State::push_plaintext(SessionId session, std::vector<uint8_t> plaintext) {
  if (plaintexts.size() >= options.queued_plaintexts_max) {
    ++counters.records_dropped;
    return;
  }
  ++counters.records_received;
  plaintexts.emplace_back(session, std::move(plaintext));
}

void CoordinatorChannels::State::handle_records(const RoutingId& from, const ChannelMessage& message, Instant now) {
  Session* session = find(message.session);
  if (session == nullptr) {
    if (!begins_with_client_hello(message.body)) return push_hint(from, message.session, now);
    session = start_session(message.session, now);
    if (session == nullptr) return;
  }
  // A half-open session has nobody to prove itself yet: answers go to whoever spoke last.
  if (!session->open) session->reply = from;
  const DtlsSession::Outcome outcome = session->dtls->handle_records(message.body, now);
  counters.records_dropped += outcome.dropped;
  if (session->open && outcome.authenticated) {
    session->reply = from;
    opened.splice(opened.end(), opened, session->place);
  }
  after_session_step(*session);
}

void CoordinatorChannels::State::handle_frame(const RoutingId& from, const ChannelMessage& message) {
  Session* session = find(message.session);
  if (session == nullptr) {
    session = &sessions[message.session];
    session->id = message.session;
    session->place = half_open.insert(half_open.end(), session->id);
    session->awake_place = awake.end();
    open_session(*session);
  }
  session->reply = from;
  opened.splice(opened.end(), opened, session->place);
  push_plaintext(session->id, {message.body.begin(), message.body.end()});
}

CoordinatorChannels::State::Session* CoordinatorChannels::State::start_session(SessionId id, Instant now) {
  if (options.half_open_max == 0) return nullptr;
  if (half_open.size() >= options.half_open_max) {
    fail_session(*find(half_open.front()), fail(Error::kLimit, "handshake given up: too many others under way"));
  }
  ++counters.handshakes_started;
  auto dtls = DtlsSession::create(*config);
  if (!dtls) {
    ++counters.handshakes_failed;
    push_event({CoordinatorEvent::Kind::kFailed, id, false, {}, dtls.failure()});
    return nullptr;
  }
  Session& session = sessions[id];
  session.id = id;
  session.dtls = std::move(*dtls);
  session.deadline = now + options.half_open_timeout;
  session.place = half_open.insert(half_open.end(), id);
  session.awake_place = awake.end();
  return &session;
}

// Sends what a step of the session wrote, reports what became of it, and keeps the number of awake sessions down. The
// session may be gone afterwards.
void CoordinatorChannels::State::after_session_step(Session& session) {
  if (const std::vector<uint8_t> output = session.dtls->take_output(); !output.empty()) {
    push_message(session, MessageKind::kDtls, output);
  }
  if (!session.open && session.dtls->phase() == DtlsSession::Phase::kEstablished) {
    ++counters.handshakes_completed;
    if (session.dtls->resumed()) ++counters.handshakes_resumed;
    session.device = session.dtls->peer();
    open_session(session);
  }
  for (std::vector<uint8_t>& plaintext : session.dtls->take_plaintexts()) {
    push_plaintext(session.id, std::move(plaintext));
  }
  if (session.dtls->phase() == DtlsSession::Phase::kDead) {
    session.device = session.dtls->peer();
    return fail_session(session, session.dtls->failure());
  }
  touch(session);
}

void CoordinatorChannels::State::open_session(Session& session) {
  if (!session.device.name.empty()) {
    if (const auto older = by_name.find(session.device.name); older != by_name.end()) {
      fail_session(*find(older->second),
                   fail(Error::kDuplicate, "%s has opened a new session", session.device.name.c_str()));
    }
    by_name[session.device.name] = session.id;
  }
  if (!opened.empty() && opened.size() >= options.sessions_max) {
    fail_session(*find(opened.front()), fail(Error::kLimit, "session given up: too many others are open"));
  }
  session.open = true;
  session.deadline = kNever;
  opened.splice(opened.end(), half_open, session.place);
  push_event({CoordinatorEvent::Kind::kOpened, session.id, session.dtls && session.dtls->resumed(), session.device,
              Error::kOk});
}

// Makes an open session the most recently used of those awake.
void CoordinatorChannels::State::touch(Session& session) {
  if (!session.open || session.dtls->asleep()) return;
  session.used = newest;
  if (session.awake_place == awake.end()) {
    session.awake_place = awake.insert(awake.end(), session.id);
  } else {
    awake.splice(awake.end(), awake, session.awake_place);
  }
  put_some_to_sleep();
}

void CoordinatorChannels::State::put_some_to_sleep() {
  for (int attempt = 0; attempt < kSleepAttempts && awake.size() > options.awake_sessions_max; ++attempt) {
    put_to_sleep(*find(awake.front()));
  }
}

// At the end of `awake` if it cannot sleep yet.
void CoordinatorChannels::State::put_to_sleep(Session& idle) {
  if (idle.dtls->sleep()) {
    awake.erase(idle.awake_place);
    idle.awake_place = awake.end();
  } else {
    idle.used = newest;
    awake.splice(awake.end(), awake, idle.awake_place);
  }
}

Instant CoordinatorChannels::State::next_sleep() const {
  return awake.empty() ? kNever : sessions.at(awake.front()).used + options.awake_idle_max;
}

void CoordinatorChannels::State::fail_session(Session& session, Failure failure) {
  if (!session.open) ++counters.handshakes_failed;
  push_event({session.open ? CoordinatorEvent::Kind::kClosed : CoordinatorEvent::Kind::kFailed, session.id, false,
              session.device, failure});
  erase(session);
}

void CoordinatorChannels::State::erase(Session& session) {
  if (session.awake_place != awake.end()) awake.erase(session.awake_place);
  (session.open ? opened : half_open).erase(session.place);
  const auto name = by_name.find(session.device.name);
  if (name != by_name.end() && name->second == session.id) by_name.erase(name);
  sessions.erase(session.id);
}

CoordinatorChannels::CoordinatorChannels(std::unique_ptr<State> state) : state_(std::move(state)) {}
CoordinatorChannels::~CoordinatorChannels() = default;

Result<std::unique_ptr<CoordinatorChannels>> CoordinatorChannels::create(const Credentials& credentials,
                                                                         Options options, Entropy& entropy) {
  auto state = std::make_unique<State>(std::move(options), entropy);
  if (!state->options.plaintext) {
    if (!state->options.unix_time_s) return fail(Error::kInvalidArgument, "coordinator channels: no unix_time_s given");
    DtlsConfig::Settings settings;
    settings.role = Role::kCoordinator;
    settings.retransmit_first = state->options.retransmit_first;
    settings.retransmit_last = state->options.retransmit_last;
    settings.unix_time_s = state->options.unix_time_s;
    settings.admit = state->options.admit;
    settings.ticket_key = state->options.ticket_key;
    settings.tickets = settings.ticket_key != TicketKey{};
    settings.ticket_lifetime = state->options.ticket_lifetime;
    auto config = DtlsConfig::create(credentials, std::move(settings), entropy);
    if (!config) return config.failure();
    state->config = std::move(*config);
  }
  return std::unique_ptr<CoordinatorChannels>(new CoordinatorChannels(std::move(state)));
}

void CoordinatorChannels::handle_message(const RoutingId& from, ByteView message, Instant now) {
  State& state = *state_;
  state.newest = now;
  state.counters.bytes_received += message.size();
  auto parsed = parse_message(message);
  const MessageKind wanted = state.options.plaintext ? MessageKind::kPlaintext : MessageKind::kDtls;
  if (!parsed || parsed->kind != wanted) {
    ++state.counters.messages_dropped;
    return;
  }
  state.options.plaintext ? state.handle_frame(from, *parsed) : state.handle_records(from, *parsed, now);
}

Failure CoordinatorChannels::send(SessionId id, ByteView plaintext) {
  State& state = *state_;
  if (plaintext.empty() || plaintext.size() > kPlaintextBytesMax) {
    return fail(Error::kLimit, "a frame is 1 to %zu bytes, not %zu", kPlaintextBytesMax, plaintext.size());
  }
  State::Session* session = state.find(id);
  if (session == nullptr || !session->open) return fail(Error::kNotFound, "no open session of that id");
  if (!state.outbox.has_room(id)) return Error::kBusy;
  if (state.options.plaintext) {
    state.push_message(*session, MessageKind::kPlaintext, plaintext);
  } else {
    const Failure sent = session->dtls->send(plaintext);
    state.after_session_step(*session);
    if (!sent.ok()) return sent;
  }
  ++state.counters.records_sent;
  return Error::kOk;
}

void CoordinatorChannels::close(SessionId id) {
  State::Session* session = state_->find(id);
  if (session == nullptr) return;
  if (session->open && session->dtls) {
    session->dtls->close_notify();
    const std::vector<uint8_t> output = session->dtls->take_output();
    if (!output.empty()) state_->push_message(*session, MessageKind::kDtls, output);
  }
  state_->erase(*session);
}

bool CoordinatorChannels::poll_message(RoutingId& to, std::vector<uint8_t>& out) {
  return state_->outbox.pop(to, out);
}

bool CoordinatorChannels::poll_plaintext(SessionId& session, std::vector<uint8_t>& out) {
  if (state_->plaintexts.empty()) return false;
  session = state_->plaintexts.front().first;
  out = std::move(state_->plaintexts.front().second);
  state_->plaintexts.pop_front();
  return true;
}

bool CoordinatorChannels::poll_event(CoordinatorEvent& out) {
  if (state_->events.empty()) return false;
  out = std::move(state_->events.front());
  state_->events.pop_front();
  return true;
}

Instant CoordinatorChannels::next_timeout() const {
  Instant next = state_->next_sleep();
  for (const SessionId id : state_->half_open) {
    const State::Session& session = state_->sessions.at(id);
    next = std::min({next, session.deadline, session.dtls->next_timeout()});
  }
  return next;
}

void CoordinatorChannels::handle_timeout(Instant now) {
  State& state = *state_;
  state.newest = now;
  for (size_t left = state.awake.size(); left > 0 && state.next_sleep() <= now; --left) {
    state.put_to_sleep(*state.find(state.awake.front()));
  }
  const std::vector<SessionId> ids(state.half_open.begin(), state.half_open.end());
  for (const SessionId id : ids) {
    State::Session* session = state.find(id);
    if (session == nullptr || session->open) continue;
    if (session->deadline <= now) {
      state.fail_session(*session, fail(Error::kTimeout, "handshake not finished in %lld s",
                                        static_cast<long long>(to_ms(state.options.half_open_timeout) / 1000)));
    } else if (session->dtls->next_timeout() <= now) {
      session->dtls->handle_timeout(now);
      state.after_session_step(*session);
    }
  }
}

const CertificateInfo* CoordinatorChannels::device_of(SessionId id) const {
  const State::Session* session = state_->find(id);
  return session == nullptr || !session->open ? nullptr : &session->device;
}

size_t CoordinatorChannels::open_sessions() const {
  return state_->opened.size();
}
size_t CoordinatorChannels::awake_sessions() const {
  return state_->awake.size();
}
size_t CoordinatorChannels::half_open_sessions() const {
  return state_->half_open.size();
}
const ChannelCounters& CoordinatorChannels::counters() const {
  return state_->counters;
}

}  // namespace runnel::host
