"""Writers and a guard that are killed at random, and what must hold afterwards.

Owns: the processes, the acknowledgements that they leave behind, the comparison with the ledger.
Does not own: what a writer does (tests/reliability/programs/kill_writer.cpp).
Invariant: an acknowledgement is a line in a file, written after the call had returned, so it stays
whatever happens to its writer.
"""

from __future__ import annotations

import pathlib
import random
import subprocess
import time
from dataclasses import dataclass, field

from finops._core import Ledger, VerifyReport
from reliability import (
    end,
    program,
    rows_of,
    seeded,
    settled_twice,
    start_guard,
    unbalanced,
    wait_for,
)

WRITER_COUNT = 8
GUARD_LIMITS = (
    "--interval", "200ms", "--silence-limit", "6s", "--directive-grace", "300ms",
    "--term-grace", "500ms",
)  # fmt: skip


@dataclass
class Acknowledged:
    """All that writers were told is done.

    Attributes
    ----------
    progress_ns, committed_ns : by attempt, from its start.
    silent : run and attempt of writers that fell silent on purpose.
    """

    runs: dict[str, str] = field(default_factory=dict)
    progress_ns: dict[str, int] = field(default_factory=dict)
    committed_ns: dict[str, int] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    checkpoints: dict[str, int] = field(default_factory=dict)
    requests: set[str] = field(default_factory=set)
    rulings: dict[str, str] = field(default_factory=dict)
    batches: set[str] = field(default_factory=set)
    silent: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def read(self, line: str) -> None:
        kind, *words = line.split()
        self.count += 1
        if kind in ("start", "silent"):
            self.runs[words[1]] = words[0]
            if kind == "silent":
                self.silent[words[1]] = words[0]
        elif kind == "progress":
            self.progress_ns[words[0]] = int(words[1])
        elif kind == "commit":
            self.committed_ns[words[0]] = int(words[1])
        elif kind == "finish":
            self.ended[words[0]] = words[1]
        elif kind == "checkpoint":
            self.checkpoints[words[0]] = int(words[1])
        elif kind == "request":
            self.requests.add(words[0])
        elif kind == "ruling":
            self.rulings[words[0]] = words[1]
        else:
            assert kind == "together", line
            self.batches.add(words[0])


class Writer:
    """One writer process and the file of what it acknowledged."""

    def __init__(
        self, home: pathlib.Path, folder: pathlib.Path, seed: int, *, silent: bool = False
    ):
        self.path = folder / f"acknowledged-{seed}"
        self.errors = folder / f"errors-{seed}"
        self._offset = 0
        with open(self.errors, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [program("kill_writer"), home, self.path, str(seed)] + ["silent"] * silent,
                stderr=errors,
            )

    def read_into(self, acknowledged: Acknowledged) -> None:
        """Takes over the whole lines that are new."""
        if not self.path.exists():
            return
        with open(self.path, encoding="utf-8") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._offset += len(whole.encode())
        for line in whole.splitlines():
            acknowledged.read(line)

    def crash(self) -> str:
        """What it said if it ended by itself, which it never should; "" while it lives."""
        if self.process.poll() is None:
            return ""
        said = self.errors.read_text(encoding="utf-8")
        return f"writer ended with {self.process.returncode}: {said}"


