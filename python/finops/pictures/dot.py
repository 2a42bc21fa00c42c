"""A picture as DOT text, and as SVG or PNG by Graphviz.

Owns: how a node looks in DOT. Does not own: what is folded (model), the layout (Graphviz).
Invariant: a name is only ever a quoted string; none can end it, or be read as an escape or entity.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from finops.errors import MissingPackage, SystemFailure
from finops.texts import format_money, one_line, shorten

from .model import Picture, PictureNode, format_sum

_SHAPES = {
    "project": "folder", "experiment": "tab", "run": "box", "attempt": "box",
    "dataset": "cylinder", "job": "component", "checkpoint": "note", "model": "box3d",
    "endpoint": "cds",
}  # fmt: skip
_COLORS = {
    "project": "#57606a", "experiment": "#6d28d9", "run": "#1d4ed8", "attempt": "#3b82f6",
    "dataset": "#0f766e", "job": "#0e7490", "checkpoint": "#a16207", "model": "#a21caf",
    "endpoint": "#15803d",
}  # fmt: skip
_FILLS = {"good": "#ffffff", "failed": "#fbdcdc", "preempted": "#fdf0c8", "running": "#dbeafe"}
_STATUS_COLORS = {"failed": "#b91c1c", "preempted": "#a16207", "running": "#1d4ed8"}
_CENTRED, _LEFT = "\\n", "\\l"  # how DOT ends a line
_LONGEST_NAME = 34
_THICKEST_EDGE = 9.0
_PREAMBLE = """\
  graph [rankdir=LR, fontname="Helvetica", fontsize=15, labelloc=t, labeljust=l, nodesep=0.16,
         ranksep=0.55, pad=0.3, splines=true, bgcolor=white];
  node [fontname="Helvetica", fontsize=11, style=filled, fillcolor=white, margin="0.14,0.07"];
  edge [fontname="Helvetica", fontsize=9, color="#8c959f", fontcolor="#57606a", arrowsize=0.7];
