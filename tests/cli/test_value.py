"""`finops value`: what results are worth, beside what they cost, as ranges."""

from __future__ import annotations

import pathlib
import shlex

import pytest
from command_line import Cli, amount
from genealogy_story import lines_text

from finops.cli.options import user_name

MODEL = "model:support-bot-v3"


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
    assert "does not add up. Credits do" in output
    assert "of outermost runs and jobs" in output


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
    # It has ended: so it is listed, and so it is told.
    output, _ = story("value", "list", COLUMNS="160")
    (line,) = (one for one in output.splitlines() if one.rstrip().endswith(" v:router"))
    assert "2026-09-01" in line
    assert "open" not in line
    for again in ("v:router", "end:v:router"):
        _, errors = story("value", "end", again, expect=1)
        assert "ended at 2026-09-01" in errors or "is the end of v:router" in errors


@pytest.mark.parametrize("worth", ["5", "-5"])
def test_what_came_once_is_taken_back_as_told(cli: Cli, worth: str) -> None:
    cli("graph", "link", "run:a", "produced", "model:m")
    cli("value", "add", "model:m", "--source", "x", "--event-id", "v1", "--", worth, "USD")
    _, errors = cli("value", "end", "v1", expect=1)
    command = shlex.split(errors.partition("take it back with: finops ")[2])
    cli(*command)
    (found,) = cli.json("value", "show", "model:m")["nodes"]
    assert amount(found["led_to"]["to_date"]) == 0


