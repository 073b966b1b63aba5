// What one slice of a long computation leaves behind.
#pragma once

namespace runnel::train {

enum class Progress { kRunning, kDone };

}  // namespace runnel::train
