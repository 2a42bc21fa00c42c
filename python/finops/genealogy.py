"""What a model really cost: the graph of what came from what, and the questions to it.

Owns: finding the graph's currency and its nodes by what people type. Does not own: the graph, its
sums and its rules (the C++ core), where records are kept (the ledger).
"""

from __future__ import annotations

import difflib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ._core import (
    Allocation,
    BusinessValue,
    ClaimantShare,
    Contributor,
    CostSum,
    Difference,
    Genealogy,
    Group,
    Ledger,
    LineageCost,
    LineageEdge,
    LineageNode,
    LineageRecords,
    NodeStatus,
    NodeUse,
    NodeValue,
    NodeView,
    Problem,
    Refusal,
    TreeNode,
    ValueAmount,
    allocate,
    lineage_line,
    parse_lineage_line,
    value_amount,
    value_of,
    value_report,
)
from .errors import AmbiguousResource, NotFound

__all__ = [
    "KINDS",
    "OUTCOMES",
    "RECORD_KINDS",
    "Allocation",
    "BusinessValue",
    "ClaimantShare",
    "Contributor",
    "CostSum",
    "Difference",
    "Genealogy",
    "Group",
    "LineageCost",
    "LineageEdge",
    "LineageLine",
    "LineageNode",
    "LineageRecords",
    "LoadedGenealogy",
    "NodeStatus",
    "NodeUse",
    "NodeValue",
    "NodeView",
    "Problem",
    "Refusal",
    "TreeNode",
    "ValueAmount",
    "all_records",
    "allocate",
    "find_node",
    "lineage_line",
    "load_genealogy",
    "make_records",
    "parse_lineage_line",
    "record_kind",
    "value_amount",
    "value_of",
    "value_report",
]

LineageLine = LineageNode | LineageEdge | LineageCost | NodeStatus | NodeUse | BusinessValue

KINDS = (
    "project", "experiment", "run", "attempt", "dataset", "job", "checkpoint", "model", "endpoint",
)  # fmt: skip
OUTCOMES = ("good", "failed", "preempted", "running")
DEFAULT_CURRENCY = "USD"
_MOST_NAMES_COMPARED = 20_000
_FIELDS: dict[type, str] = {
    LineageNode: "nodes",
    LineageEdge: "edges",
    LineageCost: "costs",
    NodeStatus: "statuses",
    NodeUse: "uses",
    BusinessValue: "values",
}
RECORD_KINDS = tuple(_FIELDS.values())


@dataclass(frozen=True)
class LoadedGenealogy:
    """The graph of a ledger in one currency, and what was left out of it."""

    graph: Genealogy
    currency: str
    other_currencies: dict[str, int] = field(default_factory=dict)  # records in each
    refusals: list[Refusal] = field(default_factory=list)  # of records that the ledger holds
    other_values: list[BusinessValue] = field(default_factory=list)  # in other currencies


def load_genealogy(
    ledger: Ledger | None, *, currency: str = "", as_of: datetime | None = None
) -> LoadedGenealogy:
    """The graph of what `ledger` holds; of None it is empty.

    Parameters
    ----------
    currency : of all sums; empty: the one that most costs are in, without costs most values.
    as_of : only what was recorded before; None: all.
    """
    records = LineageRecords() if ledger is None else ledger.lineage(as_of)
    counts = count_currencies(records)
    if not currency:
        choices = counts or Counter(value.amount.currency for value in records.values)
        # Most records first, then by name, so that the answer does not hang on their order.
        order = sorted(choices, key=lambda name: (-choices[name], name))
        currency = order[0] if order else DEFAULT_CURRENCY
    graph = Genealogy(currency)
    refusals = graph.add(records)
    others = {name: counts[name] for name in sorted(counts) if name != currency}
    other_values = [one for one in records.values if one.amount.currency != currency]
    return LoadedGenealogy(graph, currency, others, refusals, other_values)


def record_kind(record: LineageLine) -> str:
    """Which list of LineageRecords it belongs to, one of RECORD_KINDS."""
    return _FIELDS[type(record)]


def make_records(records: Iterable[LineageLine]) -> LineageRecords:
    """The records in lists by their kind, each in the order given."""
    lists: dict[str, list[Any]] = {kind: [] for kind in RECORD_KINDS}
    for record in records:
        lists[record_kind(record)].append(record)
    return LineageRecords(**lists)


def all_records(records: LineageRecords) -> Iterator[LineageLine]:
    """The records one by one, kind by kind. What is only known to be unpriced has no record."""
    for kind in RECORD_KINDS:
        yield from getattr(records, kind)


def count_currencies(records: LineageRecords) -> Counter[str]:
    """How many costs are in each currency."""
    return Counter(cost.billed_cost.currency for cost in records.costs)


def find_node(graph: Genealogy, text: str) -> str:
    """The id of the node that `text` names: an id, a name without its kind, or a run's own name.

    Raises
    ------
    NotFound : there is none; the message names near ones.
    AmbiguousResource : several have the name; the message lists them.
    """
    if any("\ud800" <= c <= "\udfff" for c in text):  # bytes of a shell that are no UTF-8
        raise NotFound(f"no node {text!r} is recorded; see: finops graph list")
    if graph.contains(text):
        return text
    found = [f"{kind}:{text}" for kind in KINDS if graph.contains(f"{kind}:{text}")]
    if not found and text:  # an empty label is none
        found = [one for one in graph.node_ids() if graph.node(one).label == text]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise AmbiguousResource(f"{text!r} may be {listed}; give the whole id")
    raise NotFound(f"no node {text!r} is recorded{_hint(graph, text)}; see: finops graph list")


def _hint(graph: Genealogy, text: str) -> str:
    names = list(itertools.islice(graph.node_ids(), _MOST_NAMES_COMPARED))
    by_name = {name.partition(":")[2].lower(): name for name in names}
    near = difflib.get_close_matches(text.lower(), [name.lower() for name in names], n=3)
    by_id = {name.lower(): name for name in names}
    hits = [by_id[one] for one in near]
    for one in difflib.get_close_matches(text.partition(":")[2].lower() or text.lower(), by_name):
        if by_name[one] not in hits:
            hits.append(by_name[one])
    return f"; did you mean {', '.join(hits[:3])}?" if hits else ""
