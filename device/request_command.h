// `runnel-device request NAME`: makes the device's key on the device and asks for a certificate; the key never leaves
// it.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace runnel::device {

struct RequestOptions {
  std::string name;
  std::string folder = ".";  // gets NAME.key (0600) and NAME.csr
};

// kDuplicate, and nothing touched, if the key is already there.
Failure make_request(const RequestOptions& options);

}  // namespace runnel::device
