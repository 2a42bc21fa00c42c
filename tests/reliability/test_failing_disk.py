"""The disk fills, or cannot flush any more, while runs and a guard go on.

Method: real processes with a library preloaded that makes one folder fail on demand, so that it
runs where nothing can be mounted too. (tests/python/test_broken_world.py fills a real file system
where it may.) Afterwards there is room again, and everything is where it belongs.
"""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable
from decimal import Decimal

import pytest
from failing_disk import FailingDisk
from python_scripts import Scripts

from finops._core import Ledger
from reliability import end, settled_twice, start_guard, unbalanced, wait_for

# Reports until it is told to end, commits now and then, and prints what was acknowledged.
TRAIN = """
import select
run = finops.init(project="p", experiment="train", price="36 USD/h", {arguments})
run.progress(1)
print("ready", run.attempt_id, flush=True)
step = 1
refused = 0
while not select.select([sys.stdin], [], [], 0.02)[0]:
    step += 1
    run.progress(step)
    directive = run.check_budget()
    if directive == finops.Directive.PAUSE:
        print("paused", flush=True)
        break
    if step % 5 == 0:
        before = run.cost
        try:
            run.commit()
            print("committed", before, flush=True)
        except finops.errors.LedgerUnavailable as error:
            refused += 1
            print("refused", str(error).replace("\\n", " "), flush=True)
finops.finish(run)
print("end", run.status, run.cost, flush=True)
"""
SILENT = """
run = finops.init(project="p", experiment="silent", price="36 USD/h")
run.progress(1)
print("ready", flush=True)
time.sleep(100)
"""
GUARD = (
    "--interval", "200ms", "--silence-limit", "3s", "--directive-grace", "300ms",
    "--term-grace", "300ms",
)  # fmt: skip


