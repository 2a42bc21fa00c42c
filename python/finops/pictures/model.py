"""What a picture shows: a tree of nodes with exact costs, and folds for what is not drawn.

Owns: Picture and what it consists of. Does not own: how it is made from the core's tree (folding),
how it looks.
Invariants: parents come before their children; the costs of a node and of its children below, the
folded ones too, add up; a node counted elsewhere costs nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from finops import Money
from finops.genealogy import OUTCOMES, CostSum
from finops.texts import format_money

_COUNTS = ("node_count", "unpriced_count", "other_currency_count")


@dataclass(frozen=True)
class Costs:
    """A sum by how it turned out, with the number of nodes in it."""

    good: Money
    failed: Money
    preempted: Money
    running: Money
    node_count: int = 0
    unpriced_count: int = 0
    other_currency_count: int = 0

    @classmethod
    def of(cls, costs: CostSum) -> Costs:
        """The core's sum."""
        return cls(**{name: getattr(costs, name) for name in (*OUTCOMES, *_COUNTS)})

    @classmethod
    def none(cls, currency: str) -> Costs:
        """Nothing in `currency`."""
        nothing = Money("0", currency)
        return cls(nothing, nothing, nothing, nothing)

    @property
    def total(self) -> Money:
        """All outcomes together."""
        return self.good + self.failed + self.preempted + self.running

    def __add__(self, other: Costs) -> Costs:
        names = (*OUTCOMES, *_COUNTS)
        return Costs(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def __sub__(self, other: Costs) -> Costs:
        names = (*OUTCOMES, *_COUNTS)
        return Costs(**{name: getattr(self, name) - getattr(other, name) for name in names})


AnySum = CostSum | Costs


def format_sum(costs: AnySum, bound: str = "at least ") -> str:
    """The total; `bound` before it where costs are not known yet. Tables have the shorter "≥ "."""
    return (bound if costs.unpriced_count else "") + format_money(costs.total)


@dataclass(frozen=True)
class PictureNode:
    """A node of the picture, or a fold: `folded_count` siblings that are not drawn one by one."""

    node_id: str  # empty: a fold
    kind: str  # of a fold: of all its nodes, or empty
    label: str
    status: str
    outcome: str
    user_name: str
    cluster: str
    created_at: datetime | None
    is_pending: bool
    is_unpriced: bool
    has_other_currency: bool
    own_cost: Money
    costs: Costs  # with all that is counted below
    parent: int  # position; -1: the root
    depth: int
    relation: str
    step: int | None = None
    counted_at: int | None = None  # a repetition: the position where it counts; -1: not drawn
    folded_count: int = 0
    hidden_count: int = 0  # children that the core left out, in the costs

    @property
    def name(self) -> str:
        """What follows the kind in the id."""
        return self.node_id.partition(":")[2]


@dataclass(frozen=True)
class Picture:
    """The tree of one node, in the order of a walk."""

    nodes: list[PictureNode]
    is_downstream: bool
    notes: list[str] = field(default_factory=list)  # what one must know to read the sum

    @property
    def root(self) -> PictureNode:
        """The node that was asked for."""
        return self.nodes[0]

    def children(self) -> list[list[int]]:
        """For each node the positions of its children, in order."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for position, node in enumerate(self.nodes[1:], start=1):
            found[node.parent].append(position)
        return found
