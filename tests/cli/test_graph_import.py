"""`finops graph import` and its kin: lines in, lines out, and single records from the shell.

Method: lines go in through files and pipes as users write them, wrong ones among right ones.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
from command_line import LIMIT_SECONDS, PRICED, Cli, amount
from genealogy_story import lines_text, story_lines

import finops
from finops.cli.graph_import import LONGEST_LINE

RIGHT = {"edge": "read", "subject": "run:a", "object": "dataset:d"}


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "lines.jsonl"


def _import(cli: Cli, file: pathlib.Path, *options: str, expect: int = 0) -> Any:
    return cli.json("graph", "import", str(file), *options, expect=expect)


def test_all_lines_are_new_once_and_known_the_second_time(cli: Cli, file: pathlib.Path) -> None:
    lines = story_lines()
    file.write_text(lines_text(lines), encoding="utf-8")
    first = _import(cli, file)
    assert first["refused"] == []
    assert sum(first["new"].values()) == len(lines)
    before = cli.json("graph", "cost", "endpoint:support-bot")
    second = _import(cli, file)
    assert sum(second["new"].values()) == 0
    assert second["known"] == first["new"]
    assert cli.json("graph", "cost", "endpoint:support-bot") == before


def test_the_order_of_lines_is_no_matter(cli: Cli, file: pathlib.Path) -> None:
    file.write_text(lines_text(reversed(story_lines())), encoding="utf-8")
    assert _import(cli, file)["refused"] == []
    found = cli.json("graph", "cost", "model:support-bot-v3")
    assert amount(found["full_cost"]["total"]) == 5214


WRONG = [
    ("{", ""),
    ("[]", ""),
    ('{"edge": "read", "subject": "run:a"}', "object"),
    ('{"edge": "ate", "subject": "run:a", "object": "dataset:d"}', "ate"),
    ('{"edge": "read", "subject": "dataset:d", "object": "run:a"}', "dataset"),
    ('{"cost": 5, "node_id": "run:a", "event_id": "e"}', "cost"),
    ('{"cost": "5 USD", "node_id": "run:a"}', "event_id"),
    ('{"cost": "5.0000000000001 USD", "node_id": "run:a", "event_id": "e"}', "cost"),
    ('{"cost": "99999999999999999999999999999 USD", "node_id": "run:a", "event_id": "e"}', "range"),
    ('{"node": "model:x", "created_at": "9999-12-31T00:00:00Z"}', "between 1678 and 2261"),
    ('{"node": "modell:x"}', "modell"),
    ('{"node": "model:x", "colour": "red"}', "colour"),
    ('{"value": "5 USD", "node_id": "model:x", "event_id": "v"}', "source"),
    ('{"status": "DONE", "node_id": "run:a"}', "DONE"),
]


@pytest.mark.parametrize(("wrong", "named"), WRONG)
def test_a_wrong_line_is_told_with_its_number_and_stops_no_other(
    cli: Cli, file: pathlib.Path, wrong: str, named: str
) -> None:
    after = {"cost": "7 USD", "node_id": "run:a", "event_id": "later"}
    file.write_text(f"{json.dumps(RIGHT)}\n\n{wrong}\n{json.dumps(after)}\n", encoding="utf-8")
    found = _import(cli, file, expect=1)
    (refused,) = found["refused"]
    assert (refused["file"], refused["line"]) == (str(file), 3)
    assert named in refused["reason"]
    assert found["new"]["edges"] == found["new"]["costs"] == 1
    assert amount(cli.json("graph", "cost", "run:a")["own_cost"]["total"]) == 7


def test_the_shell_shows_file_and_line(cli: Cli, file: pathlib.Path) -> None:
    file.write_text(json.dumps(RIGHT) + "\nnonsense \x1b[31m\n", encoding="utf-8")
    output, errors = cli("graph", "import", str(file), expect=1)
    assert f"{file}:2: " in errors
    assert "\x1b" not in errors
    assert "not readable" in output


def test_bytes_that_are_no_text_and_endless_lines_are_told(cli: Cli, file: pathlib.Path) -> None:
    long = b'{"node": "model:' + b"x" * LONGEST_LINE + b'"}'
    right = json.dumps(RIGHT).encode()
    file.write_bytes(b"\xef\xbb\xbf" + right + b"\r\n\xff\xfe\n" + long + b"\n" + right)
    found = _import(cli, file, expect=1)
    assert [one["line"] for one in found["refused"]] == [2, 3]
    assert "UTF-8" in found["refused"][0]["reason"]
    assert "longer than" in found["refused"][1]["reason"]
    assert (found["new"]["edges"], found["known"]["edges"]) == (1, 1)  # the last line again


def test_a_cycle_is_told_with_its_path(cli: Cli, file: pathlib.Path) -> None:
    lines = [
        {"edge": "read", "subject": "run:a", "object": "dataset:d"},
        {"edge": "produced", "subject": "run:b", "object": "dataset:d"},
        {"edge": "read", "subject": "run:b", "object": "dataset:e"},
        {"edge": "produced", "subject": "run:a", "object": "dataset:e"},
    ]
    file.write_text(lines_text(lines), encoding="utf-8")
    (refused,) = _import(cli, file, expect=1)["refused"]
    assert refused["line"] == 4
    for name in ("run:a", "dataset:d", "run:b", "dataset:e"):
        assert name in refused["reason"]


def test_a_cycle_with_what_is_recorded_is_told_too(cli: Cli, file: pathlib.Path) -> None:
    cli("graph", "link", "run:a", "read", "dataset:d")
    line = {"edge": "produced", "subject": "run:a", "object": "dataset:d"}
    file.write_text(lines_text([line]), encoding="utf-8")
    (refused,) = _import(cli, file, expect=1)["refused"]
    assert "dataset:d" in refused["reason"]


def test_a_cost_of_what_is_metered_here_is_refused_and_no_other_line(
    cli: Cli, file: pathlib.Path
) -> None:
    """The graph would take it; the ledger alone knows that the run's use is metered."""
    cli("run", *PRICED, "--", "true")
    (run,) = cli.runs()
    attempt = f"attempt:{run['attempts'][0]['attempt_id']}"
    lines = [{"cost": "1 USD", "node_id": f"run:r{n}", "event_id": f"e{n}"} for n in range(9)]
    lines.insert(4, {"cost": "1 USD", "node_id": attempt, "event_id": "twice"})
    file.write_text(lines_text(lines), encoding="utf-8")
    found = _import(cli, file, expect=1)
    assert [one["line"] for one in found["refused"]] == [5]
    assert found["new"]["costs"] == 9
    _, errors = cli("graph", "import", str(file), "--strict", expect=1)
    assert attempt.partition(":")[2] in errors


