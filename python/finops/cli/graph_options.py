"""What the commands about the genealogy share: options, the loaded graph, names of nodes.

Owns: how arguments become a graph and a node. Does not own: output (graph_page, graph_json).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from finops.genealogy import LoadedGenealogy, find_node, load_genealogy

from .options import find_ledger, home_path
from .render import one_line, print_note

_FIRST_YEAR, _LAST_YEAR = 1678, 2261  # whole years that 64 bits of nanoseconds reach


def parse_time(text: str | datetime) -> datetime:
    """A day or a time of ISO 8601; without an offset it is UTC, a day is its first moment.

    Raises
    ------
    typer.BadParameter : it is neither, or not between 1678 and 2261, which times reach.
    """
    if isinstance(text, datetime):
        return text
    try:
        # Python 3.10 knows no "Z".
        time = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
        time = (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-05-12 or 2026-05-12T08:00:00Z"
        ) from None
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise typer.BadParameter(
            f"{text!r} is not between {_FIRST_YEAR} and {_LAST_YEAR}; leave an open end out"
        )
    return time


NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="model:resnet-v2, or its name alone if that is clear.")
]
CurrencyOption = Annotated[
    str,
    typer.Option(metavar="EUR", help="Of all sums. [default: that of most costs]"),
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        parser=parse_time,
        help="Only what was recorded before: 2026-06-01, or a time of ISO 8601.",
    ),
]
FromOption = Annotated[
    bool, typer.Option("--from", help="What came from the node, in place of what it needs.")
]


def load(home: Path | None, currency: str = "", as_of: datetime | None = None) -> LoadedGenealogy:
    """The graph of the home's ledger; a record that does not fit in is told on stderr."""
    ledger = find_ledger(home_path(home))
    loaded = load_genealogy(ledger, currency=currency.upper(), as_of=as_of)
    for refusal in loaded.refusals:
        print_note(one_line(f"left out: {refusal.record}: {refusal.reason}"))
    return loaded


def load_node(
    home: Path | None, node: str, currency: str = "", as_of: datetime | None = None
) -> tuple[LoadedGenealogy, str]:
    """The graph, and the id of the node that `node` names in it."""
    loaded = load(home, currency, as_of)
    return loaded, find_node(loaded.graph, node)
