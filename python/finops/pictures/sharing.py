"""Where a shared node stands in a picture: below what all that need it have in common.

The core's tree puts a checkpoint that 40 trials began from below one of them, which then seems to
cost far more than the others. Here it stands below their sweep, and each trial refers to it.

Owns: the places. Does not own: costs, which are the core's and still add up; folding (model).
Source: the immediate dominator, here of a graph without cycles: the nearest common dominator of all
that need the node, taken in topological order (Cooper, Harvey and Kennedy, 2001).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from .model import Costs, PictureNode

_MOST_STEPS = 2_000_000  # of all walks up; beyond, nodes stay where the core put them


def place_shared(nodes: list[PictureNode]) -> list[PictureNode]:
    """The same nodes in the order of a walk, each below its immediate dominator.

    Parameters
    ----------
    nodes : as the core gives them: parents first, `counted_at` of a repetition its own place.
    """
    needers = _needers(nodes)
    order = _topological_order(nodes, needers)
    places = _dominators(nodes, needers, order)
    return _walk(nodes, needers, places, _costs(nodes, order, places))


def _place(nodes: list[PictureNode], position: int) -> int:
    """Where the node of an entry is counted; -1: it is not in the picture."""
    counted_at = nodes[position].counted_at
    return position if counted_at is None else counted_at


def _needers(nodes: list[PictureNode]) -> list[list[int]]:
    """For each counted node the nodes that it is a child of, here or as a repetition."""
    needers: list[list[int]] = [[] for _ in nodes]
    for position in range(1, len(nodes)):
        if (place := _place(nodes, position)) >= 0:
            needers[place].append(nodes[position].parent)
    return needers


def _topological_order(nodes: list[PictureNode], needers: list[list[int]]) -> list[int]:
    """Counted nodes, each after all that need it."""
    children: list[list[int]] = [[] for _ in nodes]
    for place, above in enumerate(needers):
        for needer in above:
            children[needer].append(place)
    missing = [len(above) for above in needers]
    order = [0]
    for node in order:  # grows meanwhile
        for child in children[node]:
            missing[child] -= 1
            if missing[child] == 0:
                order.append(child)
    return order


def _dominators(nodes: list[PictureNode], needers: list[list[int]], order: list[int]) -> list[int]:
    """For each counted node the node below which it stands; -1: the root, or no counted node."""
    above = [-1] * len(nodes)
    depth = [0] * len(nodes)
    steps = 0
    for node in order[1:]:
        meeting = needers[node][0]
        for other in needers[node][1:]:
            while meeting != other and steps < _MOST_STEPS:
                steps += 1
                if depth[meeting] >= depth[other]:
                    meeting = above[meeting]
                else:
                    other = above[other]
        above[node] = meeting if steps < _MOST_STEPS else nodes[node].parent
        depth[node] = depth[above[node]] + 1
    return above


def _costs(nodes: list[PictureNode], order: list[int], places: list[int]) -> list[Costs]:
    """What is counted at or below each node in its new place."""
    costs = [node.costs for node in nodes]
    for node in nodes[1:]:  # leaves the node itself, and what the core cut off below it
        costs[node.parent] -= node.costs
    for position in reversed(order[1:]):
        costs[places[position]] += costs[position]
    return costs


def _walk(
    nodes: list[PictureNode], needers: list[list[int]], places: list[int], costs: list[Costs]
) -> list[PictureNode]:
    """Parents first, the largest child first, references last."""
    entries: list[list[int]] = [[] for _ in nodes]  # for each node the entries below it
    is_placed = [False] * len(nodes)
    relations: dict[int, tuple[str, int | None]] = {}
    for position in range(1, len(nodes)):
        node, place = nodes[position], _place(nodes, position)
        is_here = place >= 0 and places[place] == node.parent and not is_placed[place]
        entries[node.parent].append(place if is_here else ~position)
        if is_here:
            is_placed[place] = True
            relations[place] = (node.relation, node.step)
    for place, parent in enumerate(places):
        if parent >= 0 and not is_placed[place]:
            entries[parent].append(place)
            relations[place] = (f"shared by {len(needers[place]):,}", None)

    def sort_key(entry: int) -> tuple[bool, Decimal, str]:
        if entry < 0:
            return True, Decimal(0), nodes[~entry].node_id
        return False, -costs[entry].total.amount, nodes[entry].node_id

    walked: list[PictureNode] = []
    new_places: dict[int, int] = {}
    waiting = [(0, -1, 0)]
    while waiting:
        entry, parent, depth = waiting.pop()
        if entry < 0:
            walked.append(_reference(nodes, ~entry, parent, depth))
            continue
        new_places[entry] = len(walked)
        relation, step = relations.get(entry, ("", None))
        below = sorted(entries[entry], key=sort_key, reverse=True)
        waiting.extend((child, len(walked), depth + 1) for child in below)
        walked.append(replace(nodes[entry], costs=costs[entry], parent=parent, depth=depth,
                              relation=relation, step=step))  # fmt: skip
    return [
        node if node.counted_at is None
        else replace(node, counted_at=new_places.get(node.counted_at, -1))
        for node in walked
    ]  # fmt: skip


def _reference(nodes: list[PictureNode], position: int, parent: int, depth: int) -> PictureNode:
    node, place = nodes[position], _place(nodes, position)
    nothing = Costs.none(node.own_cost.currency)
    return replace(
        node, costs=nothing, hidden_count=0, counted_at=place, parent=parent, depth=depth
    )
