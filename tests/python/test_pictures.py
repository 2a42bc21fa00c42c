"""Pictures of a genealogy: what is folded, and how names survive DOT.

Method: graphs from lines of JSON; sums are compared with the graph's own, names are read back from
what Graphviz makes of them.
"""

from __future__ import annotations

import html
import json
import pathlib
import random
import re
import shutil
import xml.etree.ElementTree
from decimal import Decimal
from typing import Any

import pytest
from genealogy_story import graph_of, story_lines, wide_sweep

from finops.errors import MissingPackage, SystemFailure
from finops.genealogy import Genealogy, make_records, parse_lineage_line
from finops.pictures import Picture, dot_text, make_picture, page_text, sharing, write_picture
from finops.pictures.dot import render_dot
from finops.texts import shorten

needs_graphviz = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def _picture(lines: list[dict[str, Any]], node_id: str, **choices: Any) -> Picture:
    most_children = choices.pop("most_children", 5)
    is_downstream = choices.get("downstream", False)
    tree = graph_of(lines).tree(node_id, **choices)
    return make_picture(tree, is_downstream=is_downstream, most_children=most_children)


def _check_sums(picture: Picture) -> None:
    for position, below in enumerate(picture.children()):
        node = picture.nodes[position]
        if node.folded_count or node.counted_at is not None:
            continue
        parts = [picture.nodes[child].costs for child in below]
        total = sum((part.total.amount for part in parts), node.own_cost.amount)
        assert total == node.costs.total.amount, node.node_id
        unpriced_count = sum((part.unpriced_count for part in parts), int(node.is_unpriced))
        assert unpriced_count == node.costs.unpriced_count, node.node_id
        other_count = sum((part.other_currency_count for part in parts), node.has_other_currency)
        assert other_count == node.costs.other_currency_count, node.node_id


def test_a_fold_has_only_what_is_in_it() -> None:
    lines: list[dict[str, Any]] = [
        {"cost": "5 USD", "node_id": "run:p", "event_id": "1"},
        {"cost": "7 EUR", "node_id": "run:p", "event_id": "2"},
        {"edge": "read", "subject": "run:p", "object": "dataset:d1"},
        {"edge": "read", "subject": "run:p", "object": "dataset:d2"},
    ]
    tree = graph_of(lines).tree("run:p", longest_depth=0)
    picture = make_picture(tree, is_downstream=False, most_children=0)
    _check_sums(picture)
    (fold,) = picture.nodes[1:]
    assert fold.folded_count == 2
    assert fold.costs.other_currency_count == 0


def test_where_places_would_take_too_long_costs_still_add_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "_MOST_STEPS", 0)
    picture = _picture(story_lines(), "endpoint:support-bot", most_children=0)
    assert picture.root.costs.total.amount == Decimal("6865.50")
    _check_sums(picture)


def test_children_that_others_refer_to_are_folded_where_all_are_such() -> None:
    lines: list[dict[str, Any]] = []
    for at in range(30):
        lines += [
            {"edge": "produced", "subject": "run:s", "object": f"dataset:{at}"},
            {"edge": "read", "subject": "run:first", "object": f"dataset:{at}"},
            {"edge": "read", "subject": "run:second", "object": f"dataset:{at}"},
        ]
    lines += [
        {"edge": "produced", "subject": "run:first", "object": "model:m"},
        {"edge": "produced", "subject": "run:second", "object": "model:m"},
    ]
    picture = _picture(lines, "model:m", most_children=2)
    assert len(picture.nodes) < 30
    _check_sums(picture)


@pytest.mark.parametrize("most_children", [0, 1, 2, 5, 1000])
@pytest.mark.parametrize("longest_depth", [None, 0, 1, 2, 5])
def test_costs_add_up_at_every_node_whatever_is_folded(
    most_children: int, longest_depth: int | None
) -> None:
    picture = _picture(
        story_lines(),
        "endpoint:support-bot",
        most_children=most_children,
        longest_depth=longest_depth,
    )
    assert picture.root.costs.total.amount == Decimal("6865.50")
    _check_sums(picture)


@pytest.mark.parametrize("most_nodes", [1, 2, 7, 30])
def test_what_the_limit_of_nodes_cuts_off_is_counted(most_nodes: int) -> None:
    picture = _picture(story_lines(), "endpoint:support-bot", most_nodes=most_nodes)
    assert sum(not node.folded_count for node in picture.nodes) <= most_nodes
    assert any(node.folded_count for node in picture.nodes)
    _check_sums(picture)


@pytest.mark.parametrize(
    ("trial_count", "drawn", "folded"), [(4, 4, 0), (5, 5, 0), (6, 6, 0), (7, 5, 2), (200, 5, 195)]
)
def test_children_over_the_limit_are_one_fold(trial_count: int, drawn: int, folded: int) -> None:
    """A fold of one takes as much room as the one, so six stay six."""
    picture = _picture(wide_sweep(trial_count), "model:m")
    trials = [node for node in picture.nodes if node.name.startswith("trial")]
    folds = [node for node in picture.nodes if node.folded_count]
    assert len(trials) == drawn
    assert [node.folded_count for node in folds] == ([folded] if folded else [])
    if folded:
        # The dearest are drawn: trial n cost n cents.
        rest = range(1, trial_count - drawn + 1)
        assert folds[0].costs.total.amount == Decimal(sum(rest)) / 100
        assert folds[0].costs.failed.amount == Decimal(sum(n for n in rest if n % 3 == 0)) / 100
        assert folds[0].kind == "run"


