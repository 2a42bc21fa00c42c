"""`finops ledger verify`: replays the journal and compares every balance."""

from __future__ import annotations

import typer

from finops.ledger import VerifyReport

from .options import HomeOption, JsonOption, find_ledger, home_path
from .render import fields_json, print_json

app = typer.Typer(help="The ledger itself.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """The ledger itself."""


@app.command("verify")
def verify(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Check the ledger: its file, its journal, and every balance. Exit code 1 on problems."""
    path = home_path(home)
    ledger = find_ledger(path)
    report = ledger.verify() if ledger is not None else None
    problems = report.problems if report is not None else []
    if as_json:
        counts = ("journal_row_count", "budget_count", "attempt_count")
        known = fields_json(report, *counts) if report else dict.fromkeys(counts, 0)
        print_json({"is_clean": not problems, **known, "problems": problems})
    elif report is None:
        print(f"nothing was recorded yet in {path}")
    else:
        _show(report)
    if problems:
        raise typer.Exit(1)


def _show(report: VerifyReport) -> None:
    print(
        f"{report.journal_row_count} journal rows, {report.attempt_count} attempts, "
        f"{report.budget_count} budgets"
    )
    for problem in report.problems:
        print(f"problem: {problem}")
    print(f"{len(report.problems)} problems" if report.problems else "clean")
