"""How closures and builds grow with the graph: measures, and draws genealogy-growth.svg.

Method: the graph of bench_genealogy.py at 10,000 to 10 million nodes; the median time over random
nodes, and the time from arrays to the first answer. Peers stop at a million nodes.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from genealogy_peers import PEERS, Ask, RandomGraph, fastest, finops_graph, make_graph
from matplotlib import pyplot

IMAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/images/genealogy-growth.svg"
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
MOST_PEER_NODES = 1_000_000
DRAWN_PEERS = ("rustworkx", "networkx", "igraph", "SQLite")


def measure(make: Callable[[RandomGraph], list[Ask]], graph: RandomGraph) -> tuple[float, float]:
    """Seconds of the build, and of the median closure."""
    nodes = np.random.default_rng(7).integers(0, graph.node_count, 200).tolist()
    start = time.perf_counter()
    ways = make(graph)
    ways[0](0)
    build_seconds = time.perf_counter() - start
    ask = fastest(ways, nodes[:50])
    seconds = []
    for node in nodes:
        start = time.perf_counter()
        ask(node)
        seconds.append(time.perf_counter() - start)
    return build_seconds, statistics.median(seconds)


def draw(results: dict[str, list[tuple[int, float, float]]], image: pathlib.Path) -> None:
    mpl.rcParams.update({"svg.hashsalt": "finops", "font.size": 9})
    figure, (closures, builds) = pyplot.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained")
    for name, points in results.items():
        style = {"linewidth": 2.4, "color": "black", "zorder": 3} if name == "finops" else {}
        sizes = [size for size, _, _ in points]
        builds.loglog(sizes, [build for _, build, _ in points], marker="o", label=name, **style)
        closures.loglog(
            sizes, [closure * 1e6 for *_, closure in points], marker="o", label=name, **style
        )
    closures.set(title="Median closure", xlabel="nodes", ylabel="microseconds")
    builds.set(title="Build", xlabel="nodes (1.5 edges each)", ylabel="seconds")
    for axes in (closures, builds):
        axes.grid(visible=True, alpha=0.3)
    closures.legend(frameon=False)
    image.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(image, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=IMAGE)
    options = parser.parse_args()
    results: dict[str, list[tuple[int, float, float]]] = {}
    for size in SIZES:
        graph = make_graph(size)
        makers = {"finops": finops_graph}
        if size <= MOST_PEER_NODES:
            makers |= {name: PEERS[name][0] for name in DRAWN_PEERS}
        for name, make in makers.items():
            build_seconds, closure_seconds = measure(make, graph)
            results.setdefault(name, []).append((size, build_seconds, closure_seconds))
            print(f"{size:>10,} {name:<10} {build_seconds:8.3f} s {closure_seconds * 1e6:10.1f} us")
    draw(results, options.out)


if __name__ == "__main__":
    main()
