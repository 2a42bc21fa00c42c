"""The tree of `finops graph show` in the terminal.

Owns: guides, columns and how they give way in a narrow terminal. Does not own: folding
(finops.pictures.model).
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from finops.pictures.model import Picture, PictureNode, format_sum

from .graph_page import (
    OUTCOME_STYLES,
    failed_text,
    fit_columns,
    node_text,
    plain_table,
    share_bar,
)
from .render import format_money, one_line

_BAR_WIDTH = 12
_GAP = 2
_NARROWEST_NAME = 40
_DEEPEST_GUIDE = 16  # below, the depth is a number: guides would push names off the screen


def tree_table(picture: Picture, console: Console) -> Table:
    """One line for each node: what it is, its own cost, its cost with all below, its share.

    Columns give way from the right until names have room; the cost with all below stays.
    """
    children = picture.children()
    guides = _guides(picture, children)
    drawn = [place for place, node in enumerate(picture.nodes) if node.counted_at is None]
    total = picture.root.costs.total
    makers: dict[str, Callable[[PictureNode], Text]] = {
        "WITH ALL BELOW": _all_below,
        "STATUS": _status,
        "SHARE": lambda node: share_bar(node.costs, total, _BAR_WIDTH),
        "OWN": _own,
    }
    columns: dict[str, list[Text]] = {}
    room = console.width
    for header, make in makers.items():
        cells = [make(picture.nodes[place]) for place in drawn]
        width = max(len(header), *(cell.cell_len for cell in cells)) + _GAP
        if columns and room - width < _NARROWEST_NAME:
            break
        columns[header] = cells
        room -= width
    names = [_name(picture, place, guides[place][0], children[place]) for place in drawn]
    shown = [header for header in ("STATUS", "OWN", "WITH ALL BELOW", "SHARE") if header in columns]
    table = plain_table("NODE", *shown, right=("OWN", "WITH ALL BELOW"))
    for row, name in enumerate(names):
        table.add_row(name, *(columns[header][row] for header in shown))
    return fit_columns(table, console.width, flexible=0)


def _guides(picture: Picture, children: list[list[int]]) -> list[tuple[str, str]]:
    """For each node what stands before it, and before what is below it."""
    guides = [("", "")] * len(picture.nodes)
    for position, below in enumerate(children):
        prefix = guides[position][1]
        lines = [child for child in below if picture.nodes[child].counted_at is None]
        for child in lines:
            if picture.nodes[child].depth > _DEEPEST_GUIDE:
                guides[child] = (f"{prefix}·{picture.nodes[child].depth} ", prefix)
            elif child == lines[-1]:
                guides[child] = (f"{prefix}└─ ", f"{prefix}   ")
            else:
                guides[child] = (f"{prefix}├─ ", f"{prefix}│  ")
    return guides


def _name(picture: Picture, position: int, guide: str, children: list[int]) -> Text:
    node = picture.nodes[position]
    text = Text(guide, style="bright_black")
    if node.folded_count:
        return text.append_text(_fold_text(node))
    if node.relation:
        text.append(f"{one_line(node.relation)} ", style="italic dim")
    text.append_text(node_text(node.node_id, node.label))
    if node.step is not None:
        text.append(f" at step {node.step:,}", style="dim")
    references = [picture.nodes[child] for child in children]
    references = [child for child in references if child.counted_at is not None]
    if references:
        text.append(f"  {_reference_text(references, position)}", style="bright_black")
    return text


def _fold_text(node: PictureNode) -> Text:
    """ "and 197 more runs, $400.00 failed"."""
    kind = f" {node.kind}s" if node.kind else ""
    text = Text(f"and {node.folded_count:,} more{kind}")
    lost = failed_text(node.costs)
    return text.append(", ").append_text(lost) if lost else text


def _reference_text(references: list[PictureNode], position: int) -> str:
    """What the node needs too, and that is counted where it stands first."""
    is_above = all(0 <= (node.counted_at or 0) < position for node in references)
    names = [
        one_line(node.node_id) or f"{node.folded_count:,} more {node.kind}s" for node in references
    ]
    return f"(counted {'above' if is_above else 'elsewhere'}: {', '.join(names)})"


def _status(node: PictureNode) -> Text:
    if node.is_pending:
        return Text("pending", style="yellow")
    style = "dim" if node.status == "RETIRED" else OUTCOME_STYLES[node.outcome]
    return Text(one_line(node.status), style=style)


def _own(node: PictureNode) -> Text:
    if node.is_unpriced:
        return Text("unpriced", style="yellow")
    if node.folded_count or not node.own_cost:
        return Text("" if node.folded_count else "-", style="dim")
    return Text(format_money(node.own_cost))


def _all_below(node: PictureNode) -> Text:
    return Text(format_sum(node.costs, "≥ "), style="" if node.folded_count else "bold")