def test_other_facts_under_a_known_id_are_a_conflict(cli: Cli, file: pathlib.Path) -> None:
    cost = {"cost": "7 USD", "node_id": "run:a", "event_id": "bill:1"}
    node = {"node": "model:x", "label": "first"}
    file.write_text(lines_text([cost, node]), encoding="utf-8")
    _import(cli, file)
    changed = [{**cost, "cost": "8 USD"}, {**node, "label": "second"}]
    file.write_text(lines_text(changed), encoding="utf-8")
    found = _import(cli, file, expect=1)
    assert sorted(one["line"] for one in found["refused"]) == [1, 2]
    assert amount(cli.json("graph", "cost", "run:a")["own_cost"]["total"]) == 7


@pytest.mark.parametrize("wrong", ["{", json.dumps({**RIGHT, "edge": "produced"})])
def test_strict_writes_nothing_if_a_line_is_wrong(cli: Cli, file: pathlib.Path, wrong: str) -> None:
    """One that cannot be read, and one that closes a cycle with the line before it."""
    file.write_text(f"{json.dumps(RIGHT)}\n{wrong}\n", encoding="utf-8")
    found = _import(cli, file, "--strict", expect=1)
    assert found["is_written"] is False
    assert found["refused"][0]["line"] == 2
    assert cli.json("graph", "list")["nodes"] == []
    file.write_text(lines_text(story_lines()), encoding="utf-8")
    assert _import(cli, file, "--strict")["is_written"] is True


def test_a_dry_run_tells_the_same_and_writes_nothing(cli: Cli, file: pathlib.Path) -> None:
    file.write_text(lines_text(story_lines()) + "{\n", encoding="utf-8")
    dry = _import(cli, file, "--dry-run", expect=1)
    assert dry["is_written"] is False
    assert cli.json("graph", "list")["nodes"] == []
    assert not (pathlib.Path(os.environ["FINOPS_HOME"]) / "ledger.db").exists()
    real = _import(cli, file, expect=1)
    assert (real["new"], real["refused"]) == (dry["new"], dry["refused"])


def test_a_file_that_is_not_there_is_told(cli: Cli, tmp_path: pathlib.Path) -> None:
    _, errors = cli("graph", "import", str(tmp_path / "no.jsonl"), expect=1)
    assert "no.jsonl" in errors
    _, errors = cli("graph", "import", str(tmp_path), expect=1)
    assert "Traceback" not in errors


def _pipe(*arguments: str, given: str = "") -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "finops.cli.main", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    return finished.stdout


