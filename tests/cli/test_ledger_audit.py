"""`finops ledger verify`: the head it prints shows later what was changed, cut off or put back."""

from __future__ import annotations

import os
import pathlib
import sqlite3

import pytest
from command_line import Cli

from finops.errors import InvalidArgument
from finops.ledger import open_ledger


def _database() -> pathlib.Path:
    return pathlib.Path(os.environ["FINOPS_HOME"]) / "ledger.db"


_NEWER_TABLES = (  # than version 2
    "forecasts",
    "lineage_nodes",
    "lineage_edges",
    "lineage_costs",
    "node_statuses",
    "node_uses",
    "business_values",
    "audit_chain",
)


def _drop_triggers(database: sqlite3.Connection) -> list[str]:
    rows = list(database.execute("SELECT name, sql FROM sqlite_schema WHERE type='trigger'"))
    for name, _ in rows:
        database.execute(f'DROP TRIGGER "{name}"')
    return [sql for _, sql in rows]


def test_a_noted_head_is_found_again_as_the_ledger_grows(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "5 USD")
    noted = cli.json("ledger", "verify")["audit_head"]
    assert len(noted) == 64
    cli("budget", "set", "vision/resnet", "6 USD")
    later = cli.json("ledger", "verify", "--since", noted)
    assert later["is_clean"]
    assert later["audit_head"] != noted
    output, _ = cli("ledger", "verify", "--since", noted)
    assert f"audit chain: {later['audit_record_count']} records, head {later['audit_head']}" in (
        output
    )
    assert open_ledger(read_only=True).verify(since=noted).problems == []


def test_a_forged_approval_is_named_and_a_chain_written_anew_is_shown_by_the_noted_head(
    cli: Cli,
) -> None:
    cli("budget", "set", "vision/resnet", "5 USD")
    asked = cli.json("budget", "request", "vision/resnet", "2 USD", "--why", "more epochs")
    cli("budget", "approve", asked["request_id"])
    noted = cli.json("ledger", "verify")["audit_head"]
    database = sqlite3.connect(_database())
    with database:
        triggers = _drop_triggers(database)
        database.execute("UPDATE budget_rulings SET who='somebody else'")
        for sql in triggers:
            database.execute(sql)
    report = cli.json("ledger", "verify", expect=1)
    assert any(f"(ruling {asked['request_id']})" in problem for problem in report["problems"])
    with database:  # what docs/ledger.md says that the owner of the file can do
        _drop_triggers(database)
        for view in ("report_lineage", "report_forecasts"):
            database.execute(f"DROP VIEW {view}")
        for table in _NEWER_TABLES:
            database.execute(f"DROP TABLE {table}")
        for index in ("runs_by_parent", "runs_by_fork"):
            database.execute(f"DROP INDEX {index}")
        database.execute("PRAGMA user_version=2")
        for sql in triggers:
            if not any(f" ON {table} " in sql for table in _NEWER_TABLES):
                database.execute(sql)
    database.close()
    open_ledger()
    assert cli.json("ledger", "verify")["is_clean"]
    problems = cli.json("ledger", "verify", "--since", noted, expect=1)["problems"]
    assert noted in problems[0]


def test_a_ledger_that_is_gone_does_not_hold_what_was_noted(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "5 USD")
    noted = cli.json("ledger", "verify")["audit_head"]
    for file in _database().parent.glob("ledger.db*"):
        file.unlink()
    assert cli.json("ledger", "verify")["is_clean"]
    output, _ = cli("ledger", "verify", "--since", noted, expect=1)
    assert noted in output


def test_a_head_that_is_none_is_told(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "5 USD")
    _, errors = cli("ledger", "verify", "--since", "3fa9", expect=1)
    assert "64 hexadecimal digits" in errors
    with pytest.raises(InvalidArgument, match="-1"):
        open_ledger(read_only=True).verify(since="-1")
