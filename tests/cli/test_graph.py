"""`finops graph`: the questions to the story of the support bot, as its users ask them.

Method: each test imports examples/genealogy/support_bot.py into a ledger of its own through the
command line, and compares with amounts that stand in the story, added up by hand.
"""

from __future__ import annotations

import pathlib
import re
import shutil
from decimal import Decimal
from typing import Any

import pytest
from command_line import PRICED, Cli, amount
from genealogy_story import lines_text, wide_sweep

MODEL = "model:support-bot-v3"
ENDPOINT = "endpoint:support-bot"
# 88.25 under no name, 605 abandoned, 420 the router, 6,865.50 the endpoint with all it needs.
TOTAL = Decimal("7978.75")


def _costs(found: dict[str, Any]) -> dict[str, Decimal]:
    return {name: amount(found[name]) for name in ("total", "good", "failed", "preempted")}


def test_a_model_cost_all_that_it_needed_with_failed_attempts_apart(story: Cli) -> None:
    found = story.json("graph", "cost", MODEL)
    assert _costs(found["full_cost"]) == {
        "total": Decimal(5214), "good": Decimal(3054), "failed": Decimal(2040),
        "preempted": Decimal(120),
    }  # fmt: skip
    assert amount(found["own_cost"]["total"]) == 0
    assert amount(found["cost_from"]["total"]) == Decimal("1651.50")  # the endpoint
    by_id = {one["node_id"]: one for one in found["contributors"]}
    assert amount(by_id["run:sweep-12-may"]["cost"]["total"]) == 3950
    assert amount(by_id["run:sweep-12-may"]["cost"]["failed"]) == 1730
    assert by_id["run:notebook"]["path"][0] == MODEL
    assert by_id["run:notebook"]["path"][-1] == "run:notebook"
    parts = [amount(one["cost"]["total"]) for one in found["contributors"]]
    assert sum(parts) == 5214
    assert parts == sorted(parts, reverse=True)


def test_the_sentence_says_where_the_money_went(story: Cli) -> None:
    output, _ = story("graph", "cost", MODEL)
    sentence = " ".join(output.split("\n\n")[0].split())
    assert sentence.startswith(
        "model:support-bot-v3 cost $5,214.00: $3,950.00 in sweep of 12 May (run:sweep-12-may), "
        "of which $1,730.00 failed; $1,070.00 in supervised fine-tuning (run:sft), "
        "of which $310.00 failed, $120.00 preempted"
    )


@pytest.mark.parametrize("by", ["kind", "status", "user", "cluster"])
def test_groups_add_up_to_the_full_cost(story: Cli, by: str) -> None:
    groups = story.json("graph", "cost", MODEL, "--by", by)["groups"]
    assert sum(amount(one["cost"]["total"]) for one in groups) == 5214
    costs = {one["name"]: amount(one["cost"]["total"]) for one in groups}
    expected = {
        "kind": ("job", "170.50"),
        "status": ("PREEMPTED", "120"),
        "user": ("ben", "170.50"),
        "cluster": ("ana-laptop", "23.50"),
    }[by]
    assert costs[expected[0]] == Decimal(expected[1])
    output, _ = story("graph", "cost", MODEL, "--by", by)
    assert expected[0] in output


def test_a_group_that_is_none_is_told(story: Cli) -> None:
    _, errors = story("graph", "cost", MODEL, "--by", "colour", expect=2)
    assert "kind, status, user, cluster" in errors


def test_the_cost_of_all_that_came_from_a_dataset(story: Cli) -> None:
    found = story.json("graph", "from", "dataset:tickets-clean")
    # Fine-tuning, the sweep, the endpoint and the router; the dataset itself cost nothing.
    assert amount(found["cost_from"]["total"]) == Decimal("1070") + 3950 + Decimal("1651.50") + 420
    output, _ = story("graph", "from", "dataset:tickets-clean", "--top", "2")
    assert "$7,091.50" in output
    assert re.search(r"and \d more: \$1,490\.00; see --top", output)


def test_two_models_share_what_made_their_dataset(story: Cli) -> None:
    found = story.json("graph", "diff", MODEL, "intent-router")
    assert amount(found["both"]["total"]) == 194  # the notebook and the cleaning
    assert amount(found["only_first"]["total"]) == 5020
    assert amount(found["only_second"]["total"]) == 420
    output, _ = story("graph", "diff", MODEL, "intent-router")
    assert "only model:intent-router: $420.00" in output
    assert "both: $194.00" in output


