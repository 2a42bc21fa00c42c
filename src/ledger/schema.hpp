// schema.hpp - the tables, triggers and views of a ledger file.
//
// Owns: the SQL text and its version. Invariant: journal tables cannot be updated or deleted from.
#pragma once

#include <span>
#include <string_view>

#include "ledger/database.hpp"

namespace finops::ledger {

inline constexpr std::int64_t kApplicationId = 0x46494E4F;  // "FINO", PRAGMA application_id
inline constexpr std::int64_t kSchemaVersion = 1;           // PRAGMA user_version

/// The append-only tables.
[[nodiscard]] std::span<const char* const> journal_tables() noexcept;

/// Creates everything in an empty file. The caller holds the write lock and a transaction.
void create_schema(Database& database);

}  // namespace finops::ledger
