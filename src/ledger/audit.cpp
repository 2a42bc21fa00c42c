// audit.cpp - linking and checking the records of the audit chain.
#include "ledger/audit.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "ledger/sha256.hpp"

namespace finops::ledger {
namespace {

constexpr std::size_t kHashDigits = 64;

// In the order of AuditKind. `record`: one record by its key (?1) and number (?2), all columns, in
// an order that never changes, since it is what is hashed. `missing`: the keys of records without
// a link. `count`: how many records there are.
struct KindOfRecord {
  const char* name;
  bool is_numbered;
  Sql record;
  Sql missing;
  Sql count;
};

#define FINOPS_UNLINKED(kind, id) \
  "NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.kind='" kind "' AND c.record_id = " id ") "
#define FINOPS_MOVES_A_LIMIT "(from_account='limit' OR to_account='limit') "

constexpr std::array<KindOfRecord, 13> kKinds{{
    {"budget", false,
     "SELECT budget_id, scope, parent_budget_id, period, currency, is_hard, created_by, "
     "created_at_ns FROM budgets WHERE budget_id=?1",
     "SELECT budget_id, 0 FROM budgets WHERE " FINOPS_UNLINKED(
         "budget", "budget_id") "ORDER BY created_at_ns, budget_id",
     "SELECT count(*) FROM budgets"},
    {"terms", true,
     "SELECT budget_id, sequence, limit_units, limit_picos, burn_cap_units, burn_cap_picos, "
     "max_duration_ns, warning_percents, approvers, who, why, recorded_at_ns FROM budget_terms "
     "WHERE budget_id=?1 AND sequence=?2",
     "SELECT budget_id, sequence FROM budget_terms r WHERE " FINOPS_UNLINKED(
         "terms",
         "r.budget_id || '/' || r.sequence") "ORDER BY recorded_at_ns, budget_id, sequence",
     "SELECT count(*) FROM budget_terms"},
    {"parent", true,
     "SELECT child_id, sequence, parent_id, who, recorded_at_ns FROM budget_parents "
     "WHERE child_id=?1 AND sequence=?2",
     "SELECT child_id, sequence FROM budget_parents r WHERE " FINOPS_UNLINKED(
         "parent", "r.child_id || '/' || r.sequence") "ORDER BY recorded_at_ns, child_id, sequence",
     "SELECT count(*) FROM budget_parents"},
    {"limit", false,
     "SELECT event_id, budget_id, attempt_id, from_account, to_account, amount_units, "
     "amount_picos, who, why, recorded_at_ns, period_start_ns FROM budget_lines WHERE event_id=?1",
     "SELECT event_id, 0 FROM budget_lines r WHERE " FINOPS_MOVES_A_LIMIT
     "AND " FINOPS_UNLINKED("limit", "r.event_id") "ORDER BY rowid",
     "SELECT count(*) FROM budget_lines WHERE " FINOPS_MOVES_A_LIMIT},
    {"request", false,
     "SELECT request_id, budget_id, run_id, amount_units, amount_picos, who, why, "
     "requested_at_ns, expires_at_ns FROM budget_requests WHERE request_id=?1",
     "SELECT request_id, 0 FROM budget_requests r WHERE " FINOPS_UNLINKED(
         "request", "r.request_id") "ORDER BY rowid",
     "SELECT count(*) FROM budget_requests"},
    {"ruling", false,
     "SELECT request_id, is_approved, who, why, old_limit_units, old_limit_picos, "
     "new_limit_units, new_limit_picos, ruled_at_ns, outcome FROM budget_rulings "
     "WHERE request_id=?1",
     "SELECT request_id, 0 FROM budget_rulings r WHERE " FINOPS_UNLINKED(
         "ruling", "r.request_id") "ORDER BY rowid",
     "SELECT count(*) FROM budget_rulings"},
    {"decision", true,
     "SELECT attempt_id, sequence, directive, rule, rung, reason, decided_by, decided_at_ns, "
     "is_dry_run FROM decisions WHERE attempt_id=?1 AND sequence=?2",
     "SELECT attempt_id, sequence FROM decisions r WHERE " FINOPS_UNLINKED(
         "decision", "r.attempt_id || '/' || r.sequence") "ORDER BY rowid",
     "SELECT count(*) FROM decisions"},
    {"node", false,
     "SELECT node_id, label, user_name, cluster, attributes, created_at_ns FROM lineage_nodes "
     "WHERE node_id=?1",
     "SELECT node_id, 0 FROM lineage_nodes r WHERE " FINOPS_UNLINKED("node",
                                                                     "r.node_id") "ORDER BY rowid",
     "SELECT count(*) FROM lineage_nodes"},
    {"edge", true,
     "SELECT subject, kind, object, step, recorded_at_ns FROM lineage_edges WHERE subject=?1 AND "
     "edge_number=?2",
     "SELECT subject, edge_number FROM lineage_edges r WHERE " FINOPS_UNLINKED(
         "edge", "r.subject || '/' || r.edge_number") "ORDER BY edge_number",
     "SELECT count(*) FROM lineage_edges"},
    {"cost", false,
     "SELECT event_id, node_id, charge_category, charge_class, currency, billed_cost_units, "
     "billed_cost_picos, charge_period_start_ns, charge_period_end_ns FROM lineage_costs "
     "WHERE event_id=?1",
     "SELECT event_id, 0 FROM lineage_costs r WHERE " FINOPS_UNLINKED("cost",
                                                                      "r.event_id") "ORDER BY "
                                                                                    "rowid",
     "SELECT count(*) FROM lineage_costs"},
    {"status", true,
     "SELECT node_id, status, who, why, recorded_at_ns FROM node_statuses WHERE node_id=?1 AND "
     "status_number=?2",
     "SELECT node_id, status_number FROM node_statuses r WHERE " FINOPS_UNLINKED(
         "status", "r.node_id || '/' || r.status_number") "ORDER BY status_number",
     "SELECT count(*) FROM node_statuses"},
    {"use", false,
     "SELECT event_id, node_id, quantity, unit, recorded_at_ns FROM node_uses WHERE event_id=?1",
     "SELECT event_id, 0 FROM node_uses r WHERE " FINOPS_UNLINKED("use",
                                                                  "r.event_id") "ORDER BY rowid",
     "SELECT count(*) FROM node_uses"},
    {"value", false,
     "SELECT value_id, node_id, currency, amount_units, amount_picos, period, valid_from_ns, "
     "valid_to_ns, source, who, recorded_at_ns FROM business_values WHERE value_id=?1",
     "SELECT value_id, 0 FROM business_values r WHERE " FINOPS_UNLINKED(
         "value", "r.value_id") "ORDER BY rowid",
     "SELECT count(*) FROM business_values"},
}};

#undef FINOPS_UNLINKED
#undef FINOPS_MOVES_A_LIMIT

const char* origin_name(AuditOrigin origin) noexcept {
  switch (origin) {
    case AuditOrigin::Written: return "WRITTEN";
    case AuditOrigin::Upgraded: return "UPGRADED";
    case AuditOrigin::Merged: break;
  }
  return "MERGED";
}

/// A row of audit_chain.
struct Link {
  std::int64_t sequence = 0;
  std::string kind;
  std::string record_id;
  std::string origin;
  std::string previous_hash;
  std::string hash;
};

/// Which record a link is about.
struct RecordKey {
  std::string key;
  std::int64_t number = 0;
};

std::string record_id_of(const KindOfRecord& kind, const RecordKey& record) {
  return kind.is_numbered ? record.key + "/" + std::to_string(record.number) : record.key;
}

// Empty if the text names no record of this kind: then it is not one that we wrote.
std::optional<RecordKey> parse_record_id(const KindOfRecord& kind, const std::string& text) {
  if (!kind.is_numbered) {
    return RecordKey{.key = text};
  }
  const std::size_t slash = text.rfind('/');
  if (slash == std::string::npos) {
    return std::nullopt;
  }
  RecordKey record{.key = text.substr(0, slash)};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, record.number);
  return error == std::errc{} && stop == end ? std::optional(record) : std::nullopt;
}

// A field is a letter for its storage class (N: NULL, I: integer, T: text, O: other), a length as
// 8 bytes with the largest first, and that many bytes; an integer is written in decimal. So no two
// records have the same bytes.
void add_field(std::string& bytes, char type, std::string_view value) {
  bytes += type;
  for (int shift = 56; shift >= 0; shift -= 8) {
    bytes +=
        static_cast<char>((std::uint64_t{value.size()} >> static_cast<unsigned>(shift)) & 0xFFU);
  }
  bytes += value;
}

char storage_letter(int type) noexcept {
  switch (type) {
    case SQLITE_NULL: return 'N';
    case SQLITE_INTEGER: return 'I';
    case SQLITE_TEXT: return 'T';
    default: return 'O';
  }
}

// The hash that the link has to have; empty if its record is not there.
std::optional<std::string> hash_of(Database& database, const KindOfRecord& kind,
                                   const RecordKey& record, const Link& link) {
  Statement row = database.prepare(kind.record);
  row << record.key;
  if (kind.is_numbered) {
    row << record.number;
  }
  if (!row.step()) {
    return std::nullopt;
  }
  std::string bytes = link.previous_hash;
  add_field(bytes, 'I', std::to_string(link.sequence));
  add_field(bytes, 'T', link.kind);
  add_field(bytes, 'T', link.record_id);
  add_field(bytes, 'T', link.origin);
  for (int column = row.column_count(); column > 0; --column) {
    const char letter = storage_letter(row.next_type());
    add_field(bytes, letter, row.text());
  }
  Sha256 digest;
  digest.add(bytes);
  return digest.hex();
}

Link read_head(Database& database) {
  Link head;
  head.hash.assign(kHashDigits, '0');  // what the first link names as its previous hash
  Statement row =
      database.prepare("SELECT sequence, hash FROM audit_chain ORDER BY sequence DESC LIMIT 1");
  if (row.step()) {
    head.sequence = row.integer();
    head.hash = row.text();
  }
  return head;
}

void add_link(Database& database, const KindOfRecord& kind, const RecordKey& record,
              AuditOrigin origin) {
  const Link head = read_head(database);
  Link link{.sequence = head.sequence + 1,
            .kind = kind.name,
            .record_id = record_id_of(kind, record),
            .origin = origin_name(origin),
            .previous_hash = head.hash,
            .hash = {}};
  const std::optional<std::string> hash = hash_of(database, kind, record, link);
  FINOPS_ASSERT(hash.has_value());
  Statement insert = database.prepare("INSERT INTO audit_chain VALUES (?,?,?,?,?,?)");
  insert << link.sequence << link.kind << link.record_id << link.origin << link.previous_hash
         << *hash;
  insert.run();
}

std::vector<RecordKey> unlinked(Database& database, const KindOfRecord& kind) {
  std::vector<RecordKey> records;
  Statement rows = database.prepare(kind.missing);
  while (rows.step()) {
    RecordKey record{.key = rows.text()};
    record.number = rows.integer();
    records.push_back(std::move(record));
  }
  return records;
}

std::string name_of(const Link& link) {
  return "record " + std::to_string(link.sequence) + " (" + link.kind + " " + link.record_id + ")";
}

// What is wrong with `link` as the successor of `before`; empty: nothing.
std::string find_fault(Database& database, const Link& before, const Link& link) {
  if (link.sequence != before.sequence + 1) {
    return "record " + std::to_string(before.sequence + 1) + " is missing from it; next comes " +
           name_of(link);
  }
  if (link.previous_hash != before.hash) {
    return name_of(link) + " does not follow the one before it: a record was changed, or put in";
  }
  const auto* const kind = std::ranges::find_if(kKinds, [&link](const KindOfRecord& each) {
    return link.kind == each.name;
  });
  const std::optional<RecordKey> record =
      kind == kKinds.end() ? std::nullopt : parse_record_id(*kind, link.record_id);
  if (!record.has_value()) {
    return name_of(link) + " is of a kind that finops never wrote";
  }
  const std::optional<std::string> hash = hash_of(database, *kind, *record, link);
  if (!hash.has_value()) {
    return name_of(link) + " was deleted from the journal";
  }
  return *hash == link.hash ? "" : name_of(link) + " was changed after it was written";
}

bool is_noted(const Link& link, const std::string& since) {
  return since.size() == kHashDigits ? link.hash == since : std::to_string(link.sequence) == since;
}

// Records that no link names, and kinds with more links than records.
void compare_with_journal(Database& database, VerifyReport& report) {
  for (const KindOfRecord& kind : kKinds) {
    const std::vector<RecordKey> missing = unlinked(database, kind);
    if (!missing.empty()) {
      report.problems.push_back("audit chain: " + std::string(kind.name) + " " +
                                record_id_of(kind, missing.front()) + " is not in it (" +
                                std::to_string(missing.size()) +
                                " such): it was written by something else than finops");
    }
    Statement links = database.prepare("SELECT count(*) FROM audit_chain WHERE kind=?");
    links << kind.name;
    links.step();
    const std::int64_t expected =
        database.count(kind.count) - static_cast<std::int64_t>(missing.size());
    if (const std::int64_t found = links.integer(); found > expected) {
      report.problems.push_back("audit chain: it names " + std::to_string(found - expected) +
                                " more records of kind " + kind.name + " than there are");
    }
  }
}

}  // namespace

