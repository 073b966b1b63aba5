#include "device/engine/device_engine.h"

namespace runnel::device {

const char* device_state_name(DeviceState state) {
  switch (state) {
    case DeviceState::kOffline:
      return "offline";
    case DeviceState::kConnecting:
      return "connecting";
    case DeviceState::kGreeting:
      return "online";
    case DeviceState::kWaiting:
      return "waiting";
    case DeviceState::kDownloading:
      return "downloading";
    case DeviceState::kTraining:
      return "training";
    case DeviceState::kUploading:
      return "uploading";
    case DeviceState::kFinished:
      return "done";
    case DeviceState::kRefused:
      return "refused";
  }
  return "unknown";
}

}  // namespace runnel::device
