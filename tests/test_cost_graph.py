"""The dense cost graph from Python: arrays in, exact integers out, threads beside each other."""

from __future__ import annotations

import threading
from array import array

import numpy as np
import pytest

from finops import _core, errors


def make_chain(node_count: int) -> _core.CostGraph:
    graph = _core.CostGraph()
    assert graph.add_nodes(node_count) == 0
    graph.add_costs(array("q", range(node_count)))
    assert (
        graph.add_needs(array("I", range(1, node_count)), array("I", range(node_count - 1))) == []
    )
    return graph


def test_sums_are_exact_in_both_directions() -> None:
    graph = make_chain(5)
    assert graph.closure_sum(3) == (6, 4)
    assert graph.closure_sum(3, downstream=True) == (7, 2)
    assert sorted(graph.closure(3)) == [0, 1, 2, 3]
    assert (graph.node_count, graph.edge_count) == (5, 4)


@pytest.mark.parametrize("cost", [2**63 - 1, -(2**63)])
def test_sums_pass_64_bits(cost: int) -> None:
    """Goal: neither the sign nor the upper half of a sum is lost. Method: three times the limit."""
    graph = make_chain(3)
    graph.add_costs(array("q", [-0, -1, -2]))
    graph.add_costs(np.full(3, cost))
    assert graph.closure_sum(2) == (3 * cost, 3)


def test_a_cycle_is_returned_with_its_path() -> None:
    graph = make_chain(3)
    refused = graph.add_needs(np.array([0, 1], np.uint32), np.array([2, 1], np.uint32))
    assert refused == [(0, [0, 2, 1]), (1, [1])]


@pytest.mark.parametrize(
    ("needers", "needed"),
    [
        (array("I", [1]), array("I", [0, 0])),
        (array("i", [1]), array("i", [0])),
        (array("Q", [1]), array("Q", [0])),
        (np.zeros((1, 1), np.uint32), np.zeros((1, 1), np.uint32)),
        (np.zeros(4, np.uint32)[::2], np.zeros(2, np.uint32)),
        (array("I", [3]), array("I", [0])),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(needers: object, needed: object) -> None:
    graph = make_chain(3)
    with pytest.raises(errors.InvalidArgument):
        graph.add_needs(needers, needed)
    assert graph.edge_count == 2


@pytest.mark.parametrize(
    "costs", [array("q", [1, 2]), array("d", [1, 2, 3]), array("I", [1, 2, 3])]
)
def test_costs_of_another_length_or_type_are_refused(costs: object) -> None:
    graph = make_chain(3)
    with pytest.raises(errors.InvalidArgument):
        graph.add_costs(costs)
    assert graph.closure_sum(2) == (3, 3)


def test_calls_of_several_threads_wait_for_each_other() -> None:
    """Goal: no call sees half a change. Method: threads add and ask; the sum is of whole steps."""
    graph = make_chain(2_000)
    total, count = graph.closure_sum(1_999)
    seen = []

    def work() -> None:
        for _ in range(50):
            graph.add_costs(array("q", [1]) * 2_000)
            seen.append(graph.closure_sum(1_999)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(value - total) % count for value in seen} == {0}
    assert graph.closure_sum(1_999) == (total + 4 * 50 * count, count)
