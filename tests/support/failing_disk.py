"""A disk that fails on demand, for processes that are started with it.

Owns: the trigger and the log of the preloaded library. Does not own: what a full disk or a failing
flush looks like (tests/reliability/programs/failing_disk.cpp).
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

from reliability import program


@dataclass(frozen=True)
class Event:
    """One line of the log: `what` is wrote, refused, flushed, failed or closed."""

    what: str
    pid: int
    descriptor: int
    path: str


class FailingDisk:
    """All is well until `fill` or `break_flushes`; `heal` makes it well again."""

    def __init__(self, folder: pathlib.Path, scratch: pathlib.Path) -> None:
        self._trigger = scratch / "disk-fault"
        self._log = scratch / "disk-log"
        self.environment = {
            "LD_PRELOAD": str(program("failing_disk.so")),
            "FAILING_DISK_FOLDER": str(folder),
            "FAILING_DISK_TRIGGER": str(self._trigger),
            "FAILING_DISK_LOG": str(self._log),
        }

    def fill(self) -> None:
        """No file grows any more; what is allocated can still be written."""
        self._set("ENOSPC")

    def break_flushes(self) -> None:
        """Every fsync and fdatasync fails with EIO."""
        self._set("EIO")

    def heal(self) -> None:
        self._trigger.unlink()

    def _set(self, fault: str) -> None:
        # In one step: a process that reads half a word would see no fault.
        whole = self._trigger.with_name("disk-fault-new")
        whole.write_text(fault, encoding="ascii")
        whole.rename(self._trigger)

    def events(self) -> list[Event]:
        """What happened to files of the folder so far, oldest first."""
        if not self._log.exists():
            return []
        found = []
        for line in self._log.read_text(encoding="utf-8").splitlines():
            what, pid, descriptor, path = line.split(" ", 3)
            found.append(Event(what, int(pid), int(descriptor), path))
        return found

    def used_after_a_failed_flush(self) -> list[Event]:
        """Writes and flushes through a descriptor of the ledger whose flush had failed.

        A kernel calls pages clean that it failed to write, so a second flush may succeed and lie.
        """
        failed: set[tuple[int, int]] = set()
        wrong = []
        for event in self.events():
            key = (event.pid, event.descriptor)
            if event.what == "closed":
                failed.discard(key)
            elif key in failed and event.what in ("wrote", "flushed", "failed"):
                wrong.append(event)
            elif event.what == "failed" and "ledger.db" in event.path:
                failed.add(key)
        return wrong
