// SqliteStore's devices: who may take part, by name and certificate serial.
#include "coordinator/store/sqlite_database.h"
#include "coordinator/store/sqlite_store.h"

namespace runnel::coordinator {
namespace {

DeviceRecord read_device(const SqliteStatement& row) {
  return {row.text(0), row.text(1), row.integer<int64_t>(2), row.integer<int>(3) != 0};
}

}  // namespace

Failure SqliteStore::enroll(const DeviceRecord& device) {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  SqliteStatement insert(
      *database_,
      "INSERT INTO device(name, serial, enrolled_at, revoked) VALUES(?, ?, ?, ?)"
      " ON CONFLICT(name) DO UPDATE SET serial = excluded.serial, enrolled_at = excluded.enrolled_at,"
      " revoked = excluded.revoked");
  RUNNEL_TRY(insert.bind(device.name).bind(device.serial).bind(device.enrolled_at).bind(device.revoked).run());
  return transaction.commit();
}

Failure SqliteStore::revoke(const std::string& name) {
  SqliteTransaction transaction(*database_);
  RUNNEL_TRY(transaction.begin_write());
  SqliteStatement update(*database_, "UPDATE device SET revoked = 1 WHERE name = ?");
  RUNNEL_TRY(update.bind(name).run());
  if (database_->changed_rows() == 0) return fail(Error::kUnknownDevice, "no device called %s", name.c_str());
  return transaction.commit();
}

Result<DeviceRecord> SqliteStore::device(const std::string& name) {
  SqliteStatement select(*database_, "SELECT name, serial, enrolled_at, revoked FROM device WHERE name = ?");
  Result<bool> row = select.bind(name).step();
  if (!row) return row.failure();
  if (!*row) return fail(Error::kUnknownDevice, "no device called %s", name.c_str());
  return read_device(select);
}

Result<std::vector<DeviceRecord>> SqliteStore::devices() {
  SqliteStatement select(*database_, "SELECT name, serial, enrolled_at, revoked FROM device ORDER BY name");
  std::vector<DeviceRecord> devices;
  for (;;) {
    Result<bool> row = select.step();
    if (!row) return row.failure();
    if (!*row) return devices;
    devices.push_back(read_device(select));
  }
}

}  // namespace runnel::coordinator
