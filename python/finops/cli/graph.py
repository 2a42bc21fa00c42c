"""`finops graph`: what a model really cost, what came from what, and pictures of it.

Owns: the commands that read. Does not own: those that write (graph_records), what they print
(graph_page, graph_tree), JSON (graph_json).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from finops import Money
from finops.genealogy import (
    KINDS,
    Contributor,
    Genealogy,
    NodeView,
    allocate,
    find_node,
)
from finops.pictures import FORMATS, make_picture, write_picture
from finops.pictures.model import format_sum

from . import graph_records
from .graph_json import (
    allocation_json,
    contributors_json,
    costs_json,
    difference_json,
    graph_json,
    tree_json,
    view_json,
)
from .graph_options import (
    AsOfOption,
    CurrencyOption,
    FromOption,
    NodeArgument,
    load,
    load_node,
)
from .graph_page import (
    contributors_table,
    groups_table,
    node_text,
    notes_of,
    own_text,
    paid_ones,
    parts_text,
    plain_table,
    sentence,
    show_allocation,
    show_difference,
    show_heading,
    status_text,
    sum_of,
)
from .graph_tree import tree_table
from .options import HomeOption, JsonOption
from .render import make_console, one_line, print_json

app = typer.Typer(help="What a model really cost, and what came from what.", no_args_is_help=True)

_MOST_NODES = 20_000  # of a picture: more than anybody looks at
_LAID_OUT = (".svg", ".png")  # by Graphviz, which takes minutes for more
_MOST_LAID_OUT = 2_000
_DEPTH_OF_A_SCREEN = 12
_CHILDREN_OF_A_SCREEN = 8
_GROUPINGS = ("kind", "status", "user", "cluster")


@app.callback()
def root() -> None:
    """What a model really cost, and what came from what."""


@app.command("show")
def show(
    node: NodeArgument,
    is_from: FromOption = False,
    depth: Annotated[
        int | None, typer.Option(min=0, help="So many levels. [default: 12 on the screen]")
    ] = None,
    children: Annotated[
        int,
        typer.Option(min=0, help="So many of a kind below a node, the rest as one line; 0: all."),
    ] = _CHILDREN_OF_A_SCREEN,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a picture: .svg, .png, .dot or .html."),
    ] = None,
    currency: CurrencyOption = "",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show a node as a tree with costs, or draw it."""
    if out is not None and out.suffix.lower() not in FORMATS:
        raise typer.BadParameter(f"{out} must end in {', '.join(FORMATS)}", param_hint="--out")
    loaded, node_id = load_node(home, node, currency, as_of)
    graph = loaded.graph
    if depth is None:
        depth = _MOST_NODES if out is not None or as_json else _DEPTH_OF_A_SCREEN
    tree = graph.tree(node_id, downstream=is_from, longest_depth=depth, most_nodes=_MOST_NODES)
    if as_json:
        print_json({**graph_json(loaded), "is_downstream": is_from, "nodes": tree_json(tree)})
        return
    costs = graph.cost_from(node_id) if is_from else graph.full_cost(node_id)
    notes = notes_of(costs, loaded)
    ending = "" if out is None else out.suffix.lower()
    # The page folds by itself, and keeps what it folds.
    most_children = 0 if ending == ".html" else children
    picture = make_picture(tree, is_downstream=is_from, most_children=most_children, notes=notes)
    if ending in _LAID_OUT and len(picture.nodes) > _MOST_LAID_OUT:
        tree = graph.tree(
            node_id, downstream=is_from, longest_depth=depth, most_nodes=_MOST_LAID_OUT
        )
        picture = make_picture(
            tree, is_downstream=is_from, most_children=most_children, notes=notes
        )
    if out is not None:
        write_picture(picture, out)
        print(f"{out}: {len(picture.nodes):,} nodes, {format_sum(costs)}")
        return
    console = make_console()
    what = "what came from it cost" if is_from else "full cost"
    show_heading(graph.node(node_id), costs, loaded, what, console)
    console.print()
    console.print(tree_table(picture, console))


