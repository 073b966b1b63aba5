#include "device/request_command.h"

#include <cstdio>
#include <filesystem>

#include "runtime/host/entropy.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/pki.h"

namespace runnel::device {
namespace {

ByteView bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

Failure make_request(const RequestOptions& options) {
  if (!host::valid_name(options.name)) {
    return fail(Error::kInvalidArgument, "the device name \"%s\" must be 1 to 63 of A-Z a-z 0-9 . _ -",
                options.name.c_str());
  }
  const std::string key_path = options.folder + "/" + options.name + ".key";
  const std::string request_path = options.folder + "/" + options.name + ".csr";
  if (std::filesystem::exists(key_path)) return fail(Error::kDuplicate, "%s is already there", key_path.c_str());
  Result<std::unique_ptr<host::Entropy>> entropy = host::Entropy::create();
  if (!entropy) return entropy.failure();
  const Result<std::string> key = host::create_private_key(**entropy);
  if (!key) return key.failure();
  const Result<std::string> request = host::create_request(*key, options.name, **entropy);
  if (!request) return request.failure();
  RUNNEL_TRY(host::write_file_atomically(key_path, bytes_of(*key), 0600));
  RUNNEL_TRY(host::write_file_atomically(request_path, bytes_of(*request), 0644));
  std::printf(
      "%s holds the private key: it stays here.\n"
      "Take %s to the coordinator and type there:\n"
      "  runnel-coordinator enroll %s --csr %s.csr\n"
      "The bundle that it writes names the key file; put both into one folder and type:\n"
      "  runnel-device run --bundle %s.toml\n",
      key_path.c_str(), request_path.c_str(), options.name.c_str(), options.name.c_str(), options.name.c_str());
  return Error::kOk;
}

}  // namespace runnel::device
