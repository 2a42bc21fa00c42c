"""What runs say of what they read, made and serve, and the records behind it.

Goal: names that users see do what their docstrings say, in real processes on a real ledger file.
"""

from __future__ import annotations

import logging
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

import finops
from finops import Money, Run, errors
from finops.ledger import (
    BusinessValue,
    Ledger,
    LineageCost,
    LineageEdge,
    LineageNode,
    LineageRecords,
    NodeStatus,
    NodeUse,
    lineage_line,
    parse_lineage_line,
    parse_node_id,
)

Start = Callable[..., Run]
OpenLedger = Callable[[], Ledger]

NOW = datetime(2026, 5, 12, 8, 30, 0, 250_000, tzinfo=timezone.utc)
RECORDS = (
    LineageNode(
        node_id="model:x",
        label="X",
        user_name="ada",
        cluster="east",
        attributes='{"seed": 7}',
        created_at=NOW,
    ),
    LineageEdge(subject="job:a", kind="produced", object="model:x", step=5, recorded_at=NOW),
    LineageCost(
        event_id="c-1",
        node_id="job:a",
        billed_cost=Money("-24.5"),
        charge_category="Credit",
        is_correction=True,
        charge_period_start=NOW,
        charge_period_end=NOW + timedelta(hours=1),
    ),
    NodeStatus(node_id="job:a", status="FAILED", who="ada", why="disk", recorded_at=NOW),
    NodeUse(event_id="u-1", node_id="model:x", quantity=5, unit="requests", recorded_at=NOW),
    BusinessValue(
        value_id="v-1",
        node_id="model:x",
        amount=Money(50_000),
        source="A/B test",
        per="month",
        valid_from=NOW,
        valid_to=NOW + timedelta(days=1),
        who="ada",
        recorded_at=NOW,
    ),
)


def sentences(ledger: Ledger) -> set[str]:
    return {str(edge) for edge in ledger.lineage().edges}


# In a run.


def test_a_run_says_what_it_read_made_and_serves(start: Start, open_ledger: OpenLedger) -> None:
    run = start()
    run.used("imagenet")
    run.used("model:base", step=7)
    run.produced("resnet-v2")
    run.produced("dataset:tokens")
    run.deployed("resnet-v2", "chat")
    subject = f"run:{run.run_id}"
    assert {
        f"{subject} read dataset:imagenet",
        f"{subject} read model:base",
        f"{subject} produced model:resnet-v2",
        f"{subject} produced dataset:tokens",
        "model:resnet-v2 deployed_as endpoint:chat",
        f"{subject} produced endpoint:chat",
    } <= sentences(open_ledger())
    assert run.warnings == []


@pytest.mark.parametrize("name", ["", " a", "a\n", "run:other", "model:", "\u2028", "x" * 600])
def test_a_bad_name_is_refused_at_once(start: Start, name: str) -> None:
    run = start()
    with pytest.raises(errors.InvalidArgument):
        run.used(name)
    run.used("good")


def test_a_cycle_and_another_step_are_refused(start: Start) -> None:
    run = start()
    run.produced("m", step=1)
    with pytest.raises(errors.Conflict):
        run.produced("m", step=2)
    with pytest.raises(errors.InvalidArgument, match=r"closes a cycle.*model:m@2"):
        run.used("model:m")


def test_names_are_kept_byte_for_byte(start: Start, open_ledger: OpenLedger) -> None:
    run = start()
    names = ["\u05d3\u05d2\u05dd", "e\u0301", "\u00e9", "\U0001f469\u200d\U0001f680", "'; DROP --"]
    for name in names:
        run.used(name)
    objects = {edge.object for edge in open_ledger().lineage().edges}
    assert {f"dataset:{name}" for name in names} <= objects


def test_forks_and_parts_are_recorded(start: Start, open_ledger: OpenLedger) -> None:
    origin = start()
    fork = start(fork_of=origin, fork_step=100)
    part = start(parent=origin)
    (edge,) = [edge for edge in open_ledger().lineage().edges if edge.kind == "forked_from"]
    assert str(edge) == f"run:{fork.run_id} forked_from run:{origin.run_id}"
    assert edge.step == 100
    assert f"run:{part.run_id} nested_in run:{origin.run_id}" in sentences(open_ledger())
    with pytest.raises(errors.InvalidArgument, match="fork_of"):
        start(fork_step=1)
    with pytest.raises(errors.InvalidArgument, match="fork_step"):
        start(fork_of=origin, fork_step=-1)


