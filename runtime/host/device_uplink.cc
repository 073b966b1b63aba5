#include "runtime/host/device_uplink.h"

#include "runtime/host/file_bytes.h"
#include "runtime/host/log.h"

namespace runnel::host {

void DeviceUplink::close() {
  link_.close();
  channel_.handle_disconnected();
  unsent_.clear();
  announced_ = false;
}

void DeviceUplink::turn(Instant now, UplinkListener& listener) {
  take_link_events(now, listener);
  take_messages(now, listener);
  take_channel_events(now, listener);
  channel_.handle_timeout(now);
  take_channel_events(now, listener);  // of that: nothing else would wake the caller for them
  flush();
}

void DeviceUplink::take_link_events(Instant now, UplinkListener& listener) {
  for (LinkEvent event{}; link_.poll_event(event);) {
    switch (event) {
      case LinkEvent::kConnected:
        channel_.handle_connected(now);
        break;
      case LinkEvent::kDisconnected:
      case LinkEvent::kConnectFailed:
        channel_.handle_disconnected();
        announced_ = false;
        unsent_.clear();
        if (event == LinkEvent::kDisconnected) {
          listener.on_uplink_down(now, UplinkLoss::kConnection, "connection lost");
        } else {
          listener.on_uplink_down(now, UplinkLoss::kConnect, "no connection");
        }
        break;
    }
  }
}

void DeviceUplink::take_messages(Instant now, UplinkListener& listener) {
  // A message may hold several frames, if it was of a handshake; there is always room for one.
  while (listener.takes_frames()) {
    if (channel_.poll_plaintext(received_)) {
      listener.on_frame(now, received_);
      continue;
    }
    if (!link_.receive(received_)) return;
    channel_.handle_message(received_, now);
    take_channel_events(now, listener);
  }
}

void DeviceUplink::take_channel_events(Instant now, UplinkListener& listener) {
  const char* prefix = options_.log_prefix.c_str();
  for (ChannelEvent event; channel_.poll_event(event);) {
    switch (event.kind) {
      case ChannelEvent::Kind::kEstablished:
        log_line(LogLevel::kInfo, "%ssecure session with %s (%s handshake)", prefix, options_.endpoint.c_str(),
                 event.resumed ? "abbreviated" : "full");
        if (!event.resumed) keep_session();
        announced_ = false;
        break;
      case ChannelEvent::Kind::kFailed:
        log_line(LogLevel::kError, "%sno secure session with %s: %s", prefix, options_.endpoint.c_str(),
                 event.failure.text());
        link_.close();
        announced_ = false;
        listener.on_uplink_down(now, UplinkLoss::kSession, event.failure.text());
        break;
      case ChannelEvent::Kind::kSessionLost:
        log_line(LogLevel::kInfo, "%sthe coordinator has no record of the session; a new handshake follows", prefix);
        announced_ = false;
        break;
    }
  }
  if (!announced_ && link_.connected() && channel_.established()) {
    announced_ = true;
    listener.on_session_up(now);
  }
}

void DeviceUplink::keep_session() {
  if (options_.session_path.empty()) return;
  const std::vector<uint8_t> session = channel_.save_session();
  if (const Failure bad = write_file_atomically(options_.session_path, session, 0600); !bad.ok()) {
    log_line(LogLevel::kWarning, "%sthe session is not kept for a restart: %s", options_.log_prefix.c_str(),
             bad.text());
  }
}

Failure DeviceUplink::send(ByteView frame) {
  RUNNEL_TRY(channel_.send(frame));
  flush();
  return Error::kOk;
}

void DeviceUplink::flush() {
  for (;;) {
    if (unsent_.empty() && !channel_.poll_message(unsent_)) return;
    const Error error = link_.send(unsent_);
    if (error == Error::kBusy) return;  // kept, and tried again soon
    unsent_.clear();                    // sent; or lost with the connection, as the network may lose anything
  }
}

}  // namespace runnel::host
