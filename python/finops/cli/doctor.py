"""`finops doctor`: is everything here that finops needs, and is it in order?"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata

import typer
from rich.table import Table
from rich.text import Text

import finops
from finops.agent import is_agent_serving
from finops.errors import FinopsError
from finops.live import open_home, sqlite_version
from finops.policy import find_policy_file, read_policy
from finops.pricebook import load_price_book, read_shipped_text

from .notify import channel_states
from .options import HomeOption, JsonOption, find_ledger, home_path
from .render import make_console, one_line, print_json

# SQLite's list of changes: fixed in 3.51.3, and in the older lines by 3.50.7 and 3.44.6.
_FIXED_SQLITE = {(3, 50): 7, (3, 44): 6}
_FIRST_FIXED_SQLITE = (3, 51, 3)
_DISTRIBUTION = "finops-train"
_MARKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "problem": ("✗", "red")}


@dataclass(frozen=True)
class Check:
    """One line of the doctor. `level` is ok, note or problem."""

    name: str
    level: str
    text: str


def doctor(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Check the installation, the home folder, the ledger and the prices. Exit 1 on problems."""
    path = home_path(home)
    checks = [
        Check("finops", "ok", finops.__version__),
        Check("Python", "ok", f"{platform.python_version()} ({platform.platform()})"),
        _check_distributions(),
        _check_sqlite(sqlite_version()),
        _guarded("home", lambda: _check_home(path)),
        _guarded("ledger", lambda: _check_ledger(path)),
        _check_agent(path),
        *_check_policy(path),
        _guarded("price book", lambda: _check_prices(path)),
        Check("NVML", "note", "not probed yet"),
    ]
    has_problem = any(check.level == "problem" for check in checks)
    if as_json:
        print_json({"ok": not has_problem, "checks": [asdict(check) for check in checks]})
    else:
        _show(checks)
    if has_problem:
        raise typer.Exit(1)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (FinopsError, OSError, ValueError) as error:
        return Check(name, "problem", str(error))


def has_wal_reset_bug(version: str) -> bool:
    """Whether this SQLite may lose a commit when a checkpoint meets a writer.

    3.7.0 to 3.51.2 have it, but for the corrected releases of older lines.
    """
    numbers = tuple(int(part) for part in version.split(".")[:3])
    corrected = _FIXED_SQLITE.get((numbers[0], numbers[1]))
    if corrected is not None:
        return numbers[2] < corrected
    return (3, 7, 0) <= numbers < _FIRST_FIXED_SQLITE


def _check_sqlite(version: str) -> Check:
    if not has_wal_reset_bug(version):
        return Check("SQLite", "ok", version)
    text = f"{version} has the WAL-reset bug (fixed in 3.51.3, 3.50.7, 3.44.6); finops' write lock "
    return Check("SQLite", "ok", text + "avoids it, and other writers of ledger.db would not")


def _check_distributions() -> Check:
    names = {name.lower() for name in metadata.packages_distributions().get("finops", [])}
    try:
        foreign = metadata.version("finops")
    except metadata.PackageNotFoundError:
        foreign = None
    if foreign is not None or names - {_DISTRIBUTION}:
        other = f"'finops' {foreign}" if foreign else ", ".join(sorted(names - {_DISTRIBUTION}))
        text = f"another distribution, {other}, is installed beside {_DISTRIBUTION} and writes to "
        return Check("packages", "problem", text + "the same folder; run: pip uninstall finops")
    return Check("packages", "ok", f"{_DISTRIBUTION}, no other distribution named finops")


def _check_home(path: str) -> Check:
    if not os.path.isdir(path):
        return Check("home", "note", f"{path} is not there yet; the first run makes it")
    _, warnings = open_home(path)
    if warnings:
        return Check("home", "note", f"{path}: " + "; ".join(warnings))
    return Check("home", "ok", path)


def _check_ledger(path: str) -> Check:
    ledger = find_ledger(path)
    if ledger is None:
        return Check("ledger", "note", "nothing was recorded yet")
    report = ledger.verify()
    if report.problems:
        count = len(report.problems)
        text = f"{count} problems, the first: {report.problems[0]}; see: finops ledger verify"
        return Check("ledger", "problem", text)
    text = f"clean: {report.journal_row_count} rows, {report.attempt_count} attempts"
    return Check("ledger", "ok", text)


def _check_agent(path: str) -> Check:
    is_serving = is_agent_serving(path)
    if is_serving is None:
        return Check("agent", "note", "cannot be asked on this system")
    if is_serving:
        return Check("agent", "ok", "running")
    return Check("agent", "note", "none runs; `finops run` brings its own, else: finops guard")


def _check_policy(path: str) -> list[Check]:
    """The policy file and its channels; no lines where there is no file."""
    try:
        found = find_policy_file(None, path)
        if found is None:
            return []
        policy = read_policy(found)
        states = channel_states(find_ledger(path), policy.channels)
    except (FinopsError, OSError) as error:
        return [Check("policy", "problem", str(error))]
    counts = f"{len(policy.rules)} rules, {len(policy.channels)} channels"
    level = "note" if policy.warnings else "ok"
    checks = [Check("policy", level, "; ".join((f"{policy.path}: {counts}", *policy.warnings)))]
    for state in states:
        if state.state == "FAILED":
            text = f"{state.detail}; {state.waiting_count} notices wait"
            checks.append(Check(f"channel {state.channel}", "problem", text))
    return checks


def _check_prices(path: str) -> Check:
    version = json.loads(read_shipped_text()).get("book_version", "unknown")
    rows = load_price_book(find_ledger(path)).rows()
    by_hand = sum(row.is_user_set for row in rows)
    text = f"version {version}, {len({row.sku_id for row in rows})} SKUs"
    return Check("price book", "ok", text + (f", {by_hand} prices set by hand" * bool(by_hand)))


def _show(checks: list[Check]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column()
    for check in checks:
        mark, style = _MARKS[check.level]
        grid.add_row(Text(mark, style=style), check.name, one_line(check.text))
    make_console().print(grid)