def test_a_value_without_a_beginning_is_the_same_when_added_again(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text(
        lines_text([
            {"edge": "produced", "subject": "run:a", "object": "model:m"},
            {"value": "5 USD", "node_id": "model:m", "event_id": "v", "source": "x",
             "who": user_name()},
        ]),
        encoding="utf-8",
    )  # fmt: skip
    cli("graph", "import", str(file))
    cli("value", "add", "model:m", "5 USD", "--source", "x", "--event-id", "v")
    assert len(cli.json("value", "list")["values"]) == 1


def test_a_value_that_is_over_leaves_nothing_out(cli: Cli, tmp_path: pathlib.Path) -> None:
    _valued_in_euros(cli, tmp_path / "lines.jsonl", has_cost=True)
    output, _ = cli("value", "show", "model:m", "--as-of", "2025-01-01")
    assert "not in the sum" not in output


def test_times_out_of_reach_are_refused_with_the_option(cli: Cli) -> None:
    cli("graph", "link", "run:a", "produced", "model:m")
    _, errors = cli(
        "value", "add", "model:m", "5 USD", "--source", "x", "--to", "9999-12-31", expect=2
    )
    assert "between 1678 and 2261" in errors
    assert "--to" in errors
    _, errors = cli("graph", "show", "model:m", "--as-of", "2300-01-01", expect=2)
    assert "between 1678 and 2261" in errors


def test_a_value_that_has_not_begun_ends_before_it_begins(story: Cli) -> None:
    story(
        "value", "add", "intent-router", "1200", "USD", "--per", "month", "--source", "the desk",
        "--from", "2199-07-01", "--event-id", "v:later",
    )  # fmt: skip
    output, _ = story("value", "end", "v:later")
    assert "before it begins" in output
    for day in ("2199-06-01", "2199-12-01"):
        (found,) = story.json("value", "show", "intent-router", "--as-of", day)["nodes"]
        assert amount(found["led_to"]["per_month"]) == amount(found["led_to"]["to_date"]) == 0


def test_the_same_value_again_is_one(story: Cli) -> None:
    command = ("value", "add", MODEL, "7 USD", "--per", "month", "--source", "x", "--event-id", "v")
    story(*command)
    story(*command)
    assert len(story.json("value", "list")["values"]) == 2  # the story has one


def test_a_value_of_each_month_must_say_from_when(cli: Cli, tmp_path: pathlib.Path) -> None:
    line = {"value": "5 USD", "node_id": "model:m", "event_id": "v1", "source": "x"}
    later = {**line, "event_id": "v2", "per": "quarter", "valid_from": "2026-01-01T00:00:00Z"}
    file = tmp_path / "lines.jsonl"
    file.write_text(lines_text([{**line, "per": "month"}, {**line, "event_id": "v3"}, later]))
    found = cli.json("graph", "import", str(file), expect=1)
    (refused,) = found["refused"]
    assert refused["line"] == 1
    assert "valid_from" in refused["reason"]
    assert found["new"]["values"] == 2
    cli("value", "add", "m", "5 USD", "--per", "month", "--source", "x", "--event-id", "now")
    recorded = {one["value_id"]: one for one in cli.json("value", "list")["values"]}
    assert recorded["now"]["valid_from"] > "2026"


def _valued_in_euros(cli: Cli, file: pathlib.Path, *, has_cost: bool) -> None:
    lines = [
        {"edge": "produced", "subject": "run:s", "object": "model:m"},
        {"value": "50000 EUR", "per": "month", "node_id": "model:m", "source": "x",
         "event_id": "v", "valid_from": "2026-01-01T00:00:00Z"},
    ]  # fmt: skip
    if has_cost:
        lines.append({"cost": "10 USD", "node_id": "run:s", "event_id": "c"})
    file.write_text(lines_text(lines), encoding="utf-8")
    cli("graph", "import", str(file))


@pytest.mark.parametrize("node", [(), ("model:m",), ("run:s",)])
def test_values_in_another_currency_are_told_beside_the_answer(
    cli: Cli, tmp_path: pathlib.Path, node: tuple[str, ...]
) -> None:
    _valued_in_euros(cli, tmp_path / "lines.jsonl", has_cost=True)
    output, _ = cli("value", "show", *node, "--as-of", "2099-01-01")
    assert "not in the sum: worth €50,000.00 a month" in output
    assert "see --currency EUR" in output
    assert "no value is recorded" not in output
    assert "nobody said" not in output
    (other,) = cli.json("value", "show", *node)["other_values"]
    assert other["per_month"] == {"amount": "50000", "currency": "EUR"}
    output, _ = cli("value", "show", *node, "--currency", "EUR")
    assert "€50,000.00" in output
    assert "not in the sum: costs of 1 node in USD" in output


def test_of_a_node_only_what_came_from_it_is_told(cli: Cli, tmp_path: pathlib.Path) -> None:
    _valued_in_euros(cli, tmp_path / "lines.jsonl", has_cost=True)
    cli("graph", "link", "run:other", "produced", "model:other")
    assert cli.json("value", "show", "run:other")["other_values"] == []
    assert "nobody said what it is worth" in cli("value", "show", "run:other")[0]


def test_without_costs_sums_are_in_the_currency_of_the_values(
    cli: Cli, tmp_path: pathlib.Path
) -> None:
    _valued_in_euros(cli, tmp_path / "lines.jsonl", has_cost=False)
    found = cli.json("value", "show", "model:m")
    assert found["currency"] == "EUR"
    assert found["other_values"] == []


def test_a_sum_up_to_a_day_names_the_day(story: Cli) -> None:
    for node in ((), (MODEL,)):
        output, _ = story("value", "show", *node, "--as-of", "2199-01-01", COLUMNS="160")
        assert "up to 2199-01-01" in output.lower()
        assert "up to now" not in output.lower()
        assert "up to now" in story("value", "show", *node, COLUMNS="160")[0].lower()


def test_cost_that_is_not_known_yet_is_at_least(cli: Cli) -> None:
    where = ("--project", "vision", "--experiment", "resnet", "--resources", "8xH100@aws:nowhere")
    cli("run", *where, "--", "sleep", "0.1")
    (run,) = cli.runs()
    cli("graph", "link", f"run:{run['run_id']}", "produced", "model:m")
    cli("value", "add", "model:m", "5 USD", "--source", "x")
    assert "cost at least $0.00 in full" in cli("value", "show", "model:m")[0]
    assert "≥ $0.00" in cli("value", "show")[0]


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
