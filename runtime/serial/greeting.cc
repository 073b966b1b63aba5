// How a link begins: the board greets, the gateway offers a link number, and the first frame with that number begins
// it. So a greeting that comes late, or twice, ends nothing: only a board that answers the offer gets a new link.
#include "runtime/serial/serial_link.h"

#include <algorithm>

namespace runnel::serial {
namespace {

constexpr size_t kReasonBytes = 2;

// What a stranger calls itself, for a log.
FixedString<kBoardNameBytesMax> printable(std::string_view text) {
  char clean[kBoardNameBytesMax] = {};
  const size_t size = std::min(text.size(), sizeof clean);
  for (size_t i = 0; i < size; ++i) clean[i] = text[i] > ' ' && text[i] < 127 ? text[i] : '?';
  FixedString<kBoardNameBytesMax> out;
  RUNNEL_ASSERT(out.assign({clean, size}));
  return out;
}

}  // namespace

LineLimits SerialLink::own_limits() const {
  return {static_cast<uint16_t>(options_.piece_bytes_max), options_.window, options_.message_bytes_max};
}

void SerialLink::refuse(Failure why) {
  refusal_ = why;
  refuse_wanted_ = true;
  say(SerialEvent::Kind::kRefused, why);
}

void SerialLink::on_greet(Instant now, const LineFrame& frame) {
  static_cast<void>(now);
  if (!gateway()) {
    ++counters_.frames_ignored;
    return;
  }
  if (frame.version > kLineVersion && (frame.payload.size() < 2 || frame.payload[0] > kLineVersion))
    return refuse(fail(Error::kVersion, "the board speaks line version %u, the gateway %u", unsigned{frame.version},
                       unsigned{kLineVersion}));
  const Result<Greeting> greeting = read_greeting(frame.payload);
  if (!greeting) return refuse(greeting.failure());
  if (greeting->version_min > kLineVersion || greeting->version_max < kLineVersion)
    return refuse(fail(Error::kVersion, "the board speaks line versions %u to %u, the gateway %u",
                       unsigned{greeting->version_min}, unsigned{greeting->version_max}, unsigned{kLineVersion}));
  if (greeting->name != options_.name.view())
    return refuse(fail(Error::kUnknownDevice, "the board says that it is \"%s\", this line is of \"%s\"",
                       printable(greeting->name).c_str(), options_.name.c_str()));
  if (greeting->limits.message_bytes_max < options_.peer_message_bytes_min)
    return refuse(fail(Error::kLimit, "the board takes messages of %u bytes, %u are needed",
                       static_cast<unsigned>(greeting->limits.message_bytes_max),
                       static_cast<unsigned>(options_.peer_message_bytes_min)));
  if (offered_ == 0 || offered_nonce_ != greeting->nonce) {
    // Never that of the link that stands, and never 0.
    offered_ = static_cast<uint16_t>((offered_ == 0 ? link_ : offered_) + 1);
    if (offered_ == 0 || (up_ && offered_ == link_)) ++offered_;
    if (offered_ == 0) ++offered_;
  }
  offered_nonce_ = greeting->nonce;
  offered_to_ = greeting->limits;
  welcome_wanted_ = true;
}

void SerialLink::on_welcome(Instant now, const LineFrame& frame) {
  if (gateway() || up_) {
    // If it is the welcome of this very link, our first frame was lost: another one.
    if (!gateway() && frame.link == link_) ack_wanted_ = true;
    ++counters_.frames_ignored;
    return;
  }
  const Result<WelcomeLine> welcome = read_welcome(frame.payload);
  if (!welcome || welcome->nonce != options_.nonce || frame.link == 0) {
    ++counters_.frames_ignored;
    return;
  }
  if (welcome->limits.message_bytes_max < options_.peer_message_bytes_min) {
    greet_at_ = now + options_.refused_pause;
    return refuse(fail(Error::kLimit, "the gateway takes messages of %u bytes, %u are needed",
                       static_cast<unsigned>(welcome->limits.message_bytes_max),
                       static_cast<unsigned>(options_.peer_message_bytes_min)));
  }
  peer_ = welcome->limits;
  peer_unix_s_ = welcome->unix_s;
  life_ = frame.sequence;
  begin_link(now, frame.link);
}

void SerialLink::on_refuse(Instant now, const LineFrame& frame) {
  if (up_ || frame.payload.size() < kReasonBytes) {
    ++counters_.frames_ignored;
    return;
  }
  if (!gateway()) greet_at_ = now + options_.refused_pause;
  offered_ = 0;
  char text[kLineTextBytesMax + 1] = {};
  const ByteView words = frame.payload.subspan(kReasonBytes);
  const size_t size = std::min(words.size(), kLineTextBytesMax);
  for (size_t i = 0; i < size; ++i) text[i] = words[i] >= ' ' && words[i] < 127 ? static_cast<char>(words[i]) : '?';
  say(SerialEvent::Kind::kRefused, fail(Error::kUntrusted, "%s", text));
}

void SerialLink::on_gone(Instant now, const LineFrame& frame) {
  if (gateway()) {
    ++counters_.frames_ignored;
    return;
  }
  if (up_) {
    // Asked by the gateway of this very link, at its start: the question came late.
    const bool late = frame.link == 0 && frame.sequence == life_;
    if (late || (frame.link != 0 && frame.link != link_)) {
      ++counters_.frames_ignored;
      return;
    }
    end_link(now, fail(Error::kUnreachable, "the gateway knows nothing of this link"));
  }
  if (frame.link == 0) {
    greet_at_ = now;
    greet_pause_ = options_.greet_first;
  }
}

ByteView SerialLink::poll_greeting(Instant) {
  const MutableByteView room = payload_room();
  if (refuse_wanted_) {
    refuse_wanted_ = false;
    store_le<uint16_t>(room.data(), static_cast<uint16_t>(refusal_.error()));
    const size_t text_bytes = std::min(std::strlen(refusal_.text()), kLineTextBytesMax);
    std::memcpy(&room[kReasonBytes], refusal_.text(), text_bytes);
    return send_control(FrameKind::kRefuse, 0, kReasonBytes + text_bytes);
  }
  if (gone_wanted_) {
    gone_wanted_ = false;
    return send_control(FrameKind::kGone, gone_link_, 0);
  }
  if (welcome_wanted_) {
    welcome_wanted_ = false;
    return send_control(FrameKind::kWelcome, offered_, write_welcome({own_limits(), offered_nonce_, unix_s_}, room));
  }
  if (greet_wanted_ && !up_) {
    greet_wanted_ = false;
    return send_control(
        FrameKind::kGreet, 0,
        write_greeting({kLineVersion, kLineVersion, own_limits(), options_.nonce, options_.name.view()}, room));
  }
  return {};
}

}  // namespace runnel::serial