"""


def dot_text(picture: Picture) -> str:
    """The picture as DOT: costs in the nodes, failures in red, thick edges for what cost much."""
    lines = [
        "digraph genealogy {",
        _PREAMBLE.rstrip(),
        f"  label={_quoted(_title(picture), end=_LEFT)};",
    ]
    drawn: dict[tuple[int, int], None] = {}
    for position, node in enumerate(picture.nodes):
        if node.counted_at is None:
            lines.append(f"  n{position} [{_node_attributes(node, is_root=position == 0)}];")
    for position, node in enumerate(picture.nodes[1:], start=1):
        if node.counted_at is None:
            lines.append(f"  n{node.parent} -> n{position} [{_edge_attributes(picture, node)}];")
        elif node.counted_at >= 0 and (node.parent, node.counted_at) not in drawn:
            drawn[node.parent, node.counted_at] = None
            label = f"label={_quoted(_relation(node))}, " if node.parent == 0 else ""
            lines.append(
                f"  n{node.parent} -> n{node.counted_at} [{label}style=dashed, penwidth=0.7,"
                ' color="#c4cad1", constraint=false];'
            )
    return "\n".join([*lines, "}", ""])


def render_dot(text: str, format_name: str) -> bytes:
    """What Graphviz makes of DOT text: `format_name` is "svg" or "png".

    Raises
    ------
    MissingPackage : the Python package or the program is not installed; the message says how to.
    SystemFailure : Graphviz failed.
    """
    try:
        graphviz: Any = importlib.import_module("graphviz")
    except ImportError:
        raise MissingPackage(
            f"{format_name} needs the package graphviz: pip install 'finops-train[graph]'; "
            "dot and html need nothing"
        ) from None
    try:
        made = graphviz.Source(text).pipe(format=format_name, quiet=True)
    except graphviz.ExecutableNotFound:
        raise MissingPackage(
            f"{format_name} needs the program dot of Graphviz, which is not on PATH: install it "
            "(Debian: apt-get install graphviz, macOS: brew install graphviz); "
            "dot and html need nothing"
        ) from None
    except graphviz.CalledProcessError as error:
        said = (error.stderr or b"").decode("utf-8", "replace").strip()
        raise SystemFailure(
            f"Graphviz failed: {said or error}; write a .dot file and look at it"
        ) from None
    assert isinstance(made, bytes)
    return made


def _title(picture: Picture) -> str:
    root = picture.root
    what = "came from it" if picture.is_downstream else "all it needs"
    title = f"{_shown(root.node_id)}: {format_sum(root.costs)} with {what}"
    parts = [
        f"{format_money(amount)} {outcome}"
        for outcome in ("failed", "preempted", "running")
        if (amount := getattr(root.costs, outcome))
    ]
    if parts:
        title += f", of which {', '.join(parts)}"
    return "\n".join([title, *(one_line(note) for note in picture.notes), " "])


def _node_attributes(node: PictureNode, *, is_root: bool) -> str:
    if node.folded_count:
        return (
            f'label={_quoted(_fold_label(node))}, shape=box, style="filled,dashed,rounded", '
            f'color="{_COLORS.get(node.kind, "#57606a")}", fillcolor="#f6f8fa"'
        )
    style = "filled,rounded" if node.kind in ("run", "attempt") else "filled"
    if node.is_pending:
        style += ",dashed"
    color = _STATUS_COLORS.get(node.outcome, _COLORS[node.kind])
    margin = ', margin="0.25,0.14"' if node.kind == "endpoint" else ""  # its arrow needs room
    width = 2.6 if is_root else 1.8 if node.outcome == "failed" else 1.2
    return (
        f"label={_quoted(_node_label(node))}, tooltip={_quoted(_shown(node.node_id))}, "
        f'shape={_SHAPES[node.kind]}, style="{style}", color="{color}", '
        f'fillcolor="{_FILLS[node.outcome]}", penwidth={width}{margin}'
    )


def _node_label(node: PictureNode) -> str:
    name = shorten(one_line(node.label or node.name), _LONGEST_NAME)
    status = f" · {one_line(node.status)}" if node.status else ""
    pending = " · pending" if node.is_pending else ""
    return f"{name}\n{node.kind}{status}{pending}\n{cost_label(node)}"


def cost_label(node: PictureNode) -> str:
    """The own cost, and the cost with all below where that is more."""
    own = "unpriced" if node.is_unpriced else format_money(node.own_cost)
    if node.costs.node_count <= 1:
        return own
    if node.costs.total == node.own_cost and not node.costs.unpriced_count:
        return own
    total = format_sum(node.costs, "≥ ")
    if not node.own_cost and not node.is_unpriced:
        return f"{total} below"
    return f"{own} own, {total} in all"


def _fold_label(node: PictureNode) -> str:
    kind = f" {node.kind}s" if node.kind else ""
    failed = f"\n{format_money(node.costs.failed)} of it failed" if node.costs.failed else ""
    total = format_sum(node.costs, "≥ ")
    return f"{node.folded_count:,} more{kind}\n{total}{failed}"


def _edge_attributes(picture: Picture, node: PictureNode) -> str:
    total = picture.root.costs.total.amount
    share = float(node.costs.total.amount / total) if total else 0.0
    width = 0.9 + _THICKEST_EDGE * math.sqrt(min(max(share, 0.0), 1.0))
    # A second, empty line lifts the words off a line that is as thick as they are high.
    label = _relation(node) + ("\n " if width > _THICKEST_EDGE / 3 and node.relation else "")
    color = '"#d9534f"' if node.outcome == "failed" else '"#8c959f"'
    return f"label={_quoted(label)}, penwidth={width:.2f}, color={color}"


def _relation(node: PictureNode) -> str:
    step = "" if node.step is None else f" at step {node.step:,}"
    return one_line(node.relation) + step


def _shown(text: str) -> str:
    return shorten(one_line(text), 2 * _LONGEST_NAME)


def _quoted(text: str, *, end: str = _CENTRED) -> str:
    """A DOT string: "\\N" in it would be the node's name, and "&lt;" an entity."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + escaped.replace("\n", end) + '"'
