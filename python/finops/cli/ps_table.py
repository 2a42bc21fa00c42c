"""The table of `finops ps`: as many columns as fit, the most telling ones first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .ps import Overview, Row, is_over_silence_limit
from .render import (
    bar,
    format_ago,
    format_money,
    format_span,
    money_text,
    one_line,
)

_DOT = "●"
_STYLES = {
    "working": "green",
    "no signal": "cyan",
    "long-running": "blue",
    "checkpoint": "yellow",
    "pausing": "yellow",
    "paused": "yellow",
    "stopping": "red",
    "silent": "red",
    "gone": "red",
    "failed": "red",
    "killed": "red",
    "lost": "red",
    "finished": "bright_black",
}
_BAR_WIDTH = 6
_PADDING = 2
_LAST_WORD_MINIMUM = 18


@dataclass(frozen=True)
class _Column:
    header: str
    rank: int  # the highest goes first when the terminal is narrow
    cell: Callable[[Row], Text]
    justify: Literal["left", "right"] = "left"
    is_empty_shown: bool = True
    limit: int = 0  # of the width; 0: none


def _state(row: Row) -> Text:
    words = row.state.split(" ")
    style = _STYLES.get(row.state) or _STYLES.get(words[0], "")
    if words[0] == "silent" and row.live is not None and not is_over_silence_limit(row.live):
        style = "yellow"
    return Text.assemble((f"{_DOT} ", style), (row.state, style))


def _cost(row: Row) -> Text:
    text = money_text(row.cost)
    if row.has_unpriced and row.cost is not None:
        text.append(" + ?", style="yellow")
    return text


def _hourly(row: Row) -> Text:
    if row.live is None:
        return Text("")
    return money_text(row.price_per_hour)


def _budget_left(row: Row) -> Text:
    if row.budget is None or row.budget_left is None:
        return Text("-", style="bright_black")
    limit, left = row.budget.limit, row.budget_left
    ratio = 1.0 - float(left.amount / limit.amount) if limit else 1.0
    return Text.assemble(bar(ratio, _BAR_WIDTH), f" {format_money(left)}")


def _since(row: Row) -> Text:
    if row.since_progress is not None:
        return Text(format_span(row.since_progress))
    if row.ended is not None:
        return Text(f"ended {format_ago(row.ended.ended_at)}", style="bright_black")
    return Text("-", style="bright_black")


def _time(row: Row) -> Text:
    if row.live is not None:
        return Text(format_span(row.live.elapsed))
    return Text(format_span(row.ended.metered_time) if row.ended else "-")


def _step(row: Row) -> Text:
    return Text("-", style="bright_black") if row.step is None else Text(f"{row.step:,}")


def _plain(read: Callable[[Row], str], style: str = "") -> Callable[[Row], Text]:
    return lambda row: Text(one_line(read(row)), style=style)


_COLUMNS = (
    _Column("RUN", 0, _plain(lambda row: row.run_id, "bold")),
    _Column("PROJECT/EXPERIMENT", 2, _plain(lambda row: row.experiment), limit=28),
    _Column("NAME", 8, _plain(lambda row: row.name), is_empty_shown=False, limit=16),
    _Column("STATE", 0, _state),
    _Column("STEP", 5, _step, justify="right"),
    _Column("RESOURCE", 7, _plain(lambda row: row.resource or "-"), limit=22),
    _Column("TIME", 10, _time, justify="right"),
    _Column("COST", 0, _cost, justify="right"),
    _Column("$/H", 4, _hourly, justify="right"),
    _Column("BUDGET LEFT", 3, _budget_left),
    _Column("SINCE PROGRESS", 6, _since, justify="right"),
)


def show_overview(overview: Overview, console: Console) -> None:
    """Print the table and its footer."""
    if overview.rows:
        console.print(_table(overview, console.width))
    else:
        console.print(Text("No runs. Start one: finops run --project P --experiment E -- CMD"))
    for line in _footer(overview):
        console.print(line)


def _width_of(column: _Column, rows: list[Row]) -> int:
    width = max(len(column.header), *(column.cell(row).cell_len for row in rows))
    return min(width, column.limit) if column.limit else width


def _fitting(rows: list[Row], width: int) -> list[_Column]:
    columns = [
        column
        for column in _COLUMNS
        if column.is_empty_shown or any(column.cell(row).plain for row in rows)
    ]
    while True:
        needed = sum(_width_of(column, rows) + _PADDING for column in columns) - _PADDING
        least = max(columns, key=lambda column: column.rank)
        if needed <= width or least.rank == 0:
            return columns
        columns.remove(least)


def _table(overview: Overview, width: int) -> Table:
    rows = overview.rows
    columns = _fitting(rows, width)
    left = width - sum(_width_of(column, rows) + _PADDING for column in columns)
    shows_word = any(row.last_word for row in rows) and left >= _LAST_WORD_MINIMUM
    table = Table(box=None, pad_edge=False, padding=(0, _PADDING, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(
            column.header,
            justify=column.justify,
            no_wrap=True,
            overflow="ellipsis",
            width=_width_of(column, rows) if shows_word else None,
            max_width=column.limit or None,
        )
    if shows_word:
        table.add_column("LAST DECISION", overflow="ellipsis", no_wrap=True, max_width=left)
    for row in rows:
        cells = [column.cell(row) for column in columns]
        if shows_word:
            cells.append(Text(one_line(row.last_word), style="italic"))
        table.add_row(*cells)
    return table


def _footer(overview: Overview) -> list[Text]:
    live_count = sum(row.live is not None and row.live.is_alive for row in overview.rows)
    lines: list[Text] = []
    if live_count:
        burn = " + ".join(format_money(money) for money in overview.burn_per_hour())
        unknown = sum(
            row.live is not None and row.live.is_alive and row.price_per_hour is None
            for row in overview.rows
        )
        text = f"{live_count} live run{'s' * (live_count != 1)}"
        parts = [burn + "/h"] * bool(burn) + [f"{unknown} without a price"] * bool(unknown)
        lines += [Text(""), Text.assemble(text + ", ", (" and ".join(parts), "bold"))]
    for path, why in overview.damaged_pages:
        lines.append(Text(f"damaged page {path}: {why}", style="dim"))
    lines += [Text(warning, style="yellow") for warning in overview.warnings]
    return lines
