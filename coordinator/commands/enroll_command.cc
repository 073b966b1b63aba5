#include "coordinator/commands/enroll_command.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <set>

#include "coordinator/store/sqlite_store.h"
#include "runtime/host/device_bundle.h"
#include "runtime/host/entropy.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/monotonic_clock.h"

namespace runnel::coordinator {
namespace {

Failure check_options(const EnrollOptions& options) {
  if (options.names.empty()) return fail(Error::kInvalidArgument, "name at least one device");
  std::set<std::string> seen;
  for (const std::string& name : options.names) {
    if (!host::valid_name(name) || name.front() == '.') {
      return fail(Error::kInvalidArgument,
                  "a device's name is 1 to 63 of A-Z a-z 0-9 . _ - and begins with no dot, not '%s'", name.c_str());
    }
    if (!seen.insert(name).second) return fail(Error::kDuplicate, "%s is named twice", name.c_str());
  }
  RUNNEL_TRY(host::check_coordinator_address(options.coordinator));
  if (options.names.size() > 1 && !options.request_path.empty()) {
    return fail(Error::kInvalidArgument, "--csr is one device's: name one device with it");
  }
  if (options.names.size() > 1 && !options.out_path.empty()) {
    return fail(Error::kInvalidArgument, "--out is one bundle's: use --out-dir for several devices");
  }
  if (!options.out_path.empty() && !options.out_folder.empty()) {
    return fail(Error::kInvalidArgument, "--out and --out-dir: give one of them");
  }
  if (options.days < 1 || options.days > 36500) {
    return fail(Error::kOutOfRange, "--days must be 1..36500, not %u", options.days);
  }
  return Error::kOk;
}

// A day early, for devices whose clock is behind; never outside the authority's own validity.
host::Validity validity_of(const host::CertificateInfo& authority, uint32_t days, int64_t now_s) {
  return {std::max(authority.not_before_s, now_s - host::kDayS),
          std::min(authority.not_after_s, now_s + days * host::kDayS)};
}

Failure make_bundle_folder(const std::string& path) {
  std::error_code code;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, code);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return host::fail_with_errno(errno, path, "mkdir");
  return Error::kOk;
}

struct Signer {
  host::Authority authority;
  host::Validity validity;
  std::unique_ptr<host::Entropy> entropy;
  int64_t now_s = 0;
};

Result<Signer> prepare_signer(const StateFolder& folder, uint32_t days) {
  Result<host::Authority> authority = load_authority(folder);
  if (!authority) return authority.failure();
  Result<host::CertificateInfo> root = host::parse_certificate(authority->certificate_pem);
  if (!root) return Failure(root.failure()).prefix("%s", folder.ca_certificate().c_str());
  const int64_t now_s = host::unix_seconds();
  RUNNEL_TRY(host::check_validity(*root, now_s, "the fleet's authority"));
  Result<std::unique_ptr<host::Entropy>> entropy = host::Entropy::create();
  if (!entropy) return entropy.failure();
  return Signer{std::move(*authority), validity_of(*root, days, now_s), std::move(*entropy), now_s};
}

Result<host::DeviceBundle> sign_bundle(const EnrollOptions& options, const std::string& name, Signer& signer) {
  host::DeviceBundle bundle;
  bundle.name = name;
  bundle.coordinator = options.coordinator;
  bundle.ca_pem = signer.authority.certificate_pem;
  if (options.request_path.empty()) {
    Result<host::Credentials> credentials =
        host::create_credentials(signer.authority, name, host::Role::kDevice, signer.validity, *signer.entropy);
    if (!credentials) return credentials.failure();
    bundle.certificate_pem = std::move(credentials->certificate_pem);
    bundle.key_pem = std::move(credentials->key_pem);
    return bundle;
  }
  Result<std::string> request = read_text_file(options.request_path);
  if (!request) return request.failure();
  Result<std::string> certificate =
      host::sign_request(signer.authority, *request, name, host::Role::kDevice, signer.validity, *signer.entropy);
  if (!certificate) return Failure(certificate.failure()).prefix("%s", options.request_path.c_str());
  bundle.certificate_pem = std::move(*certificate);
  bundle.key_file = name + ".key";  // what `runnel-device request NAME` has made
  return bundle;
}

Failure enroll_one(const EnrollOptions& options, const std::string& name, const std::string& path, Signer& signer,
                   Store& store, std::ostream& out) {
  Result<DeviceRecord> known = store.device(name);
  if (!known && known.error() != Error::kUnknownDevice) return known.failure();
  Result<host::DeviceBundle> bundle = sign_bundle(options, name, signer);
  if (!bundle) return bundle.failure();
  Result<host::CertificateInfo> certificate = host::parse_certificate(bundle->certificate_pem);
  if (!certificate) return certificate.failure();

  const std::string text = host::device_bundle_toml(*bundle);
  RUNNEL_TRY(host::write_file_atomically(path, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, 0600));
  if (Failure failed = store.enroll({name, certificate->serial, signer.now_s, false}); !failed.ok()) {
    // A bundle that the coordinator knows nothing of would only mislead.
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return failed;
  }
  out << "enrolled " << name << ": " << path << " (until " << host::utc_text(certificate->not_after_s) << ")\n";
  if (known) {
    out << "  " << name << (known->revoked ? " was revoked; it may take part again, with this bundle" : " was known")
        << ": its earlier certificate is no longer good\n";
  }
  return Error::kOk;
}

}  // namespace

