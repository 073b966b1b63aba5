// When devices that found no room for their updates should offer again: one after another, as fast as others finish, so
// that the room neither stays empty nor draws a crowd that is turned away once more.
//
// Each device that is turned away is given a turn of its own behind those given before; the distance between two turns
// is the time that their bytes take at the rate at which uploads have lately ended, and a little less, since some will
// not come. Until one has ended since the first was turned away, that rate is a guess, and rather too high: who comes
// too early is told again, who comes too late leaves room unused. It is halved for as long as none ends: to tell
// devices again and again is work as well, and a machine that has no time for more than that would never come to an
// end. No turn is further away than the longest pause: who would wait longer comes within its second half to be told
// anew. Nobody keeps a place, so nobody can lose one: turns are not promises, and a device that goes away for good
// costs nothing. Threads: one at a time. Memory: none a device.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace runnel::coordinator {

class UploadPace {
 public:
  // `longest`: pause that a device is told.
  explicit UploadPace(Duration longest) : longest_(longest) {}

  // An upload of that many bytes has left, and its room is free.
  void handle_room(uint64_t bytes, Instant now);

  // After which time a device should offer its update of that many bytes again. `seed`: of that device and attempt.
  Duration turn(uint64_t bytes, uint64_t seed, Instant now);

  double bytes_per_second() const { return bytes_per_second_; }

 private:
  void measure(Instant now);

  Duration longest_;
  double bytes_per_second_ = 64e6;
  Instant next_{};                   // free turn
  Instant measured_since_ = kNever;  // while devices are being turned away
  uint64_t measured_bytes_ = 0;
};

}  // namespace runnel::coordinator
