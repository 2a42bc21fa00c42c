"""What the Python suites share: short leases, real subprocesses, a ledger to look into.

Owns: the fixtures of tests/python. Does not own: the isolated home (tests/conftest.py makes one).
Invariant: no process that a test starts is left behind.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from python_scripts import Scripts

import finops
from finops._core import Agent, Ledger, PolicyBook
from finops._run import _open_runs

# The same examples every time: a suite that CI runs must not fail by chance.
hypothesis.settings.register_profile("finops", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("finops")

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

    def begin(**arguments: Any) -> finops.Run:
        return finops.init(**{"project": "p", "experiment": "e", "price": "36 USD/h", **arguments})

    return begin


@pytest.fixture
def make_agent(home: pathlib.Path) -> Callable[..., Agent]:
    """A guard in this process, which must have no run of its own: a process skips its pages."""

    def make(silence_limit: float = 60.0, interval: float = 0.2) -> Agent:
        policies = PolicyBook()
        policies.base.silence_limit = timedelta(seconds=silence_limit)
        policies.base.directive_grace = timedelta(seconds=1)
        policies.base.term_grace = timedelta(seconds=1)
        agent = Agent(
            str(home), name="test guard", interval=timedelta(seconds=interval), policies=policies
        )
        assert agent.try_serve()
        return agent

    return make


@pytest.fixture
def scripts(tmp_path: pathlib.Path) -> Iterator[Scripts]:
    """Real Python processes with this test's home."""
    running = Scripts(tmp_path)
    yield running
    running.end_all()
