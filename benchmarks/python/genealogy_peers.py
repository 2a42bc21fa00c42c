"""One random graph, and who can say what a node and all that it needs cost.

Owns: the graph, and for each library and database the fastest way that its interface has for the
sum over a closure. Does not own: what is timed (bench_genealogy.py, plot_genealogy.py).
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import Callable

import duckdb
import igraph
import networkx
import numpy as np
import rustworkx

from finops import _core

CostAndCount = tuple[int, int]
Ask = Callable[[int], CostAndCount]

RECURSIVE_QUERY = """
WITH RECURSIVE closure(node) AS (
  SELECT {start} UNION SELECT needed FROM needs JOIN closure ON needer = node
)
SELECT sum(picos), count(*) FROM closure JOIN costs USING (node)
"""


@dataclasses.dataclass(frozen=True)
class RandomGraph:
    """Each node but the first needs 1.5 of the earlier ones, anywhere before it."""

    node_count: int
    needers: np.ndarray  # [edge_count], uint32
    needed: np.ndarray  # [edge_count], uint32
    costs_picos: np.ndarray  # [node_count], int64

    @property
    def pairs(self) -> np.ndarray:
        return np.column_stack([self.needers, self.needed])


def make_graph(node_count: int, seed: int = 5) -> RandomGraph:
    random = np.random.default_rng(seed)
    first = np.arange(1, node_count, dtype=np.uint32)
    needers = np.concatenate([first, first[random.random(first.size) < 0.5]])
    needed = (random.random(needers.size) * needers).astype(np.uint32)
    keys = np.unique(needers.astype(np.uint64) << 32 | needed)  # SQL's keys take no duplicates
    costs = random.integers(1, 10**9, node_count, dtype=np.int64)
    return RandomGraph(node_count, (keys >> 32).astype(np.uint32), keys.astype(np.uint32), costs)


def finops_graph(graph: RandomGraph) -> list[Ask]:
    ours = _core.CostGraph()
    ours.add_nodes(graph.node_count)
    ours.add_costs(graph.costs_picos)
    if ours.add_needs(graph.needers, graph.needed):
        raise SystemExit("the graph has a cycle")
    return [ours.closure_sum]


def networkx_graph(graph: RandomGraph) -> list[Ask]:
    peer = networkx.DiGraph()
    peer.add_nodes_from(range(graph.node_count))
    peer.add_edges_from(graph.pairs.tolist())
    cost_of = graph.costs_picos.tolist().__getitem__

    def by_descendants(node: int) -> CostAndCount:
        found = networkx.descendants(peer, node)
        return sum(map(cost_of, found)) + cost_of(node), len(found) + 1

    def by_lengths(node: int) -> CostAndCount:
        found = networkx.single_source_shortest_path_length(peer, node)
        return sum(map(cost_of, found)), len(found)

    return [by_lengths, by_descendants]


def igraph_graph(graph: RandomGraph) -> list[Ask]:
    peer = igraph.Graph(n=graph.node_count, edges=graph.pairs, directed=True)
    costs = graph.costs_picos
    cost_of = costs.tolist().__getitem__

    def by_subcomponent(node: int) -> CostAndCount:
        found = peer.subcomponent(node, mode="out")
        return sum(map(cost_of, found)), len(found)

    def by_subcomponent_and_numpy(node: int) -> CostAndCount:
        found = peer.subcomponent(node, mode="out")
        return int(costs[found].sum()), len(found)

    def by_neighbourhood(node: int) -> CostAndCount:
        found = peer.neighborhood(node, order=graph.node_count, mode="out")
        return sum(map(cost_of, found)), len(found)

    return [by_subcomponent, by_subcomponent_and_numpy, by_neighbourhood]


def rustworkx_graph(graph: RandomGraph) -> list[Ask]:
    peer = rustworkx.PyDiGraph(multigraph=True)
    peer.add_nodes_from(range(graph.node_count))
    needers, needed = graph.needers.tolist(), graph.needed.tolist()
    peer.add_edges_from_no_data(list(zip(needers, needed, strict=True)))
    cost_of = graph.costs_picos.tolist().__getitem__
    backwards: list[rustworkx.PyDiGraph] = []  # made when it is asked for first

    def by_descendants(node: int) -> CostAndCount:
        found = rustworkx.descendants(peer, node)
        return sum(map(cost_of, found)) + cost_of(node), len(found) + 1

    def by_ancestors(node: int) -> CostAndCount:
        if not backwards:
            backwards.append(peer.copy())
            backwards[0].reverse()
        found = rustworkx.ancestors(backwards[0], node)
        return sum(map(cost_of, found)) + cost_of(node), len(found) + 1

    return [by_descendants, by_ancestors]


def sqlite_graph(graph: RandomGraph) -> list[Ask]:
    peer = sqlite3.connect(":memory:", isolation_level=None)
    peer.execute(
        "CREATE TABLE needs (needer INTEGER, needed INTEGER, PRIMARY KEY (needer, needed))"
        " WITHOUT ROWID"
    )
    peer.execute("CREATE TABLE costs (node INTEGER PRIMARY KEY, picos INTEGER)")
    peer.execute("BEGIN")
    peer.executemany("INSERT INTO needs VALUES (?, ?)", graph.pairs.tolist())
    peer.executemany("INSERT INTO costs VALUES (?, ?)", enumerate(graph.costs_picos.tolist()))
    peer.execute("COMMIT")
    peer.execute("ANALYZE")
    query = RECURSIVE_QUERY.format(start="?")  # the module keeps it prepared

    def by_recursive_query(node: int) -> CostAndCount:
        return peer.execute(query, (node,)).fetchone()

    return [by_recursive_query]


def duckdb_graph(graph: RandomGraph) -> list[Ask]:
    return [_duckdb_way(graph, threads=1), _duckdb_way(graph, threads=2)]


def _duckdb_way(graph: RandomGraph, *, threads: int) -> Ask:
    peer = duckdb.connect(":memory:", config={"threads": threads})
    needers, needed = graph.needers.astype(np.int64), graph.needed.astype(np.int64)
    # DuckDB finds these two by their names.
    edges = {"needer": needers, "needed": needed}  # noqa: F841
    nodes = {"node": np.arange(graph.node_count), "picos": graph.costs_picos}  # noqa: F841
    peer.execute("CREATE TABLE needs AS SELECT needer, needed FROM edges ORDER BY needer")
    peer.execute("CREATE TABLE costs AS SELECT node, picos FROM nodes")
    peer.execute("CREATE INDEX by_needer ON needs (needer)")
    peer.execute("CREATE UNIQUE INDEX by_node ON costs (node)")
    peer.execute("PREPARE closure_of AS " + RECURSIVE_QUERY.format(start="$1::BIGINT"))

    def by_recursive_query(node: int) -> CostAndCount:
        total, count = peer.execute(f"EXECUTE closure_of({node})").fetchone()
        return int(total), count

    return by_recursive_query


def seconds_of(ask: Ask, nodes: list[int]) -> float:
    """For one of the nodes, on average."""
    start = time.perf_counter()
    for node in nodes:
        ask(node)
    return (time.perf_counter() - start) / len(nodes)


def fastest(ways: list[Ask], nodes: list[int]) -> Ask:
    """The way that answers `nodes` soonest; all must agree. A few nodes leave it to chance."""
    answers = [[way(node) for node in nodes] for way in ways]
    if any(answer != answers[0] for answer in answers):
        raise SystemExit("two ways of one library disagree")
    return min(ways, key=lambda way: seconds_of(way, nodes))


# Which share of the nodes a peer is asked for: all, but for who would take minutes.
PEERS: dict[str, tuple[Callable[[RandomGraph], list[Ask]], float]] = {
    "networkx": (networkx_graph, 1.0),
    "igraph": (igraph_graph, 1.0),
    "rustworkx": (rustworkx_graph, 1.0),
    "SQLite": (sqlite_graph, 1.0),
    "DuckDB": (duckdb_graph, 0.05),
}
