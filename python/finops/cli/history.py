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
from finops.ledger import BudgetTerms, BudgetTermsChange, Ledger, RequestSummary

from .render import fields_json, format_money, format_span, format_time, money_json, one_line

_FIRST = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class HistoryEvent:
    """One thing that happened to a budget. Limits are None where they did not change."""

    at: datetime | None
    what: str  # created, limit changed, terms changed, requested, approved, denied, expired
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
    events = _terms_changes(ledger.terms_history(budget_id), {r.request_id for r in requests})
    for request in requests:
        events += _request_events(request)
    return sorted(events, key=lambda event: event.at or _FIRST)


def _terms_changes(
    changes: Iterable[BudgetTermsChange], request_ids: set[str]
) -> list[HistoryEvent]:
    """Changes by hand; those by an approval are told by the request."""
    events: list[HistoryEvent] = []
    before: BudgetTerms | None = None
    for change in changes:
        old, before = before, change.terms
        word, _, rest = change.why.partition(" ")
        if word == "request" and rest.partition(":")[0] in request_ids:
            continue
        is_new_limit = old is None or old.limit != change.terms.limit
        what = "created" if old is None else "limit changed" if is_new_limit else "terms changed"
        why = "; ".join(filter(None, (change.why, *_other_terms(old, change.terms))))
        events.append(
            HistoryEvent(
                change.recorded_at,
                what,
                change.who,
                why,
                old_limit=old.limit if old and is_new_limit else None,
                new_limit=change.terms.limit if is_new_limit else None,
            )
        )
    return events


def _other_terms(old: BudgetTerms | None, new: BudgetTerms) -> Iterable[str]:
    """What changed besides the limit, in words."""
    if old is None:
        return
    if old.burn_cap_per_hour != new.burn_cap_per_hour:
        cap = new.burn_cap_per_hour
        yield f"burn cap {format_money(cap)}/h" if cap is not None else "no burn cap"
    if old.max_duration != new.max_duration:
        span = new.max_duration
        yield f"max duration {format_span(span)}" if span is not None else "no max duration"
    if old.warning_percents != new.warning_percents:
        yield "warnings at " + ", ".join(f"{percent} %" for percent in new.warning_percents)
    if old.approvers != new.approvers:
        yield "approvers: " + (", ".join(new.approvers) or "everybody")


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
        request.outcome.lower(),
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
    styles = {"approved": "green", "denied": "red", "requested": "yellow", "expired": "dim"}
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
    if event.new_limit is None or event.what in ("denied", "expired"):
        return "unchanged"
    if event.old_limit is None:
        return format_money(event.new_limit)
    return f"{format_money(event.old_limit)} → {format_money(event.new_limit)}"
