"""The history of a budget: who changed the limit, who asked, who allowed it, and why.

Owns: putting lines and requests of the ledger into one story. Does not own: its display.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from rich.table import Table

from finops import Money
from finops.ledger import BudgetLine, Ledger, RequestSummary

from .render import fields_json, format_money, format_time, money_json, one_line

_FIRST = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class HistoryEvent:
    """One thing that happened to a budget. Limits are None where they did not change."""

    at: datetime | None
    what: str  # created, limit changed, requested, approved, denied
    who: str
    why: str
    amount: Money | None = None
    request_id: str = ""
    run_id: str = ""
    old_limit: Money | None = None
    new_limit: Money | None = None

    def as_json(self) -> dict[str, Any]:
        """All fields, amounts exact."""
        names = ("at", "what", "who", "why", "amount", "request_id", "run_id")
        result = fields_json(self, *names)
        result["old_limit"] = money_json(self.old_limit)
        result["new_limit"] = money_json(self.new_limit)
        return result


def budget_history(ledger: Ledger, budget_id: str) -> list[HistoryEvent]:
    """Everything that people did to a budget, oldest first."""
    requests = [r for r in ledger.requests() if r.budget_id == budget_id]
    events = _limit_changes(ledger.budget_lines(budget_id), {r.request_id for r in requests})
    for request in requests:
        events += _request_events(request)
    return sorted(events, key=lambda event: event.at or _FIRST)


def _limit_changes(lines: Iterable[BudgetLine], request_ids: set[str]) -> list[HistoryEvent]:
    """Changes of the limit by hand; those by an approval are told by the request."""
    events: list[HistoryEvent] = []
    limit: Money | None = None
    for line in lines:
        if "limit" not in (line.from_account, line.to_account):
            continue
        change = line.amount if line.from_account == "limit" else -line.amount
        old, limit = limit, change if limit is None else limit + change
        word, _, rest = line.why.partition(" ")
        if word == "request" and rest.partition(":")[0] in request_ids:
            continue
        last = events[-1] if events else None
        # One change may be two lines: what was overspent is paid off by a line of its own.
        if last is not None and (last.at, last.who, last.why) == (
            line.recorded_at, line.who, line.why,
        ):  # fmt: skip
            old = last.old_limit
            events.pop()
        what = "created" if old is None else "limit changed"
        events.append(
            HistoryEvent(line.recorded_at, what, line.who, line.why, old_limit=old, new_limit=limit)
        )
    return events


def _request_events(request: RequestSummary) -> list[HistoryEvent]:
    asked = HistoryEvent(
        request.requested_at,
        "requested",
        request.who,
        request.why,
        amount=request.amount,
        request_id=request.request_id,
        run_id=request.run_id,
    )
    if not request.is_ruled:
        return [asked]
    ruled = HistoryEvent(
        request.ruled_at,
        "approved" if request.is_approved else "denied",
        request.ruled_by,
        request.ruling_reason,
        amount=request.amount,
        request_id=request.request_id,
        run_id=request.run_id,
        old_limit=request.old_limit,
        new_limit=request.new_limit,
    )
    return [asked, ruled]


def history_table(events: list[HistoryEvent]) -> Table:
    """The story as a table."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in ("WHEN", "WHAT", "WHO", "LIMIT", "WHY"):
        table.add_column(header, no_wrap=header == "WHEN")
    styles = {"approved": "green", "denied": "red", "requested": "yellow"}
    for event in events:
        table.add_row(
            format_time(event.at),
            event.what,
            one_line(event.who),
            _limit_cell(event),
            one_line(
                " ".join(filter(None, (event.why, f"[{event.request_id}]")))
                if event.request_id
                else event.why
            ),
            style=styles.get(event.what, ""),
        )
    return table


def _limit_cell(event: HistoryEvent) -> str:
    if event.what == "requested":
        return f"+{format_money(event.amount)}?"
    if event.what == "denied":
        return "unchanged"
    if event.old_limit is None:
        return format_money(event.new_limit)
    return f"{format_money(event.old_limit)} → {format_money(event.new_limit)}"
