// lineage_lines.hpp - one line of `finops graph import`: a JSON object that is one record.
//
// Owns: the form of a line. Does not own: reading files (the caller), the graph (genealogy).
// Invariant: a line is read whole or refused whole; nothing in it is skipped in silence.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "finops/record/lineage.hpp"

namespace finops {

using LineageLine =
    std::variant<LineageNode, LineageEdge, LineageCost, NodeStatus, NodeUse, BusinessValue>;

/// The most bytes of a line.
inline constexpr std::size_t kLongestLineageLine = 1U << 20U;

/// Reads one of
///   {"node": "model:x", "label": "...", "user_name": "...", "cluster": "...",
///    "attributes": {...}, "created_at": "2026-05-12T08:00:00Z"}
///   {"edge": "read", "subject": "run:a", "object": "dataset:d", "step": 100, "recorded_at": ...}
///   {"cost": "24.50 USD", "node_id": "job:prep", "event_id": "...", "charge_category": "Usage",
///    "is_correction": false, "charge_period_start": ..., "charge_period_end": ...}
///   {"status": "FAILED", "node_id": "run:a", "why": "...", "who": "...", "recorded_at": ...}
///   {"use": 12000, "unit": "requests", "node_id": "endpoint:chat", "event_id": ..., ...}
///   {"value": "50000 USD", "per": "month", "node_id": "model:x", "source": "...",
///    "event_id": ..., "valid_from": ..., "valid_to": ..., "who": ...}
/// Only the first field of each and node_id (subject and object) are required, and a cost's, use's
/// and value's event_id, without which a second import would count twice; a value's source.
/// Money is text, never a number: a JSON number is not exact.
/// Throws Error(InvalidArgument), Error(InvalidMoney) with the field's name: bad JSON or UTF-8, an
/// unknown field, a field twice, another type, a line that is too long or nested too deep.
[[nodiscard]] LineageLine parse_lineage_line(std::string_view json_text);

/// The line of a record: parse_lineage_line gives the same record back, with its attributes in
/// their canonical form. Throws Error(InvalidArgument) if the record is not valid (require_valid).
[[nodiscard]] std::string lineage_line(const LineageLine& record);

}  // namespace finops
