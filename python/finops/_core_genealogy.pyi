"""The genealogy in the C++ core: the graph, its answers, credit and value.

`_core.pyi` gives them out. There is no such module: it is this part of the extension's stub.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import final

from ._core import Money
from ._core_lineage import BusinessValue, LineageRecords

@final
class CostSum:
    """A cost by how it turned out; ``total`` adds the four."""

    total: Money
    good: Money
    failed: Money
    preempted: Money
    running: Money
    node_count: int
    unpriced_count: int
    other_currency_count: int

@final
class Group:
    name: str
    cost: CostSum

@final
class Contributor:
    node_id: str
    cost: CostSum
    path: list[str]
    hidden_path_count: int

@final
class Difference:
    only_first: CostSum
    only_second: CostSum
    both: CostSum
    first_contributors: list[Contributor]
    second_contributors: list[Contributor]

@final
class NodeView:
    node_id: str
    kind: str
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

@final
class TreeNode:
    view: NodeView
    depth: int
    parent: int
    relation: str
    step: int | None
    is_repetition: bool
    hidden_child_count: int
    subtree_cost: CostSum

@final
class Problem:
    node_id: str
    text: str

@final
class Refusal:
    """`record_kind` is the list of LineageRecords, `position` the place in it."""

    record_kind: str
    position: int
    record: str
    reason: str

@final
class ClaimantShare:
    node_id: str
    equal: Money
    usage: Money
    last_pays: Money
    lowest: Money
    highest: Money
    exclusive: Money
    full_cost: Money
    is_usage_known: bool

@final
class Allocation:
    claimants: list[ClaimantShare]
    no_outcome: CostSum
    total: CostSum

@final
class ValueAmount:
    per_month: Money
    to_date: Money

@final
class NodeValue:
    node_id: str
    full_cost: CostSum
    led_to: ValueAmount
    credit_lowest: ValueAmount
    credit_highest: ValueAmount
    results: list[str]

@final
class Genealogy:
    """Named nodes and what needs what; see genealogy.hpp. Safe for several threads."""

    def __init__(self, currency: str) -> None: ...
    def add(self, records: LineageRecords) -> list[Refusal]: ...
    currency: str
    node_count: int
    edge_count: int
    def node_ids(self) -> list[str]: ...
    def contains(self, node_id: str) -> bool: ...
    def __contains__(self, node_id: str) -> bool: ...
    def pending(self) -> list[str]: ...
    def problems(self) -> list[Problem]: ...
    def total_cost(self) -> CostSum: ...
    def node(self, node_id: str) -> NodeView: ...
    def own_cost(self, node_id: str) -> CostSum: ...
    def full_cost(self, node_id: str) -> CostSum: ...
    def cost_from(self, node_id: str) -> CostSum: ...
    def contributors(self, node_id: str, *, downstream: bool = False) -> list[Contributor]: ...
    def difference(self, first: str, second: str) -> Difference: ...
    def grouped(self, node_id: str, by: str) -> list[Group]: ...
    def tree(
        self,
        node_id: str,
        *,
        downstream: bool = False,
        longest_depth: int | None = None,
        most_nodes: int | None = None,
    ) -> list[TreeNode]: ...

def allocate(genealogy: Genealogy, claimants: Sequence[str] = ...) -> Allocation: ...
def value_of(genealogy: Genealogy, node_id: str, as_of: datetime | None = None) -> NodeValue: ...
def value_report(genealogy: Genealogy, as_of: datetime | None = None) -> list[NodeValue]: ...
def value_amount(value: BusinessValue, as_of: datetime | None = None) -> ValueAmount: ...

@final
class CostGraph:
    """Sums over all that a node needs, each node once, in a graph of millions.

    Nodes are numbers from 0. Arrays are contiguous, one-dimensional buffers, as `array.array` and
    NumPy make. Every call lets other Python threads run; calls of one graph wait for each other.
    """

    def __init__(self) -> None: ...
    def add_nodes(self, count: int) -> int:
        """Append nodes of cost 0; return the number of the first."""

    def add_needs(self, needers: object, needed: object) -> list[tuple[int, list[int]]]:
        """Add the edges `needers[i]` needs `needed[i]` (uint32), as if one after the other.

        Returns the refused ones, each with its position and the cycle that it would have closed.
        """

    def add_costs(self, costs_picos: object) -> None:
        """Add to each node's cost; int64, one for each node."""

    def closure_sum(self, node: int, *, downstream: bool = False) -> tuple[int, int]:
        """Cost in picos and count of `node` and all that it needs, or that needs it."""

    def closure(self, node: int, *, downstream: bool = False) -> list[int]: ...
    @property
    def node_count(self) -> int: ...
    @property
    def edge_count(self) -> int: ...
