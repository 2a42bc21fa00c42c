"""What the commands about the genealogy print: headings, the tree, contributors and shares.

Owns: words and tables. Does not own: what is folded (finops.pictures.model), JSON (graph_json).
Invariants: a sum that leaves something out says so beside it; text from outside is one line.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from finops import Money
from finops.genealogy import (
    OUTCOMES,
    Allocation,
    Contributor,
    CostSum,
    Difference,
    Group,
    LoadedGenealogy,
    NodeView,
)
from finops.pictures.model import AnySum, Costs, format_sum

from .render import format_money, format_time, one_line

OUTCOME_STYLES = {"good": "green", "failed": "red", "preempted": "magenta", "running": "cyan"}
_LOSSES = ("failed", "preempted")
_SHARE_WIDTH = 10
_MOST_IN_A_SENTENCE = 3
_MOST_OF_A_DIFFERENCE = 10
_COLUMN_GAP = 2
_WIDE = 100  # columns from which paths are in the tables too


def plain_table(*headers: str, right: Sequence[str] = ()) -> Table:
    """A table without lines, as the other commands have it."""
    table = Table(box=None, pad_edge=False, padding=(0, _COLUMN_GAP, 0, 0), header_style="dim")
    for header in headers:
        is_right = header in right
        table.add_column(header, justify="right" if is_right else "left", no_wrap=is_right)
    return table


def fit_columns(table: Table, width: int, *, flexible: int) -> Table:
    """Give columns the width of their cells, and `flexible` what is left: it alone is cut off.

    Rich by itself would cut off all of them. Cells must be texts.
    """
    left = width
    for column in table.columns:
        if column is not table.columns[flexible]:
            cells = [cell.cell_len for cell in column.cells if isinstance(cell, Text)]
            widest = max(len(str(column.header)), *cells) if cells else len(str(column.header))
            column.width = min(widest, width * 2 // 5)
            left -= column.width + _COLUMN_GAP
    column = table.columns[flexible]
    column.no_wrap, column.overflow, column.max_width = True, "ellipsis", max(10, left)
    return table


def node_text(node_id: str, label: str = "") -> Text:
    """The id with its kind dimmed; what people call it stands before."""
    kind, _, name = one_line(node_id).partition(":")
    if label and label != name:
        return Text.assemble((one_line(label), "bold"), (f" {kind}:{name}", "dim"))
    return Text.assemble((f"{kind}:", "dim"), (name, "bold"))


def status_text(view: NodeView) -> Text:
    """The status in the colour of its outcome; what is not recorded is pending."""
    text = Text(one_line(view.status), style=OUTCOME_STYLES[view.outcome] if view.status else "")
    if view.status == "RETIRED":
        text.stylize("dim")
    if view.is_pending:
        text.append(" pending" if text else "pending", style="yellow")
    return text


def own_text(view: NodeView) -> Text:
    """The node's own cost, or that nobody knows it yet."""
    if view.is_unpriced:
        return Text("unpriced", style="yellow")
    return Text(format_money(view.own_cost), style="" if view.own_cost else "dim")


def parts_text(costs: AnySum) -> Text:
    """The total, and how it turned out: "$5.00: $3.00 good, $2.00 failed"."""
    text = Text(format_sum(costs), style="bold")
    parts = [(name, getattr(costs, name)) for name in OUTCOMES if getattr(costs, name)]
    for place, (name, amount) in enumerate(parts):
        text.append(": " if place == 0 else ", ")
        text.append(f"{format_money(amount)} {name}", style=OUTCOME_STYLES[name])
    return text


def failed_text(costs: AnySum) -> Text:
    """What of it was lost: failed, then preempted; empty if nothing was."""
    text = Text()
    for name in _LOSSES:
        if amount := getattr(costs, name):
            text.append(", " if text else "")
            text.append(f"{format_money(amount)} {name}", style=OUTCOME_STYLES[name])
    return text