def test_shares_and_no_outcome_add_up_to_what_was_spent(story: Cli) -> None:
    found = story.json("graph", "allocate")
    assert amount(found["total"]["total"]) == TOTAL
    # Of the retired model and of nobody's run no surviving result came.
    assert amount(found["no_outcome"]["total"]) == Decimal("605") + Decimal("88.25")
    shares = {one["node_id"]: one for one in found["claimants"]}
    assert sorted(shares) == [ENDPOINT, "model:intent-router"]
    for rule in ("equal", "usage", "last_pays"):
        total = sum(amount(one[rule]) for one in shares.values())
        assert total + amount(found["no_outcome"]["total"]) == TOTAL, rule
    # Both came from the 194 USD: half each, or 4 to 1 by requests.
    assert amount(shares["model:intent-router"]["equal"]) == 420 + 97
    assert amount(shares["model:intent-router"]["usage"]) == 420 + Decimal("38.80")
    assert amount(shares["model:intent-router"]["exclusive"]) == 420
    output, _ = story("graph", "allocate")
    assert "no outcome" in output
    assert "$7,978.75" in output
    assert "Full costs do not" in output


def test_claimants_can_be_named(story: Cli) -> None:
    found = story.json("graph", "allocate", "--claimant", "intent-router")
    assert [one["node_id"] for one in found["claimants"]] == ["model:intent-router"]
    assert amount(found["claimants"][0]["equal"]) == 614
    assert amount(found["no_outcome"]["total"]) == TOTAL - 614


def test_the_tree_shows_costs_and_counts_each_node_once(story: Cli) -> None:
    nodes = story.json("graph", "show", ENDPOINT)["nodes"]
    own = sum(amount(node["own_cost"]) for node in nodes if not node["is_repetition"])
    assert own == Decimal("6865.50") == amount(nodes[0]["subtree_cost"]["total"])
    counted = [node["node_id"] for node in nodes if not node["is_repetition"]]
    assert len(counted) == len(set(counted))
    output, _ = story("graph", "show", ENDPOINT, COLUMNS="120")
    assert "full cost $6,865.50: $4,705.50 good, $2,040.00 failed, $120.00 preempted" in output
    assert "more runs" in output
    assert "(counted above:" in output or "(counted elsewhere:" in output


@pytest.mark.parametrize("columns", ["200", "100", "80", "60", "40", "20"])
def test_the_tree_fits_the_terminal(story: Cli, columns: str) -> None:
    output, _ = story("graph", "show", ENDPOINT, COLUMNS=columns)
    tree = output[output.index("NODE") :].splitlines()
    assert max(len(line) for line in tree) <= int(columns)
    assert len(tree) > 10
    if int(columns) >= 40:
        assert "$6,865.50" in tree[1]


def test_folds_name_how_many_and_how_much(story: Cli) -> None:
    output, _ = story("graph", "show", "sweep-12-may", "--children", "3", COLUMNS="140")
    folds = re.findall(r"and (\d+) more runs.*?(\$[\d,.]+)\s", output)
    assert folds, output
    everything, _ = story("graph", "show", "sweep-12-may", "--children", "0", COLUMNS="140")
    assert "more runs" not in everything
    assert len(re.findall(r"run:trial-\d\d\b", everything)) >= 40


def test_a_depth_hides_what_is_below_and_says_what_it_cost(story: Cli) -> None:
    output, _ = story("graph", "show", ENDPOINT, "--depth", "1", COLUMNS="120")
    assert MODEL in output
    assert "sweep" not in output
    hidden = next(line for line in output.splitlines() if "more" in line)
    assert "$5,214.00" in hidden


def test_nodes_in_another_currency_are_told_and_not_added(story: Cli) -> None:
    output, _ = story("graph", "show", ENDPOINT)
    assert "not in the sum: costs of 1 node in EUR" in output
    euros = story.json("graph", "cost", ENDPOINT, "--currency", "eur")
    assert euros["full_cost"]["total"] == {"amount": "41", "currency": "EUR"}
    assert euros["other_currencies"]["USD"] > 50


def test_bare_names_and_labels_name_a_node(story: Cli) -> None:
    assert story.json("graph", "cost", "support-bot-v3")["node"]["node_id"] == MODEL
    assert story.json("graph", "cost", "sweep of 12 May")["node"]["node_id"] == "run:sweep-12-may"


def test_a_node_that_is_not_there_suggests_near_ones(story: Cli) -> None:
    _, errors = story("graph", "cost", "suport-bot-v3", expect=1)
    assert MODEL in errors
    _, errors = story("graph", "show", "model:support-bot-v4", expect=1)
    assert MODEL in errors


def test_list_pending_and_problems(story: Cli) -> None:
    models = story.json("graph", "list", "--kind", "model")["nodes"]
    assert {one["node_id"]: amount(one["full_cost"]["total"]) for one in models} == {
        MODEL: 5214, "model:intent-router": 614, "model:reranker-v1": 345,
    }  # fmt: skip
    output, _ = story("graph", "list", "--limit", "2")
    assert "more; see --limit" in output
    assert story.json("graph", "pending")["pending"] == ["run:unnamed-7f3a"]
    problems = story.json("graph", "problems")["problems"]
    assert [one["node_id"] for one in problems] == [ENDPOINT]
    assert "EUR" in problems[0]["text"]


