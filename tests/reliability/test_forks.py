"""Forks under load: a child touches nothing of its parent's, whatever it does and however it ends.

Method: real forks of a process whose threads report, renew and commit all the time; this process,
a third one, looks at the parent's page and at the ledger meanwhile. CI: FORKS of fork, and few
starts with the methods that begin a whole interpreter each; `make forks FORKS=10000` does as many
of each.
"""

from __future__ import annotations

import pathlib
import subprocess
import time
from datetime import timedelta

import fork_scripts
import pytest
from python_scripts import Scripts

from finops._core import Agent, Ledger, PolicyBook, live_runs
from reliability import settled_twice, size, tell, unbalanced, wait_for

FORKS = int(size("RELIABILITY_FORKS", 10_000))
# 50 ms and more for each interpreter.
STARTS = int(size("RELIABILITY_FORKS", 30))
INITS_IN_CHILDREN = min(FORKS, 150)
# A fork waits for a commit that is under way, so the disk decides how long 10,000 of them take.
OFTEN_RENEWING = {
    "FINOPS_LEASE_TERM": "0.4",
    "FINOPS_CHECK_GAP": "0.5",
    "FINOPS_STOP_TIME": "5",
    "FINOPS_BILLING_QUANTUM": "0.1",
}


def watch_parent(process: subprocess.Popen[str], home: pathlib.Path) -> list[str]:
    """Until the script ends: its page is there and locked. Gives its remaining lines."""
    attempt = Scripts.read_line(process)
    looks = 0
    while process.poll() is None:
        time.sleep(0.02)
        # It may end between two looks: then its page goes.
        pages, skipped = live_runs(str(home / "live"))
        parent = [page for page in pages if page.attempt_id == attempt]
        if not all(page.is_alive for page in parent) and not has_ended(process):
            raise AssertionError("a child dropped its parent's lock")
        assert all(page.step < 10**9 for page in parent), "a child wrote into its parent's page"
        assert skipped == []
        looks += bool(parent)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, f"{process.returncode}\n{out}\n{err}"
    assert looks > 0
    return out.splitlines()


def has_ended(process: subprocess.Popen[str]) -> bool:
    """Whether it is gone, or on its way."""
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return False
    return True


def check_parent(home: pathlib.Path) -> None:
    """One attempt, ended by its own process, charged once; nothing of it is left."""
    ledger = Ledger(str(home / "ledger.db"), read_only=True)
    (run,) = ledger.runs(experiment="parent")
    assert (run.status, run.attempt_count) == ("FINISHED", 1)
    assert ledger.last_checkpoint(run.run.run_id) is None, "a child confirmed a checkpoint"
    assert ledger.verify().problems == []
    del ledger
    assert settled_twice(home) + unbalanced(home) == []
    assert [path.name for path in (home / "live").iterdir() if path.suffix == ".page"] == []


@pytest.mark.timeout(300 + FORKS // 10)
def test_forked_children_touch_nothing(scripts: Scripts, home: pathlib.Path) -> None:
    began = time.monotonic()
    process = scripts.start(
        fork_scripts.FORK_MANY, FORKS=str(FORKS), PYTHONWARNINGS="ignore", **OFTEN_RENEWING
    )
    assert watch_parent(process, home)[-1] == f"forked {FORKS} FINISHED"
    check_parent(home)
    assert len(Ledger(str(home / "ledger.db"), read_only=True).runs()) == 1
    tell("fork", forks=FORKS, hangs=0, seconds=round(time.monotonic() - began))


@pytest.mark.timeout(300)
def test_forked_children_may_begin_runs_of_their_own(scripts: Scripts, home: pathlib.Path) -> None:
    """Forked in the middle of the parent's commits, and with a ledger open: they work and end."""
    process = scripts.start(
        fork_scripts.FORK_AND_INIT,
        FORKS=str(INITS_IN_CHILDREN),
        PYTHONWARNINGS="ignore",
        **OFTEN_RENEWING,
    )
    assert watch_parent(process, home)[-1] == "forked FINISHED"
    check_parent(home)
    ledger = Ledger(str(home / "ledger.db"), read_only=True)
    children = ledger.runs(experiment="child")
    assert len(children) == INITS_IN_CHILDREN
    assert {run.status for run in children} == {"FINISHED"}
    tell("fork and init", children=len(children), hangs=0)


@pytest.mark.timeout(300 + STARTS)
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_started_children_touch_nothing(scripts: Scripts, home: pathlib.Path, method: str) -> None:
    process = scripts.start(
        fork_scripts.START_METHOD, METHOD=method, FORKS=str(STARTS), **OFTEN_RENEWING
    )
    assert watch_parent(process, home)[-1] == f"started {STARTS} FINISHED"
    check_parent(home)
    tell(method, starts=STARTS)


def test_a_forked_child_keeps_no_agent_from_serving(scripts: Scripts, home: pathlib.Path) -> None:
    """Another thread was in `init`, which is an agent for a moment, when the children were made."""
    process = scripts.start(fork_scripts.FORK_DURING_INIT, PYTHONWARNINGS="ignore")
    assert scripts.read_line(process).startswith("forked")
    agent = Agent(str(home), name="guard", interval=timedelta(seconds=1), policies=PolicyBook())
    wait_for("the guard serves, with all children alive", agent.try_serve, 5)
    process.communicate("\n", timeout=30)
