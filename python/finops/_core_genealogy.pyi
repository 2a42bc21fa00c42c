"""The genealogy in the C++ core. `_core.pyi` gives it out.

There is no such module: it is this part of the extension's stub.
"""

from typing import final

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
