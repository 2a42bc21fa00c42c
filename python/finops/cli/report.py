"""`finops report`: what runs cost, why they ended, and who allowed their budget.

Owns: gathering from the ledger, and JSON. Does not own: the page (report_page).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import typer

from finops import Money
from finops.errors import NotFound
from finops.ledger import (
    AttemptSummary,
    BudgetSummary,
    CheckpointRecord,
    DecisionRecord,
    ForecastRecord,
    Ledger,
    RunSummary,
    budget_id_of,
)

from .budget_page import budget_json
from .history import HistoryEvent, budget_history
from .options import HomeOption, JsonOption, find_ledger, home_path
from .render import fields_json, make_console, money_json, print_json, sum_by_currency

_FIRST = datetime.min.replace(tzinfo=timezone.utc)
_RUN_FIELDS = (
    "run_id", "project", "experiment", "name", "user_name", "parent_run_id", "fork_of", "tags",
    "created_at",
)  # fmt: skip
_SUMMARY_FIELDS = (
    "status", "reason", "attempt_count", "metered_cost", "uncertain_cost", "metered_time",
    "unpriced_time", "started_at", "ended_at",
)  # fmt: skip
_ATTEMPT_FIELDS = (
    "attempt_id", "attempt_number", "host", "pid", "entry_point", "command", "resource", "price_id",
    "budget_chain", "is_long_running", "long_running_reason", "started_at",
)  # fmt: skip
_ATTEMPT_SUMMARY_FIELDS = (
    "status", "reason", "ended_at", "account_state", "price", "metered_cost", "uncertain_cost",
    "metered_time", "uncertain_time",
)  # fmt: skip
_DECISION_FIELDS = (
    "attempt_id", "sequence", "directive", "rule", "rung", "reason", "decided_by", "decided_at",
    "is_dry_run",
)  # fmt: skip


@dataclass(frozen=True)
class RunReport:
    """One run with all that was decided about it, oldest first."""

    summary: RunSummary
    attempts: list[AttemptSummary]
    decisions: list[DecisionRecord]
    checkpoint: CheckpointRecord | None
    forecast: ForecastRecord | None = None  # the first one


@dataclass(frozen=True)
class ExperimentReport:
    """All runs of one experiment, and its budget."""

    project: str
    experiment: str
    runs: list[RunReport]
    budget: BudgetSummary | None
    history: list[HistoryEvent]

    def metered(self) -> list[Money]:
        """What is known to be used, for each currency."""
        return _sums(run.summary.metered_cost for run in self.runs)

    def uncertain(self) -> list[Money]:
        """What is held for time without a sign of life, for each currency."""
        return _sums(run.summary.uncertain_cost for run in self.runs)

    def unpriced_time(self) -> timedelta:
        """How much use has no price yet."""
        return sum((run.summary.unpriced_time for run in self.runs), timedelta(0))


def report(
    project: Annotated[str, typer.Option(help="Only this project.")] = "",
    experiment: Annotated[str, typer.Option(help="Only this experiment.")] = "",
    run: Annotated[str, typer.Option(metavar="RUN", help="Only this run.")] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show what runs cost, how they ended, and who allowed their budget."""
    from .report_page import show_reports

    path = home_path(home)
    ledger = find_ledger(path)
    runs = (
        ledger.runs(run_id=run, project=project, experiment=experiment)
        if ledger is not None
        else []
    )
    if run and not runs:
        raise NotFound(f"there is no run {run}; see: finops ps --all")
    reports = _by_experiment(ledger, runs) if ledger is not None else []
    if as_json:
        print_json({"experiments": [_experiment_json(one) for one in reports]})
    elif not reports:
        print(f"no runs recorded in {path}")
    else:
        show_reports(reports, make_console())


def _by_experiment(ledger: Ledger, runs: list[RunSummary]) -> list[ExperimentReport]:
    grouped: dict[tuple[str, str], list[RunSummary]] = {}
    for summary in reversed(runs):  # the ledger gives the newest first
        grouped.setdefault((summary.run.project, summary.run.experiment), []).append(summary)
    reports = []
    for (project, experiment), summaries in sorted(grouped.items()):
        budget = ledger.budget(budget_id_of(project, experiment))
        history = budget_history(ledger, budget.budget_id) if budget else []
        run_reports = [_run_report(ledger, summary) for summary in summaries]
        reports.append(ExperimentReport(project, experiment, run_reports, budget, history))
    return reports


def _run_report(ledger: Ledger, summary: RunSummary) -> RunReport:
    attempts = ledger.attempts(summary.run.run_id)
    decisions = [
        decision
        for attempt in attempts
        for decision in ledger.decisions(attempt_id=attempt.attempt.attempt_id)
    ]
    decisions.sort(key=lambda decision: (decision.decided_at or _FIRST, decision.sequence))
    checkpoint = ledger.last_checkpoint(summary.run.run_id)
    forecasts = ledger.forecasts(run_id=summary.run.run_id)
    return RunReport(summary, attempts, decisions, checkpoint, forecasts[0] if forecasts else None)


def _sums(costs: Any) -> list[Money]:
    return sum_by_currency(cost for cost in costs if cost is not None)


def _experiment_json(one: ExperimentReport) -> dict[str, Any]:
    return {
        "project": one.project,
        "experiment": one.experiment,
        "metered_cost": [money_json(money) for money in one.metered()],
        "uncertain_cost": [money_json(money) for money in one.uncertain()],
        "unpriced_time_seconds": one.unpriced_time().total_seconds(),
        "budget": budget_json(one.budget) if one.budget else None,
        "budget_history": [event.as_json() for event in one.history],
        "runs": [_run_json(run) for run in one.runs],
    }


def _run_json(run: RunReport) -> dict[str, Any]:
    return {
        **fields_json(run.summary.run, *_RUN_FIELDS),
        **fields_json(run.summary, *_SUMMARY_FIELDS),
        "attempts": [
            {
                **fields_json(attempt.attempt, *_ATTEMPT_FIELDS),
                **fields_json(attempt, *_ATTEMPT_SUMMARY_FIELDS),
            }
            for attempt in run.attempts
        ],
        "decisions": [fields_json(decision, *_DECISION_FIELDS) for decision in run.decisions],
        "last_checkpoint": run.checkpoint
        and fields_json(run.checkpoint, "attempt_id", "step", "path", "confirmed_at"),
        "first_forecast": run.forecast and _forecast_json(run.forecast),
    }


def _forecast_json(forecast: ForecastRecord) -> dict[str, Any]:
    cost = forecast.cost
    return {
        **fields_json(forecast, "made_at", "kind", "gpu_count", "ended_job_count"),
        **fields_json(forecast, *(f"{one}_gpu_seconds" for one in ("p10", "p50", "p90", "mean"))),
        "cost": cost and fields_json(cost, "p10", "p50", "p90", "mean"),
    }
