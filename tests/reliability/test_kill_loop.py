"""kill -9 at any moment, to writers and to the guard: what was acknowledged is there, once.

Method: real processes, chance from a printed seed. After each kill the cheap checks (the accounts
of all budgets, everything that the victim was told), after every 10th and at the end all of them
(everything that anybody was told, no time charged twice, `finops ledger verify`). At the end
nothing lives any more, and one guard settles all.
"""

from __future__ import annotations

import os
import pathlib
import time
from datetime import timedelta

import pytest
from kill_loop import KillLoop

from finops._core import Agent, PolicyBook
from reliability import held_money, rows_of, size, tell, wait_for

KILLS = int(size("RELIABILITY_KILLS", 200))
KILLS_IN_ONE_LEDGER = 500  # the checks read all of it
FULL_CHECK_EVERY = 10
SILENT_EVERY = 60
MINUTE = 60.0


def settle_all(home: pathlib.Path) -> list[str]:
    """One guard in this process looks until it has nothing to do; gives what it warned of."""
    agent = Agent(
        str(home), name="last guard", interval=timedelta(seconds=1), policies=PolicyBook()
    )
    assert wait_for("the agent's lock is free", agent.try_serve)
    warnings: list[str] = []
    for _ in range(3):
        warnings += agent.tick().warnings
    return warnings


def kill_in_one_ledger(home: pathlib.Path, folder: pathlib.Path, kills: int) -> KillLoop:
    """Kills `kills` times, checks, settles what is left, and checks again."""
    loop = KillLoop(home, folder)
    try:
        for number in range(1, kills + 1):
            if number % SILENT_EVERY == SILENT_EVERY // 2:
                loop.add_silent()
            problems = loop.kill_one()
            if number % FULL_CHECK_EVERY == 0:
                problems += loop.check_all()
            assert problems == [], f"after kill {number}"
        for silent in loop.silent:
            wait_for("the guard ends who is silent", lambda s=silent: s.process.poll(), MINUTE)
            assert silent.process.returncode in (-15, -9)
    finally:
        loop.end()
    assert settle_all(home) == []
    return loop


def check_the_end(home: pathlib.Path, loop: KillLoop) -> None:
    """Nobody lives: nothing is open, nothing held, no file of a run is left."""
    assert loop.check_all(is_over=True) == []
    with rows_of(home) as rows:
        assert rows("SELECT attempt_id, state FROM accounts WHERE state <> 'SETTLED'") == []
        told = rows("SELECT attempt_id FROM decisions WHERE rule = 'silence'")
    stopped = {attempt for (attempt,) in told}
    assert stopped == set(loop.acknowledged.silent), "stopped who worked, or left who did not"
    assert held_money(home) == 0, "money is held for nobody"
    left = [path.name for path in (home / "live").iterdir()]
    assert [name for name in left if name.endswith(".page")] == []
    assert_unfinished_pages_go(home)


def assert_unfinished_pages_go(home: pathlib.Path) -> None:
    """A page whose maker was killed while it made it is removed once it is a minute old."""
    unfinished = list((home / "live").glob(".*.new"))
    for path in unfinished:
        os.utime(path, (time.time() - 10 * MINUTE,) * 2)
    settle_all(home)
    assert list((home / "live").glob(".*.new")) == []


@pytest.mark.timeout(120 + 4 * KILLS)
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: pathlib.Path) -> None:
    began = time.monotonic()
    acknowledged = starts = 0
    kills = {"writer": 0, "guard": 0}
    for first in range(0, KILLS, KILLS_IN_ONE_LEDGER):
        folder = tmp_path / f"from-{first}"
        folder.mkdir()
        home = folder / "home"
        loop = kill_in_one_ledger(home, folder, min(KILLS_IN_ONE_LEDGER, KILLS - first))
        check_the_end(home, loop)
        acknowledged += loop.acknowledged.count
        starts += len(loop.acknowledged.runs)
        kills = {who: kills[who] + count for who, count in loop.kills.items()}
    tell(
        "kill loop",
        kills=sum(kills.values()),
        of_writers=kills["writer"],
        of_guards=kills["guard"],
        acknowledged=acknowledged,
        attempts=starts,
        lost=0,
        twice=0,
        seconds=round(time.monotonic() - began),
    )