void chain_record(Database& database, AuditKind kind, std::string_view key, std::int64_t number) {
  const KindOfRecord& known = kKinds.at(static_cast<std::size_t>(kind));
  add_link(database, known, {.key = std::string(key), .number = number}, AuditOrigin::Written);
}

void chain_missing(Database& database, AuditOrigin origin) {
  for (const KindOfRecord& kind : kKinds) {
    for (const RecordKey& record : unlinked(database, kind)) {
      add_link(database, kind, record, origin);
    }
  }
}

void check_noted_head(const std::string& since) {
  const bool is_hash = since.size() == kHashDigits &&
                       since.find_first_not_of("0123456789abcdef") == std::string::npos;
  const bool is_sequence = since.size() <= 18 && !since.starts_with('0') &&
                           since.find_first_not_of("0123456789") == std::string::npos;
  FINOPS_REQUIRE(is_hash || is_sequence, ErrorCode::InvalidArgument,
                 "a noted head is the hash of 64 hexadecimal digits that finops ledger verify "
                 "prints, or a record's number from 1 on, not '" +
                     since.substr(0, 80) + "'");
}

void verify_chain(Database& database, const std::string& since, VerifyReport& report) {
  Link before;
  before.hash.assign(kHashDigits, '0');
  bool is_found = since.empty();
  bool is_broken = false;
  {
    Statement rows = database.prepare(
        "SELECT sequence, kind, record_id, origin, previous_hash, hash FROM audit_chain "
        "ORDER BY sequence");
    while (!is_broken && rows.step()) {
      Link link;
      link.sequence = rows.integer();
      link.kind = rows.text();
      link.record_id = rows.text();
      link.origin = rows.text();
      link.previous_hash = rows.text();
      link.hash = rows.text();
      const std::string fault = find_fault(database, before, link);
      is_broken = !fault.empty();
      if (is_broken) {
        report.problems.push_back("audit chain: " + fault);
      } else {
        is_found = is_found || is_noted(link, since);
        before = std::move(link);
      }
    }
  }
  report.audit_record_count = before.sequence;
  report.audit_head = before.sequence == 0 ? "" : before.hash;
  if (!is_found) {
    report.problems.push_back("audit chain: what was noted earlier, " + since +
                              ", is not among the " + std::to_string(before.sequence) +
                              " records that fit: records were removed or written anew since");
  }
  compare_with_journal(database, report);
}

}  // namespace finops::ledger
