"""`finops ps`: what runs now, what it costs per hour, and what is left of its budget.

Owns: joining live pages with the ledger. Does not own: the table (ps_table).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from finops import DEFAULT_SILENCE_LIMIT, Money
from finops.errors import FinopsError
from finops.ledger import BudgetSummary, DecisionRecord, Ledger, RunSummary
from finops.live import LiveRun, live_path, live_runs

from .options import HomeOption, JsonOption, find_ledger, home_path
from .ps_budgets import budgets_left, chains_of, scarcest
from .render import (
    fields_json,
    format_span,
    make_console,
    money_json,
    print_json,
    sum_by_currency,
    time_json,
)

_RECENT = timedelta(days=7)
_RECENT_COUNT = 20
_QUIET_RATIO = 1 / 3  # of the silence limit: worth a look, not yet a reason to act
_DECISION_COUNT = 1000  # the newest ones, among which each live run's last one is looked for
_NUMBER = re.compile(r"-?[0-9.]+")
_USUAL_WATCH_SECONDS = "2"
_STATE_OF_DIRECTIVE = {"CHECKPOINT": "checkpoint", "PAUSE": "pausing", "STOP": "stopping"}

LIVE_FIELDS = (
    "run_id", "attempt_id", "project", "experiment", "name", "user_name", "host", "pid",
    "resource", "is_command", "is_long_running", "is_alive", "reports", "step", "progress_count",
    "directive", "reason", "use", "elapsed", "since_progress", "silence_limit", "started_at",
)  # fmt: skip
_DECISION_FIELDS = ("directive", "rule", "rung", "reason", "decided_at", "is_dry_run")


class PsCommand(TyperCommand):
    """`--watch` may stand without its number, which Typer does not know."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """Give a bare `--watch` its usual number, and read on as usual."""
        given: list[str] = []
        for argument, following in zip(arguments, [*arguments, ""][1:], strict=True):
            given.append(argument)
            if argument in ("--watch", "-w") and not _NUMBER.fullmatch(following):
                given.append(_USUAL_WATCH_SECONDS)
        return super().parse_args(context, given)


@dataclass(frozen=True)
class Row:
    """One run as `finops ps` shows it: alive with a page, or ended and only in the ledger."""

    run_id: str
    experiment: str
    name: str
    state: str
    resource: str
    step: int | None
    cost: Money | None
    has_unpriced: bool
    price_per_hour: Money | None
    since_progress: timedelta | None
    last_word: str
    budget: BudgetSummary | None = None  # of its chain the one with least left
    budget_left: Money | None = None
    last_decision: DecisionRecord | None = None
    long_running_reason: str = ""
    live: LiveRun | None = None
    ended: RunSummary | None = None


@dataclass(frozen=True)
class Overview:
    """Everything that `finops ps` knows."""

    rows: list[Row]
    damaged_pages: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def burn_per_hour(self) -> list[Money]:
        """What all live runs cost in an hour, for each currency."""
        prices = (row.price_per_hour for row in self.rows if row.live and row.live.is_alive)
        return sum_by_currency(price for price in prices if price is not None)


def ps(
    show_all: Annotated[
        bool, typer.Option("--all", "-a", help="Also runs that ended in the last 7 days.")
    ] = False,
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            "-w",
            help="Draw again every so many seconds (2 without a number) until Ctrl-C. "
            "Where the output is no terminal: once.",
            metavar="[SECONDS]",
            min=0.1,
            max=3600,
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show what runs now, the dearest first, what it costs, and what is left of its budget."""
    from .ps_table import show_overview

    path = home_path(home)
    if watch is not None and not as_json and sys.stdout.isatty():
        from .ps_watch import watch_overview

        watch_overview(lambda: gather(path, show_all=show_all), watch)
        return
    overview = gather(path, show_all=show_all)
    if as_json:
        print_json(_as_json(overview))
    else:
        show_overview(overview, make_console())