Failure enroll_devices(const EnrollOptions& options, std::ostream& out) {
  RUNNEL_TRY(check_options(options));
  const StateFolder folder(options.state_folder);
  Result<Signer> signer = prepare_signer(folder, options.days);
  if (!signer) return signer.failure();
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(folder.database(), false);
  if (!store) return store.failure();
  if (const std::string notice = key_permission_notice(folder.ca_key()); !notice.empty())
    out << "notice: " << notice << "\n";

  const std::string bundles =
      options.out_folder.empty() ? folder.bundles() : without_trailing_slash(options.out_folder);
  if (options.out_path.empty()) RUNNEL_TRY(make_bundle_folder(bundles));
  for (const std::string& name : options.names) {
    std::string path = options.out_path;
    if (path.empty()) path.append(bundles).append("/").append(name).append(".toml");
    RUNNEL_TRY(enroll_one(options, name, path, *signer, **store, out));
  }
  if (options.request_path.empty()) {
    out << "The private keys were made here for convenience: move each bundle to its device over a safe way and delete "
           "it here.\n";
  } else {
    out << "The bundle holds no key: put it next to " << options.names.front() << ".key on the device.\n";
  }
  out << "On the device: runnel-device run --bundle " << options.names.front() << ".toml\n";
  return Error::kOk;
}

CLI::App* add_enroll_command(CLI::App& app, EnrollOptions& options) {
  CLI::App* command = app.add_subcommand("enroll", "Give devices a certificate of the fleet");
  command->add_option("NAME", options.names, "The devices")->required();
  command->add_option("--state", options.state_folder, "The fleet's folder")->capture_default_str();
  command->add_option("--coordinator", options.coordinator, "tcp://HOST:PORT as the devices reach it")
      ->capture_default_str();
  CLI::Option* request = command->add_option("--csr", options.request_path,
                                             "The request that `runnel-device request NAME` made; the key stays there");
  request->check(CLI::ExistingFile);
  CLI::Option* out = command->add_option("--out", options.out_path, "The bundle's file, for one device");
  command->add_option("--out-dir", options.out_folder, "The bundles' folder; bundles/ in the fleet's folder otherwise")
      ->excludes(out);
  command->add_option("--days", options.days, "How long the certificates are good")->capture_default_str();
  return command;
}

}  // namespace runnel::coordinator
