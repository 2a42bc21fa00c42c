"""What `finops graph` reads and shows, piece by piece. Method: below, at and above each limit."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import typer
from genealogy_story import graph_of
from rich.table import Table
from rich.text import Text

from finops import Money
from finops.cli.graph_options import parse_time
from finops.cli.graph_page import (
    failed_text,
    fit_columns,
    node_text,
    notes_of,
    parts_text,
    plain_table,
    share_bar,
)
from finops.genealogy import LoadedGenealogy
from finops.pictures.model import Costs


def _costs(good: str, failed: str = "0", preempted: str = "0", **counts: int) -> Costs:
    return Costs(Money(good), Money(failed), Money(preempted), Money("0"), **counts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-12", datetime(2026, 5, 12, tzinfo=timezone.utc)),
        ("2026-05-12T08:00:00Z", datetime(2026, 5, 12, 8, tzinfo=timezone.utc)),
        ("2026-05-12T08:00:00+02:00", datetime(2026, 5, 12, 6, tzinfo=timezone.utc)),
        (" 2026-05-12 08:00 ", datetime(2026, 5, 12, 8, tzinfo=timezone.utc)),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "12.5.2026", "1", "9999-12-31T23:59-12:00"]
)
def test_wrong_times(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="2026-05-12"):
        parse_time(text)


def test_parts_name_only_what_there_is() -> None:
    assert parts_text(_costs("3")).plain == "$3.00: $3.00 good"
    assert parts_text(_costs("3", "2", "1")).plain == (
        "$6.00: $3.00 good, $2.00 failed, $1.00 preempted"
    )
    assert parts_text(_costs("0")).plain == "$0.00"
    assert failed_text(_costs("3")).plain == ""
    assert failed_text(_costs("3", "2", "1")).plain == "$2.00 failed, $1.00 preempted"


@pytest.mark.parametrize(
    ("good", "failed", "whole", "cells"),
    [
        ("0", "0", "10", 0), ("10", "0", "10", 10), ("5", "5", "10", 10), ("3", "2", "10", 5),
        ("0.001", "0", "10", 1), ("20", "0", "10", 10), ("-5", "0", "10", 0), ("5", "0", "0", 0),
    ],
)  # fmt: skip
def test_a_share_is_drawn_to_scale(good: str, failed: str, whole: str, cells: int) -> None:
    """What is little but something is a thin line, and nothing is wider than the column."""
    assert share_bar(_costs(good, failed), Money(whole), 10).cell_len == cells


def test_notes_say_that_unknown_is_not_zero() -> None:
    loaded = LoadedGenealogy(graph_of([]), "USD", {"EUR": 3})
    assert notes_of(_costs("1"), loaded) == []
    (one,) = notes_of(_costs("1", unpriced_count=1), loaded)
    assert one.startswith("at least: the cost of 1 node is not known yet")
    (other,) = notes_of(_costs("1", other_currency_count=2), loaded)
    assert "costs of 2 nodes in EUR" in other


def test_a_label_stands_before_the_id_where_it_says_more() -> None:
    assert node_text("run:a").plain == "run:a"
    assert node_text("run:a", "a").plain == "run:a"
    assert node_text("run:a", "base\x1bline").plain == "base line run:a"


@pytest.mark.parametrize("width", [30, 60, 200])
def test_one_column_gives_way_and_no_other(width: int) -> None:
    from io import StringIO

    from rich.console import Console

    table: Table = plain_table("COST", "NODE", right=("COST",))
    table.add_row(Text("$1,234.00"), Text("model:" + "x" * 100))
    console = Console(file=StringIO(), width=width)
    console.print(fit_columns(table, width, flexible=-1))
    output: Any = console.file
    lines = output.getvalue().splitlines()
    assert "$1,234.00" in lines[1]
    assert max(len(line) for line in lines) <= width
    assert ("…" in lines[1]) == (width < 117)
