#include "runtime/host/device_bundle.h"

#include <charconv>
#include <filesystem>
#include <string_view>
#include <utility>

#include "runtime/host/file_bytes.h"
#include "runtime/host/pki.h"
#include "runtime/host/toml_table.h"

namespace runnel::host {
namespace {

constexpr uint64_t kBundleBytesMax = uint64_t{256} * 1024;

Failure need(const TomlTable& table, const char* key) {
  return table.has(key) ? Failure(Error::kOk) : fail(Error::kMalformed, "the key %s is missing", key);
}

Failure check_pem(const TomlTable& table, const char* key, const std::string& pem) {
  if (pem.starts_with("-----BEGIN ") && pem.find("-----END ") != std::string::npos) return Error::kOk;
  return table.at(key, Error::kMalformed, "is not PEM (-----BEGIN ...)");
}

std::string pem_value(const std::string& pem) {
  // What is not plain PEM is quoted with care rather than pasted in.
  if (pem.find_first_of("\"\\") != std::string::npos) return toml_quoted(pem);
  return "\"\"\"\n" + pem + (pem.ends_with('\n') ? "" : "\n") + "\"\"\"";
}

Result<std::string> read_text(const std::string& path) {
  Result<std::vector<uint8_t>> bytes = read_file(path, kBundleBytesMax);
  if (!bytes) return bytes.failure();
  return std::string(bytes->begin(), bytes->end());
}

}  // namespace

Failure check_coordinator_address(const std::string& address) {
  constexpr std::string_view kScheme = "tcp://";
  const size_t colon = address.rfind(':');
  if (address.starts_with(kScheme) && colon != std::string::npos && colon > kScheme.size()) {
    const std::string host = address.substr(kScheme.size(), colon - kScheme.size());
    const char* end = address.data() + address.size();
    unsigned port = 0;
    const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
    const bool numbered = parsed.ec == std::errc() && parsed.ptr == end && port >= 1 && port <= 65535;
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    const bool named =
        host.find_first_of(" \t\r\n*/") == std::string::npos && (bracketed || host.find(':') == std::string::npos);
    if (numbered && named) return Error::kOk;
  }
  return fail(Error::kInvalidArgument, "coordinator must be tcp://HOST:PORT, not '%s'", address.c_str());
}

Result<DeviceBundle> parse_device_bundle(const std::string& toml) {
  Result<TomlTable> table = TomlTable::parse(toml);
  if (!table) return table.failure();
  DeviceBundle bundle;
  RUNNEL_TRY(table->read("name", bundle.name));
  RUNNEL_TRY(table->read("coordinator", bundle.coordinator));
  RUNNEL_TRY(table->read("ca", bundle.ca_pem));
  RUNNEL_TRY(table->read("certificate", bundle.certificate_pem));
  RUNNEL_TRY(table->read("key", bundle.key_pem));
  RUNNEL_TRY(table->read("key_file", bundle.key_file));
  RUNNEL_TRY(table->refuse_unread());
  for (const char* key : {"name", "coordinator", "ca", "certificate"}) RUNNEL_TRY(need(*table, key));

  if (!valid_name(bundle.name))
    return table->at("name", Error::kInvalidArgument, "must be 1 to 63 of A-Z a-z 0-9 . _ -");
  if (const Failure bad = check_coordinator_address(bundle.coordinator); !bad.ok()) return table->locate(bad);
  RUNNEL_TRY(check_pem(*table, "ca", bundle.ca_pem));
  RUNNEL_TRY(check_pem(*table, "certificate", bundle.certificate_pem));
  if (table->has("key")) RUNNEL_TRY(check_pem(*table, "key", bundle.key_pem));
  if (table->has("key_file")) {
    if (table->has("key")) return table->at("key_file", Error::kMalformed, "stands next to a key: one of them only");
    if (bundle.key_file.empty()) return table->at("key_file", Error::kMalformed, "is empty");
  }
  return bundle;
}

std::string device_bundle_toml(const DeviceBundle& bundle) {
  std::string text = "# The identity of a runnel device.";
  if (!bundle.key_pem.empty()) text += " It holds a private key: keep it secret.";
  text += "\nname = " + toml_quoted(bundle.name);
  text += "\ncoordinator = " + toml_quoted(bundle.coordinator);
  text += "\nca = " + pem_value(bundle.ca_pem);
  text += "\ncertificate = " + pem_value(bundle.certificate_pem);
  if (!bundle.key_pem.empty()) text += "\nkey = " + pem_value(bundle.key_pem);
  if (!bundle.key_file.empty()) {
    text += "\n# Made on the device itself; a path that is not absolute counts from this file's folder.";
    text += "\nkey_file = " + toml_quoted(bundle.key_file);
  }
  return text + "\n";
}

Result<DeviceBundle> load_device_bundle(const std::string& path) {
  Result<std::string> text = read_text(path);
  if (!text) return text.failure();
  Result<DeviceBundle> bundle = parse_device_bundle(*text);
  if (!bundle) {
    Failure failure = bundle.failure();
    return failure.prefix("%s", path.c_str());
  }
  if (!bundle->key_file.empty()) {
    const std::filesystem::path key_path = std::filesystem::path(path).parent_path() / bundle->key_file;
    Result<std::string> key = read_text(key_path.string());
    if (!key) return key.failure();
    bundle->key_pem = std::move(*key);
  }
  return bundle;
}

}  // namespace runnel::host
