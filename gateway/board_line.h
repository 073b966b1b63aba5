// The bytes of a board, wherever it is: a serial device, a socket or datagrams behind one open(), read() and write().
// Nothing here waits.
//
// Threads: one. Trust: a serial device and a socket's path are the board, for whoever may open them; of datagrams only
// those from the board's own address come in.
#pragma once

#include "gateway/board_address.h"
#include "runtime/base/bytes.h"
#include "runtime/host/file_descriptor.h"

namespace runnel::gateway {

class BoardLine {
 public:
  explicit BoardLine(BoardAddress address) : address_(std::move(address)) {}

  // kIo, kNotFound, kUnreachable with words.
  Failure open();
  void close();
  bool is_open() const { return fd_.is_open(); }
  int fd() const { return fd_.get(); }
  bool datagrams() const { return address_.kind == BoardAddress::Kind::kUdp; }
  const BoardAddress& address() const { return address_; }

  // How many bytes came, at once (of one datagram, where it is these); 0: none now. kUnreachable with words when the
  // line is gone; it is closed then.
  Result<size_t> read(MutableByteView to);
  // How many bytes were taken; 0: none now. A datagram is taken, or lost as the network may lose it.
  Result<size_t> write(ByteView from);

 private:
  Failure open_serial();
  Failure open_unix();
  Failure open_ip(bool datagram);
  Failure gone(const char* why);

  const BoardAddress address_;
  host::FileDescriptor fd_;
};

}  // namespace runnel::gateway
