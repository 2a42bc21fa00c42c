"""Processes that a guard watches, that cannot run Python, or that leave while the ledger is locked.

Method: the guard is `finops._core.Agent` in a process of its own; a lock is held by a third one.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

import pytest
from known import known
from python_scripts import Scripts

import finops
from finops import Money
from finops._core import Agent, Ledger

OpenLedger = Callable[[], Ledger]
MakeAgent = Callable[..., Agent]

GUARD = """
from datetime import timedelta
from finops._core import Agent, PolicyBook
policies = PolicyBook()
policies.base.silence_limit = timedelta(seconds={limit})
policies.base.directive_grace = timedelta(seconds=0.5)
policies.base.term_grace = timedelta(seconds=0.5)
interval = timedelta(seconds=0.2)
agent = Agent(os.environ["FINOPS_HOME"], name="guard", interval=interval, policies=policies)
assert agent.try_serve()
print("serving", flush=True)
while True:
    report = agent.tick()
    for decision in report.decisions:
        print("decision", decision.directive, decision.rule, decision.rung, flush=True)
    for warning in report.warnings:
        print("warning", warning, flush=True)
    time.sleep(0.2)
"""

HOLD_LOCK = """
import fcntl, struct
path = os.path.join(os.environ["FINOPS_HOME"], "{file}")
descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(descriptor, fcntl.LOCK_EX, 1)
print("locked", flush=True)
sys.stdin.readline()
"""


def lock_name(home: pathlib.Path) -> str:
    """The file whose record lock serialises writers."""
    (path,) = [
        path
        for path in home.iterdir()
        if path.name.startswith("ledger") and path.name.endswith("lock")
    ]
    return path.name


def test_a_held_gil_breaks_nothing(scripts: Scripts, open_ledger: OpenLedger) -> None:
    """10 s in a C call that keeps the interpreter's lock, five lease terms long: nothing happens.

    No thread of ours waits for that lock, the guard's limit is 60 s, and the money is there.
    """
    home_is_there = scripts.run("finops.finish(finops.init(project='p', experiment='x'))")
    assert home_is_there.returncode == 0
    guard = scripts.start(GUARD.format(limit=60))
    scripts.read_line(guard)
    began = time.monotonic()
    scripts.run(
        """
import ctypes
run = finops.init(project="p", experiment="e", price="36 USD/h", budget="10 USD")
run.progress(1)
ctypes.PyDLL(None).sleep(10)
assert not run.check_budget(), run.reason
run.progress(2)
assert not run.check_budget(), run.reason
""",
        timeout=40,
    )
    assert time.monotonic() - began >= 10
    guard.kill()
    out, _ = guard.communicate(timeout=10)
    assert out == "", out
    (run,) = open_ledger().runs(experiment="e")
    assert run.status == "FINISHED"
    assert known(run.metered_cost) >= Money("0.1")
    (budget,) = open_ledger().budgets()
    assert budget.overspent == Money(0)
    assert open_ledger().decisions() == []
    assert open_ledger().verify().problems == []


def test_a_silent_run_is_told_then_stopped(scripts: Scripts, open_ledger: OpenLedger) -> None:
    """Asking for the budget is no progress: a loop that only asks is stopped, with its reason."""
    process = scripts.start(
        """
import signal
run = finops.init(project="p", experiment="e", price="36 USD/h")
run.progress(1)
print("ready", flush=True)
while not run.check_budget():
    time.sleep(0.02)
print(run.check_budget().name, flush=True)
time.sleep(60)
"""
    )
    scripts.read_line(process)
    guard = scripts.start(GUARD.format(limit=1))
    assert scripts.read_line(process) in ("CHECKPOINT", "PAUSE", "STOP")
    process.wait(15)
    assert process.returncode in (-15, -9)
    deadline = time.monotonic() + 10
    while open_ledger().runs(experiment="e")[0].status == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    guard.kill()
    (run,) = open_ledger().runs(experiment="e")
    assert run.status == "KILLED"
    assert "1" in run.reason
    rungs = [decision.rung for decision in open_ledger().decisions()]
    assert len(rungs) == len(set(rungs)), rungs  # each rung is recorded once
    assert open_ledger().verify().problems == []


def test_announced_silence_and_long_running_are_left_alone(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    processes = [
        scripts.start(
            f"""
