// coordinator_bench: updates a second and core, from DTLS records to durable sums, against what its primitives alone
// allow in the same run. bench/README.md says how to run it.
#include <mbedtls/chachapoly.h>
#include <sqlite3.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "bench/channel_fleet.h"
#include "bench/made_up_update.h"
#include "coordinator/config/model_file.h"
#include "coordinator/engine/coordinator_engine.h"
#include "coordinator/store/sqlite_store.h"
#include "fleet/machine_line.h"
#include "fleet/work_folder.h"
#include "runtime/base/crc32c.h"
#include "runtime/host/release_memory.h"

namespace runnel::bench {
namespace {

struct Options {
  size_t devices = 64;
  uint32_t rounds = 8;
  uint32_t update_bytes = 100'000;
  std::string codec = "fp32";
  double bits = 8;
  size_t awake = 256;
  std::string work;
};

using Clock = std::chrono::steady_clock;

// Of a device whose link carries 2 Mbit/s or more (DeviceEngine::upload_chunk_bytes()), and as many as are under way.
constexpr size_t kChunkBytes = wire::kChunkBytesMax;
constexpr size_t kWindowBytes = 2 * kChunkBytes;
constexpr uint64_t kRun = 77;

template <typename T>
T take(Result<T> result) {
  if (!result) throw std::runtime_error(result.failure().text());
  return std::move(result).value();
}
void require(const Failure& outcome) {
  if (!outcome.ok()) throw std::runtime_error(outcome.text());
}

template <typename Work>
double processor_seconds(const Work& work) {
  const double begin = thread_seconds();
  work();
  return thread_seconds() - begin;
}

// A database as SQLite makes it, with updates as rows: many in one commit, durable when it returns.
class PlainSqlite {
 public:
  explicit PlainSqlite(const std::string& path) {
    check(sqlite3_open(path.c_str(), &database_));
    execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
    execute("CREATE TABLE accepted(id INTEGER PRIMARY KEY, device TEXT, sequence INTEGER, blob BLOB)");
    check(sqlite3_prepare_v2(database_, "INSERT INTO accepted(device, sequence, blob) VALUES(?, ?, ?)", -1, &insert_,
                             nullptr));
  }
  PlainSqlite(const PlainSqlite&) = delete;
  PlainSqlite& operator=(const PlainSqlite&) = delete;
  ~PlainSqlite() {
    sqlite3_finalize(insert_);
    sqlite3_close(database_);
  }

  void insert(uint32_t round, const std::vector<std::vector<uint8_t>>& blobs) {
    execute("BEGIN IMMEDIATE");
    for (size_t i = 0; i < blobs.size(); ++i) {
      const std::string name = "device-" + std::to_string(i);
      check(sqlite3_bind_text(insert_, 1, name.c_str(), -1, SQLITE_TRANSIENT));
      check(sqlite3_bind_int64(insert_, 2, round));
      check(sqlite3_bind_blob64(insert_, 3, blobs[i].data(), blobs[i].size(), SQLITE_STATIC));
      check(sqlite3_step(insert_));
      check(sqlite3_reset(insert_));
    }
    execute("COMMIT");
  }
  void remove() { execute("DELETE FROM accepted"); }

 private:
  void check(int code) {
    if (code != SQLITE_OK && code != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(database_));
  }
  void execute(const char* sql) { check(sqlite3_exec(database_, sql, nullptr, nullptr, nullptr)); }

  sqlite3* database_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
};

class Bench {
 public:
  explicit Bench(const Options& options);
  int run();

 private:
  std::unique_ptr<coordinator::SqliteStore> make_store(const std::string& name);
  std::vector<uint8_t> message(size_t device, uint32_t round) const;
  void arrive();
  void turn();
  double decrypt_alone(size_t updates) const;
  void measure_primitives(uint32_t round, const std::vector<std::vector<uint8_t>>& blobs);
  double store_alone();
  double decode_alone();
  double whole_path();
  void line(const char* what, double seconds_each) const;

