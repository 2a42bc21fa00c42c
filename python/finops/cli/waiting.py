"""Waiting that ends at once when a signal comes or a child ends.

Owns: the process's signal handlers and wake-up descriptor while it is open. Only commands that
live in a process of their own use it; the library installs no handler.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable
from types import FrameType, TracebackType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalWaiter:
    """Collects SIGINT, SIGTERM and SIGHUP, and wakes up for them and for the end of a child.

    Parameters
    ----------
    on_signal : called with the signal's number, in the main thread, as soon as it came.
    """

    def __init__(self, on_signal: Callable[[int], None]) -> None:
        self._on_signal = on_signal
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)

    def __enter__(self) -> SignalWaiter:
        self._old_descriptor = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in _STOPPING:
            # What the caller of this process ignores (nohup) stays ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._old_descriptor)
        os.close(self._read_end)
        os.close(self._write_end)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._on_signal(number)

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds`, or until the next signal."""
        select.select([self._read_end], [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            os.read(self._read_end, 4096)
