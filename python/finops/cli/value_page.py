"""What `finops value` prints.

Invariants: credit is a range, a single point only where all agree; values in another currency are
told beside the answer and never added to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from finops import Money
from finops.genealogy import BusinessValue, NodeValue, NodeView, value_amount
from finops.pictures.model import format_sum

from .graph_page import node_text, plain_table
from .render import format_money, format_time, one_line

_WIDE = 120  # columns from which source and id are in the list too


END_PREFIX = "end:"  # of the id of a record that takes a value back from some time on


def ended_id(value_id: str) -> str | None:
    """The value that a record ends; None: it ends none."""
    return value_id.removeprefix(END_PREFIX) if value_id.startswith(END_PREFIX) else None


def end_of(value: BusinessValue, values: Iterable[BusinessValue]) -> datetime | None:
    """When a value ends, by itself or since somebody ended it; None: it is open."""
    ends = [one.valid_from for one in values if one.value_id == END_PREFIX + value.value_id]
    return next((one for one in ends if one is not None), value.valid_to)


def values_table(values: list[BusinessValue], width: int) -> Table:
    """One line for each record."""
    headers = ["RESULT", "WORTH", "PER", "FROM", "TO"]
    headers += ["SOURCE", "ID"] if width >= _WIDE else ["SOURCE"]
    table = plain_table(*headers, right=("WORTH",))
    ends = {ended_id(one.value_id): one.valid_from for one in values}
    for one in values:
        end = ends.get(one.value_id) or one.valid_to
        row = [
            node_text(one.node_id),
            Text(format_money(one.amount)),
            Text(one.per),
            Text(format_time(one.valid_from)),
            Text(format_time(end) if end else "open"),
            Text(one_line(one.source)),
            Text(one_line(one.value_id), style="dim"),
        ]
        table.add_row(*row[: len(headers)])
    return table


@dataclass(frozen=True)
class WorthInCurrency:
    """What values in one currency add up to."""

    per_month: Money
    to_date: Money


def worth_by_currency(values: Iterable[BusinessValue], moment: datetime) -> list[WorthInCurrency]:
    """One for each currency, by its name; none where nothing is left of it at `moment`."""
    found: dict[str, WorthInCurrency] = {}
    for value in values:
        amount = value_amount(value, moment)
        one = WorthInCurrency(amount.per_month, amount.to_date)
        known = found.get(value.amount.currency)
        if known is not None:
            one = WorthInCurrency(known.per_month + one.per_month, known.to_date + one.to_date)
        found[value.amount.currency] = one
    sums = [found[currency] for currency in sorted(found)]
    return [one for one in sums if one.per_month or one.to_date]


def left_out_notes(left_out: list[WorthInCurrency], until: str) -> list[str]:
    """'not in the sum: worth €50,000.00 a month, ...; see --currency EUR'."""
    return [
        f"not in the sum: {_worth(one.per_month, one.to_date, until)}; "
        f"see --currency {one.per_month.currency}"
        for one in left_out
    ]


def show_node_value(
    value: NodeValue, view: NodeView, until: str, console: Console, *, is_other: bool
) -> None:
    """'run:sweep cost $3,950.00 in full'; it led to $50,000.00 a month, its credit is a range.

    Parameters
    ----------
    until : "up to now", or to which day the value is added up.
    is_other : there is value in another currency, which the notes tell.
    """
    called = node_text(view.node_id, view.label)
    console.print(Text.assemble(called, f" cost {format_sum(value.full_cost)} in full"))
    if not value.results:
        if not is_other:
            console.print("nobody said what it is worth, or what came from it: finops value add")
        return
    results = ", ".join(one_line(one) for one in value.results)
    led_to = value.led_to
    console.print(f"it led to {results}: {_worth(led_to.per_month, led_to.to_date, until)}")
    low, high = value.credit_lowest, value.credit_highest
    console.print(
        f"its credit: {money_range(low.per_month, high.per_month)} a month, "
        f"{money_range(low.to_date, high.to_date)} {until}"
    )


def show_report(
    values: list[NodeValue], labels: dict[str, str], until: str, console: Console
) -> None:
    """Cost beside value, largest cost first."""
    columns = ("FULL COST", "LED TO A MONTH", until.upper(), "ITS CREDIT A MONTH")
    shown = columns if console.width >= _WIDE else (columns[0], columns[1], columns[3])
    table = plain_table("NODE", *shown, right=shown)
    for one in values:
        credit = money_range(one.credit_lowest.per_month, one.credit_highest.per_month)
        cells = (
            format_sum(one.full_cost, "≥ "), format_money(one.led_to.per_month),
            format_money(one.led_to.to_date), credit,
        )  # fmt: skip
        named = dict(zip(columns, cells, strict=True))
        table.add_row(node_text(one.node_id, labels[one.node_id]), *(named[name] for name in shown))
    console.print(table)
    console.print(
        Text(
            "Several nodes led to the same value, so that column does not add up. Credits do, "
            "under each rule, of outermost runs and jobs; those of models and other results are "
            "beside them.",
            style="dim",
        )
    )


def money_range(lowest: Money, highest: Money) -> str:
    """'$31,200.00 to $50,000.00', or one amount where the rules agree."""
    if lowest == highest:
        return format_money(lowest)
    return f"{format_money(lowest)} to {format_money(highest)}"


def _worth(per_month: Money, to_date: Money, until: str) -> str:
    so_far = f"{format_money(to_date)} {until}"
    return f"worth {format_money(per_month)} a month, {so_far}" if per_month else f"worth {so_far}"
