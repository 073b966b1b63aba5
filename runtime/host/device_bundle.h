// What a device is given when it is enrolled, in one file: who it is, whom it reports to, and the keys to prove both.
//
//   name = "pump-7"
//   coordinator = "tcp://10.0.0.2:5555"
//   ca = """-----BEGIN CERTIFICATE----- ..."""
//   certificate = """..."""
//   key = """..."""                # or: key_file = "pump-7.key", when the key was made on the device and never left it
//
// Trust: the file's text may be anything; that the texts are credentials is for check_credentials (pki.h).
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace runnel::host {

struct DeviceBundle {
  std::string name;         // as in the certificate
  std::string coordinator;  // tcp://HOST:PORT
  std::string ca_pem;
  std::string certificate_pem;
  std::string key_pem;   // empty: the key is elsewhere
  std::string key_file;  // where; relative to the bundle's own folder. Both empty: the device says where
};

// Error::kOk, or what is wrong with "tcp://HOST:PORT", quoting it.
Failure check_coordinator_address(const std::string& address);

// Reads a bundle's text; a failure names the line and the key. Unknown keys, a key together with a key_file, and
// anything that is not PEM are refused.
Result<DeviceBundle> parse_device_bundle(const std::string& toml);

std::string device_bundle_toml(const DeviceBundle& bundle);

// Reads the bundle at `path`, and the key from its key_file when it names one. Failures begin with the path of the file
// that they are about.
Result<DeviceBundle> load_device_bundle(const std::string& path);

}  // namespace runnel::host
