"""The live runs of this user on this host, read from their pages without changing anything."""

from __future__ import annotations

from ._core import LiveRun, default_home_path, live_runs, open_home, sqlite_version

__all__ = ["LiveRun", "default_home_path", "live_path", "live_runs", "open_home", "sqlite_version"]


def live_path(home: str) -> str:
    """The folder of the live pages in `home`."""
    return f"{home}/live"
