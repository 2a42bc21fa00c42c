// audit.hpp - the hash chain over what somebody would forge: limits, approvals, decisions, and what
// people recorded of a model's origin, cost and value.
//
// Owns: which records are chained, their canonical bytes, and the walk that checks them.
// Does not own: the records; whoever writes one chains it in the same transaction.
// Invariants: hash = SHA-256(previous hash || canonical bytes), documented in docs/ledger.md; each
// chained record has one link; a link is never changed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "finops/ledger/queries.hpp"
#include "ledger/database.hpp"

namespace finops::ledger {

/// What is chained. Limit: a budget line that moves a limit.
enum class AuditKind {
  Budget,
  Terms,
  Parent,
  Limit,
  Request,
  Ruling,
  Decision,
  Node,
  Edge,
  Cost,
  Status,
  Use,
  Value
};

/// How a record came into the chain: with its writing, by an upgrade of the file, or by a merge.
enum class AuditOrigin { Written, Upgraded, Merged };

/// Links the record of `kind` that was just inserted. Its key is `key`, and `number` where the
/// table counts within the key. The caller holds the write lock and a transaction.
void chain_record(Database& database, AuditKind kind, std::string_view key,
                  std::int64_t number = 0);

/// Links every record that has no link yet, in an order that depends on nothing but the records.
/// The caller holds the write lock and a transaction.
void chain_missing(Database& database, AuditOrigin origin);

/// Throws Error(InvalidArgument) unless `since` is a sequence, a hash of 64 digits, or empty.
void check_noted_head(const std::string& since);

/// Recomputes the chain: fills in its length and head, and adds a problem that names the first
/// record which does not fit, one that names what is not in the chain, and one if `since` (a
/// sequence or a hash noted earlier; empty: none) is not in it. The caller holds a snapshot.
void verify_chain(Database& database, const std::string& since, VerifyReport& report);

}  // namespace finops::ledger
