"""Where a shared node stands in a picture: below what all that need it have in common.

The core's tree puts a checkpoint that 40 trials began from below one of them, which then seems to
cost far more than the others. Here it stands below their sweep, and each trial refers to it.

Owns: the places. Does not own: costs, which are the core's and still add up; folding.
Invariant: the root costs what it cost before, and each counted node stands in one place.
Source: the immediate dominator (Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm",
2001). What came from a node may have cycles: a whole shows its parts, a part made a dataset, the
whole read that; so places are sought until none changes.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from finops.errors import InternalError

from .model import Costs, PictureNode

_MOST_STEPS = 4_000_000  # of all walks up; beyond, nodes stay where the core put them


def place_shared(nodes: list[PictureNode]) -> list[PictureNode]:
    """The same nodes in the order of a walk, each below its immediate dominator.

    Parameters
    ----------
    nodes : as the core gives them: parents first, `counted_at` of a repetition its own place.
    """
    needers = _needers(nodes)
    order = _order(needers)
    places = _dominators(needers, order)
    if places is None:
        return nodes
    walked = _walk(nodes, needers, places, _costs(nodes, order, places))
    if len(walked) < len(nodes) or walked[0].costs != nodes[0].costs:
        raise InternalError(f"a picture of {nodes[0].node_id} lost nodes or costs; please report")
    return walked


def _place(nodes: list[PictureNode], position: int) -> int:
    """Where the node of an entry is counted; -1: it is not in the picture."""
    counted_at = nodes[position].counted_at
    return position if counted_at is None else counted_at


def _needers(nodes: list[PictureNode]) -> list[list[int]]:
    """For each counted node the nodes that it is a child of, here or as a repetition.

    Of the root none: downstream, what came from it may have it below itself again.
    """
    needers: list[list[int]] = [[] for _ in nodes]
    for position in range(1, len(nodes)):
        if (place := _place(nodes, position)) > 0:
            needers[place].append(nodes[position].parent)
    return needers


def _order(needers: list[list[int]]) -> list[int]:
    """Counted nodes in reverse postorder: without cycles each stands after all that need it."""
    children: list[list[int]] = [[] for _ in needers]
    for place, above in enumerate(needers):
        for needer in above:
            children[needer].append(place)
    is_seen = [False] * len(needers)
    is_seen[0] = True
    finished: list[int] = []
    path = [(0, iter(children[0]))]
    while path:
        node, left = path[-1]
        child = next((one for one in left if not is_seen[one]), None)
        if child is None:
            finished.append(node)
            path.pop()
        else:
            is_seen[child] = True
            path.append((child, iter(children[child])))
    return finished[::-1]


def _dominators(needers: list[list[int]], order: list[int]) -> list[int] | None:
    """For each counted node the node below which it stands; -1: the root, or no counted node.

    None: it takes too long.
    """
    rank = {node: at for at, node in enumerate(order)}
    above = [-1] * len(needers)
    is_changed, steps = True, 0
    while is_changed:
        is_changed = False
        for node in order[1:]:
            meeting = -1
            for other in needers[node]:
                if other != 0 and above[other] < 0:
                    continue  # has no place yet, in the first round
                if meeting < 0:
                    meeting = other
                while meeting != other:
                    if (steps := steps + 1) > _MOST_STEPS:
                        return None
                    if rank[meeting] > rank[other]:
                        meeting = above[meeting]
                    else:
                        other = above[other]
            is_changed |= above[node] != meeting
            above[node] = meeting
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
