"""`finops value`: what results are worth, beside what they cost, as ranges."""

from __future__ import annotations

import pathlib

import pytest
from command_line import Cli, amount
from genealogy_story import lines_text, story_lines

MODEL = "model:support-bot-v3"


@pytest.fixture
def story(cli: Cli, tmp_path: pathlib.Path) -> Cli:
    """A command line whose ledger holds the story."""
    file = tmp_path / "story.jsonl"
    file.write_text(lines_text(story_lines()), encoding="utf-8")
    cli("graph", "import", str(file))
    return cli


def test_a_sweep_led_to_what_its_model_is_worth(story: Cli) -> None:
    (found,) = story.json("value", "show", "run:sweep-12-may", "--as-of", "2027-01-01")["nodes"]
    assert amount(found["led_to"]["per_month"]) == 50_000
    assert amount(found["led_to"]["to_date"]) == 350_000  # June to December
    low = amount(found["credit_lowest"]["per_month"])
    high = amount(found["credit_highest"]["per_month"])
    assert 0 <= low <= high <= 50_000
    assert found["results"] == [MODEL]
    output, _ = story("value", "show", "run:sweep-12-may")
    assert "it led to model:support-bot-v3: worth $50,000.00 a month" in output
    assert "its credit: " in output


def test_the_report_puts_cost_beside_value(story: Cli) -> None:
    nodes = {one["node_id"]: one for one in story.json("value", "show")["nodes"]}
    assert amount(nodes[MODEL]["full_cost"]["total"]) == 5214
    assert "run:sweep-12-may" in nodes
    assert "run:reranker-a" not in nodes  # led to nothing
    output, _ = story("value", "show")
    assert "does not add up; credits do" in output


def test_a_node_that_nobody_valued_has_no_value_and_not_zero(story: Cli) -> None:
    output, _ = story("value", "show", "run:reranker-a")
    assert "nobody said what it is worth" in output
    assert "$0.00 a month" not in output


def test_value_is_added_listed_and_ended(story: Cli) -> None:
    story(
        "value", "add", "intent-router", "1200", "USD", "--per", "month", "--source", "the desk",
        "--from", "2026-07-01", "--event-id", "v:router",
    )  # fmt: skip
    listed = {one["value_id"]: one for one in story.json("value", "list")["values"]}
    mine = listed["v:router"]
    assert (mine["node_id"], mine["per"], mine["source"]) == (
        "model:intent-router", "month", "the desk",
    )  # fmt: skip
    assert mine["valid_from"] == "2026-07-01T00:00:00Z"
    story("value", "end", "v:router", "--at", "2026-09-01", "--why", "replaced")
    (later,) = story.json("value", "show", "intent-router", "--as-of", "2027-06-01")["nodes"]
    assert amount(later["led_to"]["per_month"]) == 0
    assert amount(later["led_to"]["to_date"]) == 2400
    _, errors = story("value", "end", "no-such", expect=1)
    assert "finops value list" in errors


@pytest.mark.parametrize(
    ("options", "expect", "named"),
    [
        (("5 USD",), 2, "--source"),
        (("5", "--source", "x"), 1, "currency"),
        (("5 USD", "--source", "x", "--per", "week"), 2, "once, month, quarter, year"),
        (("5 USD", "--source", "x", "--from", "soon"), 2, "soon"),
        (("5 USD", "--source", "x", "--from", "2026-02-01", "--to", "2026-01-01"), 1, "after"),
    ],
)
def test_what_makes_no_sense_is_refused(
    story: Cli, options: tuple[str, ...], expect: int, named: str
) -> None:
    _, errors = story("value", "add", MODEL, *options, expect=expect)
    assert named in errors
    assert len(story.json("value", "list")["values"]) == 1


def test_only_results_have_a_value(story: Cli) -> None:
    _, errors = story("value", "add", "run:sft", "5 USD", "--source", "x", expect=1)
    assert "model" in errors


def test_nothing_recorded_is_said_plainly(cli: Cli) -> None:
    assert "no value is recorded" in cli("value", "list")[0]
    assert "no value is recorded" in cli("value", "show")[0]