def test_what_export_writes_import_takes_back(
    cli: Cli, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pipe("graph", "import", "-", given=lines_text(story_lines()))
    exported = _pipe("graph", "export")
    assert len(exported.splitlines()) == len(story_lines())
    costs = cli.json("graph", "cost", "endpoint:support-bot")
    value = cli.json("value", "list")
    monkeypatch.setenv("FINOPS_HOME", str(tmp_path / "other-home"))
    _pipe("graph", "import", "-", "--strict", given=exported)
    assert cli.json("graph", "cost", "endpoint:support-bot") == costs
    assert cli.json("value", "list") == value
    assert _pipe("graph", "export") == exported


def test_export_leaves_out_what_still_grows(cli: Cli) -> None:
    """Under one id an importing ledger would keep the first amount for good."""
    run = finops.init(project="p", experiment="e", price="24 USD/h")
    run.progress(1)
    run.commit()
    assert '"cost"' not in _pipe("graph", "export")
    finops.finish(run)
    assert _pipe("graph", "export").count('"cost"') == 1


def test_the_lines_of_the_document_are_right(cli: Cli, file: pathlib.Path) -> None:
    document = pathlib.Path(__file__).resolve().parents[2] / "docs" / "genealogy.md"
    (block,) = re.findall(r"```json\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    file.write_text(block, encoding="utf-8")
    found = _import(cli, file)
    assert found["refused"] == []
    assert all(found["new"][kind] == 1 for kind in found["new"])


# Single records.


def test_records_from_the_shell(cli: Cli) -> None:
    cli("graph", "add", "model:m", "--label", "the model", "--user", "ana", "--cluster", "c1")
    cli("graph", "link", "run:a", "produced", "model:m")
    cli("graph", "link", "run:a", "nested-in", "run:sweep")
    cli("graph", "charge", "run:a", "24.50", "USD")
    cli("graph", "charge", "run:a", "1.25 USD", "--event-id", "bill:1")
    cli("graph", "charge", "run:a", "1.25 USD", "--event-id", "bill:1")
    cli("graph", "status", "run:a", "failed", "--why", "out of memory")
    cli("graph", "use", "m", "12000", "requests")
    found = cli.json("graph", "cost", "m")
    assert amount(found["full_cost"]["failed"]) == amount(found["full_cost"]["total"])
    assert str(amount(found["full_cost"]["total"])) == "25.75"
    node = found["node"]
    assert (node["label"], node["user_name"], node["cluster"]) == ("the model", "ana", "c1")
    assert [one["node_id"] for one in cli.json("graph", "allocate")["claimants"]] == ["model:m"]
    cli("graph", "retire", "m", "--why", "replaced")
    assert cli.json("graph", "cost", "m")["node"]["status"] == "RETIRED"
    assert cli.json("graph", "allocate")["claimants"] == []


def test_a_correction_may_be_negative(cli: Cli) -> None:
    cli("graph", "link", "run:a", "read", "dataset:d")
    cli("graph", "charge", "run:a", "5 USD")
    cli("graph", "charge", "run:a", "--correction", "--", "-2", "USD")
    assert amount(cli.json("graph", "cost", "run:a")["own_cost"]["total"]) == 3


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("link", "dataset:d", "read", "run:a"), "run"),
        (("link", "run:a", "ate", "dataset:d"), "ate"),
        (("add", "resnet"), "resnet"),
        (("retire", "model:none"), "model:none"),
        (("use", "model:none", "5", "requests"), "model:none"),
        (("charge", "model:none", "5 USD"), "model:none"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: Cli, command: tuple[str, ...], named: str) -> None:
    _, errors = cli("graph", *command, expect=1)
    assert named in errors
    assert cli.json("graph", "list")["nodes"] == []


def test_a_cost_counts_from_the_moment_of_its_charge(cli: Cli) -> None:
    cli("graph", "link", "run:a", "produced", "model:m")
    cli("graph", "charge", "run:a", "5 USD")
    cli("graph", "charge", "run:a", "7 USD", "--to", "2026-03-01")
    cli("graph", "charge", "run:a", "9 USD", "--from", "2026-03-01", "--to", "2026-04-01")
    own = {
        day: amount(cli.json("graph", "list", "--as-of", day)["nodes"][0]["own_cost"])
        if cli.json("graph", "list", "--as-of", day)["nodes"] else 0
        for day in ("2020-01-01", "2026-03-02", "2026-04-02", "2199-01-01")
    }  # fmt: skip
    assert list(own.values()) == [0, 7, 16, 21]
    _, errors = cli(
        "graph", "charge", "run:a", "1 USD", "--from", "2026-03-02", "--to", "2026-03-01", expect=1
    )
    assert "charge_period_end" in errors


def test_a_cost_below_zero_must_say_that_it_corrects(cli: Cli, file: pathlib.Path) -> None:
    line = {"cost": "-5 USD", "node_id": "run:a", "event_id": "e1"}
    corrects = {**line, "event_id": "e2", "is_correction": True}
    file.write_text(lines_text([line, corrects, RIGHT]), encoding="utf-8")
    found = _import(cli, file, expect=1)
    (refused,) = found["refused"]
    assert refused["line"] == 1
    assert "is_correction" in refused["reason"]
    assert found["new"]["costs"] == 1
    _, errors = cli("graph", "charge", "run:a", "--", "-5 USD", expect=1)
    assert "--correction" in errors
    assert amount(cli.json("graph", "cost", "run:a")["own_cost"]["total"]) == -5


def test_a_dry_run_says_what_it_cannot_foresee(cli: Cli, file: pathlib.Path) -> None:
    file.write_text(lines_text([RIGHT]), encoding="utf-8")
    output, _ = cli("graph", "import", str(file), "--dry-run")
    assert "what the ledger itself refuses shows only when it is written" in output
    assert "shows only" not in cli("graph", "import", str(file))[0]
