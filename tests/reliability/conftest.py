"""What the reliability tests share with tests/python: short leases, real processes, a home.

Owns: the fixtures of tests/reliability. Does not own: the isolated home (tests/conftest.py).
Invariant: no process that a test starts is left behind.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest
from python_scripts import Scripts

from reliability import told

# A lease of 1 s with a reserve of 1 s: a budget is reached within a test, not within minutes.
SHORT_TERMS = {
    "FINOPS_LEASE_TERM": "1",
    "FINOPS_CHECK_GAP": "0.2",
    "FINOPS_STOP_TIME": "0.7",
    "FINOPS_BILLING_QUANTUM": "0.1",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if told:
        terminalreporter.section("reliability figures")
        for line in told:
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short lease terms for this process and its children."""
    for name, value in SHORT_TERMS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def home() -> pathlib.Path:
    """The home folder of this test; `init` makes it."""
    return pathlib.Path(os.environ["FINOPS_HOME"])


@pytest.fixture
def scripts(tmp_path: pathlib.Path) -> Iterator[Scripts]:
    """Real Python processes with this test's home."""
    running = Scripts(tmp_path)
    yield running
    running.end_all()
