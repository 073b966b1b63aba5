#include "device/run_command.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "device/conditions/linux_conditions.h"
#include "device/device_session.h"
#include "runtime/base/rng.h"
#include "runtime/data/rows_of.h"
#include "runtime/host/dataset_file.h"
#include "runtime/host/device_bundle.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/file_storage.h"
#include "runtime/host/log.h"
#include "runtime/host/release_memory.h"
#include "runtime/host/stop_signal.h"
#include "runtime/journal/journal.h"

namespace runnel::device {
namespace {

using host::log_line;
using host::LogLevel;

constexpr char kSoftware[] = "runnel-device " RUNNEL_VERSION;

struct Identity {
  std::string name;
  std::string coordinator;
  host::Credentials credentials;
};

Result<Identity> load_identity(const RunOptions& options) {
  Identity identity;
  if (!options.bundle_path.empty()) {
    Result<host::DeviceBundle> bundle = host::load_device_bundle(options.bundle_path);
    if (!bundle) return bundle.failure();
    identity.name = bundle->name;
    identity.coordinator = bundle->coordinator;
    identity.credentials = {bundle->ca_pem, bundle->certificate_pem, bundle->key_pem};
  } else if (options.insecure_plaintext) {
    identity.name = options.name;
  } else {
    return fail(Error::kInvalidArgument, "--bundle is needed: the file that `runnel-coordinator enroll` wrote");
  }
  if (!host::valid_name(identity.name)) {
    return fail(Error::kInvalidArgument, "the device name \"%s\" must be 1 to 63 of A-Z a-z 0-9 . _ -",
                identity.name.c_str());
  }
  if (!options.coordinator.empty()) identity.coordinator = options.coordinator;
  if (Failure bad = host::check_coordinator_address(identity.coordinator); !bad.ok())
    return bad.prefix("--coordinator");
  return identity;
}

Failure make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(Error::kIo, "%s: %s", folder.c_str(), error.message().c_str());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  return Error::kOk;
}

Result<data::Dataset> load_data(const RunOptions& options) {
  if (options.parts == 0 || options.part >= options.parts) {
    return fail(Error::kInvalidArgument, "--part must be 0..%u for --parts %u, not %u",
                options.parts == 0 ? 0 : options.parts - 1, options.parts, options.part);
  }
  const Result<data::DataSpec> spec =
      data::parse_data_spec(options.data, options.partition, options.split, options.scale);
  if (!spec) return spec.failure();
  return host::load_training_part(*spec, options.part, options.parts, options.seed);
}

// The device's examples, and those of them that it does not train on; nothing where it keeps none back.
struct Examples {
  std::unique_ptr<data::RowsOf> training;
  std::unique_ptr<data::RowsOf> held_back;
};

// The same rows at every start: drawn from the seed.
Result<Examples> split_examples(const RunOptions& options, data::Dataset dataset) {
  constexpr uint64_t kHoldoutPart = 0x686F6C64;
  const auto all = std::make_shared<const data::Dataset>(std::move(dataset));
  std::vector<uint32_t> rows(all->example_count());
  for (uint32_t row = 0; row < rows.size(); ++row) rows[row] = row;
  Rng rng(derive_key(options.seed, kHoldoutPart, options.part));
  for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[static_cast<size_t>(rng.below(i))]);
  const auto held = static_cast<std::ptrdiff_t>(std::round(options.holdout * static_cast<double>(rows.size())));
  if (options.holdout > 0.0 && (held == 0 || static_cast<size_t>(held) == rows.size())) {
    return fail(Error::kInvalidArgument, "--holdout %g of %zu examples leaves none on one side", options.holdout,
                rows.size());
  }
  const auto middle = rows.end() - held;
  std::sort(rows.begin(), middle);
  std::sort(middle, rows.end());
  Examples examples;
  examples.training = std::make_unique<data::RowsOf>(all, std::vector<uint32_t>(rows.begin(), middle));
  if (held > 0) examples.held_back = std::make_unique<data::RowsOf>(all, std::vector<uint32_t>(middle, rows.end()));
  return examples;
}

