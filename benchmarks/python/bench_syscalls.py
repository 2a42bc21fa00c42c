"""How many system calls the hot calls make: none, until a lease has to be renewed.

Method: a child runs under strace and marks the loop with two stat calls of files that do not exist;
the calls that strace saw between the marks are counted, of all threads. First a million turns of
all three hot calls within a long lease; then, apart, the slow path: turns until one look at the
ledger has happened, with a lease of two seconds.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from report import Row, arguments, row_of, show

NAME = "python/syscalls"
BEGIN, END = "/finops-mark-begin", "/finops-mark-end"
HOT_TURNS = 1_000_000
SHORT_HOT_TURNS = 100_000


def mark(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.stat(path)


def run_hot(turns: int) -> None:
    """The child's part: `turns` times all three hot calls between the marks, nothing else."""
    import finops

    with finops.track(project="benchmark", experiment="syscalls", price="36 USD/h") as run:
        run.progress(0)
        mark(BEGIN)
        for step in range(turns):
            run.progress(step)
            run.heartbeat()
            run.check_budget()
        mark(END)
        assert not run.slow_path_time, "a slow path fell into the measurement"


def run_slow() -> None:
    """The child's part: beats between the marks until one slow path is over."""
    import finops

    with finops.track(project="benchmark", experiment="syscalls", price="36 USD/h") as run:
        begin_at = time.monotonic() + 0.7  # a lease of 2 s is renewed after 1 s
        while time.monotonic() < begin_at:
            run.heartbeat()
        assert not run.slow_path_time, "the slow path came before its mark"
        give_up_at = time.monotonic() + 20
        mark(BEGIN)
        while not run.slow_path_time and time.monotonic() < give_up_at:
            run.heartbeat()
        mark(END)
        assert run.slow_path_time, "no slow path within 20 s"
        print(run.slow_path_time.total_seconds() * 1000)


def trace(folder: pathlib.Path, *part: str, lease_seconds: int) -> tuple[list[str], str]:
    """Runs this script's part under strace. Returns the calls between the marks, and its output."""
    log = folder / f"strace-{part[0]}.txt"
    environment = {
        **os.environ,
        "FINOPS_HOME": str(folder / f"home-{part[0]}"),
        "FINOPS_LEASE_TERM": str(lease_seconds),
    }
    command = ["strace", "-f", "-qq", "-o", str(log), sys.executable, __file__, *part]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    begins = [i for i, line in enumerate(lines) if BEGIN in line]
    ends = [i for i, line in enumerate(lines) if END in line]
    assert len(begins) == len(ends) == 1, f"{log}: the marks are not there once each"
    return lines[begins[0] + 1 : ends[0]], done.stdout


def can_trace() -> bool:
    """Whether strace is here and allowed (a container may forbid ptrace)."""
    return shutil.which("strace") is not None and (
        subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0
    )


def measure(*, is_short: bool) -> list[Row]:
    turns = SHORT_HOT_TURNS if is_short else HOT_TURNS
    with tempfile.TemporaryDirectory(prefix="finops-bench-") as name:
        folder = pathlib.Path(name)
        hot, _ = trace(folder, "hot", str(turns), lease_seconds=86_400)
        slow, spent_ms = trace(folder, "slow", lease_seconds=2)
    for line in hot[:20]:
        print(f"unexpected: {line}", file=sys.stderr)
    return [
        row_of(NAME, f"{turns:,} turns of 3 hot calls", "syscalls", [len(hot)], goal=0),
        row_of(
            NAME, "one slow path", "syscalls", [len(slow)], note=f"{float(spent_ms):.1f} ms traced"
        ),
    ]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("hot", "slow"), help="for the child alone")
    parser.add_argument("turns", nargs="?", type=int, default=SHORT_HOT_TURNS)
    options = parser.parse_args()
    if options.part == "hot":
        run_hot(options.turns)
    elif options.part == "slow":
        run_slow()
    elif can_trace():
        show(measure(is_short=options.short), as_json=options.json)
    else:
        print("strace is missing or may not trace: nothing is measured", file=sys.stderr)
        show([], as_json=options.json)


if __name__ == "__main__":
    main()