def share_bar(costs: AnySum, whole: Money, width: int) -> Text:
    """The share of `whole`, in the colours of how it turned out."""
    text = Text()
    if whole.amount > 0:
        running, drawn = 0.0, 0
        for name in OUTCOMES:
            running += max(0.0, float(getattr(costs, name).amount / whole.amount)) * width
            count = min(width, round(running)) - drawn
            text.append("█" * max(0, count), style=OUTCOME_STYLES[name])
            drawn += max(0, count)
        if drawn == 0 and running > 0:
            text.append("▏", style=OUTCOME_STYLES["good" if costs.good else "failed"])
    return text


def notes_of(costs: AnySum, loaded: LoadedGenealogy) -> list[str]:
    """What one must know to read the sum right."""
    notes = []
    if costs.unpriced_count:
        notes.append(
            f"at least: the cost of {_nodes(costs.unpriced_count)} is not known yet, "
            "and unknown is not zero"
        )
    if costs.other_currency_count:
        others = ", ".join(loaded.other_currencies)
        if len(loaded.other_currencies) > 1:
            others = f"some of {others}"
        notes.append(
            f"not in the sum: costs of {_nodes(costs.other_currency_count)} in {others}; "
            f"see --currency"
        )
    return notes


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count:,} nodes"


def show_heading(
    view: NodeView, costs: AnySum, loaded: LoadedGenealogy, what: str, console: Console
) -> None:
    """What the node is, its cost by how it turned out, and what the sum leaves out."""
    head = node_text(view.node_id, view.label)
    facts = [fact for fact in (
        f"by {one_line(view.user_name)}" if view.user_name else "",
        f"on {one_line(view.cluster)}" if view.cluster else "",
        f"since {format_time(view.created_at)}" if view.created_at else "",
    ) if fact]  # fmt: skip
    status = status_text(view)
    if status:
        head.append("  ")
        head.append_text(status)
    if facts:
        head.append(f"  {', '.join(facts)}", style="dim")
    console.print(head)
    console.print(Text(f"{what} ").append_text(parts_text(costs)))
    for note in notes_of(costs, loaded):
        console.print(Text(note, style="yellow"))
    if loaded.other_currencies and not costs.other_currency_count:
        others = ", ".join(loaded.other_currencies)
        console.print(Text(f"sums are in {loaded.currency}; recorded too: {others}", style="dim"))


def sentence(view: NodeView, costs: CostSum, contributors: list[Contributor],
             labels: dict[str, str]) -> Text:  # fmt: skip
    """'model:x cost $5,214.00: $3,950.00 in run:sweep, of which $1,730.00 failed; ...'."""
    text = Text.assemble((one_line(view.node_id), "bold"), " cost ", format_sum(costs))
    paid = paid_ones(contributors)
    shown = paid[:_MOST_IN_A_SENTENCE]
    for place, one in enumerate(shown):
        text.append(": " if place == 0 else "; ")
        own = " itself" if one.node_id == view.node_id else f" in {labels[one.node_id]}"
        text.append(f"{format_sum(one.cost)}{own}")
        lost = failed_text(one.cost)
        if lost:
            text.append(", of which ").append_text(lost)
    if rest := paid[len(shown) :]:
        text.append(f"; {format_sum(sum_of(rest))} in {len(rest)} more")
    return text


def paid_ones(contributors: Sequence[Contributor]) -> list[Contributor]:
    """Those that cost something, or may have: what is not known yet is not nothing."""
    return [one for one in contributors if one.cost.total or one.cost.unpriced_count]


def sum_of(contributors: Sequence[Contributor]) -> Costs:
    """What they cost together; there must be one."""
    return sum((Costs.of(one.cost) for one in contributors[1:]), Costs.of(contributors[0].cost))


def contributors_table(
    contributors: list[Contributor], whole: Money, labels: dict[str, str], width: int
) -> Table:
    """Cost, share, what was lost, and by which path the node that was asked for needs it."""
    table = _costs_table([one.cost for one in contributors], whole, "NODE")
    if width >= _WIDE:
        table.add_column("VIA", no_wrap=True, overflow="ellipsis", style="dim")
    for one in contributors:
        via = " < ".join(one_line(step) for step in one.path[1:-1])
        cells = [*_cost_cells(one.cost, whole, table), Text(labels[one.node_id]), Text(via)]
        table.add_row(*cells[: len(table.columns)])
    return fit_columns(table, width, flexible=-1)


