#include "runtime/host/device_channel.h"

#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "runtime/host/channel_message.h"
#include "runtime/host/dtls_session.h"

namespace runnel::host {
namespace {

// A saved session: version 1 | SHA-256 of the credentials it was made with 32 | mbedTLS's serialised session.
constexpr uint8_t kSavedVersion = 1;
constexpr size_t kBindingBytes = 32;

std::array<uint8_t, kBindingBytes> binding_of(const Credentials& credentials) {
  const std::string all = credentials.ca_pem + credentials.certificate_pem;
  std::array<uint8_t, kBindingBytes> hash{};
  RUNNEL_ASSERT(mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256),
                           reinterpret_cast<const unsigned char*>(all.data()), all.size(), hash.data()) == 0);
  return hash;
}

}  // namespace

struct DeviceChannel::State {
  State(Options channel_options, Entropy& randomness) : options(std::move(channel_options)), entropy(randomness) {}
  ~State() { mbedtls_platform_zeroize(options.saved_session.data(), options.saved_session.size()); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  bool established() const {
    return options.plaintext ? session_id != 0 : session && session->phase() == DtlsSession::Phase::kEstablished;
  }
  bool handshaking() const { return session && session->phase() == DtlsSession::Phase::kHandshake; }

  void push_message(std::vector<uint8_t> message) {
    counters.bytes_sent += message.size();
    messages.push_back(std::move(message));
  }

  void start_handshake(Instant now);
  void handle_records(ByteView body, Instant now);
  void after_session_step(bool was_handshaking);
  void lose_session(Failure failure);
  void handshake_when_allowed(Instant now);
  void handle_frame(ByteView frame);

  Options options;
  Entropy& entropy;
  std::array<uint8_t, kBindingBytes> binding{};
  std::unique_ptr<DtlsConfig> config;
  std::unique_ptr<DtlsSession> session;
  SessionId session_id = 0;
  CertificateInfo coordinator;

  bool connected = false;
  Instant next_forced_handshake = Instant::min();  // the earliest time for one that the coordinator's hint causes
  Instant restart_due = kNever;

  std::deque<std::vector<uint8_t>> messages;
  std::deque<std::vector<uint8_t>> plaintexts;
  std::deque<ChannelEvent> events;
  ChannelCounters counters;
};

void DeviceChannel::State::start_handshake(Instant now) {
  restart_due = kNever;
  messages.clear();
  do {
    session_id = entropy.next_u64();
  } while (session_id == 0);
  ++counters.handshakes_started;
  auto created = DtlsSession::create(*config);
  if (!created) {
    session.reset();
    ++counters.handshakes_failed;
    events.push_back({ChannelEvent::Kind::kFailed, false, created.failure()});
    return;
  }
  session = std::move(*created);
  const ByteView saved = options.saved_session;
  if (saved.size() > 1 + kBindingBytes && saved[0] == kSavedVersion &&
      std::equal(binding.begin(), binding.end(), saved.begin() + 1)) {
    session->offer_session(saved.subspan(1 + kBindingBytes));
  }
  session->begin(now);
  after_session_step(true);
}

// Sends what a step of the session wrote and reports what became of it.
void DeviceChannel::State::after_session_step(bool was_handshaking) {
  const std::vector<uint8_t> output = session->take_output();
  if (!output.empty()) {
    if (messages.size() < options.queued_messages_max) {
      push_message(make_message(MessageKind::kDtls, session_id, output));
    } else {
      ++counters.messages_dropped;
    }
  }
  if (was_handshaking && established()) {
    ++counters.handshakes_completed;
    if (session->resumed()) ++counters.handshakes_resumed;
    coordinator = session->peer();
    if (const std::vector<uint8_t> exported = session->resumed() ? std::vector<uint8_t>{} : session->export_session();
        !exported.empty()) {
      std::vector<uint8_t>& saved = options.saved_session;
      mbedtls_platform_zeroize(saved.data(), saved.size());
      saved.assign(1, kSavedVersion);
      saved.insert(saved.end(), binding.begin(), binding.end());
      saved.insert(saved.end(), exported.begin(), exported.end());
    }
    events.push_back({ChannelEvent::Kind::kEstablished, session->resumed(), Error::kOk});
  }
  for (std::vector<uint8_t>& plaintext : session->take_plaintexts()) {
    ++counters.records_received;
    if (plaintexts.size() < options.queued_plaintexts_max) {
      plaintexts.push_back(std::move(plaintext));
    } else {
      ++counters.records_dropped;
    }
  }
  if (session->phase() != DtlsSession::Phase::kDead) return;
  const Failure failure = session->failure();
  if (was_handshaking) {
    ++counters.handshakes_failed;
    // Should the saved session be what went wrong, the next handshake is a full one. Silence says nothing about it.
    if (failure.error() != Error::kTimeout) options.saved_session.clear();
    session.reset();
    events.push_back({ChannelEvent::Kind::kFailed, false, failure});
  } else {
    lose_session(failure);
  }
}

void DeviceChannel::State::lose_session(Failure failure) {
  if (session && !handshaking()) events.push_back({ChannelEvent::Kind::kSessionLost, false, failure});
  session.reset();
  messages.clear();
}

void DeviceChannel::State::handshake_when_allowed(Instant now) {
  if (!connected) return;
  if (now < next_forced_handshake) {
    restart_due = next_forced_handshake;
    return;
  }
  next_forced_handshake = now + options.hint_interval;
  lose_session(fail(Error::kNotFound, "the coordinator does not know the session any more"));
  start_handshake(now);
}

void DeviceChannel::State::handle_records(ByteView body, Instant now) {
  const bool was_handshaking = handshaking();
  const bool was_established = established();
  const DtlsSession::Outcome outcome = session->handle_records(body, now);
  counters.records_dropped += outcome.dropped;
  if (outcome.authenticated) restart_due = kNever;  // the hint was not the coordinator's, or is out of date
  after_session_step(was_handshaking);
  if (was_established && !session) handshake_when_allowed(now);
}

void DeviceChannel::State::handle_frame(ByteView frame) {
  if (plaintexts.size() >= options.queued_plaintexts_max) {
    ++counters.records_dropped;
    return;
  }
  ++counters.records_received;
  plaintexts.emplace_back(frame.begin(), frame.end());
}

DeviceChannel::DeviceChannel(std::unique_ptr<State> state) : state_(std::move(state)) {}
DeviceChannel::~DeviceChannel() = default;

Result<std::unique_ptr<DeviceChannel>> DeviceChannel::create(const Credentials& credentials, Options options,
                                                             Entropy& entropy) {
  auto state = std::make_unique<State>(std::move(options), entropy);
  if (!state->options.plaintext) {
    DtlsConfig::Settings settings;
    settings.role = Role::kDevice;
    settings.retransmit_first = state->options.retransmit_first;
    settings.retransmit_last = state->options.retransmit_last;
    settings.unix_time_s = state->options.unix_time_s;
    auto config = DtlsConfig::create(credentials, std::move(settings), entropy);
    if (!config) return config.failure();
    state->config = std::move(*config);
    state->binding = binding_of(credentials);
  }
  return std::unique_ptr<DeviceChannel>(new DeviceChannel(std::move(state)));
}

void DeviceChannel::handle_connected(Instant now) {
  State& state = *state_;
  state.connected = true;
  if (state.options.plaintext) {
    if (state.session_id != 0) return;
    do {
      state.session_id = state.entropy.next_u64();
    } while (state.session_id == 0);
    state.events.push_back({ChannelEvent::Kind::kEstablished, false, Error::kOk});
    return;
  }
  if (state.handshaking()) {
    state.messages.clear();
    state.session->repeat_flight(now);
    state.after_session_step(true);
  } else if (!state.established()) {
    state.start_handshake(now);
  }
}

void DeviceChannel::handle_disconnected() {
  state_->connected = false;
  state_->restart_due = kNever;
  if (state_->handshaking()) state_->session->pause();
}

void DeviceChannel::handle_message(ByteView message, Instant now) {
  State& state = *state_;
  state.counters.bytes_received += message.size();
  auto parsed = parse_message(message);
  if (!parsed || parsed->session != state.session_id) {
    ++state.counters.messages_dropped;
    return;
  }
  const MessageKind wanted = state.options.plaintext ? MessageKind::kPlaintext : MessageKind::kDtls;
  if (parsed->kind == wanted && (state.options.plaintext || state.session)) {
    return state.options.plaintext ? state.handle_frame(parsed->body) : state.handle_records(parsed->body, now);
  }
  if (parsed->kind == MessageKind::kUnknownSession && state.session) {
    ++state.counters.hints_received;
    return state.handshake_when_allowed(now);
  }
  ++state.counters.messages_dropped;
}

Failure DeviceChannel::send(ByteView plaintext) {
  State& state = *state_;
  if (plaintext.empty() || plaintext.size() > kPlaintextBytesMax) {
    return fail(Error::kLimit, "a frame is 1 to %zu bytes, not %zu", kPlaintextBytesMax, plaintext.size());
  }
  if (!state.established()) return fail(Error::kWrongType, "no session yet");
  if (state.messages.size() >= state.options.queued_messages_max) return Error::kBusy;
  ++state.counters.records_sent;
  if (state.options.plaintext) {
    state.push_message(make_message(MessageKind::kPlaintext, state.session_id, plaintext));
    return Error::kOk;
  }
  RUNNEL_TRY(state.session->send(plaintext));
  state.after_session_step(false);
  return Error::kOk;
}

bool DeviceChannel::poll_message(std::vector<uint8_t>& out) {
  if (state_->messages.empty()) return false;
  out = std::move(state_->messages.front());
  state_->messages.pop_front();
  return true;
}

bool DeviceChannel::poll_plaintext(std::vector<uint8_t>& out) {
  if (state_->plaintexts.empty()) return false;
  out = std::move(state_->plaintexts.front());
  state_->plaintexts.pop_front();
  return true;
}

bool DeviceChannel::poll_event(ChannelEvent& out) {
  if (state_->events.empty()) return false;
  out = state_->events.front();
  state_->events.pop_front();
  return true;
}

Instant DeviceChannel::next_timeout() const {
  const Instant handshake = state_->session ? state_->session->next_timeout() : kNever;
  return std::min(handshake, state_->restart_due);
}

void DeviceChannel::handle_timeout(Instant now) {
  State& state = *state_;
  if (state.restart_due <= now) {
    state.restart_due = kNever;
    return state.handshake_when_allowed(now);
  }
  if (!state.handshaking()) return;
  state.session->handle_timeout(now);
  state.after_session_step(true);
}

bool DeviceChannel::established() const {
  return state_->established();
}
SessionId DeviceChannel::session_id() const {
  return state_->session_id;
}
const CertificateInfo& DeviceChannel::coordinator() const {
  return state_->coordinator;
}
std::vector<uint8_t> DeviceChannel::save_session() const {
  return state_->options.saved_session;
}
const ChannelCounters& DeviceChannel::counters() const {
  return state_->counters;
}

}  // namespace runnel::host
