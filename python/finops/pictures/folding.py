"""Makes a picture of the core's tree, and folds many children into one.

Owns: which nodes are drawn. Does not own: where shared ones stand (sharing).
Invariant: the costs of a node and of its children below, the folded ones too, add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from finops import Money
from finops.genealogy import OUTCOMES, TreeNode

from .model import Costs, Picture, PictureNode
from .sharing import place_shared


def make_picture(
    tree: Sequence[TreeNode],
    *,
    is_downstream: bool,
    most_children: int,
    notes: Sequence[str] = (),
) -> Picture:
    """A picture of the core's tree.

    Parameters
    ----------
    most_children : so many of one kind are drawn below a node, and the rest is one fold; but for
        a few that something else refers to. 0: all are drawn.
    """
    places = {one.view.node_id: at for at, one in enumerate(tree) if not one.is_repetition}
    nodes = place_shared([_node(one, places) for one in tree])
    return _Folding(Picture(nodes, is_downstream, list(notes)), most_children).picture()


def _node(one: TreeNode, places: dict[str, int]) -> PictureNode:
    view = one.view
    return PictureNode(
        view.node_id, view.kind, view.label, view.status, view.outcome, view.user_name,
        view.cluster, view.created_at, view.is_pending, view.is_unpriced,
        view.has_other_currency, view.own_cost, Costs.of(one.subtree_cost), one.parent, one.depth,
        one.relation, one.step,
        counted_at=places.get(view.node_id, -1) if one.is_repetition else None,
        hidden_count=one.hidden_child_count,
    )  # fmt: skip


class _Folding:
    """One walk over the whole picture that leaves out what is folded."""

    def __init__(self, whole: Picture, most_children: int) -> None:
        self._whole = whole
        self._most_children = most_children
        self._children = whole.children()
        self._referred = {
            node.counted_at for node in whole.nodes if node.counted_at not in (None, -1)
        }
        self._drawn: list[PictureNode] = []
        self._new_positions: dict[int, int] = {}

    def picture(self) -> Picture:
        """The folded picture; its repetitions refer to new positions."""
        waiting: list[PictureNode | tuple[int, int]] = [(0, -1)]
        while waiting:
            item = waiting.pop()
            if isinstance(item, PictureNode):
                self._drawn.append(item)
                continue
            old, parent = item
            new = len(self._drawn)
            self._new_positions[old] = new
            self._drawn.append(replace(self._whole.nodes[old], parent=parent))
            shown, folds = self._split_children(old, new)
            waiting.extend(reversed(folds))
            waiting.extend((child, new) for child in reversed(shown))
        nodes = [self._moved_reference(node) for node in self._drawn]
        return Picture(nodes, self._whole.is_downstream, self._whole.notes)

    def _moved_reference(self, node: PictureNode) -> PictureNode:
        if node.counted_at is None:
            return node
        return replace(node, counted_at=self._new_positions.get(node.counted_at, -1))

    def _split_children(self, old: int, new: int) -> tuple[list[int], list[PictureNode]]:
        """The children that are drawn, and the folds for the rest."""
        children = self._children[old]
        groups: dict[tuple[str, str, bool], list[int]] = {}
        for child in children:
            node = self._whole.nodes[child]
            key = (node.relation, node.kind, node.counted_at is not None)
            groups.setdefault(key, []).append(child)
        hidden: set[int] = set()
        folds = []
        for group in groups.values():
            rest = self._rest_of(group)
            if len(rest) > 1:  # a fold of one takes as much room as the one
                hidden.update(rest)
                folds.append(self._fold(rest, new))
        if self._whole.nodes[old].hidden_count:
            folds.append(self._cut_off(old, new))
        return [child for child in children if child not in hidden], folds

    def _rest_of(self, group: list[int]) -> list[int]:
        if not self._most_children:
            return []
        rest = group[self._most_children :]
        kept = {child for child in rest if child in self._referred}
        if len(kept) > self._most_children // 2:
            return rest  # all of them are referred to, which says nothing about one
        return [child for child in rest if child not in kept]

    def _fold(self, positions: list[int], parent: int) -> PictureNode:
        first = self._whole.nodes[positions[0]]
        costs = Costs.none(first.own_cost.currency)
        for position in positions:
            costs += self._whole.nodes[position].costs
        fold = _fold_node(first, first.kind, costs, parent, len(positions), first.relation)
        return replace(fold, counted_at=None if first.counted_at is None else -1)

    def _cut_off(self, old: int, parent: int) -> PictureNode:
        """What the core left out below a node: its sum without what is shown of it."""
        node = self._whole.nodes[old]
        costs = node.costs - _own_costs(node)
        for child in self._children[old]:
            costs -= self._whole.nodes[child].costs
        return _fold_node(node, "", costs, parent, node.hidden_count, "")


def _fold_node(
    near: PictureNode, kind: str, costs: Costs, parent: int, count: int, relation: str
) -> PictureNode:
    depth = near.depth if kind else near.depth + 1
    return PictureNode(
        "", kind, "", "", "good", "", "", None, False, False, False,
        Money("0", near.own_cost.currency), costs, parent, depth, relation, folded_count=count,
    )  # fmt: skip


def _own_costs(node: PictureNode) -> Costs:
    """The node alone as a sum."""
    nothing = Costs.none(node.own_cost.currency)
    amounts = {name: getattr(nothing, name) for name in OUTCOMES}
    amounts[node.outcome] = node.own_cost
    return Costs(
        **amounts,
        node_count=1,
        unpriced_count=int(node.is_unpriced),
        other_currency_count=int(node.has_other_currency),
    )