class KillLoop:
    """Eight writers and a guard; `kill_one` kills one of the nine and puts another in its place."""

    def __init__(self, home: pathlib.Path, folder: pathlib.Path) -> None:
        self._home, self._folder = home, folder
        self.random: random.Random = seeded("kill loop")
        self.acknowledged = Acknowledged()
        self.guard_log = folder / "guard.log"
        self.kills = {"writer": 0, "guard": 0}
        self.writers = [self._writer() for _ in range(WRITER_COUNT)]
        self.silent: list[Writer] = []
        self.guard = self._guard()
        wait_for(
            "a first run",
            lambda: any(w.path.exists() and w.path.stat().st_size for w in self.writers),
        )

    def _writer(self, *, silent: bool = False) -> Writer:
        return Writer(self._home, self._folder, self.random.randrange(2**31), silent=silent)

    def _guard(self) -> subprocess.Popen[bytes]:
        return start_guard(self._home, self.guard_log, *GUARD_LIMITS)

    def add_silent(self) -> None:
        """One more writer, which begins and then says nothing: the guard has to end it."""
        self.silent.append(self._writer(silent=True))

    def kill_one(self) -> list[str]:
        """One kill -9, and the cheap checks: what the victim was told, and the accounts."""
        time.sleep(self.random.uniform(0, 0.06))
        victim = self.random.randrange(WRITER_COUNT + 1)
        if victim == WRITER_COUNT:
            end(self.guard)
            self.kills["guard"] += 1
            self.guard = self._guard()
            return unbalanced(self._home)
        killed = self.writers[victim]
        if crash := killed.crash():
            return [crash]
        end(killed.process)
        self.kills["writer"] += 1
        theirs = Acknowledged()
        with open(killed.path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    theirs.read(line)
        killed.read_into(self.acknowledged)
        self.writers[victim] = self._writer()
        return unbalanced(self._home) + lost(self._home, theirs)

    def check_all(self, *, is_over: bool = False) -> list[str]:
        """Everything that any writer was told, and the whole ledger."""
        for writer in self.writers + self.silent:
            writer.read_into(self.acknowledged)
        return (
            lost(self._home, self.acknowledged, is_over=is_over)
            + settled_twice(self._home)
            + unbalanced(self._home)
            + verify(self._home).problems
        )

    def end(self) -> None:
        """Kills all that is left, and reads what it said last."""
        for writer in self.writers + self.silent:
            end(writer.process)
            writer.read_into(self.acknowledged)
        end(self.guard)


def verify(home: pathlib.Path) -> VerifyReport:
    """`finops ledger verify`, in this process."""
    return Ledger(str(home / "ledger.db"), read_only=True).verify()


def lost(home: pathlib.Path, acknowledged: Acknowledged, *, is_over: bool = False) -> list[str]:
    """What was acknowledged and is not there. `is_over`: no process lives, all is settled."""
    pages = {page.stem for page in (home / "live").glob("*.page")}
    with rows_of(home) as rows:
        accounts = {
            attempt: (state, settled, status)
            for attempt, state, settled, status in rows(
                "SELECT attempt_id, state, settled_ns, status FROM accounts "
                "LEFT JOIN attempt_ends USING (attempt_id)"
            )
        }
        steps = dict(rows("SELECT run_id, max(step) FROM checkpoints GROUP BY run_id"))
        batches = dict(rows("SELECT name, count(*) FROM runs WHERE name <> '' GROUP BY name"))
        requests = {request for (request,) in rows("SELECT request_id FROM budget_requests")}
        rulings = dict(
            rows("SELECT request_id, new_limit_picos <> old_limit_picos FROM budget_rulings")
        )
    problems = []
    for attempt, run in acknowledged.runs.items():
        if attempt not in accounts:
            problems.append(f"{attempt}: a start that was acknowledged is lost")
            continue
        problems += _lost_of(attempt, run, acknowledged, accounts[attempt], attempt in pages)
        if is_over and accounts[attempt][0] != "SETTLED":
            problems.append(f"{attempt}: is still {accounts[attempt][0]}")
        if attempt not in pages and steps.get(run, 0) < acknowledged.checkpoints.get(run, 0):
            problems.append(f"{attempt}: step {acknowledged.checkpoints[run]} is lost")
    problems += [f"request {name} is lost" for name in acknowledged.requests - requests]
    problems += [
        f"ruling {name}: {said} was acknowledged, the ledger says {rulings.get(name)}"
        for name, said in acknowledged.rulings.items()
        if rulings.get(name) != (said == "Approved")
    ]
    problems += [
        f"{name}: {batches.get(name)} of 5 rows"
        for name in acknowledged.batches | batches.keys()
        if batches.get(name) != 5
    ]
    return problems


def _lost_of(
    attempt: str,
    run: str,
    acknowledged: Acknowledged,
    account: tuple[str, int, str | None],
    has_page: bool,
) -> list[str]:
    """What of one attempt's time, or of its end, is not in the ledger."""
    state, settled_ns, status = account
    problems = []
    if settled_ns < acknowledged.committed_ns.get(attempt, 0):
        problems.append(
            f"{attempt}: commit() returned at {acknowledged.committed_ns[attempt]} ns, "
            f"and {settled_ns} ns are settled"
        )
    if state == "OPEN":
        # Its page is all that a page-less end could be settled from.
        return problems if has_page else [*problems, f"{attempt} of {run}: open, without a page"]
    if settled_ns < acknowledged.progress_ns.get(attempt, 0):
        problems.append(
            f"{attempt}: progress at {acknowledged.progress_ns[attempt]} ns is not charged, "
            f"only {settled_ns} ns are"
        )
    said = acknowledged.ended.get(attempt)
    if said is not None and status != said:
        problems.append(f"{attempt}: ended as {said}, the ledger says {status}")
    return problems