// What must hold, and who looks; nobody if nothing is asked for.
struct Watch {
  ConditionSpec training;
  ConditionSpec link;
  std::unique_ptr<ConditionSource> source;
};

Result<Watch> watch_conditions(const RunOptions& options) {
  Watch watch{options.training_conditions, options.link_conditions, nullptr};
  Result<Hours> training_hours = parse_hours(options.training_hours);
  if (!training_hours) return Failure(training_hours.failure()).prefix("--train-hours");
  Result<Hours> link_hours = parse_hours(options.link_hours);
  if (!link_hours) return Failure(link_hours.failure()).prefix("--link-hours");
  watch.training.hours = *training_hours;
  watch.link.hours = *link_hours;
  if (!watch.training.asks() && !watch.link.asks()) return watch;
  LinuxConditionOptions linux_options{options.system_root, options.metered_interfaces, host::unix_seconds};
  watch.source = std::make_unique<LinuxConditions>(std::move(linux_options));
  return watch;
}

// The file is sparse: with the offsets at its two ends it takes what two models take.
constexpr uint64_t kModelFileBytes = 2 * ((64ULL << 20) + ModelKeeper::kHeaderBytes);

struct KeptModel {
  std::unique_ptr<host::FileStorage> storage;
  std::unique_ptr<ModelKeeper> keeper;
};

// Nothing in that file is worth refusing to start for, but a file that cannot be opened means that the folder is wrong.
Result<KeptModel> open_kept_model(const RunOptions& options, const std::string& folder) {
  KeptModel kept;
  if (!options.keep_model) return kept;
  host::FileStorageOptions storage_options;
  storage_options.capacity_bytes = kModelFileBytes;
  Result<std::unique_ptr<host::FileStorage>> storage = host::FileStorage::open(folder + "/model.kept", storage_options);
  if (!storage) return storage.failure();
  kept.storage = std::move(storage).value();
  kept.keeper = std::make_unique<ModelKeeper>(*kept.storage);
  return kept;
}

}  // namespace

