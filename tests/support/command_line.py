"""The command line of a test: real processes on a home folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

LIMIT_SECONDS = 60
# 360 USD/h is ten cents a second, so that short commands have costs and reach budgets.
SHORT = ("--lease-term", "1s", "--check-gap", "200ms", "--stop-time", "1s", "--interval", "200ms")
PRICED = ("--project", "vision", "--experiment", "resnet", "--price", "360 USD/h")


class Cli:
    """Starts `finops` with the environment of the test; nothing is left running."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "finops.cli.main", *arguments],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def __call__(self, *arguments: str, expect: int = 0, **variables: str) -> tuple[str, str]:
        """What it printed on stdout and stderr, after it ended with the code `expect`."""
        process = self.start(*arguments, **variables)
        output, errors = process.communicate(timeout=LIMIT_SECONDS)
        assert process.returncode == expect, f"{arguments}: {process.returncode}\n{output}{errors}"
        return output, errors

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """The JSON that it printed."""
        return json.loads(self(*arguments, "--json", expect=expect)[0])

    def runs(self, experiment: str = "resnet") -> list[Any]:
        """The runs of an experiment as `finops report` gives them."""
        report = self.json("report", "--experiment", experiment)
        return [run for one in report["experiments"] for run in one["runs"]]

    def live_runs(self, count: int = 1) -> list[Any]:
        """The rows of `finops ps`, once it has that many and the ledger knows all their runs.

        A live page is there a moment before its run is in the ledger, and with it a budget.
        """

        def both_know() -> list[Any]:
            rows: list[Any] = self.json("ps")["runs"]
            if len(rows) != count:
                return []
            report = self.json("report")
            known = {run["run_id"] for one in report["experiments"] for run in one["runs"]}
            return self.json("ps")["runs"] if known.issuperset(r["run_id"] for r in rows) else []

        return list(wait_until(both_know))


def wait_until(is_so: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT_SECONDS / 2
    while time.monotonic() < deadline:
        if found := is_so():
            return found
        time.sleep(0.1)
    pytest.fail("it did not come to that in time")


def amount(money: dict[str, str]) -> Decimal:
    assert money["currency"] == "USD", money
    return Decimal(money["amount"])
