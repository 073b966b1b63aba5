#include "coordinator/store/sqlite_database.h"

#include <cerrno>
#include <limits>

namespace runnel::coordinator {

SqliteDatabase::~SqliteDatabase() {
  for (const auto& [sql, statement] : idle_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Failure SqliteDatabase::connect(const std::string& path) {
  path_ = path;
  // NOMUTEX: a store belongs to one thread at a time.
  const int code = sqlite3_open_v2(path.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) return failure(code, "opening");
  sqlite3_extended_result_codes(handle_, 1);
  return Error::kOk;
}

Failure SqliteDatabase::execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Failure(Error::kOk) : failure(code, sql);
}

Result<int64_t> SqliteDatabase::query_integer(const char* sql) {
  SqliteStatement statement(*this, sql);
  Result<bool> row = statement.step();
  if (!row) return row.failure();
  return *row ? statement.integer<int64_t>(0) : 0;
}

Failure SqliteDatabase::failure(int code, const char* doing) const {
  const char* message = handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_);
  const int system_code = handle_ == nullptr ? 0 : sqlite3_system_errno(handle_);
  const int primary = code & 0xFF;
  Error error = Error::kIo;
  switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      error = Error::kBusy;
      break;
    case SQLITE_FULL:
      error = Error::kStorageFull;
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      error = Error::kCorrupt;
      break;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      error = Error::kNoMemory;
      break;
    case SQLITE_CONSTRAINT:
      error = Error::kInvalidArgument;
      break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (system_code == ENOSPC || system_code == EDQUOT) error = Error::kStorageFull;
      break;
    default:
      break;
  }
  return fail(error, "%s: %s (%.60s)", path_.c_str(), message, doing);
}

Failure SqliteDatabase::corrupt(const char* what) const {
  return fail(Error::kCorrupt, "%s: damaged: %s", path_.c_str(), what);
}

sqlite3_stmt* SqliteDatabase::take_statement(const char* sql, int& code) {
  code = SQLITE_OK;
  if (const auto idle = idle_.find(std::string_view(sql)); idle != idle_.end()) {
    sqlite3_stmt* statement = idle->second;
    idle_.erase(idle);
    return statement;
  }
  sqlite3_stmt* statement = nullptr;
  code = sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr);
  return statement;
}

void SqliteDatabase::give_back(sqlite3_stmt* statement) {
  if (statement == nullptr) return;
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);  // they refer to what may be gone soon
  const bool kept = idle_.size() < kIdleMax && idle_.emplace(sqlite3_sql(statement), statement).second;
  if (!kept) sqlite3_finalize(statement);
}

SqliteStatement::SqliteStatement(SqliteDatabase& database, const char* sql) : database_(database) {
  int code = SQLITE_OK;
  statement_ = database.take_statement(sql, code);
  note(code);
}

SqliteStatement::~SqliteStatement() {
  database_.give_back(statement_);
}

void SqliteStatement::note(int code) {
  if (broken_ == SQLITE_OK) broken_ = code;
}

SqliteStatement& SqliteStatement::bind_integer(int64_t value) {
  note(sqlite3_bind_int64(statement_, next_parameter_++, value));
  return *this;
}

SqliteStatement& SqliteStatement::bind(double value) {
  note(sqlite3_bind_double(statement_, next_parameter_++, value));
  return *this;
}

SqliteStatement& SqliteStatement::bind(std::string_view text) {
  // A null pointer would bind NULL instead of the empty text.
  const char* data = text.data() == nullptr ? "" : text.data();
  note(sqlite3_bind_text64(statement_, next_parameter_++, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

SqliteStatement& SqliteStatement::bind(ByteView blob) {
  const int parameter = next_parameter_++;
  note(blob.empty() ? sqlite3_bind_zeroblob(statement_, parameter, 0)
                    : sqlite3_bind_blob64(statement_, parameter, blob.data(), blob.size(), SQLITE_STATIC));
  return *this;
}

Result<bool> SqliteStatement::step() {
  if (broken_ != SQLITE_OK) return database_.failure(broken_, "preparing a statement");
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_.failure(code, sqlite3_sql(statement_));
}

Failure SqliteStatement::run() {
  Result<bool> row = step();
  reset();
  return row.ok() ? Failure(Error::kOk) : row.failure();
}

void SqliteStatement::reset() {
  sqlite3_reset(statement_);
  next_parameter_ = 1;
}

double SqliteStatement::real(int column) const {
  return is_null(column) ? std::numeric_limits<double>::quiet_NaN() : sqlite3_column_double(statement_, column);
}

std::string SqliteStatement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int length = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(length));
}

ByteView SqliteStatement::blob(int column) const {
  const auto* bytes = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column));
  const int length = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? ByteView() : ByteView(bytes, static_cast<size_t>(length));
}

SqliteTransaction::~SqliteTransaction() {
  // Some failures (a full disk, an I/O error) have rolled back on their own.
  if (database_.handle() != nullptr && sqlite3_get_autocommit(database_.handle()) == 0) {
    sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Failure SqliteTransaction::begin_write() {
  return database_.execute("BEGIN IMMEDIATE");
}
Failure SqliteTransaction::begin_read() {
  return database_.execute("BEGIN");
}
Failure SqliteTransaction::commit() {
  return database_.execute("COMMIT");
}

}  // namespace runnel::coordinator
