"""`finops ps --watch`: the table, drawn again and again until a signal comes.

Owns: the terminal while it is open. Invariant: however it ends, the terminal is as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from finops.errors import FinopsError

from .ps import Overview
from .ps_table import render_overview
from .render import make_console
from .waiting import SignalWaiter


def watch_overview(look: Callable[[], Overview], seconds: float) -> None:
    """Draw what `look` gives every so many seconds; a signal ends it, which is no error."""
    console = make_console()
    signals: list[int] = []
    with (
        SignalWaiter(signals.append) as waiter,
        Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
    ):
        while not signals:
            live.update(draw(look, console, seconds), refresh=True)
            next_look = time.monotonic() + seconds
            while not signals and (left := next_look - time.monotonic()) > 0:
                waiter.wait(left)


def draw(look: Callable[[], Overview], console: Console, seconds: float) -> RenderableType:
    """One picture, as high as the terminal; what cannot be read is said in it."""
    title = Text(
        f"finops ps  {datetime.now().astimezone():%H:%M:%S}, every {seconds:g} s, Ctrl-C ends",
        style="dim",
        no_wrap=True,
        overflow="ellipsis",
    )
    try:
        overview = look()
    except (FinopsError, OSError) as error:
        return Group(title, Text(f"cannot be read now: {error}", style="yellow"))
    return Group(title, render_overview(overview, console.width, console.height - 1))