run = finops.init(project="p", experiment="e", price="36 USD/h", name="{name}", {argument})
run.progress(1)
{call}
print("ready", flush=True)
time.sleep(3)
"""
        )
        for name, argument, call in (
            ("announced", "", "run.expect_silence(30, 'compiling')"),
            ("long", "long_running='three days'", ""),
            ("own limit", "silence_limit=30", ""),
        )
    ]
    for process in processes:
        scripts.read_line(process)
    guard = scripts.start(GUARD.format(limit=1))
    for process in processes:
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
    guard.kill()
    assert {run.status for run in open_ledger().runs()} == {"FINISHED"}
    assert open_ledger().decisions() == []


@pytest.mark.parametrize("budget", ["", "budget='5 USD',"])
def test_exit_is_not_delayed_by_a_locked_ledger(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path, budget: str
) -> None:
    """Somebody else holds the ledger: the script ends within a second all the same."""
    process = scripts.start(
        f"""
run = finops.init(project="p", experiment="e", {budget} price="36 USD/h")
run.progress(1)
print("ready", flush=True)
sys.stdin.readline()
"""
    )
    scripts.read_line(process)
    holder = scripts.start(HOLD_LOCK.format(file=lock_name(home)))
    scripts.read_line(holder)
    began = time.monotonic()
    _, err = process.communicate("\n", timeout=30)
    took = time.monotonic() - began
    assert process.returncode == 0, err
    holder.communicate("\n", timeout=10)
    # What the ledger could not take stays in the page: the next init settles it, cost and all.
    finops.finish(finops.init(project="p", experiment="settler", price="36 USD/h"))
    (run,) = open_ledger().runs(experiment="e")
    assert run.status == "FINISHED"
    assert run.metered_cost is not None
    assert open_ledger().verify().problems == []
    assert took < 1.0, f"the exit took {took:.2f} s"


def test_hot_calls_wait_a_bounded_time_for_a_locked_ledger(
    scripts: Scripts, home: pathlib.Path
) -> None:
    """A call waits at most about a second, and most calls do not wait; a hard lease then ends."""
    process = scripts.start(
        """
run = finops.init(project="p", experiment="e", price="36 USD/h", budget="5 USD")
print("ready", flush=True)
sys.stdin.readline()
times = []
def measure(call, *arguments):
    before = time.monotonic()
    answer = call(*arguments)
    times.append(time.monotonic() - before)
    return answer
began = time.monotonic()
while time.monotonic() - began < 4:
    measure(run.progress, 1)
    directive = measure(run.check_budget)
    time.sleep(0.01)
print(max(times), sum(times), directive.name, run.reason, flush=True)
os._exit(0)
"""
    )
    scripts.read_line(process)
    holder = scripts.start(HOLD_LOCK.format(file=lock_name(home)))
    scripts.read_line(holder)
    out, err = process.communicate("\n", timeout=30)
    holder.communicate("\n", timeout=10)
    assert process.returncode == 0, err
    longest, waited, directive, reason = out.strip().split(maxsplit=3)
    assert directive in ("CHECKPOINT", "PAUSE")
    assert "lease" in reason
    assert "locked by process" in reason
    assert float(longest) < 1.5, f"one call took {longest} s"
    assert float(waited) < 3, f"{waited} of 4 s were spent waiting"


def test_the_guard_of_another_process_ends_and_the_run_goes_on(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    """The run notices that its guard died and renews its lease by itself again."""
    process = scripts.start(
        """
run = finops.init(project="p", experiment="e", price="36 USD/h", budget="5 USD")
run.progress(1)
print("ready", flush=True)
began = time.monotonic()
while time.monotonic() - began < 4:
    run.progress(2)
    assert not run.check_budget(), run.reason
    time.sleep(0.01)
"""
    )
    scripts.read_line(process)
    guard = scripts.start(GUARD.format(limit=60))
    scripts.read_line(guard)
    time.sleep(1)
    guard.kill()
    guard.wait(10)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    (run,) = open_ledger().runs(experiment="e")
    assert run.status == "FINISHED"
    assert open_ledger().verify().problems == []
