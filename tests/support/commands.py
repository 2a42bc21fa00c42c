"""Runs a command of a packaging test and shows what it printed if it fails."""

from __future__ import annotations

import os
import pathlib
import subprocess

_SHOWN_CHARACTERS = 4000


def run_command(*command: str, cwd: pathlib.Path, environment: dict[str, str] | None = None) -> str:
    """What `command` printed on its standard output; asserts that it succeeded.

    Parameters
    ----------
    environment : variables set on top of the test's own.
    """
    finished = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    shown = finished.stdout[-_SHOWN_CHARACTERS:] + finished.stderr[-_SHOWN_CHARACTERS:]
    assert finished.returncode == 0, f"{command} ended with {finished.returncode}\n{shown}"
    return finished.stdout
