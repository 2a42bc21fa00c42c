// schema.hpp - the tables, triggers and views of a ledger file.
//
// Owns: the SQL text and its version. Invariant: journal tables cannot be updated or deleted from.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/database.hpp"

namespace finops::ledger {

inline constexpr std::int64_t kApplicationId = 0x46494E4F;  // "FINO", PRAGMA application_id
inline constexpr std::int64_t kSchemaVersion = 5;           // PRAGMA user_version

/// The append-only tables.
[[nodiscard]] std::span<const char* const> journal_tables() noexcept;

/// Brings a file of `version` (0: an empty one) to kSchemaVersion. The caller holds the write lock
/// and a transaction.
void upgrade_schema(Database& database, std::int64_t version);

/// The steps. Version 1 in an empty file; each other one in a file of the version before.
void create_schema_1(Database& database);
void upgrade_schema_to_2(Database& database);
void upgrade_schema_to_3(Database& database);
void upgrade_schema_to_4(Database& database);
void upgrade_schema_to_5(Database& database);

/// Throws Error(LedgerCorrupt) unless every table of ours is a table, and no trigger is another's:
/// a view in the place of a table, or a trigger, would run somebody's SQL in every process of ours.
void check_schema(Database& database, const std::string& path);

/// Tables, indexes and views that are not as finops makes them, each as a sentence. Empty: all are.
[[nodiscard]] std::vector<std::string> find_schema_changes(Database& database);

/// Forbids UPDATE and DELETE.
void make_append_only(Database& database, std::string_view table);

}  // namespace finops::ledger
