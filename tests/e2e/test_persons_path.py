"""A person's path through finops, with the real command line and real processes.

Owns: init, pause, request, approve, resume, finish; the guard's choices; unmodified commands.
Invariant: no process is left behind.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

FINOPS = pathlib.Path(sys.executable).parent / "finops"
TIMEOUT = 40.0

TRAINER = """
import sys, time, finops
from pathlib import Path
run = finops.init(project="p", experiment="e", name="t")
first = run.resume_from.step if run.resume_from else 0
print("first step", first, flush=True)
for step in range(first, int(sys.argv[2])):
    time.sleep(0.02)
    run.progress(step)
    directive = run.check_budget()
    if directive == finops.Directive.CHECKPOINT:
        Path(sys.argv[1]).write_text(str(step + 1))
        run.checkpointed(step + 1, sys.argv[1])
    elif directive:
        finops.pause(run)
finops.finish(run)
"""

WORKER = """
import sys, time, finops
from datetime import timedelta
arguments = {"long": {"long_running": "a test"}}.get(sys.argv[1], {})
run = finops.init(project="p", experiment="g", name=sys.argv[1], price="36 USD/h", **arguments)
if sys.argv[1] == "announced":
    run.expect_silence(60, "compiling")
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    time.sleep(0.05)
    if sys.argv[1] == "working":
        run.progress(1)
    run.check_budget()
finops.finish(run)
"""


@pytest.fixture
def processes() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes, and ends those that are left."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.stdout is not None:
            process.stdout.close()


def cli(*words: str) -> str:
    result = subprocess.run([FINOPS, *words], capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 0, result.stderr
    return result.stdout


def report() -> list[dict[str, Any]]:
    """All runs in the report."""
    experiments = json.loads(cli("report", "--json"))["experiments"]
    return [run for experiment in experiments for run in experiment["runs"]]


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT} s for: {what}"
        time.sleep(0.2)


def has_status(name: str, status: str) -> bool:
    result = subprocess.run([FINOPS, "report", "--json"], capture_output=True, text=True)
    if result.returncode != 0:
        return False  # no ledger yet
    experiments = json.loads(result.stdout)["experiments"]
    runs = [run for experiment in experiments for run in experiment["runs"]]
    return any(run["name"] == name and run["status"] == status for run in runs)


def run_command(*more: str) -> list[str]:
    terms = ["--lease-term", "1s", "--check-gap", "0.3s", "--stop-time", "1s", "--interval", "0.3s"]
    place = ["--project", "p", "--experiment", "e", "--name", "t", "--price", "36 USD/h"]
    return [str(FINOPS), "run", *place, *terms, *more]


def test_pause_request_approve_resume_finish(
    tmp_path: pathlib.Path, processes: Callable[..., subprocess.Popen[str]]
) -> None:
    """Goal: the whole path of a budget. Method: 0.06 USD at one cent a second, then 1 USD more."""
    script, checkpoint = tmp_path / "train.py", tmp_path / "state.txt"
    script.write_text(TRAINER)
    training = processes(
        *run_command("--budget", "0.06 USD"), "--", sys.executable, script, checkpoint, "400"
    )
    wait_for("the pause", lambda: has_status("t", "PAUSED"))
    saved_step = int(checkpoint.read_text())
    assert 0 < saved_step < 400
    cli("budget", "request", "p/e", "1 USD", "--why", "needs more")
    cli("budget", "approve", "latest")
    assert training.wait(TIMEOUT) == 0
    output = training.communicate()[0]
    assert f"first step {saved_step}" in output
    (run,) = report()
    assert run["status"] == "FINISHED"
    assert [attempt["status"] for attempt in run["attempts"]] == ["PAUSED", "FINISHED"]
    first, second = (attempt["metered_cost"]["amount"] for attempt in run["attempts"])
    assert 0 < float(first) <= 0.06, "a hard budget was overspent"
    assert float(second) > 0
    assert any("budget" in decision["rule"] for decision in run["decisions"])
    cli("ledger", "verify")


def test_no_wait_leaves_with_75(
    tmp_path: pathlib.Path, processes: Callable[..., subprocess.Popen[str]]
) -> None:
    """Goal: where waiting would hold GPUs, the exit code says so. Method: --no-wait."""
    script = tmp_path / "train.py"
    script.write_text(TRAINER)
    training = processes(
        *run_command("--budget", "0.06 USD", "--no-wait"),
        "--",
        sys.executable,
        script,
        tmp_path / "state.txt",
        "400",
    )
    assert training.wait(TIMEOUT) == 75


def test_unmodified_command_pauses_and_says_what_is_lost(
    processes: Callable[..., subprocess.Popen[str]],
) -> None:
    """Goal: a command that never calls finops is stopped at its budget. Method: sleep 60."""
    started = time.monotonic()
    command = processes(*run_command("--budget", "0.06 USD", "--no-wait"), "--", "sleep", "60")
    assert command.wait(TIMEOUT) == 75
    assert time.monotonic() - started < 30
    (run,) = report()
    assert run["status"] == "PAUSED"
    assert "since its last checkpoint is lost" in run["reason"]
    assert float(run["metered_cost"]["amount"]) <= 0.06


def test_unmodified_command_keeps_its_exit_code(
    processes: Callable[..., subprocess.Popen[str]],
) -> None:
    """Goal: without a budget nothing changes for a command. Method: exit 3, and a clean exit."""
    assert processes(*run_command(), "--", "sh", "-c", "sleep 0.3; exit 3").wait(TIMEOUT) == 3
    assert processes(*run_command(), "--", "true").wait(TIMEOUT) == 0
    assert sorted(run["status"] for run in report()) == ["FAILED", "FINISHED"]


def test_guard_stops_the_silent_and_nobody_else(
    tmp_path: pathlib.Path, processes: Callable[..., subprocess.Popen[str]]
) -> None:
    """Goal: silent is stopped; working, announced and long-running are not. Method: limit 2 s."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    guard = processes(
        *(FINOPS, "guard", "--interval", "0.5s", "--silence-limit", "2s"),
        *("--directive-grace", "0.5s", "--term-grace", "1s"),
    )
    names = ("silent", "working", "announced", "long")
    workers = {name: processes(sys.executable, script, name, "9") for name in names}
    assert {name: worker.wait(TIMEOUT) for name, worker in workers.items()} == {
        "silent": -signal.SIGTERM,
        "working": 0,
        "announced": 0,
        "long": 0,
    }
    wait_for("the settlement", lambda: has_status("silent", "KILLED"))
    guard.send_signal(signal.SIGTERM)
    assert guard.wait(TIMEOUT) in (0, -signal.SIGTERM)
    silent = next(run for run in report() if run["name"] == "silent")
    assert "no progress for" in silent["reason"]
    assert [d["rung"] for d in silent["decisions"]] == ["directive", "SIGTERM"]
    cli("ledger", "verify")


def test_killed_job_is_settled_once(
    tmp_path: pathlib.Path, processes: Callable[..., subprocess.Popen[str]]
) -> None:
    """Goal: SIGKILL leaves no lock and one settlement. Method: kill -9, then the guard, twice."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    worker = processes(sys.executable, script, "working", "60")
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == "ready"
    time.sleep(0.5)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(TIMEOUT)
    cli("guard", "--once")
    (first,) = report()
    assert first["status"] == "FAILED"
    assert float(first["metered_cost"]["amount"]) > 0
    cli("guard", "--once")
    cli("guard", "--once")
    (again,) = report()
    assert again["attempts"][0]["account_state"] == "SETTLED"
    assert len(again["attempts"]) == 1
    cli("ledger", "verify")
