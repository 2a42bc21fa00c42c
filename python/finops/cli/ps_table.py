"""The table of `finops ps`: as many columns as fit, the most telling ones first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from rich.console import Console, Group
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
    "idle": "magenta",
    "hung": "red",
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
_NOTHING = Text("No runs. Start one: finops run --project P --experiment E -- CMD")
_BAR_WIDTH = 6
_PADDING = 2
_LAST_WORD_MINIMUM = 40
_ESSENTIAL_RANK = 5  # up to this, columns become narrower before one of them goes
_LINES_OF_WORDS = 8


@dataclass(frozen=True)
class _Column:
    header: str
    rank: int  # the highest goes first when the terminal is narrow
    cell: Callable[[Row], Text]
    justify: Literal["left", "right"] = "left"
    is_empty_shown: bool = True
    limit: int = 0  # of the width; 0: none
    narrow_limit: int = 0  # how far it may shrink; 0: not at all
    narrow_cell: Callable[[Row], Text] | None = None


def _state(row: Row) -> Text:
    words = row.state.replace(",", "").split(" ")
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


def _budget_left_plain(row: Row) -> Text:
    if row.budget is None or row.budget_left is None:
        return Text("-", style="bright_black")
    return Text(format_money(row.budget_left))


def _budget_left(row: Row) -> Text:
    if row.budget is None or row.budget_left is None:
        return _budget_left_plain(row)
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
    _Column("PROJECT/EXPERIMENT", 2, _plain(lambda row: row.experiment), limit=28, narrow_limit=12),
    _Column("NAME", 8, _plain(lambda row: row.name), is_empty_shown=False, limit=16),
    _Column("STATE", 0, _state),
    _Column("STEP", 6, _step, justify="right"),
    _Column("RESOURCE", 7, _plain(lambda row: row.resource or "-"), limit=22),
    _Column("TIME", 10, _time, justify="right"),
    _Column("COST", 0, _cost, justify="right"),
    _Column("$/H", 4, _hourly, justify="right"),
    _Column("BUDGET LEFT", 3, _budget_left, narrow_cell=_budget_left_plain),
    _Column("SILENCE", 5, _since, justify="right"),
)


def show_overview(overview: Overview, console: Console) -> None:
    """Print the table and its footer."""
    console.print(render_overview(overview, console.width))


def render_overview(overview: Overview, width: int, height: int | None = None) -> Group:
    """The table and what stands below it; with `height`, the rows that fit, and a count."""
    rows, footer = overview.rows, _footer(overview)
    if not rows:
        return Group(_NOTHING, *footer)
    room = len(rows) if height is None else max(1, height - len(footer) - 2)
    shown = rows[:room]
    has_words = any(row.last_word for row in shown)
    words: list[Text] = []
    if has_words and not _fits_words(shown, width):
        # Too narrow for a column of its own: the words stand below, as far as there is room.
        count = _LINES_OF_WORDS if height is None else min(_LINES_OF_WORDS, room - len(shown) - 1)
        words = _word_lines(shown)[: max(0, count)]
    more = [Text(f"... and {len(rows) - room} more", style="dim")] * (len(rows) > room)
    spacer = [Text("")] * bool(words)
    return Group(_table(shown, width), *more, *spacer, *words, *footer)


def _word_lines(rows: list[Row]) -> list[Text]:
    return [
        Text.assemble(
            (f"{one_line(row.run_id)}  ", "bold"),
            (one_line(row.last_word), "italic"),
            no_wrap=True,
            overflow="ellipsis",
        )
        for row in rows
        if row.last_word
    ]


def _fits_words(rows: list[Row], width: int) -> bool:
    room = _room_for_words(rows, _fitting(rows, width), width)
    longest = max(Text(one_line(row.last_word)).cell_len for row in rows)
    return room >= min(longest, _LAST_WORD_MINIMUM)


def _room_for_words(rows: list[Row], columns: list[_Column], width: int) -> int:
    return width - sum(_width_of(column, rows) + _PADDING for column in columns)


def _width_of(column: _Column, rows: list[Row]) -> int:
    width = max(len(column.header), *(column.cell(row).cell_len for row in rows))
    return min(width, column.limit) if column.limit else width


def _fitting(rows: list[Row], width: int) -> list[_Column]:
    columns = [
        column
        for column in _COLUMNS
        if column.is_empty_shown or any(column.cell(row).plain for row in rows)
    ]
    columns = _without_least(columns, rows, width, _ESSENTIAL_RANK)
    if (missing := _width(columns, rows) - width) > 0:
        columns = [_narrow(column) for column in columns]
        missing = _width(columns, rows) - width
        columns = [_shrunk(column, rows, missing) for column in columns]
    return _without_least(columns, rows, width, 0)


def _width(columns: list[_Column], rows: list[Row]) -> int:
    return sum(_width_of(column, rows) + _PADDING for column in columns) - _PADDING


def _without_least(
    columns: list[_Column], rows: list[Row], width: int, last_rank: int
) -> list[_Column]:
    """The columns without those of the highest ranks, down to `last_rank`, until they fit."""
    left = list(columns)
    while _width(left, rows) > width:
        least = max(left, key=lambda column: column.rank)
        if least.rank <= last_rank:
            break
        left.remove(least)
    return left


def _narrow(column: _Column) -> _Column:
    if column.narrow_cell is None:
        return column
    return replace(column, cell=column.narrow_cell, header="LEFT", justify="right")


def _shrunk(column: _Column, rows: list[Row], missing: int) -> _Column:
    if not column.narrow_limit or missing <= 0:
        return column
    return replace(column, limit=max(column.narrow_limit, _width_of(column, rows) - missing))


def _table(rows: list[Row], width: int) -> Table:
    columns = _fitting(rows, width)
    left = _room_for_words(rows, columns, width)
    shows_word = any(row.last_word for row in rows) and _fits_words(rows, width)
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