def gather(home: str, *, show_all: bool) -> Overview:
    """Read the live pages and, as far as it can be read, the ledger."""
    folder = live_path(home)
    pages, damaged = live_runs(folder) if os.path.isdir(folder) else ([], [])
    warnings: list[str] = []
    ledger: Ledger | None = None
    budgets: dict[str, BudgetSummary] = {}
    runs: dict[str, RunSummary] = {}
    decisions: dict[str, DecisionRecord] = {}
    reasons: dict[str, str] = {}
    try:
        ledger = find_ledger(home)
        if ledger is not None:
            budgets = {budget.budget_id: budget for budget in ledger.budgets()}
            runs = {summary.run.run_id: summary for summary in ledger.runs()}
            decisions = _last_decisions(ledger)
            reasons = _long_running_reasons(ledger, pages)
    except FinopsError as error:
        warnings.append(f"the ledger cannot be read: {error}")
    pages.sort(key=_dearest_first)
    costs = {page.attempt_id: _cost_of(page, ledger, runs.get(page.run_id)) for page in pages}
    shown = {page.run_id for page in pages}
    others = _others(runs, shown, show_all=show_all)
    shown_ids = [*shown, *(run.run.run_id for run in others)]
    chains = chains_of(ledger, shown_ids) if ledger and budgets else {}
    left = budgets_left(budgets, pages, chains, costs, runs)
    rows = [
        replace(
            _live_row(page, costs[page.attempt_id]),
            last_decision=decisions.get(page.attempt_id),
            long_running_reason=reasons.get(page.attempt_id, ""),
        )
        for page in pages
    ]
    rows = [replace(row, last_word=last_word_of(row)) for row in rows]
    rows += [_ended_row(run) for run in others]
    found = [scarcest(chains.get(row.run_id, ()), budgets, left) for row in rows]
    rows = [
        replace(row, budget=budget, budget_left=left[budget.budget_id] if budget else None)
        for row, budget in zip(rows, found, strict=True)
    ]
    return Overview(rows, damaged, warnings)


def _dearest_first(page: LiveRun) -> tuple[bool, Decimal, str, str, str]:
    """What burns most comes first; what has no price comes last, and the footer counts it."""
    price = page.price_per_hour
    amount = -price.amount if price is not None else Decimal(0)
    return (price is None, amount, page.project, page.experiment, page.attempt_id)


def _last_decisions(ledger: Ledger) -> dict[str, DecisionRecord]:
    """The last decision about each attempt, as far as it is among the newest ones."""
    found: dict[str, DecisionRecord] = {}
    for decision in ledger.decisions(limit=_DECISION_COUNT):
        known = found.get(decision.attempt_id)
        if known is None or known.sequence < decision.sequence:
            found[decision.attempt_id] = decision
    return found


def _long_running_reasons(ledger: Ledger, pages: list[LiveRun]) -> dict[str, str]:
    return {
        summary.attempt.attempt_id: summary.attempt.long_running_reason
        for page in pages
        if page.is_long_running
        for summary in ledger.attempts(page.run_id)
    }


def last_word_of(row: Row) -> str:
    """What was last decided about a live run, or why it is left alone; empty: nothing."""
    decision = row.last_decision
    if decision is not None and decision.is_dry_run and decision.directive != "CONTINUE":
        return f"dry run, would {decision.directive}: {decision.reason}"
    if row.last_word:
        directive = row.live.directive if row.live else ""
        return f"{directive}: {row.last_word}" if directive else row.last_word
    if row.long_running_reason:
        return f"long-running: {row.long_running_reason}"
    return ""


def _others(runs: Mapping[str, RunSummary], shown: set[str], *, show_all: bool) -> list[RunSummary]:
    """Paused runs, which wait for somebody, and on demand what ended lately."""
    oldest = datetime.now(timezone.utc) - _RECENT
    found = [
        run
        for run_id, run in runs.items()
        if run_id not in shown
        and (run.ended_at or run.started_at or oldest) > oldest
        and (show_all or run.status == "PAUSED")
    ]
    return found[:_RECENT_COUNT]


