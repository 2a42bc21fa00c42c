"""How people name nodes, and which currency a graph is in."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from genealogy_story import graph_of

from finops.errors import AmbiguousResource, NotFound
from finops.genealogy import find_node, load_genealogy, make_records, parse_lineage_line
from finops.ledger import open_ledger

LINES: list[dict[str, Any]] = [
    {"node": "model:resnet"},
    {"node": "run:k3v9q2d7m1xa", "label": "baseline"},
    {"node": "run:other", "label": "twice"},
    {"node": "job:other2", "label": "twice"},
    {"node": "dataset:both"},
    {"node": "endpoint:both"},
    {"node": "dataset:s3://bucket/my data"},
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model:resnet", "model:resnet"),
        ("resnet", "model:resnet"),
        ("k3v9q2d7m1xa", "run:k3v9q2d7m1xa"),
        ("baseline", "run:k3v9q2d7m1xa"),
        ("s3://bucket/my data", "dataset:s3://bucket/my data"),
    ],
)
def test_an_id_a_name_or_a_label_finds_the_node(text: str, expected: str) -> None:
    assert find_node(graph_of(LINES), text) == expected


@pytest.mark.parametrize(
    ("text", "ids"),
    [("both", ["dataset:both", "endpoint:both"]), ("twice", ["run:other", "job:other2"])],
)
def test_a_name_that_two_have_lists_both(text: str, ids: list[str]) -> None:
    with pytest.raises(AmbiguousResource) as raised:
        find_node(graph_of(LINES), text)
    assert all(one in str(raised.value) for one in ids)


@pytest.mark.parametrize("text", ["resnt", "model:resnt", "run:resnet", "RESNET"])
def test_a_name_that_is_not_there_suggests_near_ones(text: str) -> None:
    with pytest.raises(NotFound, match=r"did you mean .*model:resnet"):
        find_node(graph_of(LINES), text)


@pytest.mark.parametrize("text", ["", ":", "zzzzzz", "a\nb", "\ud800"])
def test_what_is_near_nothing_suggests_nothing(text: str) -> None:
    with pytest.raises(NotFound, match="is recorded; see: finops graph list"):
        find_node(graph_of(LINES), text)


def _cost(number: int, currency: str) -> dict[str, Any]:
    return {"cost": f"1 {currency}", "node_id": "run:a", "event_id": f"{currency}:{number}"}


def _record(home: pathlib.Path, lines: list[dict[str, Any]]) -> Any:
    ledger = open_ledger(home)
    ledger.add_lineage(make_records(parse_lineage_line(json.dumps(line)) for line in lines))
    return ledger


def test_the_currency_of_most_costs_is_taken(home: pathlib.Path) -> None:
    lines = [_cost(0, "EUR"), _cost(1, "EUR"), _cost(2, "USD")]
    ledger = _record(home, lines)
    loaded = load_genealogy(ledger)
    assert (loaded.currency, loaded.other_currencies) == ("EUR", {"USD": 1})
    assert str(loaded.graph.full_cost("run:a").total.amount) == "2"
    asked = load_genealogy(ledger, currency="USD")
    assert (asked.currency, asked.other_currencies) == ("USD", {"EUR": 2})


def test_of_two_currencies_with_as_many_costs_the_first_by_name(home: pathlib.Path) -> None:
    assert load_genealogy(_record(home, [_cost(0, "USD"), _cost(1, "EUR")])).currency == "EUR"


def test_no_ledger_is_an_empty_graph() -> None:
    loaded = load_genealogy(None)
    assert (loaded.currency, loaded.graph.node_count) == ("USD", 0)