  Options options_;
  fleet::WorkFolder work_;
  std::string model_toml_;
  plan::ModelSpec spec_;
  plan::ModelLayout layout_;
  coordinator::FleetPlan plan_;
  std::unique_ptr<MadeUpUpdate> update_;
  std::unique_ptr<coordinator::SqliteStore> store_;
  std::unique_ptr<ChannelFleet> fleet_;
  std::unique_ptr<coordinator::CoordinatorEngine> engine_;
  std::unique_ptr<PlainSqlite> kept_;
  std::unique_ptr<PlainSqlite> replaced_;
  double decrypt_s_ = 0.0;
  double insert_s_ = 0.0;
  double replace_s_ = 0.0;
  double arrive_s_ = 0.0;  // processor time
  double engine_s_ = 0.0;  // of it, by the clock on the wall: that of the processor would cost too much each time
  double store_s_ = 0.0;
  double answer_s_ = 0.0;
  uint32_t transactions_ = 0;
};

Bench::Bench(const Options& options) : options_(options), work_(options.work, false) {
  plan_.codec.codec = take(coordinator::codec_from_name(options_.codec));
  double bits = options_.bits;
  if (options_.codec == "fp32") bits = 32;
  if (options_.codec == "fp16") bits = 16;
  if (options_.codec != "fp32" && options_.codec != "fp16") require(plan::set_bits(plan_.codec, bits));
  if (plan::has_levels(plan_.codec.codec)) plan_.codec.coder = plan::Coder::kFixed;
  model_toml_ = dense_model_toml(static_cast<uint32_t>(options_.update_bytes * 8 / bits));
  spec_ = take(coordinator::parse_model_file(model_toml_));
  layout_ = take(plan::make_layout(spec_));
  plan_.rounds = options_.rounds + 1;  // the last one stays open
  plan_.min_devices = static_cast<uint32_t>(options_.devices);
  plan_.deadline_seconds = 36'000;
  plan_.downlink.bits = 0.0;
  update_ = std::make_unique<MadeUpUpdate>(plan_.codec, layout_, 7);
}

std::unique_ptr<coordinator::SqliteStore> Bench::make_store(const std::string& name) {
  auto store = take(coordinator::SqliteStore::open(work_.path() / name, true));
  require(store->create_run({kRun, "", model_toml_}, {1, std::vector<float>(layout_.parameter_count)}));
  return store;
}

std::vector<uint8_t> Bench::message(size_t device, uint32_t round) const {
  plan::RoundPlan plan;
  plan.run = kRun;
  plan.round = round;
  plan.model_version = round;
  return update_->message(plan, "device-" + std::to_string(device), round);
}

void Bench::line(const char* what, double seconds_each) const {
  std::printf("%-66s %8.3f ms  %7.0f a second and core\n", what, 1e3 * seconds_each, 1.0 / seconds_each);
  std::fflush(stdout);
}

// The records of one update, decrypted by mbedTLS's own function with nothing around it.
double Bench::decrypt_alone(size_t updates) const {
  const size_t chunks = message(0, 1).size() / kChunkBytes + 1;
  std::vector<uint8_t> record(kChunkBytes + 64), plain(record.size());
  mbedtls_chachapoly_context context;
  mbedtls_chachapoly_init(&context);
  const uint8_t key[32] = {1};
  const uint8_t nonce[12] = {2};
  const uint8_t extra[13] = {3};
  uint8_t tag[16];
  mbedtls_chachapoly_setkey(&context, key);
  mbedtls_chachapoly_encrypt_and_tag(&context, record.size(), nonce, extra, sizeof extra, plain.data(), record.data(),
                                     tag);
  const double seconds = processor_seconds([&] {
    for (size_t i = 0; i < updates * chunks; ++i) {
      if (mbedtls_chachapoly_auth_decrypt(&context, record.size(), nonce, extra, sizeof extra, tag, record.data(),
                                          plain.data()) != 0) {
        throw std::runtime_error("a record does not decrypt");
      }
    }
  });
  mbedtls_chachapoly_free(&context);
  return seconds;
}

// The machine is not equally fast at every moment: what the path is compared with is done between its rounds.
void Bench::measure_primitives(uint32_t round, const std::vector<std::vector<uint8_t>>& blobs) {
  decrypt_s_ += decrypt_alone(blobs.size());
  insert_s_ += processor_seconds([&] { kept_->insert(round, blobs); });
  replace_s_ += processor_seconds([&] {
    replaced_->insert(round, blobs);
    replaced_->remove();
  });
}

// The same updates in the same kind of store, in the same transactions, with nothing around them.
double Bench::store_alone() {
  auto store = make_store("alone.db");
  std::vector<coordinator::UpdateRecord> updates(options_.devices);
  double seconds = 0.0;
  for (uint32_t round = 1; round <= options_.rounds; ++round) {
    coordinator::RoundRecord record{round, 1, {}, 1};
    record.base_version = round;
    for (size_t i = 0; i < options_.devices; ++i) {
      record.selected.push_back("device-" + std::to_string(i));
      updates[i] = {};
      updates[i].round = updates[i].merged_into = round;
      updates[i].device = record.selected.back();
      updates[i].sequence = round;
      updates[i].model_version = round;
      updates[i].sample_count = 100;
      updates[i].blob = ByteBuffer(message(i, round));
      updates[i].checksum = crc32c(updates[i].blob);
    }
    std::sort(record.selected.begin(), record.selected.end());
    seconds += processor_seconds([&] {
      require(store->open_round(record));
      require(store->accept_updates(updates));
    });
    coordinator::RoundResult result;
    result.round = round;
    result.model = {round + 1, std::vector<float>(layout_.parameter_count)};
    result.participants = static_cast<uint32_t>(options_.devices);
    seconds += processor_seconds([&] { require(store->close_round(result)); });
  }
  return seconds / static_cast<double>(options_.rounds * options_.devices);
}

double Bench::decode_alone() {
  coordinator::Aggregate sums(layout_.parameter_count);
  std::vector<float> values(layout_.parameter_count);
  const std::vector<uint8_t> blob = message(0, 1);
  constexpr int kUpdates = 100;
  const double seconds = processor_seconds([&] {
    for (int i = 0; i < kUpdates; ++i) {
      wire::Update update;
      require(wire::decode_update(blob, update));
      require(codec::decode_update(layout_, {update.tensors.begin(), update.tensors.size()}, values));
      require(sums.add(values, 100));
    }
  });
  return seconds / kUpdates;
}

// As the coordinator's loop does it: each message becomes its frame, and that is handled, before the next.
void Bench::arrive() {
  double engine_s = 0.0;
  arrive_s_ += processor_seconds([&] {
    std::vector<uint8_t> frame;
    fleet_->arrive([&] {
      const auto begin = Clock::now();
      for (host::SessionId session = 0; fleet_->coordinator().poll_plaintext(session, frame);) {
        engine_->handle_frame(fleet_->now(), session, frame);
      }
      engine_s += std::chrono::duration<double>(Clock::now() - begin).count();
    });
  });
  engine_s_ += engine_s;
}

// One turn of the coordinator's loop after its socket is empty, timed in parts.
void Bench::turn() {
  host::CoordinatorChannels& channels = fleet_->coordinator();
  const Instant now = fleet_->now();
  store_s_ += processor_seconds([&] {
    while (coordinator::StoreRequest* request = engine_->poll_store(now)) {
      ++transactions_;
      const Failure outcome = coordinator::carry_out(*request, *store_, 1);
      engine_->handle_stored(now, outcome);
      require(outcome);
    }
  });
  answer_s_ += processor_seconds([&] {
    while (const auto frame = engine_->poll_frame(now)) require(channels.send(frame->session, frame->bytes));
    while (engine_->poll_event()) {
    }
  });
  fleet_->carry_down();
}

double Bench::whole_path() {
  store_ = make_store("path.db");
  kept_ = std::make_unique<PlainSqlite>((work_.path() / "kept.db").string());
  replaced_ = std::make_unique<PlainSqlite>((work_.path() / "replaced.db").string());
  coordinator::CoordinatorOptions options;
  options.round.run = kRun;
  options.round.plan = plan_;
  options.round.layout = layout_;
  options.model = spec_;
  fleet_ = std::make_unique<ChannelFleet>(ChannelFleet::Options{options_.devices, options_.awake, 65'536});
  const Instant now = fleet_->now();
  engine_ = std::make_unique<coordinator::CoordinatorEngine>(
      options, take(coordinator::RoundEngine::create(options.round, take(store_->load()), {}, now)));
  wire::FrameBuilder builder;
  const auto send = [&](size_t i, const wire::Message& message) {
    require(fleet_->device(i).send(builder.build(message)));
    fleet_->send_up(i);
  };
  for (size_t i = 0; i < fleet_->size(); ++i) {
    engine_->handle_session_opened(now, fleet_->session(i), fleet_->name(i));
    wire::Hello hello;
    hello.device = fleet_->name(i);
    for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) static_cast<void>(hello.codecs.push_back(codec));
    send(i, hello);
    arrive();
    turn();
  }
  turn();
  arrive_s_ = engine_s_ = store_s_ = answer_s_ = 0.0;
  transactions_ = 0;
  for (uint32_t round = 1; round <= options_.rounds; ++round) {
    if (engine_->rounds().round() != round) throw std::runtime_error("the round is not open");
    std::vector<std::vector<uint8_t>> blobs;
    for (size_t i = 0; i < fleet_->size(); ++i) {
      blobs.push_back(message(i, round));
      send(i, wire::UpdateOffer{kRun, round, round, blobs[i].size(), crc32c(blobs[i]), {}, round});
    }
    measure_primitives(round, blobs);
    arrive();
    turn();
    for (size_t window = 0; window < blobs[0].size(); window += kWindowBytes) {
      // As they come from a socket that is read round robin.
      for (size_t at = window; at < std::min(window + kWindowBytes, blobs[0].size()); at += kChunkBytes) {
        for (size_t i = 0; i < fleet_->size(); ++i) {
          if (at >= blobs[i].size()) continue;
          const size_t bytes = std::min(kChunkBytes, blobs[i].size() - at);
          send(i, wire::UpdateChunk{round, at, ByteView(blobs[i]).subspan(at, bytes)});
        }
      }
      arrive();
      turn();
    }
    turn();
  }
  const double updates = static_cast<double>(options_.rounds) * static_cast<double>(options_.devices);
  if (engine_->counters().updates_accepted != static_cast<uint64_t>(updates)) {
    throw std::runtime_error(std::to_string(engine_->counters().updates_accepted) + " updates were accepted");
  }
  line("  records into frames", (arrive_s_ - engine_s_) / updates);
  line("  frames into checked sums", engine_s_ / updates);
  line("  transactions, rounds' ends included", store_s_ / updates);
  line("  answers into records", answer_s_ / updates);
  std::printf("  %u transactions for %.0f updates\n", transactions_, updates);
  return (arrive_s_ + store_s_ + answer_s_) / updates;
}

int Bench::run() {
  std::printf("%s\n%zu devices, %u rounds, updates of %zu bytes (%s), processor time of one core\n",
              fleet::machine_line().c_str(), options_.devices, options_.rounds, message(0, 1).size(),
              options_.codec.c_str());
  const double store = store_alone();
  line("our store alone: a round opened, its updates in one commit, closed", store);
  const double decode = decode_alone();
  line("decoding and summing alone", decode);
  const double path = whole_path();
  line("whole path, records to durable sums", path);
  const auto updates = static_cast<double>(options_.rounds * options_.devices);
  const double decrypt = decrypt_s_ / updates;
  const double insert = insert_s_ / updates;
  line("records decrypted, ChaCha20-Poly1305 alone, between its rounds", decrypt);
  line("SQLite as it comes: inserted in grouped commits, likewise", insert);
  line("the same, and deleted when their round ends", replace_s_ / updates);
  std::printf("whole path / slowest primitive (%s): %.2f; / decryption: %.2f; / decryption, our store and sums: %.2f\n",
              insert > decrypt ? "SQLite's grouped commits" : "decryption", std::max(decrypt, insert) / path,
              decrypt / path, (decrypt + store + decode) / path);
  return 0;
}

}  // namespace
}  // namespace runnel::bench

int main(int argc, char** argv) {
  runnel::host::keep_freed_memory();  // as runnel-coordinator does
  CLI::App app("Updates a second and core, against what the primitives alone allow.");
  runnel::bench::Options options;
  app.add_option("--devices", options.devices, "that upload at the same time")
      ->capture_default_str()
      ->check(CLI::Range(2, 2000));
  app.add_option("--rounds", options.rounds, "updates of each")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--update-bytes", options.update_bytes, "of an update, about")
      ->capture_default_str()
      ->check(CLI::Range(1000, 10'000'000));
  app.add_option("--codec", options.codec, "of the updates")->capture_default_str();
  app.add_option("--bits", options.bits, "of a coordinate, for codecs that have a choice")->capture_default_str();
  app.add_option("--awake", options.awake, "sessions that keep their record buffers")->capture_default_str();
  app.add_option("--work", options.work, "new folder for the databases (default: a temporary one)");
  CLI11_PARSE(app, argc, argv);
  try {
    return runnel::bench::Bench(options).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coordinator_bench: %s\n", error.what());
    return 1;
  }
}