def test_as_of_a_time_shows_what_was_known_then(cli: Cli) -> None:
    cli("graph", "add", "model:m", "--created", "2026-05-01")
    early = cli.json("graph", "list", "--as-of", "2020-01-01")
    assert early["nodes"] == []
    _, errors = cli("graph", "list", "--as-of", "yesterday", expect=2)
    assert "2026-05-12T08:00:00Z" in errors


def test_nothing_recorded_is_said_plainly(cli: Cli) -> None:
    output, _ = cli("graph", "list")
    assert "no such node" in output
    _, errors = cli("graph", "show", "model:x", expect=1)
    assert "finops graph list" in errors
    assert cli.json("graph", "allocate")["claimants"] == []


def test_no_name_can_write_to_the_terminal(cli: Cli, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "lines.jsonl"
    name = "model:abc\u202edef <b>"
    file.write_text(
        lines_text([{"node": name, "label": "\u2066evil\u202e \u200btext"}]), encoding="utf-8"
    )
    cli("graph", "import", str(file))
    for command in (("show", name), ("cost", name), ("list",)):
        output, _ = cli("graph", *command)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", output), command


# Pictures.


@pytest.mark.parametrize("ending", ["dot", "html", "svg", "png"])
def test_a_picture_is_written_in_the_format_of_its_ending(
    story: Cli, tmp_path: pathlib.Path, ending: str
) -> None:
    if ending in ("svg", "png") and shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    file = tmp_path / f"bot.{ending}"
    output, _ = story("graph", "show", ENDPOINT, "--out", str(file))
    assert "$6,865.50" in output
    begins = {"dot": b"digraph", "html": b"<!DOCTYPE html>", "svg": b"<?xml", "png": b"\x89PNG"}
    content = file.read_bytes()
    assert content.startswith(begins[ending])
    if ending != "png":
        assert "sweep of 12 May" in content.decode()


def test_an_unknown_ending_is_told_before_anything_is_written(
    story: Cli, tmp_path: pathlib.Path
) -> None:
    _, errors = story("graph", "show", ENDPOINT, "--out", str(tmp_path / "bot.gif"), expect=2)
    assert ".svg, .png, .dot, .html" in errors
    assert not (tmp_path / "bot.gif").exists()


def test_without_graphviz_the_message_says_what_to_install(
    story: Cli, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "bot.svg"
    _, errors = story("graph", "show", ENDPOINT, "--out", str(file), expect=1, PATH=str(tmp_path))
    assert "apt-get install graphviz" in errors
    assert not file.exists()


def test_a_folder_that_is_not_there_is_told(story: Cli, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "no" / "bot.html"
    _, errors = story("graph", "show", ENDPOINT, "--out", str(file), expect=1)
    assert str(file) in errors
    assert "Traceback" not in errors


# Runs that the ledger itself knows.


def test_a_run_that_is_metered_here_is_in_the_graph(cli: Cli) -> None:
    cli("run", *PRICED, "--name", "base", "--", "sh", "-c", "sleep 0.3")
    (run,) = cli.runs()
    found = cli.json("graph", "cost", "base")  # by the run's own name
    assert found["node"]["node_id"] == f"run:{run['run_id']}"
    assert found["node"]["status"] == "FINISHED"
    assert found["full_cost"]["total"] == run["metered_cost"]
    whole = cli.json("graph", "cost", "project:vision")
    assert whole["full_cost"]["total"] == run["metered_cost"]


def test_a_run_without_a_price_makes_the_sum_a_lower_bound(cli: Cli) -> None:
    where = ("--project", "vision", "--experiment", "resnet", "--resources", "8xH100@aws:nowhere")
    cli("run", *where, "--", "sleep", "0.2")
    cli("run", *PRICED, "--", "sleep", "0.2")
    found = cli.json("graph", "cost", "project:vision")["full_cost"]
    assert found["unpriced_count"] == 1
    assert amount(found["total"]) > 0
    output, _ = cli("graph", "show", "project:vision", COLUMNS="120")
    assert "at least: the cost of 1 node is not known yet, and unknown is not zero" in output
    assert "unpriced" in output
    assert "≥ $" in output


def test_every_sum_with_a_cost_that_is_not_known_is_a_lower_bound(cli: Cli) -> None:
    where = ("--project", "vision", "--experiment", "resnet", "--resources", "8xH100@aws:nowhere")
    cli("run", *where, "--", "sleep", "0.1")
    (run,) = cli.runs()
    cli("graph", "link", f"run:{run['run_id']}", "produced", "model:m")
    cli("graph", "link", "model:m", "deployed_as", "endpoint:e")
    cli("graph", "charge", "endpoint:e", "5 USD")
    output, _ = cli("graph", "cost", "endpoint:e", COLUMNS="140")
    assert "endpoint:e cost at least $5.00: $5.00 itself; at least $0.00 in" in output
    assert "≥ $0.00" in output  # among the contributors
    assert "≥ $5.00" in cli("graph", "list", COLUMNS="140")[0]
    output, _ = cli("graph", "cost", "endpoint:e", "--by", "kind", COLUMNS="140")
    assert "≥ $0.00" in output
    assert "≥ $5.00" not in output  # the endpoint's own cost is known
    output, _ = cli("graph", "diff", "endpoint:e", "model:m", COLUMNS="140")
    assert "both: at least $0.00" in output
    assert "at least: the cost of 1 node is not known yet" in output


def test_a_difference_tells_costs_in_other_currencies(story: Cli) -> None:
    output, _ = story("graph", "diff", ENDPOINT, MODEL)
    assert "not in the sum: costs of 1 node in EUR" in output


def test_contributors_tell_how_much_of_the_path_is_hidden(story: Cli) -> None:
    contributors = story.json("graph", "cost", MODEL)["contributors"]
    assert {one["hidden_path_count"] for one in contributors} == {0}


def test_a_long_path_tells_how_much_of_it_is_hidden(cli: Cli, tmp_path: pathlib.Path) -> None:
    lines: list[dict[str, Any]] = [{"cost": "5 USD", "node_id": "job:0", "event_id": "c"}]
    for at in range(100):
        lines += [
            {"edge": "produced", "subject": f"job:{at}", "object": f"dataset:{at}"},
            {"edge": "read", "subject": f"job:{at + 1}", "object": f"dataset:{at}"},
        ]
    file = tmp_path / "lines.jsonl"
    file.write_text(lines_text(lines), encoding="utf-8")
    cli("graph", "import", str(file))
    (paid,) = (
        one
        for one in cli.json("graph", "cost", "job:100")["contributors"]
        if one["node_id"] == "job:0"
    )
    assert len(paid["path"]) + paid["hidden_path_count"] == 201
    assert paid["hidden_path_count"] > 0


def test_a_node_without_a_name_of_its_own_is_named_once(cli: Cli) -> None:
    cli("graph", "link", "run:x", "produced", "model:m")
    cli("graph", "charge", "run:x", "5 USD")
    assert "run:x (run:x)" not in cli("graph", "cost", "model:m")[0]
    assert "x (run:x)" not in cli("graph", "cost", "model:m")[0]


def test_several_other_currencies_are_not_all_of_one_node(cli: Cli, tmp_path: pathlib.Path) -> None:
    costs = (("job:a", "5 USD"), ("job:z", "5 USD"), ("job:a", "7 EUR"), ("job:b", "7 JPY"))
    lines = [
        {"cost": cost, "node_id": node, "event_id": str(at)}
        for at, (node, cost) in enumerate(costs)
    ]
    file = tmp_path / "lines.jsonl"
    file.write_text(lines_text(lines), encoding="utf-8")
    cli("graph", "import", str(file))
    output, _ = cli("graph", "show", "job:a")
    assert "costs of 1 node in some of EUR, JPY" in output


def test_another_step_of_a_sentence_is_told_what_to_do(cli: Cli) -> None:
    cli("graph", "link", "run:a", "read", "dataset:d", "--step", "1")
    cli("graph", "link", "run:a", "read", "dataset:d", "--step", "1")
    _, errors = cli("graph", "link", "run:a", "read", "dataset:d", "--step", "2", expect=1)
    assert "is recorded with step 1, not 2; a sentence has one step" in errors


def test_errors_write_no_direction_characters(cli: Cli, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text(lines_text([{"node": "model:\u202eevil"}]), encoding="utf-8")
    cli("graph", "import", str(file))
    _, errors = cli("graph", "show", "evil", expect=1)
    assert "did you mean" in errors
    assert "\u202e" not in errors


def test_what_graphviz_lays_out_is_not_endless(cli: Cli, tmp_path: pathlib.Path) -> None:
    """More than 2,000 children that are all to be drawn: the rest is one node with its cost."""
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    file = tmp_path / "lines.jsonl"
    file.write_text(lines_text(wide_sweep(2100)), encoding="utf-8")
    cli("graph", "import", str(file))
    picture = tmp_path / "m.svg"
    output, _ = cli("graph", "show", "model:m", "--children", "0", "--out", str(picture))
    assert ": 2,001 nodes, " in output
    assert "102 more" in picture.read_text(encoding="utf-8")
    output, _ = cli("graph", "show", "model:m", "--children", "0", "--out", str(tmp_path / "m.dot"))
    assert ": 2,102 nodes, " in output
