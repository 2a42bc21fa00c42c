"""`finops guard --explain RUN`: why a run is or is not stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from finops.agent import Agent
from finops.errors import InvalidArgument, NotFound
from finops.ledger import DecisionRecord, Ledger
from finops.live import LiveRun, live_path, live_runs
from finops.policy import PolicyFile

from .options import find_ledger
from .ps import LIVE_FIELDS, state_of
from .render import fields_json, format_time, make_console, one_line, print_json

_DECISION_COUNT = 5
_DECISION_FIELDS = (
    "sequence", "directive", "rule", "rung", "reason", "decided_by", "decided_at", "is_dry_run",
)  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """What is known of one attempt.

    Attributes
    ----------
    live : None: it has ended, and no rule speaks of it any more.
    readings : for each rule its name, what it says, and whether it would stop the run now.
    policy_rules : the [[rule]] tables that fit it, each over the one before.
    decisions : the last ones, newest first.
    """

    attempt_id: str
    state: str
    live: LiveRun | None
    readings: list[tuple[str, str, bool]]
    policy_rules: list[str]
    decisions: list[DecisionRecord]


def explain_run(agent: Agent, home: str, policy: PolicyFile, run: str, *, as_json: bool) -> None:
    """Print what every rule says of a run. `run` is its id, an attempt's id, or its name.

    Raises
    ------
    NotFound : there is no such run.
    InvalidArgument : several live runs have that name.
    """
    ledger = find_ledger(home)
    folder = live_path(home)
    pages = live_runs(folder)[0] if os.path.isdir(folder) else []
    page = find_page(pages, run)
    found = _explain_live(agent, ledger, page) if page is not None else _explain_ended(ledger, run)
    if as_json:
        print_json(_as_json(found, policy))
    else:
        _show(found, policy)


def find_page(pages: list[LiveRun], run: str) -> LiveRun | None:
    """The live page of a run's id, an attempt's id or a name; None if there is none.

    Raises
    ------
    InvalidArgument : the name fits several; the message lists their ids.
    """
    for page in pages:
        if run == page.attempt_id:
            return page
    found = [page for page in pages if run in (page.run_id, page.name)]
    if len(found) > 1:
        ids = ", ".join(sorted(page.attempt_id for page in found))
        raise InvalidArgument(f"{run!r} fits several live attempts; say one of: {ids}")
    return found[0] if found else None


def _explain_live(agent: Agent, ledger: Ledger | None, page: LiveRun) -> Explanation:
    return Explanation(
        attempt_id=page.attempt_id,
        state=state_of(page),
        live=page,
        readings=agent.explain(page.attempt_id),
        policy_rules=agent.policy_rules(page.attempt_id),
        decisions=_last_decisions(ledger, page.attempt_id),
    )


def _explain_ended(ledger: Ledger | None, run: str) -> Explanation:
    if ledger is not None:
        run_id = run.rpartition("-")[0] or run
        known = (
            ledger.runs(run_id=run) or ledger.runs(run_id=run_id) or ledger.runs(name=run, limit=1)
        )
        for summary in known:
            attempts = ledger.attempts(summary.run.run_id)
            ids = [one.attempt.attempt_id for one in attempts]
            attempt_id = run if run in ids else ids[-1] if ids else summary.run.run_id
            reason = f": {summary.reason}" if summary.reason else ""
            state = f"{summary.status}{reason}"
            decisions = _last_decisions(ledger, attempt_id)
            return Explanation(attempt_id, state, None, [], [], decisions)
    raise NotFound(f"there is no run {run!r}; see: finops ps --all")


def _last_decisions(ledger: Ledger | None, attempt_id: str) -> list[DecisionRecord]:
    if ledger is None:
        return []
    decisions = ledger.decisions(attempt_id=attempt_id)
    return sorted(decisions, key=lambda one: -one.sequence)[:_DECISION_COUNT]


def _as_json(found: Explanation, policy: PolicyFile) -> dict[str, Any]:
    return {
        "attempt_id": found.attempt_id,
        "state": found.state,
        "live": found.live and fields_json(found.live, *LIVE_FIELDS),
        "policy_file": policy.path or None,
        "policy_rules": found.policy_rules,
        "rules": [
            {"rule": rule, "says": text, "is_fired": is_fired}
            for rule, text, is_fired in found.readings
        ],
        "decisions": [fields_json(decision, *_DECISION_FIELDS) for decision in found.decisions],
    }


def _show(found: Explanation, policy: PolicyFile) -> None:
    console = make_console()
    page = found.live
    where = f"  {one_line(page.project)}/{one_line(page.experiment)}" if page else ""
    name = f"  {one_line(page.name)!r}" if page and page.name else ""
    console.print(Text.assemble((found.attempt_id, "bold"), f"{where}{name}  {found.state}"))
    if page is not None:
        rules = ", ".join(found.policy_rules) or "none fits: the default alone"
        console.print(f"policy  {policy.path or 'no file: the defaults'}; rules: {rules}")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column()
        for rule, text, is_fired in found.readings:
            mark = Text("✗ stop", style="red") if is_fired else Text("✓", style="green")
            grid.add_row(mark, rule, one_line(text.removeprefix(f"{rule}: ")))
        console.print(grid)
    if not found.decisions:
        console.print(Text("no decision was ever made about it", style="dim"))
    for decision in found.decisions:
        action = decision.directive if decision.rung in ("watch", "directive") else decision.rung
        dry = " (dry run)" if decision.is_dry_run else ""
        console.print(
            Text.assemble(
                (f"{format_time(decision.decided_at)}  ", "dim"),
                f"{action}{dry}: {one_line(decision.reason or 'all is well again')}",
            )
        )
