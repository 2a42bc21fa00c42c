"""What a node and all that it needs cost, at a million nodes: finops beside five others.

Method: one random graph (1.5 needs a node) in all of them, the same random nodes, all answers
compared. The nodes are asked for in blocks, all contestants one after the other in each; a ratio is
the peer's time by ours on the same nodes of the same block, the median over the blocks. Of a peer's
several ways the fastest counts. DuckDB is asked for one node in twenty.
"""

from __future__ import annotations

import numpy as np
from genealogy_peers import PEERS, fastest, finops_graph, make_graph, seconds_of
from report import arguments, row_of, show

NAME = "python/genealogy"
GOALS = {"networkx": 15.0, "igraph": 15.0, "rustworkx": 2.0, "SQLite": 20.0, "DuckDB": 20.0}


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    node_count, block_count, block_size = (20_000, 3, 20) if options.short else (1_000_000, 10, 50)
    graph = make_graph(node_count)
    random = np.random.default_rng(7)
    blocks = random.integers(0, node_count, (block_count, block_size)).tolist()
    ours = finops_graph(graph)[0]
    asks = {
        name: fastest(make(graph), blocks[0][: max(3, round(block_size * share))])
        for name, (make, share) in PEERS.items()
    }
    own_seconds = []
    seconds: dict[str, list[float]] = {name: [] for name in PEERS}
    ratios: dict[str, list[float]] = {name: [] for name in PEERS}
    for block in blocks:
        expected = [ours(node) for node in block]
        own_seconds.append(seconds_of(ours, block))
        for name, ask in asks.items():
            asked = block[: max(1, round(len(block) * PEERS[name][1]))]
            if [ask(node) for node in asked] != expected[: len(asked)]:
                raise SystemExit(f"{name} gives another answer")
            seconds[name].append(seconds_of(ask, asked))
            seconds_of(ours, asked)  # as the peer, which has just answered the same
            ratios[name].append(seconds[name][-1] / seconds_of(ours, asked))
    note = f"{node_count:,} nodes, {graph.needers.size:,} edges"
    rows = [row_of(NAME, "finops", "us", [value * 1e6 for value in own_seconds], note=note)]
    rows += [
        row_of(
            NAME,
            name,
            "us",
            [value * 1e6 for value in seconds[name]],
            ratio=float(np.median(ratios[name])),
            goal=None if options.short else GOALS[name],
            goal_of="ratio",
            goal_is_minimum=True,
            note=f"{asks[name].__name__}; ratio {min(ratios[name]):.3g}..{max(ratios[name]):.3g}",
        )
        for name in PEERS
    ]
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
