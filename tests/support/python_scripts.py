"""Real Python processes for tests: what fork, signals and exit do cannot be tested in one process.

Owns: Scripts. Does not own: the environment that they start in (tests/conftest.py).
Invariant: no process that a test starts is left behind.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import textwrap


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

    @staticmethod
    def read_line(process: subprocess.Popen[str]) -> str:
        """The next line the script printed, without its end."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            _, err = process.communicate(timeout=10)
            raise AssertionError(f"the script ended early, exit {process.returncode}\n{err}")
        return line.rstrip("\n")

    def end_all(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            with contextlib.suppress(ValueError):  # communicate() has closed the pipes
                process.communicate(timeout=10)
