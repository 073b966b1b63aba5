// SqliteStore's unfinished uploads: one row an update for what its offer said, and its bytes as rows that are only ever
// appended, so that a long upload is not written again with every part of it.
#include <string>
#include <utility>

#include "coordinator/store/sqlite_database.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/base/crc32c.h"

namespace runnel::coordinator {

Failure SqliteStore::drop_upload(const std::string& device) {
  SqliteStatement drop(*database_, "DELETE FROM upload WHERE device = ?");  // its parts go with it
  return drop.bind(device).run();
}

Failure SqliteStore::append_upload(const UploadPart& part) {
  SqliteStatement known(*database_,
                        "SELECT received_bytes FROM upload WHERE device = ? AND run = ? AND sequence = ?"
                        " AND total_bytes = ? AND checksum = ?");
  known.bind(part.device).bind(part.run).bind(part.sequence).bind(part.total_bytes).bind(part.checksum);
  Result<bool> row = known.step();
  if (!row) return row.failure();
  const uint64_t received_bytes = *row ? known.integer<uint64_t>(0) : 0;
  if (part.offset != received_bytes || !range_within(part.offset, part.bytes.size(), part.total_bytes)) {
    return fail(Error::kInvalidArgument, "part [%llu, +%zu) of update %llu of %s, which has %llu of %llu bytes here",
                static_cast<unsigned long long>(part.offset), part.bytes.size(),
                static_cast<unsigned long long>(part.sequence), part.device.c_str(),
                static_cast<unsigned long long>(received_bytes), static_cast<unsigned long long>(part.total_bytes));
  }
  if (!*row) {
    RUNNEL_TRY(drop_upload(part.device));
    SqliteStatement begin(*database_,
                          "INSERT INTO upload(device, run, sequence, round, model_version, total_bytes, checksum,"
                          " received_bytes, saved_at) VALUES(?, ?, ?, ?, ?, ?, ?, 0, ?)");
    begin.bind(part.device).bind(part.run).bind(part.sequence).bind(part.round).bind(part.model_version);
    RUNNEL_TRY(begin.bind(part.total_bytes).bind(part.checksum).bind(part.saved_at).run());
  }
  const ByteView bytes(part.bytes);
  SqliteStatement append(*database_, "INSERT INTO upload_part(device, offset, checksum, bytes) VALUES(?, ?, ?, ?)");
  RUNNEL_TRY(append.bind(part.device).bind(part.offset).bind(crc32c(bytes)).bind(bytes).run());
  SqliteStatement advance(*database_, "UPDATE upload SET received_bytes = ?, saved_at = ? WHERE device = ?");
  return advance.bind(part.offset + part.bytes.size()).bind(part.saved_at).bind(part.device).run();
}

Failure SqliteStore::save_uploads(std::span<const UploadPart> parts, std::span<const std::string> forgotten) {
  if (parts.empty() && forgotten.empty()) return Error::kOk;
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  for (const std::string& device : forgotten) RUNNEL_TRY(drop_upload(device));
  for (const UploadPart& part : parts) RUNNEL_TRY(append_upload(part));
  return transaction.commit();
}

Failure SqliteStore::load_uploads(Snapshot& snapshot) {
  SqliteStatement uploads(*database_,
                          "SELECT device, run, sequence, round, model_version, total_bytes, checksum, received_bytes,"
                          " saved_at FROM upload ORDER BY device");
  SqliteStatement parts(*database_, "SELECT offset, checksum, bytes FROM upload_part WHERE device = ? ORDER BY offset");
  for (;;) {
    Result<bool> row = uploads.step();
    if (!row) return row.failure();
    if (!*row) return Error::kOk;
    UploadPart upload;
    upload.device = uploads.text(0);
    upload.run = uploads.integer<uint64_t>(1);
    upload.sequence = uploads.integer<uint64_t>(2);
    upload.round = uploads.integer<uint32_t>(3);
    upload.model_version = uploads.integer<uint64_t>(4);
    upload.total_bytes = uploads.integer<uint64_t>(5);
    upload.checksum = uploads.integer<uint32_t>(6);
    upload.saved_at = uploads.integer<int64_t>(8);
    const std::string what = "the unfinished update " + std::to_string(upload.sequence) + " of " + upload.device;
    parts.bind(upload.device);
    for (;;) {
      Result<bool> part = parts.step();
      if (!part) return part.failure();
      if (!*part) break;
      const ByteView bytes = parts.blob(2);
      if (parts.integer<uint64_t>(0) != upload.bytes.size() || crc32c(bytes) != parts.integer<uint32_t>(1))
        return database_->corrupt(what.c_str());
      upload.bytes.insert(upload.bytes.end(), bytes.begin(), bytes.end());
    }
    parts.reset();
    if (upload.bytes.size() != uploads.integer<uint64_t>(7)) return database_->corrupt(what.c_str());
    snapshot.uploads.push_back(std::move(upload));
  }
}

}  // namespace runnel::coordinator