@pytest.fixture
def disk(
    home: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> FailingDisk:
    """Every process that this test starts from now on has it; this process has a sound one."""
    one = FailingDisk(home, tmp_path)
    for name, value in one.environment.items():
        monkeypatch.setenv(name, value)
    return one


def start(scripts: Scripts, code: str, arguments: str = "") -> subprocess.Popen[str]:
    process = scripts.start(code.format(arguments=arguments) if code is TRAIN else code)
    assert scripts.read_line(process).startswith("ready")
    return process


def read_until(scripts: Scripts, process: subprocess.Popen[str], word: str) -> list[str]:
    """Lines up to the first that begins with `word`."""
    lines = [scripts.read_line(process)]
    while not lines[-1].startswith(word):
        lines.append(scripts.read_line(process))
    return lines


def acknowledged_cost(lines: list[str]) -> Decimal:
    """Of the last commit that returned."""
    return Decimal([line for line in lines if line.startswith("committed")][-1].split()[1])


def assert_whole(home: pathlib.Path) -> None:
    assert settled_twice(home) + unbalanced(home) == []
    assert Ledger(str(home / "ledger.db"), read_only=True).verify().problems == []


def status_of(home: pathlib.Path, experiment: str) -> str:
    (run,) = Ledger(str(home / "ledger.db"), read_only=True).runs(experiment=experiment)
    return run.status


def settle_by_next_init(scripts: Scripts) -> None:
    scripts.run("finops.finish(finops.init(project='p', experiment='settler', price='1 USD/h'))")


def test_a_disk_that_fills_while_a_guard_looks(
    scripts: Scripts, home: pathlib.Path, tmp_path: pathlib.Path, disk: FailingDisk
) -> None:
    """The run trains on, the journal stops the silent one, and all is settled afterwards."""
    train = start(scripts, TRAIN)
    guard = start_guard(home, tmp_path / "guard.log", *GUARD)
    try:
        wait_for("the guard serves", lambda: "serving" in (tmp_path / "guard.log").read_text())
        wait_for("its journal is there", (home / "intents.journal").exists)
        silent = start(scripts, SILENT)
        before = read_until(scripts, train, "committed")
        disk.fill()
        during = read_until(scripts, train, "refused")
        assert silent.wait(60) in (-15, -9), "a full disk makes nobody unstoppable"
        assert train.poll() is None, "and stops nobody"
        assert [event for event in disk.events() if event.what == "refused"] != []
        disk.heal()
        after = read_until(scripts, train, "committed")
        out, err = train.communicate("\n", timeout=60)
        assert train.returncode == 0, err
        wait_for("it is settled", lambda: status_of(home, "silent") == "KILLED")
        assert guard.poll() is None
    finally:
        end(guard)
    status, amount, _ = out.split()[-3:]
    ledger = Ledger(str(home / "ledger.db"), read_only=True)
    (run,) = ledger.runs(experiment="train")
    assert run.status == status == "FINISHED"
    assert run.metered_cost.amount >= acknowledged_cost(before + during + after)
    assert abs(run.metered_cost.amount - Decimal(amount)) < Decimal("0.001")
    decisions = ledger.decisions()
    assert "silence" in {decision.rule for decision in decisions}, "its intents were imported"
    assert len({(d.attempt_id, d.sequence) for d in decisions}) == len(decisions)
    del ledger
    assert_whole(home)


@pytest.mark.parametrize("budget", ["", "budget='5 USD'"], ids=["no budget", "hard budget"])
def test_a_disk_that_fills_without_a_guard(
    scripts: Scripts, home: pathlib.Path, disk: FailingDisk, budget: str
) -> None:
    """Without a budget it trains on; with a hard one it pauses when its lease ends, not before."""
    train = start(scripts, TRAIN, budget)
    before = read_until(scripts, train, "committed")
    disk.fill()
    if budget:
        before += read_until(scripts, train, "paused")
    else:
        before += read_until(scripts, train, "refused")
    _, err = train.communicate("\n", timeout=60)
    assert train.returncode == 0, err
    disk.heal()
    settle_by_next_init(scripts)
    ledger = Ledger(str(home / "ledger.db"), read_only=True)
    (run,) = ledger.runs(experiment="train")
    (attempt,) = ledger.attempts(run.run.run_id)
    assert (run.status, attempt.account_state) == ("FINISHED", "SETTLED")
    assert run.metered_cost.amount >= acknowledged_cost(before)
    assert [path.name for path in (home / "live").iterdir()] == []
    del ledger
    assert_whole(home)


def test_a_failed_flush_is_never_repeated(
    scripts: Scripts, home: pathlib.Path, disk: FailingDisk
) -> None:
    """After EIO the connection is closed: what is written later goes through a new one."""
    train = start(scripts, TRAIN)
    lines = read_until(scripts, train, "committed")
    disk.break_flushes()
    lines += read_until(scripts, train, "refused")
    lines += read_until(scripts, train, "refused")
    assert train.poll() is None
    assert [event for event in disk.events() if event.what == "failed"] != []
    disk.heal()
    lines += read_until(scripts, train, "committed")
    assert disk.used_after_a_failed_flush() == []
    assert_whole(home)
    _, err = train.communicate("\n", timeout=60)
    assert train.returncode == 0, err
    ledger = Ledger(str(home / "ledger.db"), read_only=True)
    (run,) = ledger.runs(experiment="train")
    assert run.status == "FINISHED"
    assert run.metered_cost.amount >= acknowledged_cost(lines)


def test_a_guard_comes_through_failed_flushes(
    scripts: Scripts, home: pathlib.Path, tmp_path: pathlib.Path, disk: FailingDisk
) -> None:
    """It says so, opens the ledger anew, and what it wrote before and after is whole."""
    train = start(scripts, TRAIN)
    log = tmp_path / "guard.log"
    guard = start_guard(home, log, *GUARD)
    said: Callable[[], str] = lambda: log.read_text(encoding="utf-8")  # noqa: E731
    try:
        wait_for("the guard serves", lambda: "serving" in said())
        read_until(scripts, train, "committed")
        disk.break_flushes()
        wait_for("the guard says so", lambda: "disk I/O error" in said())
        disk.heal()
        read_until(scripts, train, "committed")
        silent = start(scripts, SILENT)
        assert silent.wait(60) in (-15, -9)
        train.communicate("\n", timeout=60)
        wait_for("it is settled", lambda: status_of(home, "silent") == "KILLED")
        assert guard.poll() is None
    finally:
        end(guard)
    assert disk.used_after_a_failed_flush() == []
    assert_whole(home)
