"""`finops ps`: states stay apart, the dearest comes first, and the table fits its terminal.

Method: pages are stand-ins where a state must be set exactly; the watching is a real process on a
real pseudo-terminal.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import LIMIT_SECONDS, Cli
from rich.console import Console

from finops import Money
from finops.cli.ps import Overview, Row, last_word_of, state_of
from finops.cli.ps_table import render_overview

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LIMIT = timedelta(minutes=30)


def page(**changed: Any) -> Any:
    usual = {
        "attempt_id": "a", "is_alive": True, "reports": True, "is_long_running": False,
        "directive": "CONTINUE", "reason": "", "silence_limit": LIMIT, "use": "",
        "since_progress": timedelta(seconds=3), "elapsed": timedelta(hours=3),
        "price_per_hour": Money("12.50"),
    }  # fmt: skip
    return SimpleNamespace(**{**usual, **changed})


def row(run_id: str, live: Any, **changed: Any) -> Row:
    one = Row(
        run_id=run_id,
        experiment="vision/resnet-sweep-of-august",
        name="baseline",
        state=state_of(live),
        resource="8xH100-80GB",
        step=1234,
        cost=Money("271.20"),
        has_unpriced=False,
        price_per_hour=live.price_per_hour,
        budget=None,
        budget_left=None,
        since_progress=live.since_progress if live.reports else None,
        last_word=live.reason,
        live=live,
    )
    one = replace(one, **changed)
    return replace(one, last_word=last_word_of(one))


def draw(rows: list[Row], width: int, height: int | None = None) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(render_overview(Overview(rows), width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "working"),
        ({"since_progress": LIMIT / 3 - timedelta(seconds=1)}, "working"),
        ({"since_progress": LIMIT / 3}, "silent 10m"),
        ({"since_progress": LIMIT * 2}, "silent 1h"),
        ({"since_progress": LIMIT * 2, "reports": False}, "no signal"),
        ({"since_progress": LIMIT * 2, "is_long_running": True}, "long-running"),
        ({"use": "idle"}, "idle"),
        ({"use": "idle", "reports": False}, "idle"),
        ({"use": "hung", "since_progress": LIMIT * 2}, "hung"),
        ({"use": "working"}, "working"),
        ({"use": "unknown", "reports": False}, "no signal"),
        ({"use": "idle", "is_long_running": True}, "long-running, idle"),
        ({"directive": "CHECKPOINT", "use": "idle"}, "checkpoint"),
        ({"directive": "STOP", "is_long_running": True}, "stopping"),
        ({"is_alive": False, "directive": "STOP"}, "gone"),
    ],
)
def test_states_stay_apart(changed: dict[str, Any], state: str) -> None:
    assert state_of(page(**changed)) == state


def decision(**changed: Any) -> Any:
    usual = {"directive": "STOP", "reason": "no progress for 31 min", "is_dry_run": True}
    return SimpleNamespace(**{**usual, **changed})


@pytest.mark.parametrize(
    ("live", "changed", "word"),
    [
        ({}, {}, ""),
        ({"directive": "PAUSE", "reason": "the money ends"}, {}, "PAUSE: the money ends"),
        (
            {},
            {"last_decision": decision()},
            "dry run, would STOP: no progress for 31 min",
        ),
        ({}, {"last_decision": decision(is_dry_run=False)}, ""),
        ({}, {"last_decision": decision(directive="CONTINUE")}, ""),
        (
            {"is_long_running": True},
            {"long_running_reason": "three days"},
            "long-running: three days",
        ),
        (
            {"is_long_running": True, "directive": "STOP", "reason": "too long"},
            {"long_running_reason": "three days"},
            "STOP: too long",
        ),
    ],
)
def test_the_last_word(live: dict[str, Any], changed: dict[str, Any], word: str) -> None:
    assert row("r", page(**live), **changed).last_word == word


BUDGET: dict[str, Any] = {
    "budget": SimpleNamespace(limit=Money("400")),
    "budget_left": Money("128.80"),
}
ROWS = [
    row("4k2m9x7c0a1b", page(), **BUDGET),
    row("9c1m9x7c0a1c", page(directive="CHECKPOINT", reason="the money ends in 65 s"), **BUDGET),
    row("7h2m9x7c0a1d", page(is_long_running=True), long_running_reason="two days"),
    row("3b2m9x7c0a1f", page(since_progress=timedelta(minutes=31)), **BUDGET),
    row("5d2m9x7c0a1g", page(reports=False, price_per_hour=None), step=None),
]


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_and_has_what_counts(width: int) -> None:
    lines = draw(ROWS, width)
    assert max(map(len, lines)) <= width
    header, first = lines[0].split(), lines[1]
    for column in ("RUN", "STATE", "COST", "$/H", "LEFT", "SILENCE"):
        assert column in header, column
    assert ("TIME" in header) == (width == 160)
    for text in ("4k2m9x7c0a1b", "vision/resne", "working", "$271.20", "$12.50", "$128.80", "3.0s"):
        assert text in first, text
    text = "\n".join(lines)
    for said in ("CHECKPOINT: the money ends in 65 s", "long-running: two days", "silent 31m"):
        assert said in text, said
    assert "5 live runs, $50.00/h and 1 without a price" in text
    assert "$0" not in text, "unknown is not zero"


def test_a_low_terminal_counts_what_it_hides() -> None:
    lines = draw(ROWS * 20, 80, height=20)
    assert len(lines) <= 20
    hidden = next(line for line in lines if line.startswith("... and "))
    shown_count = sum(line.startswith(tuple(one.run_id for one in ROWS)) for line in lines)
    assert hidden == f"... and {100 - shown_count} more"
    assert "100 live runs" in lines[-1]
    assert len(draw(ROWS[:1], 80, height=5)) <= 5


def test_the_dearest_comes_first_and_the_unpriced_last(cli: Cli) -> None:
    for name, price in (("cheap", "1 USD/h"), ("dear", "90 USD/h"), ("unpriced", "")):
        where = ("--project", "p", "--experiment", "e", "--name", name)
        cli.start("run", *where, *(("--price", price) if price else ()), "--", "sleep", "90")
    rows = cli.live_runs(3)
    assert [one["name"] for one in rows] == ["dear", "cheap", "unpriced"]


def test_the_reason_of_a_long_run_is_shown(cli: Cli) -> None:
    script = (
        "import finops, time\n"
        "run = finops.init(project='p', experiment='e', price='1 USD/h', long_running='two days')\n"
        "run.progress(1)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        (one,) = cli.live_runs()
        assert (one["state"], one["long_running_reason"]) == ("long-running", "two days")
        assert "long-running: two days" in cli("ps", COLUMNS="80")[0]
        assert "two days" in cli("report", COLUMNS="80")[0]
    finally:
        process.kill()
        process.wait()


def test_watching_without_a_terminal_prints_once(cli: Cli) -> None:
    for arguments in (("--watch",), ("--watch", "0.5"), ("-w", "1", "--all")):
        output, _ = cli("ps", *arguments)
        assert output.count("No runs.") == 1
    _, errors = cli("ps", "--watch", "0", expect=2)
    assert "Invalid value for '--watch'" in errors


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_ends_cleanly(cli: Cli, columns: int, number: signal.Signals) -> None:
    cli.start(
        "run", "--project", "p", "--experiment", "e", "--price", "1 USD/h", "--", "sleep", "90"
    )
    cli.live_runs()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES"):
        environment.pop(name, None)
    watching = subprocess.Popen(
        [sys.executable, "-m", "finops.cli.main", "ps", "--watch", "0.2"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        shown = read_until(ours, lambda text: text.count("1 live run") >= 3)
        assert "p/e" in shown
        assert "no signal" in shown
        watching.send_signal(number)
        rest = read_until(ours, lambda text: "\x1b[?1049l" in text)
        assert watching.wait(timeout=LIMIT_SECONDS) == 0
        assert "\x1b[?25h" in rest, "the cursor is there again"
        frames = shown.replace("\x1b[H", "\n")  # each begins at the top left
        lines = _ESCAPES.sub("", frames).replace("\r", "").split("\n")
        assert max(len(line.rstrip()) for line in lines) <= columns
        assert "Traceback" not in shown + rest
    finally:
        watching.kill()
        watching.wait()
        os.close(ours)


def read_until(descriptor: int, is_enough: Any) -> str:
    """What the terminal was sent until it is enough."""
    text = ""
    deadline = time.monotonic() + LIMIT_SECONDS / 2
    while not is_enough(text):
        left = deadline - time.monotonic()
        assert left > 0, f"not within the time: {text[-2000:]!r}"
        if select.select([descriptor], [], [], left)[0]:
            try:
                text += os.read(descriptor, 65536).decode(errors="replace")
            except OSError:  # the other end closed
                break
    return text
