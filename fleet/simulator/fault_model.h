// What can go wrong in a simulated fleet, as data. The defaults are a world without faults.
#pragma once

#include <cstdint>

#include "runtime/base/time.h"

namespace runnel::fleet {

struct FaultModel {
  Duration latency_min = milliseconds(5);  // one way, a frame
  Duration latency_max = milliseconds(5);
  double bytes_per_second = 125'000.0;     // of a link, each way
  double cuts_per_minute = 0.0;            // of a link: what is under way is lost
  double device_crashes_per_minute = 0.0;  // power cut of a device: memory is lost, unsynced flash may be torn
  double coordinator_crashes_per_minute = 0.0;
  double disk_full_per_minute = 0.0;       // of any device's flash or the coordinator's disk, for down_min..down_max
  double hostile_frames_per_minute = 0.0;  // a device's session sends a damaged frame
  Duration down_min = milliseconds(200);   // how long a link, device, coordinator or disk stays away
  Duration down_max = seconds(20);
  Duration training_min = milliseconds(100);  // how long a device trains
  Duration training_max = seconds(5);
};

}  // namespace runnel::fleet
