"""How the command line shows money, time and tables, and how it writes JSON.

Owns: display. Invariants: money is rounded for display only, JSON has the exact digits; a cost that
is not known is "unknown" and never 0.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from rich.console import Console
from rich.text import Text

from finops import Money
from finops.texts import UNKNOWN, format_amount, format_money, one_line

__all__ = [
    "UNKNOWN",
    "bar",
    "fields_json",
    "format_ago",
    "format_amount",
    "format_money",
    "format_price",
    "format_span",
    "format_sums",
    "format_time",
    "make_console",
    "money_json",
    "money_text",
    "one_line",
    "print_error",
    "print_json",
    "print_json_line",
    "print_note",
    "sum_by_currency",
    "time_json",
]

_WIDTH_OF_A_PIPE = 160
_SPANS = {"silence_limit"}  # may be None, and keep their JSON name then


def make_console(*, to_stderr: bool = False) -> Console:
    """A console that respects NO_COLOR and COLUMNS; a pipe is wide and has no colours."""
    stream = sys.stderr if to_stderr else sys.stdout
    is_pipe = not stream.isatty() and "COLUMNS" not in os.environ
    width = _WIDTH_OF_A_PIPE if is_pipe else None
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_error(message: str) -> None:
    """One red line on stderr."""
    text = Text.assemble(("error: ", "bold red"), (one_line(message), "red"))
    make_console(to_stderr=True).print(text, soft_wrap=True)


def print_note(message: str) -> None:
    """One plain line of finops itself on stderr, beside the output of the user's command."""
    print(f"finops: {message}", file=sys.stderr, flush=True)


def format_price(text: str) -> str:
    """The ledger's "88.4899 USD/h" as "$88.49/h"; "unknown" if it is empty."""
    amount, _, unit = text.rpartition("/")
    return f"{format_money(Money.parse(amount))}/{unit}" if amount else UNKNOWN


def money_text(money: Money | None) -> Text:
    """`format_money` with a colour for what is not known."""
    return Text(format_money(money), style="yellow" if money is None else "")


def format_sums(amounts: Iterable[Money]) -> str:
    """The sum of each currency: "$3.20 + 12.50 CHF"; of nothing "unknown"."""
    return " + ".join(format_money(total) for total in sum_by_currency(amounts)) or UNKNOWN


def sum_by_currency(amounts: Iterable[Money]) -> list[Money]:
    """The exact sum of each currency, in order of its first appearance."""
    totals: dict[str, Money] = {}
    for amount in amounts:
        known = totals.get(amount.currency)
        totals[amount.currency] = amount if known is None else known + amount
    return list(totals.values())


def format_span(span: timedelta, *, is_short: bool = False) -> str:
    """A span in its two largest units, "2m 13s"; in short form the largest alone, "12m"."""
    seconds = span.total_seconds()
    if seconds < 0:
        return "-" + format_span(-span, is_short=is_short)
    if seconds < 9.95 and not is_short:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for (size, unit), (smaller, smaller_unit) in (
        ((86400, "d"), (3600, "h")),
        ((3600, "h"), (60, "m")),
        ((60, "m"), (1, "s")),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}" + ("" if is_short else f" {rest}{smaller_unit}")
    return f"{whole}s"


def format_time(time: datetime | None, *, now: datetime | None = None) -> str:
    """Local time: the hour today, the day before that; "-" for None."""
    if time is None:
        return "-"
    local = time.astimezone()
    today = (now or datetime.now(timezone.utc)).astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M")


def format_ago(time: datetime | None, *, now: datetime | None = None) -> str:
    """How long ago: "12m ago"; "-" for None."""
    if time is None:
        return "-"
    span = (now or datetime.now(timezone.utc)) - time
    return f"{format_span(max(span, timedelta(0)), is_short=True)} ago"


def bar(ratio: float, width: int) -> Text:
    """A bar that is `ratio` full: green, from 75 % yellow, from 95 % red."""
    full = min(max(ratio, 0.0), 1.0)
    eighths = round(full * width * 8)
    partial = " ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else ""
    blocks = "█" * (eighths // 8) + partial
    style = "green" if full < 0.75 else "yellow" if full < 0.95 else "red"
    return Text.assemble((blocks, style), ("░" * (width - len(blocks)), "bright_black"))


def money_json(money: Money | None) -> dict[str, str] | None:
    """The exact amount as text; null if it is not known."""
    return None if money is None else {"amount": f"{money.amount:f}", "currency": money.currency}


def time_json(time: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return (
        None if time is None else time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    )


def fields_json(record: object, *names: str) -> dict[str, Any]:
    """The named attributes of a record as JSON values; the name of a span gets "_seconds"."""
    result: dict[str, Any] = {}
    for name in names:
        value = getattr(record, name)
        if isinstance(value, Money):
            result[name] = money_json(value)
        elif isinstance(value, datetime):
            result[name] = time_json(value)
        elif isinstance(value, timedelta):
            result[f"{name}_seconds"] = value.total_seconds()
        elif name in _SPANS:
            result[f"{name}_seconds"] = None
        else:
            result[name] = value
    return result


def print_json(value: object) -> None:
    """Indented JSON on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(value: object) -> None:
    """JSON on one line of stdout, for commands that go on."""
    print(json.dumps(value, ensure_ascii=False), flush=True)