def test_what_waits_at_the_end_is_logged_and_taken_in_by_the_next_start(
    start: Start,
    open_ledger: OpenLedger,
    home: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = start()
    (home / "ledger.db").rename(home / "away")
    (home / "ledger.db").mkdir()
    run.used("imagenet")
    assert any("waits in memory" in warning for warning in run.warnings)
    with caplog.at_level(logging.WARNING, logger="finops"):
        finops.finish(run)
    assert "kept in" in caplog.text
    (home / "ledger.db").rmdir()
    (home / "away").rename(home / "ledger.db")
    start()
    assert f"run:{run.run_id} read dataset:imagenet" in sentences(open_ledger())
    assert list(home.glob("lineage-*")) == []


def test_other_processes_of_an_attempt_say_it_too(
    open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    home.parent.mkdir(exist_ok=True)
    script = (
        "import finops, os\n"
        "run = finops.init(project='p', experiment='e')\n"
        "run.used('shard-' + os.environ['SHARD'])\n"
        "print(run.run_id)\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "FINOPS_RUN_ID": "job-7", "SHARD": str(rank)},
            stdout=subprocess.PIPE,
        )
        for rank in range(3)
    ]
    for child in children:
        output, _ = child.communicate(timeout=60)
        assert (child.returncode, output) == (0, b"job-7\n")
    assert {f"run:job-7 read dataset:shard-{rank}" for rank in range(3)} <= sentences(open_ledger())


# Records.


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_line_gives_the_same_record_back(record: LineageNode) -> None:
    assert parse_lineage_line(lineage_line(record)) == record


def test_records_show_what_they_were_made_of() -> None:
    node, edge, cost, status, use, value = RECORDS
    assert (node.label, node.user_name, node.cluster) == ("X", "ada", "east")
    assert (node.attributes, node.created_at) == ('{"seed":7}', NOW)
    assert (edge.subject, edge.kind, edge.object, edge.step) == ("job:a", "produced", "model:x", 5)
    assert (cost.billed_cost, cost.charge_category) == (Money("-24.5"), "Credit")
    assert (cost.is_correction, cost.charge_period_end) == (True, NOW + timedelta(hours=1))
    assert (status.status, status.who, status.why) == ("FAILED", "ada", "disk")
    assert (use.quantity, use.unit, use.recorded_at) == (5, "requests", NOW)
    assert (value.amount, value.per, value.source) == (Money(50_000), "month", "A/B test")
    assert (value.valid_from, value.valid_to) == (NOW, NOW + timedelta(days=1))
    assert NodeUse(event_id="u", node_id="model:x", quantity=0).recorded_at is None
    assert parse_node_id("model:x") == "model:x"


def test_the_ledger_gives_back_what_was_recorded(start: Start, home: pathlib.Path) -> None:
    finops.finish(start())
    node, edge, cost, status, use, value = RECORDS
    said = LineageRecords(
        nodes=[node], edges=[edge], costs=[cost], statuses=[status], uses=[use], values=[value]
    )
    ledger = Ledger(str(home / "ledger.db"))
    ledger.add_lineage(said)
    ledger.add_lineage(said)
    found = ledger.lineage()
    for field in ("nodes", "edges", "costs", "statuses", "uses", "values"):
        (record,) = getattr(said, field)
        assert getattr(found, field).count(record) == 1
    assert ledger.lineage(as_of=NOW).uses == []
    assert ledger.lineage(as_of=NOW + timedelta(microseconds=1)).uses == [use]
    with pytest.raises(errors.Conflict):
        ledger.add_lineage(LineageRecords(nodes=[LineageNode(node_id="model:x")]))
    assert ledger.verify().problems == []


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: LineageNode(node_id="x"), errors.InvalidArgument),
        (lambda: LineageNode(node_id="model:x", attributes="[]"), errors.InvalidArgument),
        (lambda: LineageNode(node_id="model:x", label="a\x1b[31m"), errors.InvalidArgument),
        (
            lambda: LineageNode(node_id="model:x", created_at=NOW.replace(tzinfo=None)),
            errors.InvalidArgument,
        ),
        (lambda: LineageNode(node_id="model:x", created_at=1.5), TypeError),
        (lambda: LineageNode("model:x"), TypeError),
        (
            lambda: LineageEdge(subject="dataset:d", kind="read", object="run:a"),
            errors.InvalidArgument,
        ),
        (lambda: LineageEdge(subject="run:a", kind="ate", object="run:b"), errors.InvalidArgument),
        (lambda: NodeStatus(node_id="run:a", status="failed"), errors.InvalidArgument),
        (lambda: NodeUse(event_id="u", node_id="model:x", quantity=-1), errors.InvalidArgument),
        (lambda: NodeUse(event_id="u", node_id="model:x", quantity=1.5), TypeError),
        (
            lambda: BusinessValue(
                value_id="v", node_id="run:a", amount=Money(1), source="s", per="month"
            ),
            errors.InvalidArgument,
        ),
        (lambda: parse_lineage_line('{"node": "model:x", "x": 1}'), errors.InvalidArgument),
        (
            lambda: parse_lineage_line('{"cost": "1", "node_id": "job:a", "event_id": "e"}'),
            errors.InvalidMoney,
        ),
        (lambda: parse_node_id("model"), errors.InvalidArgument),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_is_made(
    make: Callable[[], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make()
