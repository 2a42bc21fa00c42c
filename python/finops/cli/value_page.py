"""What `finops value` prints. Invariant: credit is a range; a single point only where all agree."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from finops import Money
from finops.genealogy import BusinessValue, NodeValue, NodeView

from .graph_page import node_text, plain_table
from .render import format_money, format_time, one_line

_WIDE = 120  # columns from which source and id are in the list too


def values_table(values: list[BusinessValue], width: int) -> Table:
    """One line for each record."""
    headers = ["RESULT", "WORTH", "PER", "FROM", "TO"]
    headers += ["SOURCE", "ID"] if width >= _WIDE else ["SOURCE"]
    table = plain_table(*headers, right=("WORTH",))
    for one in values:
        row = [
            node_text(one.node_id),
            Text(format_money(one.amount)),
            Text(one.per),
            Text(format_time(one.valid_from)),
            Text(format_time(one.valid_to) if one.valid_to else "open"),
            Text(one_line(one.source)),
            Text(one_line(one.value_id), style="dim"),
        ]
        table.add_row(*row[: len(headers)])
    return table


def show_node_value(value: NodeValue, view: NodeView, console: Console) -> None:
    """'$3,950.00 went into run:sweep and all it needs; it led to $50,000.00 a month, ...'."""
    at_least = "at least " if value.full_cost.unpriced_count else ""
    called = node_text(view.node_id, view.label)
    console.print(
        Text.assemble(called, f" cost {at_least}{format_money(value.full_cost.total)} in full")
    )
    if not value.results:
        console.print("nobody said what it is worth, or what came from it: finops value add")
        return
    results = ", ".join(one_line(one) for one in value.results)
    led_to = value.led_to
    console.print(f"it led to {results}: {_worth(led_to.per_month, led_to.to_date)}")
    low, high = value.credit_lowest, value.credit_highest
    console.print(
        f"its credit: {money_range(low.per_month, high.per_month)} a month, "
        f"{money_range(low.to_date, high.to_date)} up to now"
    )


def show_report(values: list[NodeValue], labels: dict[str, str], console: Console) -> None:
    """Cost beside value, largest cost first."""
    columns = ("FULL COST", "LED TO A MONTH", "UP TO NOW", "ITS CREDIT A MONTH")
    shown = columns if console.width >= _WIDE else (columns[0], columns[1], columns[3])
    table = plain_table("NODE", *shown, right=shown)
    for one in values:
        cells = {
            "FULL COST": format_money(one.full_cost.total),
            "LED TO A MONTH": format_money(one.led_to.per_month),
            "UP TO NOW": format_money(one.led_to.to_date),
            "ITS CREDIT A MONTH": money_range(
                one.credit_lowest.per_month, one.credit_highest.per_month
            ),
        }
        table.add_row(node_text(one.node_id, labels[one.node_id]), *(cells[name] for name in shown))
    console.print(table)
    console.print(
        Text(
            "Several nodes led to the same value, so that column does not add up; credits do, "
            "under each rule.",
            style="dim",
        )
    )


def money_range(lowest: Money, highest: Money) -> str:
    """'$31,200.00 to $50,000.00', or one amount where the rules agree."""
    if lowest == highest:
        return format_money(lowest)
    return f"{format_money(lowest)} to {format_money(highest)}"


def _worth(per_month: Money, to_date: Money) -> str:
    now = f"{format_money(to_date)} up to now"
    return f"worth {format_money(per_month)} a month, {now}" if per_month else f"worth {now}"