def groups_table(groups: list[Group], whole: Money) -> Table:
    """The full cost by kind, status, user or cluster."""
    table = _costs_table([one.cost for one in groups], whole, "GROUP")
    for group in groups:
        name = Text(one_line(group.name)) if group.name else Text("unknown", style="yellow")
        name.append(f"  {_nodes(group.cost.node_count)}", style="dim")
        table.add_row(*_cost_cells(group.cost, whole, table), name)
    return table


def _costs_table(sums: Sequence[CostSum], whole: Money, last: str) -> Table:
    """The columns of sums; those of losses only where something was lost so."""
    lost = [name.upper() for name in _LOSSES if any(getattr(one, name) for one in sums)]
    table = plain_table("COST", "SHARE", *lost, last, right=("COST", *lost))
    table.columns[-1].no_wrap = True
    table.columns[-1].overflow = "ellipsis"
    return table


def _cost_cells(costs: CostSum, whole: Money, table: Table) -> list[Text]:
    headers = [str(column.header) for column in table.columns]
    cells = [Text(format_sum(costs, "≥ ")), share_bar(costs, whole, _SHARE_WIDTH)]
    for name in _LOSSES:
        if name.upper() in headers:
            amount = getattr(costs, name)
            cells.append(Text(format_money(amount) if amount else "", OUTCOME_STYLES[name]))
    return cells


def show_difference(
    difference: Difference, first: str, second: str, labels: dict[str, str],
    loaded: LoadedGenealogy, console: Console,
) -> None:  # fmt: skip
    """What is only in one, only in the other, and in both; what each sum leaves out."""
    parts: tuple[tuple[str, CostSum, list[Contributor]], ...] = (
        (f"only {one_line(first)}", difference.only_first, difference.first_contributors),
        (f"only {one_line(second)}", difference.only_second, difference.second_contributors),
        ("both", difference.both, []),
    )
    for title, costs, contributors in parts:
        console.print(Text(f"{title}: ").append_text(parts_text(costs)))
        for note in notes_of(costs, loaded):
            console.print(Padding(Text(note, style="yellow"), (0, 0, 0, 2)))
        paid = paid_ones(contributors)[:_MOST_OF_A_DIFFERENCE]
        if paid:
            table = contributors_table(paid, costs.total, labels, console.width - 2)
            console.print(Padding(table, (0, 0, 0, 2)))


def show_allocation(allocation: Allocation, console: Console) -> None:
    """Each result's share by the three rules, what no result can claim, and that it adds up."""
    columns = ("EQUAL", "USAGE", "LAST PAYS", "EXCLUSIVE", "FULL COST")
    is_narrow = console.width < _WIDE
    shown = columns[:3] if is_narrow else columns
    table = plain_table("RESULT", *shown, right=shown)
    for share in allocation.claimants:
        usage = format_money(share.usage) + ("" if share.is_usage_known else " *")
        row = (
            format_money(share.equal), usage, format_money(share.last_pays),
            format_money(share.exclusive), format_money(share.full_cost),
        )  # fmt: skip
        table.add_row(node_text(share.node_id), *row[: len(shown)])
    rest = format_sum(allocation.no_outcome, "≥ ")
    table.add_row(Text("no outcome", style="yellow"), rest, rest, rest)
    total = format_sum(allocation.total, "≥ ")
    table.add_row("total spent", total, total, total, style="bold")
    console.print(table)
    for share in allocation.claimants:
        low, high = format_money(share.lowest), format_money(share.highest)
        between = low if low == high else f"{low} to {high}"
        console.print(Text.assemble(node_text(share.node_id), f" bears {between}"))
    console.print(
        Text(
            "Under each rule shares and no outcome add up to what was spent. Full costs do not: "
            "what two results came from is in both.",
            style="dim",
        )
    )
    if not all(share.is_usage_known for share in allocation.claimants):
        console.print(Text("* no use is recorded: shared equally (finops graph use)", style="dim"))
