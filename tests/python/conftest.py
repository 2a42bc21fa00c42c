"""What the Python suites share: short leases, real subprocesses, a ledger to look into.

Owns: the fixtures of tests/python. Does not own: the isolated home (tests/conftest.py makes one).
Invariant: no process that a test starts is left behind.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta

import finops
import pytest
from finops._core import Agent, Ledger
from finops._run import _open_runs

# A lease of 2 s with a reserve of 1 s: a budget is reached within a test, not within minutes.
SHORT_TERMS = {
    "FINOPS_LEASE_TERM": "2",
    "FINOPS_CHECK_GAP": "0.2",
    "FINOPS_STOP_TIME": "0.7",
    "FINOPS_BILLING_QUANTUM": "0.1",
}


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short lease terms for this process and its children, and no run left open behind a test."""
    for name, value in SHORT_TERMS.items():
        monkeypatch.setenv(name, value)
    before = list(_open_runs)
    yield
    for run in list(_open_runs):
        if run not in before:
            finops.finish(run)


@pytest.fixture
def home() -> pathlib.Path:
    """The home folder of this test; `init` makes it."""
    return pathlib.Path(os.environ["FINOPS_HOME"])


@pytest.fixture
def open_ledger(home: pathlib.Path) -> Callable[[], Ledger]:
    """Opens this test's ledger for reading."""
    return lambda: Ledger(str(home / "ledger.db"), read_only=True)


@pytest.fixture
def start() -> Callable[..., finops.Run]:
    """`finops.init` of project p, experiment e at 36 USD/h, one cent a second."""

    def begin(**arguments: object) -> finops.Run:
        return finops.init(**{"project": "p", "experiment": "e", "price": "36 USD/h", **arguments})  # type: ignore[arg-type]

    return begin


@pytest.fixture
def make_agent(home: pathlib.Path) -> Callable[..., Agent]:
    """A guard in this process, which must have no run of its own: a process skips its pages."""

    def make(silence_limit: float = 60.0, interval: float = 0.2) -> Agent:
        agent = Agent(
            str(home),
            name="test guard",
            interval=timedelta(seconds=interval),
            silence_limit=timedelta(seconds=silence_limit),
            directive_grace=timedelta(seconds=1),
            term_grace=timedelta(seconds=1),
        )
        assert agent.try_serve()
        return agent

    return make


class Scripts:
    """Runs Python scripts in real processes, and ends those that a test left running."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._count = 0
        self._running: list[subprocess.Popen[str]] = []

    def write(self, code: str) -> pathlib.Path:
        """A script file: `finops`, `os`, `sys` and `time` are imported already."""
        self._count += 1
        path = self._folder / f"script_{self._count}.py"
        path.write_text("import os, sys, time, finops\n" + textwrap.dedent(code), encoding="utf-8")
        return path

    def start(self, code: str, **environment: str) -> subprocess.Popen[str]:
        """Starts the script and goes on; its stdin, stdout and stderr are pipes."""
        process = subprocess.Popen(
            [sys.executable, str(self.write(code))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            cwd=self._folder,
        )
        self._running.append(process)
        return process

    def run(
        self, code: str, *, expect: int | None = 0, timeout: float = 30, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs the script to its end and checks its exit code (None: any)."""
        process = self.start(code, **environment)
        out, err = process.communicate(timeout=timeout)
        if expect is not None:
            assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def end_all(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            with contextlib.suppress(ValueError):  # communicate() has closed the pipes
                process.communicate(timeout=10)


@pytest.fixture
def scripts(tmp_path: pathlib.Path) -> Iterator[Scripts]:
    """Real Python processes with this test's home."""
    running = Scripts(tmp_path)
    yield running
    running.end_all()


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line a script printed, without its end."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        _, err = process.communicate(timeout=10)
        raise AssertionError(f"the script ended early, exit {process.returncode}\n{err}")
    return line.rstrip("\n")