@app.command("cost")
def cost(
    node: NodeArgument,
    by: Annotated[
        str, typer.Option(metavar="|".join(_GROUPINGS), help="The full cost in groups.")
    ] = "",
    top: Annotated[int, typer.Option(min=1, help="So many contributors.")] = 10,
    currency: CurrencyOption = "",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Say what a node cost, and where the money went.

    In full, with all that it needs: each once, failed and preempted work apart.
    """
    if by and by not in _GROUPINGS:
        raise typer.BadParameter(f"{by!r} is none of {', '.join(_GROUPINGS)}", param_hint="--by")
    loaded, node_id = load_node(home, node, currency, as_of)
    graph = loaded.graph
    full = graph.full_cost(node_id)
    contributors = graph.contributors(node_id)
    groups = graph.grouped(node_id, by) if by else []
    if as_json:
        print_json(
            {
                **graph_json(loaded),
                "node": view_json(graph.node(node_id)),
                "own_cost": costs_json(graph.own_cost(node_id)),
                "full_cost": costs_json(full),
                "cost_from": costs_json(graph.cost_from(node_id)),
                "contributors": contributors_json(contributors),
                "groups": [{"name": one.name, "cost": costs_json(one.cost)} for one in groups],
            }
        )
        return
    console = make_console()
    view = graph.node(node_id)
    labels = _labels(graph, contributors)
    console.print(sentence(view, full, contributors, labels))
    console.print()
    show_heading(view, full, loaded, "full cost", console)
    console.print(Text("own cost ").append_text(own_text(view)))
    console.print(Text("all that came from it ").append_text(parts_text(graph.cost_from(node_id))))
    console.print()
    if by:
        console.print(groups_table(groups, full.total))
        return
    _show_contributors(contributors, full.total, labels, top, console)


@app.command("from")
def cost_from(
    node: NodeArgument,
    top: Annotated[int, typer.Option(min=1, help="So many lines.")] = 10,
    currency: CurrencyOption = "",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Say what all that came from a node cost.

    Of a dataset: everything that was built on it.
    """
    loaded, node_id = load_node(home, node, currency, as_of)
    graph = loaded.graph
    costs = graph.cost_from(node_id)
    contributors = graph.contributors(node_id, downstream=True)
    if as_json:
        print_json(
            {
                **graph_json(loaded),
                "node": view_json(graph.node(node_id)),
                "cost_from": costs_json(costs),
                "contributors": contributors_json(contributors),
            }
        )
        return
    console = make_console()
    show_heading(graph.node(node_id), costs, loaded, "what came from it cost", console)
    console.print()
    labels = _labels(graph, contributors)
    _show_contributors(contributors, costs.total, labels, top, console)


@app.command("diff")
def diff(
    first: Annotated[str, typer.Argument(metavar="NODE")],
    second: Annotated[str, typer.Argument(metavar="OTHER")],
    currency: CurrencyOption = "",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Compare what two nodes needed, and what it cost."""
    loaded, first_id = load_node(home, first, currency, as_of)
    second_id = find_node(loaded.graph, second)
    difference = loaded.graph.difference(first_id, second_id)
    if as_json:
        both = {"first": first_id, "second": second_id}
        print_json({**graph_json(loaded), **both, **difference_json(difference)})
        return
    named = [*difference.first_contributors, *difference.second_contributors]
    labels = _labels(loaded.graph, named)
    show_difference(difference, first_id, second_id, labels, loaded, make_console())


@app.command("allocate")
def allocate_all(
    claimant: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE", help="A result to share among, in place of all that survive."),
    ] = None,
    currency: CurrencyOption = "",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Share all that was spent among the results.

    Among those that survive, by three rules, so that it adds up; what no result can claim is
    a row of its own.
    """
    loaded = load(home, currency, as_of)
    claimants = [find_node(loaded.graph, one) for one in claimant or []]
    allocation = allocate(loaded.graph, claimants)
    if as_json:
        print_json({**graph_json(loaded), **allocation_json(allocation)})
        return
    console = make_console()
    show_allocation(allocation, console)
    for note in notes_of(allocation.total, loaded):
        console.print(Text(note, style="yellow"))


@app.command("list")
def list_nodes(
    kind: Annotated[str, typer.Option(metavar="KIND", help=f"Only {', '.join(KINDS)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    currency: CurrencyOption = "",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the nodes with own and full cost.

    In the order of their first mention.
    """
    if kind and kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}", param_hint="--kind")
    loaded = load(home, currency, as_of)
    graph = loaded.graph
    found = [one for one in graph.node_ids() if not kind or one.startswith(f"{kind}:")]
    shown = [(graph.node(one), graph.full_cost(one)) for one in found[:limit]]
    if as_json:
        nodes = [{**view_json(view), "full_cost": costs_json(full)} for view, full in shown]
        print_json({**graph_json(loaded), "node_count": len(found), "nodes": nodes})
        return
    if not found:
        print("no such node is recorded; bring records in with: finops graph import FILE")
        return
    table = plain_table("NODE", "STATUS", "OWN", "FULL COST", right=("OWN", "FULL COST"))
    for view, full in shown:
        table.add_row(
            node_text(view.node_id, view.label),
            status_text(view),
            own_text(view),
            format_sum(full, "≥ "),
        )
    make_console().print(table)
    if len(found) > limit:
        print(f"and {len(found) - limit:,} more; see --limit and --kind")


@app.command("pending")
def pending(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List nodes that nobody described.

    Only edges, costs or statuses name them; they count.
    """
    loaded = load(home)
    found = loaded.graph.pending()
    if as_json:
        print_json({"pending": found})
        return
    for one in found:
        print(one_line(one))
    print(
        f'{len(found):,} pending; they count, and get their facts with a line {{"node": ...}}'
        if found
        else "nothing is pending"
    )


@app.command("problems")
def problems(
    currency: CurrencyOption = "", as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """List what somebody should look at.

    Clocks that differ, costs in other currencies, sums below zero, names that look alike.
    """
    found = load(home, currency).graph.problems()
    if as_json:
        print_json({"problems": [{"node_id": one.node_id, "text": one.text} for one in found]})
        return
    for one in found:
        print(one_line(f"{one.node_id}: {one.text}"))
    if not found:
        print("no problems")


graph_records.add_commands(app)


def _labels(graph: Genealogy, contributors: list[Contributor]) -> dict[str, str]:
    """What people call each contributor, with its id where that says something else."""
    return {one.node_id: _called(graph.node(one.node_id)) for one in contributors}


def _called(view: NodeView) -> str:
    shown = one_line(view.node_id)
    is_name = view.label in ("", shown.partition(":")[2])
    return shown if is_name else f"{one_line(view.label)} ({shown})"


def _show_contributors(
    contributors: list[Contributor], whole: Money, labels: dict[str, str], top: int,
    console: Console,
) -> None:  # fmt: skip
    """The largest ones; those that cost nothing are counted."""
    paid = paid_ones(contributors)
    console.print(contributors_table(paid[:top], whole, labels, console.width))
    if rest := paid[top:]:
        print(f"and {len(rest):,} more: {format_sum(sum_of(rest))}; see --top")
    if len(paid) < len(contributors):
        print(f"and {len(contributors) - len(paid):,} that cost nothing themselves")
