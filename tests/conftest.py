"""What holds for every test: a home of its own, and in CI no skip that nobody allowed.

Owns: the environment that tests start in, `--strict-skips`.
Does not own: which skips are allowed (tests/allowed_skips.txt, read by tests/support).
"""

from __future__ import annotations

import os
import pathlib
import signal

import pytest
import skip_policy

_skips = pytest.StashKey[list[tuple[str, str]]]()
_refused = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def _isolated_finops_home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may see or change the ledger of the person who runs it."""
    for name in list(os.environ):
        if name.startswith("FINOPS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FINOPS_HOME", str(tmp_path / "finops-home"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="fail on any skip that tests/allowed_skips.txt does not list (default when CI=true)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_skips] = []
    config.stash[_refused] = []
    config.pluginmanager.register(_SkipRecorder(config.stash[_skips]), "finops-skip-recorder")
    # A shell's background job ignores Ctrl-C and one under nohup SIGHUP, and so would every process
    # that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


class _SkipRecorder:
    """Collects what was skipped, as (test id, reason)."""

    def __init__(self, skips: list[tuple[str, str]]) -> None:
        self._skips = skips

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # An expected failure is reported as skipped too, but it did run.
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skips.append((report.nodeid, _reason(report)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skips.append((report.nodeid, _reason(report)))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if not config.getoption("--strict-skips"):
        return
    allowed = skip_policy.read_allowed_skips()
    config.stash[_refused] = skip_policy.refused_skips(config.stash[_skips], allowed)
    harmless = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if config.stash[_refused] and session.exitstatus in harmless:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.stash[_refused]:
        terminalreporter.section("skips not allowed by tests/allowed_skips.txt", red=True)
        for line in config.stash[_refused]:
            terminalreporter.line(line)
