// What can go wrong in a simulated fleet, as data. The defaults are a world without faults.
//
// Rates are of a Poisson process each, in events a minute of virtual time; shares are probabilities, each drawn anew
// for every frame or step. All of it ends when the simulation heals the world.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace runnel::fleet {

struct FaultModel {
  // Links without a trace.
  Duration latency_min = milliseconds(5);  // one way, drawn for every frame; frames of a connection stay in order
  Duration latency_max = milliseconds(5);
  double bytes_per_second = 125'000.0;  // of a link, each way

  // What a network does to frames. The product's channel drops repeated and old records, and TCP loses none within a
  // connection: the engines must hold without that help.
  double frames_lost = 0.0;            // share that never arrives
  double frames_repeated = 0.0;        // share that arrives a second time, later
  double frames_delayed = 0.0;         // share that is overtaken by later ones, and may arrive in a later connection
  Duration delay_max = seconds(20);    // of a repeated or delayed frame
  double cuts_per_minute = 0.0;        // of a link: what is under way is lost, and no connection for down_min..down_max
  double partitions_per_minute = 0.0;  // of the fleet: partition_share of its devices lose their links together
  double partition_share = 0.5;
  Duration partition_min = seconds(30);  // how long a partition lasts
  Duration partition_max = seconds(180);

  // Power. A device that crashes loses its memory, and each flash write since the last sync is kept, lost or torn;
  // half of its crashes strike within its next flash writes, between any two of them.
  double device_crashes_per_minute = 0.0;       // of a device
  double device_crash_per_step = 0.0;           // share of a device's outputs before which it crashes
  double coordinator_crashes_per_minute = 0.0;  // a transaction under way is on the disk, or not
  double coordinator_crash_per_step = 0.0;  // share of its steps before which it crashes: a commit, what follows one,
                                            // each frame that it sends

  double disk_full_per_minute = 0.0;    // of any device's flash or the coordinator's disk, for down_min..down_max
  double clock_jumps_per_minute = 0.0;  // of a device's wall clock, by up to clock_jump_max either way
  Duration clock_jump_max = seconds(30 * 24 * 3600);
  double gates_per_minute = 0.0;           // of a device: it may not train, or not be connected, for down_min..down_max
  double hostile_frames_per_minute = 0.0;  // of a device's session, either way: see hostile_frames.h

  Duration down_min = milliseconds(200);  // how long a link, device, coordinator or disk stays away
  Duration down_max = seconds(20);
  Duration training_min = milliseconds(100);  // how long a device trains
  Duration training_max = seconds(5);
};

// All of it at once, each about as often as a fleet can bear and still get something done.
inline FaultModel every_fault() {
  FaultModel faults;
  faults.latency_max = seconds(1);
  faults.bytes_per_second = 5'000.0;
  faults.frames_lost = 0.01;
  faults.frames_repeated = 0.02;
  faults.frames_delayed = 0.02;
  faults.cuts_per_minute = 4.0;
  faults.partitions_per_minute = 0.3;
  faults.device_crashes_per_minute = 1.0;
  faults.device_crash_per_step = 0.002;
  faults.coordinator_crashes_per_minute = 0.5;
  faults.coordinator_crash_per_step = 0.001;
  faults.disk_full_per_minute = 0.5;
  faults.clock_jumps_per_minute = 0.5;
  faults.gates_per_minute = 0.3;
  faults.hostile_frames_per_minute = 1.0;
  return faults;
}

}  // namespace runnel::fleet
