"""What the reliability tests share: the C++ programs, sizes, figures, a look into the ledger.

Owns: where the programs are, how large a run is, how figures are printed.
Does not own: what is tested (tests/reliability), the programs (tests/reliability/programs).
"""

from __future__ import annotations

import os
import pathlib
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
PICOS = 10**12


def program(name: str) -> pathlib.Path:
    """A program of tests/reliability/programs, from RELIABILITY_PROGRAMS or the release build."""
    folder = pathlib.Path(
        os.environ.get("RELIABILITY_PROGRAMS", PROJECT / "build" / "release" / "reliability")
    )
    path = folder / name
    assert path.exists(), (
        f"{path} is not built: run `make build-cpp` first (`make test` does), or set "
        "RELIABILITY_PROGRAMS to the folder where it is"
    )
    return path


def size(variable: str, in_ci: float) -> float:
    """How much of something a test does: what the make target says, else what CI has time for."""
    return float(os.environ.get(variable) or in_ci)


def seeded(what: str) -> random.Random:
    """Chance from RELIABILITY_SEED, or from a new seed; printed, so that a run can be repeated."""
    seed = int(os.environ.get("RELIABILITY_SEED") or secrets.randbelow(2**31))
    print(f"\n{what}: RELIABILITY_SEED={seed}", flush=True)
    return random.Random(seed)


told: list[str] = []  # printed at the end of the session, by tests/reliability/conftest.py


def tell(what: str, **figures: object) -> None:
    """One line that docs/reliability.md can quote."""
    told.append(f"{what}: " + ", ".join(f"{name}={value}" for name, value in figures.items()))


def wait_for(what: str, is_so: Callable[[], Any], seconds: float = 30) -> Any:
    """What `is_so` gives once it is true; fails after `seconds`, which is generous."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.02)
    return found


def end(process: subprocess.Popen[Any]) -> None:
    """Kills a process that a test started, and waits until it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(30)


def start_guard(home: pathlib.Path, log: pathlib.Path, *options: str) -> subprocess.Popen[bytes]:
    """`finops guard` in a process of its own, which writes what it says into `log`."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "finops.cli.main", "guard", "--home", str(home), *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


@contextmanager
def rows_of(home: pathlib.Path) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Asks the ledger in SQL, the way people are told to: mode=ro.

    Not while the core has the same file open in this process: they may be two copies of SQLite.
    """
    connection = sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True, timeout=10)
    try:
        yield lambda sql, *values: connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def unbalanced(home: pathlib.Path) -> list[str]:
    """Budgets whose accounts do not add up, or which were charged other than their runs."""
    problems = []
    with rows_of(home) as rows:
        for budget, *numbers in rows(
            "SELECT budget_id, limit_units, limit_picos, available_units, available_picos, "
            "held_units, held_picos, spent_units, spent_picos, overspent_units, overspent_picos "
            "FROM budget_balances"
        ):
            limit, available, held, spent, overspent = (
                units * PICOS + picos for units, picos in zip(*[iter(numbers)] * 2, strict=True)
            )
            if spent + held + available - overspent != limit:
                problems.append(f"{budget}: {spent}+{held}+{available}-{overspent} != {limit}")
            charges = rows(
                "SELECT billed_cost_units, billed_cost_picos FROM charges JOIN attempt_budgets "
                "USING (attempt_id) WHERE budget_id=? AND basis='METERED'",
                budget,
            )
            charged = sum(units * PICOS + picos for units, picos in charges)
            # Two statements are two snapshots: only what was charged before counts here.
            if charged < spent:
                problems.append(f"{budget}: spent {spent}, and its runs were charged {charged}")
    return problems


def held_money(home: pathlib.Path) -> int:
    """What all budgets hold for runs, in picos."""
    with rows_of(home) as rows:
        return sum(
            units * PICOS + picos
            for units, picos in rows("SELECT held_units, held_picos FROM budget_balances")
        )


def settled_twice(home: pathlib.Path) -> list[str]:
    """Attempts with time that was charged more than once, or with two settlements."""
    problems = []
    with rows_of(home) as rows:
        last: dict[str, int] = {}
        for attempt, from_ns, to_ns in rows(
            "SELECT attempt_id, from_ns, to_ns FROM usage ORDER BY attempt_id, sequence"
        ):
            if from_ns < last.get(attempt, 0):
                problems.append(f"{attempt}: {from_ns} ns was charged already")
            last[attempt] = to_ns
        for (attempt,) in rows(
            "SELECT attempt_id FROM settlements GROUP BY attempt_id HAVING count(*) > 1"
        ):
            problems.append(f"{attempt}: settled twice")
        for (event,) in rows("SELECT event_id FROM charges GROUP BY event_id HAVING count(*) > 1"):
            problems.append(f"{event}: charged twice")
    return problems
