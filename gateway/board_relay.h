// One board of a gateway: its line on the one side, its own link to the coordinator on the other, and messages moved
// between them. The coordinator sees an ordinary device, which has the board's name and certificate.
//
// What does not fit now waits where it is: with the coordinator while the board's queue is full, in the line while the
// coordinator's link is. A frame that is lost with either is missed by the board's engine, which starts over; nothing
// durable is kept here but the secure session.
// Threads: one. Memory: about 100 KB a board, of which 45 are the secure channel's. Time: passed in. Trust: what comes
// over the line may be anything; it can end the board's own link and nothing else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/board_line.h"
#include "runtime/host/device_uplink.h"
#include "runtime/host/pki.h"
#include "runtime/host/zmq_link.h"
#include "runtime/serial/serial_link.h"

namespace runnel::gateway {

struct RelayOptions {
  std::string name;  // of the board, as in its certificate
  std::string coordinator;
  std::string session_path;  // where the secure session is kept
  BoardAddress address;
};

class BoardRelay : private host::UplinkListener {
 public:
  // Context and entropy must outlive it. Fails when the credentials are not good for a device.
  static Result<std::unique_ptr<BoardRelay>> create(const RelayOptions& options, const host::Credentials& credentials,
                                                    host::ZmqContext& context, host::Entropy& entropy, Instant now);

  // Moves what can be moved. `unix_s`: the wall clock, for the board.
  void turn(Instant now, uint64_t unix_s);
  Instant next_timeout() const;
  // Its socket is full, which has no event of its own when that is over: look again soon.
  bool congested() const { return uplink_.congested(); }
  // What to wait for; false: there is more to do at once.
  bool add_waits(std::vector<void*>& sockets, std::vector<host::WaitFd>& descriptors) const;

  const std::string& name() const { return options_.name; }
  bool board_there() const { return link_.up(); }
  bool with_coordinator() const { return uplink_.up(); }
  // One line with what crossed so far, if that is more than at the last call.
  void log_counters();

 private:
  BoardRelay(const RelayOptions& options, const serial::SerialLinkOptions& line_options,
             std::unique_ptr<host::DeviceChannel> channel, std::unique_ptr<host::DeviceLink> device_link, Instant now);

  void on_session_up(Instant now) override;
  void on_uplink_down(Instant now, host::UplinkLoss loss, const char* why) override;
  void on_frame(Instant now, ByteView frame) override;
  bool takes_frames() const override;

  void open_line(Instant now);
  void lose_line(Instant now, const Failure& why);
  void read_line(Instant now);
  void write_line(Instant now);
  void take_output(Instant now, ByteView input);
  void drain(Instant now);
  void take_message(Instant now, const serial::SerialMessage& message);
  void connect(Instant now, uint32_t attempt);
  void drop_uplink();
  void tell(serial::MessageType type, const char* text);

  const RelayOptions options_;
  BoardLine line_;
  std::vector<uint64_t> memory_;  // of the serial link
  serial::SerialLink link_;
  std::unique_ptr<host::DeviceChannel> channel_;
  std::unique_ptr<host::DeviceLink> device_link_;
  host::DeviceUplink uplink_;

  Instant open_at_{};
  Duration open_pause_;
  std::string open_words_;       // said last, not to be said again
  std::vector<uint8_t> unsent_;  // the rest of a frame that the line did not take
  std::vector<uint8_t> received_;
  bool more_ = false;    // the line was not read to its end
  bool wanted_ = false;  // the board wants the coordinator
  uint32_t attempt_ = 0;
  uint64_t frames_up_ = 0, frames_down_ = 0;
  uint64_t counted_ = 0;
};

}  // namespace runnel::gateway
