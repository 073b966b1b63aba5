// A device's way to the coordinator: a link and the secure channel over it as one thing that is up or down. Whoever is
// the device (its own engine, or a gateway for a board) asks it to connect, and hears what comes of that.
//
// When and how often to try again is the device's decision. The secure session outlives connections, and with a
// session_path restarts too.
// Threads: one at a time. Time: passed in. Trust: frames are as the coordinator sent them; they may still be anything.
#pragma once

#include <string>
#include <vector>

#include "runtime/host/device_channel.h"
#include "runtime/host/device_link.h"

namespace runnel::host {

enum class UplinkLoss : uint8_t {
  kConnection,
  kConnect,
  kSession
};  // lost; could not be had; no secure session over it

// What happens to an uplink, as it happens.
class UplinkListener {
 public:
  virtual ~UplinkListener() = default;
  // A secure session stands on a connected link: also after a reconnection, and again if the session had to be remade.
  virtual void on_session_up(Instant now) = 0;
  virtual void on_uplink_down(Instant now, UplinkLoss loss, const char* why) = 0;
  virtual void on_frame(Instant now, ByteView frame) = 0;
  // False: nothing more is received for now; what is on its way waits, with the coordinator in the end.
  virtual bool takes_frames() const { return true; }
};

class DeviceUplink {
 public:
  struct Options {
    std::string endpoint;      // tcp://HOST:PORT of the coordinator
    std::string session_path;  // where the secure session is kept over restarts; empty: nowhere
    std::string log_prefix;    // in front of log lines, for example "pump-7: "
  };

  // Link and channel must outlive it.
  DeviceUplink(Options options, DeviceLink& link, DeviceChannel& channel)
      : options_(std::move(options)), link_(link), channel_(channel) {}

  // Begins; the outcome comes to the listener. On failure nothing is under way.
  Failure connect() { return link_.connect(options_.endpoint); }
  // Drops the connection. The secure session stays, for the next one.
  void close();

  // Takes what came and tells the listener, lets timers act, and sends what waits.
  void turn(Instant now, UplinkListener& listener);
  // Sends a frame, or queues it. As DeviceChannel::send().
  Failure send(ByteView frame);
  // Sends what waits, as far as the socket takes it.
  void flush();

  // Something waits to be sent: no good moment for more.
  bool congested() const { return !unsent_.empty(); }
  bool up() const { return announced_; }
  Instant next_timeout() const { return channel_.next_timeout(); }
  const DeviceLink& link() const { return link_; }
  const ChannelCounters& counters() const { return channel_.counters(); }

 private:
  void take_link_events(Instant now, UplinkListener& listener);
  void take_messages(Instant now, UplinkListener& listener);
  void take_channel_events(Instant now, UplinkListener& listener);
  void keep_session();

  const Options options_;
  DeviceLink& link_;
  DeviceChannel& channel_;
  std::vector<uint8_t> received_;
  std::vector<uint8_t> unsent_;  // taken from the channel, but the socket was full
  bool announced_ = false;
};

}  // namespace runnel::host
