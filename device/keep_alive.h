// What it costs to stay connected with nothing to do.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace runnel::device {

// Bytes on the wire a day, both ways: one Ping and its Pong for every `ping_after` of silence, each in a record of the
// secure channel, a ZeroMQ frame and a TCP segment over IPv4 that the other side acknowledges. 0 for zero: nothing else
// travels on an idle connection.
uint64_t keep_alive_bytes_a_day(Duration ping_after);

}  // namespace runnel::device
