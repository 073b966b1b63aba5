// One SQLite connection, its statements and its transactions, with SQLite's codes turned into the project's errors.
//
// Only the store includes this. Threads: one at a time. Memory: texts and blobs are bound by reference, so what was
// bound must live until the statement has run; up to kIdleMax statements stay compiled for their next use.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::coordinator {

class SqliteDatabase {
 public:
  SqliteDatabase() = default;
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;
  ~SqliteDatabase();

  // Connects to an existing file. SQLite reads nothing of it yet.
  Failure connect(const std::string& path);

  // Runs SQL without results: one statement or several.
  Failure execute(const char* sql);

  // The single integer that a query gives.
  Result<int64_t> query_integer(const char* sql);

  // The failure behind SQLite's `code`, with what was being done and the path. A full disk is kStorageFull however
  // SQLite noticed it.
  Failure failure(int code, const char* doing) const;
  // The stored bytes are not what was written: kCorrupt, with the path.
  Failure corrupt(const char* what) const;

  // Extended code of the last failing call: which kind of constraint it was.
  int last_extended_code() const { return sqlite3_extended_errcode(handle_); }
  int64_t changed_rows() const { return sqlite3_changes64(handle_); }
  int64_t last_row() const { return sqlite3_last_insert_rowid(handle_); }

  sqlite3* handle() const { return handle_; }
  const std::string& path() const { return path_; }

 private:
  friend class SqliteStatement;
  // Statements that are compiled and not in use, at most one of each text.
  static constexpr size_t kIdleMax = 64;

  // Null, and `code` says why, if it does not compile.
  sqlite3_stmt* take_statement(const char* sql, int& code);
  void give_back(sqlite3_stmt* statement);

  sqlite3* handle_ = nullptr;
  std::string path_;
  std::map<std::string, sqlite3_stmt*, std::less<>> idle_;
};

// A prepared statement. Parameters are numbered from 1 in the order of bind() calls, columns from 0.
class SqliteStatement {
 public:
  // A statement that does not compile reports so at the first step.
  SqliteStatement(SqliteDatabase& database, const char* sql);
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;
  ~SqliteStatement();

  // Integers are stored by their bit pattern: a uint64_t above 2^63 comes back equal, but sorts as negative.
  template <typename T>
  requires std::is_integral_v<T> SqliteStatement& bind(T value) { return bind_integer(static_cast<int64_t>(value)); }
  SqliteStatement& bind(double value);
  SqliteStatement& bind(std::string_view text);
  SqliteStatement& bind(ByteView blob);

  // True when there is a row to read, false when the statement is done.
  Result<bool> step();
  // For a statement without rows; afterwards it may be bound and run again.
  Failure run();
  void reset();

  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  template <typename T>
  T integer(int column) const {
    return static_cast<T>(sqlite3_column_int64(statement_, column));
  }
  double real(int column) const;  // NaN for NULL, which is how SQLite keeps a NaN
  std::string text(int column) const;
  ByteView blob(int column) const;  // until the next step

 private:
  SqliteStatement& bind_integer(int64_t value);
  void note(int code);

  SqliteDatabase& database_;
  sqlite3_stmt* statement_ = nullptr;
  int next_parameter_ = 1;
  int broken_ = SQLITE_OK;  // the first code that was not SQLITE_OK, from compiling or binding
};

// BEGIN on begin(), ROLLBACK on leaving the scope unless commit() went through.
class SqliteTransaction {
 public:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(database) {}
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;
  ~SqliteTransaction();

  Failure begin_write();  // takes the write lock now, so that a later step cannot fail for want of it
  Failure begin_read();   // every read until the end sees one moment
  Failure commit();

 private:
  SqliteDatabase& database_;
};

}  // namespace runnel::coordinator