def _live_row(page: LiveRun, cost: Money | None) -> Row:
    return Row(
        run_id=page.run_id,
        experiment=f"{page.project}/{page.experiment}",
        name=page.name,
        state=state_of(page),
        resource=page.resource,
        step=page.step if page.reports and page.progress_count else None,
        cost=cost,
        has_unpriced=cost is None,
        price_per_hour=page.price_per_hour,
        since_progress=page.since_progress if page.reports else None,
        last_word=page.reason,
        live=page,
    )


def _cost_of(page: LiveRun, ledger: Ledger | None, run: RunSummary | None) -> Money | None:
    """What a live run cost with all its attempts, up to now."""
    cost = page.cost_so_far
    if cost is None or ledger is None or run is None or run.attempt_count < 2:
        return cost
    for attempt in ledger.attempts(page.run_id):
        earlier = attempt.metered_cost
        is_other = attempt.attempt.attempt_id != page.attempt_id
        if is_other and earlier is not None and earlier.currency == cost.currency:
            cost = cost + earlier
    return cost


def _ended_row(run: RunSummary) -> Row:
    experiment = f"{run.run.project}/{run.run.experiment}"
    return Row(
        run_id=run.run.run_id,
        experiment=experiment,
        name=run.run.name,
        state="lost" if run.status == "RUNNING" else run.status.lower(),
        resource="",
        step=None,
        cost=run.metered_cost,
        has_unpriced=run.metered_cost is None or run.unpriced_time > timedelta(0),
        price_per_hour=None,
        since_progress=None,
        last_word=run.reason,
        ended=run,
    )


def state_of(page: LiveRun) -> str:
    """What a live run does, in a word or two. States stay apart: no signal is not silence."""
    limit = page.silence_limit or DEFAULT_SILENCE_LIMIT
    use = _measured_use(page)
    if not page.is_alive:
        return "gone"
    if page.directive in _STATE_OF_DIRECTIVE:
        return _STATE_OF_DIRECTIVE[page.directive]
    if page.is_long_running:
        return f"long-running, {use}" if use else "long-running"
    if use:
        return use
    if not page.reports:
        return "no signal"
    if page.since_progress >= limit * _QUIET_RATIO:
        return f"silent {format_span(page.since_progress, is_short=True)}"
    return "working"


def _measured_use(page: LiveRun) -> str:
    """ "idle" or "hung", if its hardware was measured and says so; else empty."""
    return page.use if page.use in ("idle", "hung") else ""


def is_over_silence_limit(page: LiveRun) -> bool:
    """Whether a run has been silent for longer than it may be."""
    return page.since_progress >= (page.silence_limit or DEFAULT_SILENCE_LIMIT)


def _as_json(overview: Overview) -> dict[str, Any]:
    return {
        "runs": [_row_json(row) for row in overview.rows],
        "burn_per_hour": [money_json(money) for money in overview.burn_per_hour()],
        "damaged_pages": [{"path": path, "why": why} for path, why in overview.damaged_pages],
        "warnings": overview.warnings,
    }


def _row_json(row: Row) -> dict[str, Any]:
    project, _, experiment = row.experiment.partition("/")
    budget = row.budget
    result: dict[str, Any] = {
        "run_id": row.run_id,
        "project": project,
        "experiment": experiment,
        "name": row.name,
        "state": row.state,
        "cost": money_json(row.cost),
        "has_unpriced_time": row.has_unpriced,
        "price_per_hour": money_json(row.price_per_hour),
        "last_word": row.last_word,
        "long_running_reason": row.long_running_reason,
        "last_decision": row.last_decision and fields_json(row.last_decision, *_DECISION_FIELDS),
        "budget": budget
        and {
            **fields_json(budget, "budget_id", "is_hard", "limit", "spent", "held", "available"),
            "left": money_json(row.budget_left),
        },
        "live": row.live and fields_json(row.live, *LIVE_FIELDS),
    }
    if row.ended is not None:
        result["ended_at"] = time_json(row.ended.ended_at)
        result["status"] = row.ended.status
    return result