def test_a_trial_that_others_refer_to_is_not_folded() -> None:
    """The cheapest trial, from which the dearest went on, among ten of which three are drawn."""
    fork = {"edge": "forked_from", "subject": "run:trial-00010", "object": "run:trial-00001"}
    for lines, is_drawn in ((wide_sweep(10), False), ([*wide_sweep(10), fork], True)):
        picture = _picture(lines, "model:m", most_children=3)
        drawn = [node.node_id for node in picture.nodes if node.counted_at is None]
        assert ("run:trial-00001" in drawn) is is_drawn
        _check_sums(picture)


def test_references_point_to_where_a_node_is_counted() -> None:
    picture = _picture(story_lines(), "endpoint:support-bot", most_children=0)
    references = [node for node in picture.nodes if node.counted_at is not None]
    assert len(references) > 40
    for node in references:
        assert picture.nodes[node.counted_at or 0].node_id == node.node_id
        assert node.costs.total.amount == 0


def test_what_many_parts_need_stands_below_their_whole() -> None:
    """40 trials began from one checkpoint: it stands below the sweep, and no trial seems dearer."""
    picture = _picture(story_lines(), "model:support-bot-v3", most_children=0)
    nodes = {node.node_id: node for node in picture.nodes if node.counted_at is None}
    sweep = nodes["run:sweep-12-may"]
    checkpoint = nodes["checkpoint:sft/step-30000"]
    assert picture.nodes[checkpoint.parent] == sweep
    assert checkpoint.relation == "shared by 40"
    for name, node in nodes.items():
        if name.startswith("run:trial"):
            assert node.costs.total == node.own_cost, name
    assert sum(node.counted_at is not None and node.node_id == checkpoint.node_id
               for node in picture.nodes) == 40  # fmt: skip


def _dominators(edges: set[tuple[str, str]], root: str, node: str) -> set[str]:
    """By definition: all nodes without which the root no longer reaches `node`."""
    names = {name for edge in edges for name in edge} - {node}
    return {one for one in names if node not in _reached(edges, root, without=one)}


def _reached(edges: set[tuple[str, str]], root: str, *, without: str) -> set[str]:
    found: set[str] = set()
    waiting = [root]
    while waiting:
        at = waiting.pop()
        if at == without or at in found:
            continue
        found.add(at)
        waiting.extend(needed for needer, needed in edges if needer == at)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_shared_nodes_stand_below_their_dominator(seed: int) -> None:
    """Random graphs of runs that read what other runs made; against the definition."""
    chance = random.Random(seed)
    count = 9
    lines: list[dict[str, Any]] = []
    edges: set[tuple[str, str]] = set()
    for number in range(count):
        lines.append({"edge": "produced", "subject": f"run:{number}", "object": f"model:{number}"})
        cost = {"cost": f"{number + 1} USD", "node_id": f"run:{number}", "event_id": f"e{number}"}
        lines.append(cost)
        edges.add((f"model:{number}", f"run:{number}"))
        for other in range(number + 1, count):
            if chance.random() < 0.35:
                read = {"edge": "read", "subject": f"run:{number}", "object": f"model:{other}"}
                lines.append(read)
                edges.add((f"run:{number}", f"model:{other}"))
    picture = _picture(lines, "model:0", most_children=0)
    _check_sums(picture)
    for node in picture.nodes[1:]:
        if node.counted_at is None:
            dominators = _dominators(edges, "model:0", node.node_id)
            # They stand in a row from the root: the nearest one is dominated by all others.
            nearest = max(dominators, key=lambda one: len(_dominators(edges, "model:0", one)))
            assert picture.nodes[node.parent].node_id == nearest, (seed, node.node_id)


def _counted_cost(picture: Picture) -> Decimal:
    counted = [node for node in picture.nodes if node.counted_at is None]
    names = [node.node_id for node in counted]
    assert len(names) == len(set(names))
    return sum((node.own_cost.amount for node in counted), Decimal(0))


def _whole_that_read_what_its_part_made() -> list[dict[str, Any]]:
    return [
        {"edge": "nested_in", "subject": "job:prep", "object": "run:train"},
        {"edge": "produced", "subject": "job:prep", "object": "dataset:tokens"},
        {"edge": "read", "subject": "run:train", "object": "dataset:tokens"},
        {"edge": "read", "subject": "job:prep", "object": "dataset:raw"},
        {"edge": "read", "subject": "run:train", "object": "dataset:raw"},
        {"edge": "produced", "subject": "run:train", "object": "model:M"},
        {"cost": "10 USD", "node_id": "run:train", "event_id": "c1"},
        {"cost": "3 USD", "node_id": "job:prep", "event_id": "c2"},
    ]


