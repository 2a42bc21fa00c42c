"""Notifications for a guard that must not wait: a process of its own sends them.

Owns: that process. Does not own: what is sent and its record (finops.notify).
Invariants: `look` never waits for a service; one sender at a time; a sender that hangs is killed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import IO

from finops.errors import FinopsError
from finops.ledger import Ledger
from finops.notify import has_work
from finops.policy import PolicyFile

from .options import find_ledger

_LONGEST_SECONDS = 120.0  # the sender ends by itself after 60 s
_SECONDS_AFTER_FAILURE = 30.0
_LARGEST_OUTPUT = 1 << 16


class Courier:
    """Starts `finops notify --once` when somebody is to be told something.

    Parameters
    ----------
    tell : is given what the sender printed, a line at a time.
    """

    def __init__(self, home: str, tell: Callable[[str], None]) -> None:
        self._home = home
        self._tell = tell
        self._ledger: Ledger | None = None
        self._sender: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._started_at = 0.0
        self._not_before = 0.0
        self._last_output: list[str] = []

    def look(self, policy: PolicyFile) -> None:
        """Start a sender if there is something to send and none is at work."""
        if self._is_sending() or not policy.channels or time.monotonic() < self._not_before:
            return
        try:
            if self._ledger is None:
                self._ledger = find_ledger(self._home)
            if self._ledger is None:
                return
            if has_work(self._ledger, policy.channels, datetime.now(timezone.utc)):
                self._start(policy)
        except (FinopsError, OSError) as error:
            self._ledger = None
            self._fail([f"warning: {error}"])

    def finish(self, seconds: float, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Give a sender at work that long to end; afterwards it goes on by itself."""
        deadline = time.monotonic() + seconds
        while self._is_sending() and time.monotonic() < deadline and not is_hurried():
            assert self._sender is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._sender.wait(timeout=0.2)

    def _start(self, policy: PolicyFile) -> None:
        command = [sys.executable, "-m", "finops.cli.main", "notify", "--once"]
        # The policy that this guard took, whatever has become of the file since.
        command += ["--home", self._home, "--policy", "/dev/stdin"]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _is_sending
        with tempfile.TemporaryFile() as text:
            text.write(policy.text.encode())
            text.seek(0)
            self._sender = subprocess.Popen(
                command,
                stdin=text,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the guard; a group under way is sent
            )
        self._started_at = time.monotonic()

    def _is_sending(self) -> bool:
        if self._sender is None or self._output is None:
            return False
        if self._sender.poll() is None:
            if time.monotonic() - self._started_at < _LONGEST_SECONDS:
                return True
            self._sender.kill()
            self._sender.wait()
        with self._output as output:
            output.seek(0)
            lines = output.read(_LARGEST_OUTPUT).decode(errors="replace").splitlines()
        code = self._sender.returncode
        self._sender = self._output = None
        if code == 0:
            self._say(lines)
        else:
            self._fail(lines or [f"warning: the sender of notices ended with code {code}"])
        return False

    def _fail(self, lines: list[str]) -> None:
        # What failed before anything was recorded (no apprise, a full disk) has no back-off in the
        # ledger, and would fail again in each round.
        self._not_before = time.monotonic() + _SECONDS_AFTER_FAILURE
        self._say(lines)

    def _say(self, lines: list[str]) -> None:
        if lines != self._last_output:
            for line in lines:
                self._tell(line)
        self._last_output = lines