Failure run_device(const RunOptions& options) {
  Result<Identity> identity = load_identity(options);
  if (!identity) return identity.failure();
  if (options.insecure_plaintext) {
    log_line(LogLevel::kWarning, "--insecure-plaintext: updates travel unencrypted and nobody proves who they are");
  }
  if (options.fine_tune_steps > 0 && options.holdout == 0.0) {
    return fail(Error::kInvalidArgument, "--fine-tune needs --holdout: examples to judge the fine-tuned model on");
  }
  const std::string folder = options.state_folder.empty() ? "device-state/" + identity->name : options.state_folder;
  RUNNEL_TRY(make_folder(folder));

  Result<std::unique_ptr<host::EventLog>> events = host::EventLog::open(options.events_path);
  if (!events) return Failure(events.failure()).prefix("--events");
  Result<host::FrameDump> dump = host::FrameDump::open(options.dump_folder);
  if (!dump) return Failure(dump.failure()).prefix("--dump-frames");

  host::FileStorageOptions storage_options;
  storage_options.capacity_bytes = options.outbox_bytes;
  Result<std::unique_ptr<host::FileStorage>> storage =
      host::FileStorage::open(folder + "/outbox.journal", storage_options);
  if (!storage) return storage.failure();
  journal::JournalOptions journal_options;
  journal_options.record_bytes_max = static_cast<uint32_t>(std::min<uint64_t>(options.outbox_bytes / 2, 1U << 30));
  Result<journal::Journal> journal = journal::Journal::open(**storage, journal_options);
  if (!journal) return Failure(journal.failure()).prefix("%s/outbox.journal", folder.c_str());
  if (journal->recovery().dropped_tail) {
    log_line(LogLevel::kInfo,
             "outbox: an unfinished write at byte %llu was dropped; what was stored before it is whole",
             static_cast<unsigned long long>(journal->recovery().dropped_offset));
  }
  Result<Outbox> outbox = Outbox::open(*journal);
  if (!outbox) return Failure(outbox.failure()).prefix("%s/outbox.journal", folder.c_str());
  for (const OutboxEntry& entry : outbox->entries()) {
    if (entry.given_back) continue;
    log_line(LogLevel::kInfo, "update %llu of round %u is still to be delivered",
             static_cast<unsigned long long>(entry.sequence), entry.round);
  }

  Result<KeptModel> kept = open_kept_model(options, folder);
  if (!kept) return kept.failure();

  host::release_unused_memory();
  Result<data::Dataset> dataset = load_data(options);
  if (!dataset) return dataset.failure();
  const data::Dataset& all = *dataset;
  log_line(LogLevel::kInfo, "%s: %u examples of %u values, %u classes", identity->name.c_str(), all.example_count(),
           all.input_count(), all.class_count());
  Result<Examples> examples = split_examples(options, std::move(dataset).value());
  if (!examples) return examples.failure();
  KeptValues local_layers(folder + "/local-layers");
  if (const Failure bad = local_layers.load(); !bad.ok() && bad.error() != Error::kNotFound)
    log_line(LogLevel::kWarning, "%s", bad.text());
  ControlVariates controls(folder + "/control-variates");
  if (const Failure bad = controls.load(); !bad.ok() && bad.error() != Error::kNotFound)
    log_line(LogLevel::kWarning, "%s", bad.text());

  Result<std::unique_ptr<host::Entropy>> entropy = host::Entropy::create();
  if (!entropy) return entropy.failure();
  host::DeviceChannel::Options channel_options;
  channel_options.plaintext = options.insecure_plaintext;
  channel_options.unix_time_s = host::unix_seconds;
  channel_options.hint_interval = seconds(1);  // a coordinator may restart twice in a row
  const std::string session_path = folder + "/secure-session";
  if (Result<std::vector<uint8_t>> saved = host::read_file(session_path, 64 * 1024); saved.ok()) {
    channel_options.saved_session = std::move(saved).value();
  }
  Result<std::unique_ptr<host::DeviceChannel>> channel =
      host::DeviceChannel::create(identity->credentials, std::move(channel_options), **entropy);
  if (!channel) return channel.failure();

  Result<std::unique_ptr<host::ZmqContext>> context = host::ZmqContext::create(16);
  if (!context) return context.failure();
  host::DeviceLink::Options link_options;
  link_options.keepalive_idle_s =
      0;  // the coordinator's plan says how often a sign of life is wanted; nothing else travels
  Result<std::unique_ptr<host::DeviceLink>> link = host::DeviceLink::create(**context, link_options);
  if (!link) return link.failure();

  SessionSettings settings;
  settings.endpoint = identity->coordinator;
  settings.session_path = options.insecure_plaintext ? "" : session_path;
  RUNNEL_ASSERT(settings.engine.name.assign(identity->name) && settings.engine.software.assign(kSoftware));
  settings.training_bytes_max = static_cast<size_t>(std::min<uint64_t>(options.ram_bytes_max, SIZE_MAX));
  settings.engine.queue_full = options.queue_full == "stop" ? QueueFull::kStop : QueueFull::kFold;
  settings.engine.queue_age_max = seconds(static_cast<int64_t>(options.queue_age_max_s));
  Result<Watch> watch = watch_conditions(options);
  if (!watch) return watch.failure();
  settings.training_conditions = watch->training;
  settings.link_conditions = watch->link;
  settings.conditions = watch->source.get();
  settings.look_every = seconds(options.look_seconds);
  host::install_stop_signals();
  DeviceSession session(settings, *outbox, *examples->training, **link, **channel, **events, *dump,
                        Rng((*entropy)->next_u64()), kept->keeper.get());
  if (examples->held_back != nullptr) {
    session.training().hold_back(*examples->held_back);
    session.training().fine_tune(options.fine_tune_steps);
  }
  session.training().keep_local(local_layers);
  session.training().keep_controls(controls);
  log_line(LogLevel::kInfo, "connecting to %s", settings.endpoint.c_str());
  RUNNEL_TRY(session.run());
  if (session.stopped())
    log_line(LogLevel::kInfo, "stopped; what is not acknowledged stays in %s/outbox.journal", folder.c_str());
  return Error::kOk;
}

}  // namespace runnel::device