@pytest.mark.parametrize("root", ["dataset:raw", "dataset:tokens"])
def test_what_came_from_a_node_may_go_in_a_circle(root: str) -> None:
    """The whole shows its part, the part made the dataset, the whole read that."""
    picture = _picture(_whole_that_read_what_its_part_made(), root, downstream=True)
    graph = graph_of(_whole_that_read_what_its_part_made())
    assert picture.root.costs.total == graph.cost_from(root).total
    assert picture.root.costs.total.amount == _counted_cost(picture) > 0
    _check_sums(picture)


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_lost_of_random_graphs_downstream(seed: int) -> None:
    """Runs in runs that read what runs before them made, their own parts too."""
    chance = random.Random(seed)
    lines: list[dict[str, Any]] = []
    for number in range(9):
        cost = {"cost": f"{number + 1} USD", "node_id": f"run:{number}", "event_id": f"e{number}"}
        made = {"edge": "produced", "subject": f"run:{number}", "object": f"dataset:{number}"}
        lines += [cost, made]
        for other in range(number):
            if chance.random() < 0.35:
                lines.append(
                    {"edge": "read", "subject": f"run:{number}", "object": f"dataset:{other}"}
                )
            if chance.random() < 0.2:
                lines.append(
                    {"edge": "nested_in", "subject": f"run:{other}", "object": f"run:{number}"}
                )
    graph = Genealogy("USD")
    graph.add(make_records(parse_lineage_line(json.dumps(line)) for line in lines))
    for root in graph.node_ids():
        tree = graph.tree(root, downstream=True)
        picture = make_picture(tree, is_downstream=True, most_children=0)
        assert picture.root.costs.total == graph.cost_from(root).total, (seed, root)
        assert picture.root.costs.total.amount == _counted_cost(picture), (seed, root)
        assert len(picture.nodes) >= len(tree)
        _check_sums(picture)


# DOT and Graphviz.

HOSTILE = [
    'quote " and backslash \\',
    "\\N \\G \\l \\n",
    "&lt;b&gt; & <b>",
    '"]; evil [label="x',
    "a -> b; }",
    "<TABLE><TR><TD>x</TD></TR></TABLE>",
    "größer 模型 🚀",
]


def _hostile(name: str) -> list[dict[str, Any]]:
    return [
        {"node": "model:m", "label": name},
        {"node": f"run:{name}", "label": "", "cluster": name},
        {"edge": "produced", "subject": f"run:{name}", "object": "model:m"},
    ]


@needs_graphviz
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_comes_out_of_graphviz_as_it_went_in(name: str) -> None:
    drawn = render_dot(dot_text(_picture(_hostile(name), "model:m")), "svg")
    root = xml.etree.ElementTree.fromstring(drawn)
    texts = [" ".join(text.itertext()).replace("\u00a0", " ") for text in root.iter()]
    assert any(name == text for text in texts), name
    nodes = [one for one in root.iter() if one.get("class") == "node"]
    assert len(nodes) == 2, "no name made another node"


def test_direction_characters_and_controls_are_not_drawn() -> None:
    lines = [{"node": "model:m", "label": "a\u202eb\u2066c"}]
    text = dot_text(_picture(lines, "model:m"))
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)


def test_costs_failures_and_thickness_are_in_the_text() -> None:
    text = dot_text(_picture(story_lines(), "endpoint:support-bot"))
    assert "$1,651.50 own, $6,865.50 in all" in text
    assert re.search(r"more runs\\n\$[\d,.]+\\n\$[\d,.]+ of it failed", text)
    widths = [float(width) for width in re.findall(r"penwidth=([\d.]+), color", text)]
    assert max(widths) > 7
    failed = next(line for line in text.splitlines() if "attempt · FAILED" in line)
    assert "#b91c1c" in failed


def test_without_the_package_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(MissingPackage, match=r"pip install 'finops-train\[graph\]'"):
        render_dot("digraph {}", "svg")


@needs_graphviz
def test_what_graphviz_does_not_understand_is_told() -> None:
    with pytest.raises(SystemFailure, match="Graphviz failed"):
        render_dot("digraph {", "svg")


def test_a_file_that_cannot_be_written_is_told(tmp_path: pathlib.Path) -> None:
    picture = _picture(story_lines(), "endpoint:support-bot")
    with pytest.raises(SystemFailure, match="cannot be written"):
        write_picture(picture, tmp_path / "no" / "x.html")


# The page as text; what it does is in test_picture_page.py.


def test_the_page_holds_its_data_where_no_name_can_end_it() -> None:
    lines = [{"node": "model:m", "label": "</script><script>alert(1)</script>"}]
    text = page_text(_picture(lines, "model:m"))
    assert len(re.findall("</script", text)) == 2
    title = re.search("<title>(.*?)</title>", text)
    assert title is not None
    assert html.unescape(title[1]) == "model:m"
    assert "https://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "a…d"), ("abcdefgh", 4, "ab…h"), ("", 1, "")],
)
def test_long_names_keep_their_beginning_and_their_end(text: str, length: int, shown: str) -> None:
    assert shorten(text, length) == shown
