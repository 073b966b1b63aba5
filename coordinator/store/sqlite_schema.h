// The tables of fleet.db, and what makes a file one of ours: application_id says whose it is, user_version which
// format.
#pragma once

#include <cstdint>

#include "coordinator/store/sqlite_database.h"
#include "runtime/base/error.h"

namespace runnel::coordinator {

inline constexpr int64_t kApplicationId = 0x524E4C46;  // "RNLF"
inline constexpr int64_t kSchemaVersion = 6;

// Sets up the connection (WAL, synchronous=FULL, foreign keys), makes the tables in an empty file if `create`, and
// checks the file; one of an older format is brought up to date, in one transaction. kCorrupt: not a database, not
// ours, or damaged (PRAGMA quick_check). kVersion: written by a newer runnel.
Failure prepare_schema(SqliteDatabase& database, bool create);

}  // namespace runnel::coordinator
