"""`finops ledger`: verify it, copy it, and merge the ledgers of several hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finops.errors import NotFound
from finops.ledger import VerifyReport, open_ledger

from .options import HomeOption, JsonOption, find_ledger, home_path
from .render import fields_json, print_json

app = typer.Typer(help="The ledger itself.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """The ledger itself."""


@app.command("verify")
def verify(
    since: Annotated[
        str,
        typer.Option(
            metavar="HASH|NUMBER",
            help="A head of the audit chain that was noted earlier: it must still be there.",
        ),
    ] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Check the ledger: its file, its journal, every balance, and the chain over who allowed what.

    Note the head that it prints somewhere else, and give it later with --since: only so can a
    chain that was written anew, or cut off, be told. Exit code 1 on problems.
    """
    path = home_path(home)
    ledger = find_ledger(path)
    report = ledger.verify(since=since) if ledger is not None else None
    problems = list(report.problems) if report is not None else []
    if report is None and since:
        problems.append(f"nothing is recorded in {path}, and {since} was noted of it earlier")
    if as_json:
        counts = ("journal_row_count", "budget_count", "attempt_count", "audit_record_count")
        known = fields_json(report, *counts) if report else dict.fromkeys(counts, 0)
        head = report.audit_head or None if report else None
        print_json({"is_clean": not problems, **known, "audit_head": head, "problems": problems})
    elif report is not None:
        _show(report)
    else:
        print("\n".join(problems) or f"nothing was recorded yet in {path}")
    if problems:
        raise typer.Exit(1)


_MERGE_FIELDS = ("run_count", "attempt_count", "usage_count", "charge_count", "other_count")


@app.command("copy")
def copy(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    home: HomeOption = None,
) -> None:
    """Write the ledger as one whole file, to be merged on another host.

    Never copy ledger.db itself: what is still in its write-ahead log would be missing.
    """
    ledger = find_ledger(home_path(home))
    if ledger is None:
        raise NotFound(f"nothing was recorded yet in {home_path(home)}")
    ledger.copy_to(str(file.absolute()))
    print(f"{file}: {file.stat().st_size:,} bytes; on the other host: finops ledger merge {file}")


@app.command("merge")
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Bring the runs of other ledgers in: what ran, what it cost, what was decided.

    Budgets stay with the host that keeps them. Merging the same file again brings nothing.
    """
    ledger = open_ledger(home_path(home))
    results = []
    for file in files:
        if not file.exists():
            raise NotFound(f"there is no file {file}")
        report = ledger.merge(str(file.absolute()))
        results.append({"file": str(file), **fields_json(report, *_MERGE_FIELDS)})
        if not as_json:
            print(
                f"{file}: {report.run_count} new runs, {report.attempt_count} attempts, "
                f"{report.charge_count} charges"
            )
    if as_json:
        print_json(results)


def _show(report: VerifyReport) -> None:
    print(
        f"{report.journal_row_count} journal rows, {report.attempt_count} attempts, "
        f"{report.budget_count} budgets"
    )
    head = f", head {report.audit_head}" if report.audit_head else ""
    print(f"audit chain: {report.audit_record_count} records{head}")
    for problem in report.problems:
        print(f"problem: {problem}")
    print(f"{len(report.problems)} problems" if report.problems else "clean")
