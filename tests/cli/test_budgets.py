"""`finops budget` and `finops ledger`, as people use them: hierarchies, periods, answers, waiting.

Method: real processes on a home folder of their own; 360 USD/h is ten cents a second.
"""

from __future__ import annotations

import pathlib
import signal
import subprocess
import time
from decimal import Decimal
from typing import Any

import pytest
from command_line import LIMIT_SECONDS, PRICED, SHORT, Cli, amount


def budget(cli: Cli, name: str) -> Any:
    (one,) = cli.json("budget", "show", name)["budgets"]
    return one


def test_a_run_debits_every_budget_above_it(cli: Cli) -> None:
    cli("budget", "set", "organisation:acme", "900 USD", "--period", "quarter")
    cli("budget", "set", "team:research", "90 USD", "--parent", "organisation:acme")
    cli("budget", "set", "project:vision", "--parent", "team:research")
    cli("budget", "set", "vision/resnet", "9 USD")
    cli("run", *PRICED, "--", "sleep", "0.3")
    spent = {
        name: amount(budget(cli, name)["spent"])
        for name in ("organisation:acme", "team:research", "vision/resnet")
    }
    assert len(set(spent.values())) == 1, spent
    assert spent["vision/resnet"] > 0
    (root,) = cli.json("budget", "tree")
    assert root["budget_id"] == "organisation:acme"
    assert root["children"][0]["budget_id"] == "team:research"
    assert root["children"][0]["children"][0]["budget"] is None  # the project has none of its own
    tree, _ = cli("budget", "tree", COLUMNS="80")
    assert "no budget of its own" in tree
    assert max(map(len, tree.splitlines())) <= 80


def test_the_scarcest_budget_pauses_and_is_the_one_to_ask(cli: Cli) -> None:
    cli("budget", "set", "team:research", "0.5 USD")
    cli("budget", "set", "project:vision", "--parent", "team:research")
    cli("budget", "set", "vision/resnet", "900 USD")
    _, errors = cli("run", *PRICED, *SHORT, "--no-wait", "--", "sleep", "60", expect=75)
    assert 'finops budget request team:research "2 USD"' in errors
    assert amount(budget(cli, "team:research")["overspent"]) == 0
    (row,) = cli.json("ps")["runs"]
    assert row["budget"]["budget_id"] == "team:research", "ps shows the scarcest, not its own"
    _, errors = cli("run", *PRICED, *SHORT, "--", "sleep", "60", expect=1)
    assert "team:research" in errors


def test_terms_change_one_by_one(cli: Cli) -> None:
    where = ("budget", "set", "team:research")
    cli(*where, "90 USD", "--period", "month", "--time-zone", "Europe/Berlin")
    cli(*where, "--burn-cap", "100 USD", "--max-duration", "2d", "--warn", "60,90")
    cli(*where, "120 USD", "--why", "quarter end")
    after = budget(cli, "team:research")
    assert after["period"] == "month@Europe/Berlin"
    assert (amount(after["limit"]), amount(after["burn_cap_per_hour"])) == (120, 100)
    assert (after["max_duration_seconds"], after["warning_percents"]) == (172800, [60, 90])
    assert [event["what"] for event in cli.json("budget", "history", "team:research")] == [
        "created", "terms changed", "limit changed",
    ]  # fmt: skip
    cli(*where, "--burn-cap", "none", "--no-max-duration", "--warn", "none")
    after = budget(cli, "team:research")
    assert (after["burn_cap_per_hour"], after["max_duration_seconds"]) == (None, None)
    assert after["warning_percents"] == []


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("team:research", "--period", "week"), 1, "period cannot be changed"),
        (("team:research", "--soft"), 1, "kind cannot be changed"),
        (("team:research", "--warn", "90,50"), 1, "must rise"),
        (("team:research", "--warn", "half"), 2, "list of percents"),
        (("team:research", "--burn-cap", "0 USD"), 1, "above zero"),
        (("team:research", "--burn-cap", "5 EUR"), 1, "EUR"),
        (("team:research", "--parent", "team:research"), 1, "cannot belong"),
        (("team:new", "5 USD", "--period", "day", "--time-zone", "Mars/Olympus"), 1, "time zone"),
        (("team:new", "5 USD", "--period", "year"), 1, "lifetime, day, week, month and quarter"),
        (("team:new", "5 USD", "--time-zone", "UTC"), 2, "needs --period"),
        (("team:new",), 1, "has no budget"),
        (("squad:new", "5 USD"), 2, "PROJECT/EXPERIMENT"),
        (("team:a/b", "5 USD"), 2, "without a '/'"),
    ],
)
def test_wrong_terms(cli: Cli, arguments: tuple[str, ...], exit_code: int, message: str) -> None:
    cli("budget", "set", "team:research", "90 USD", "--period", "month")
    _, errors = cli("budget", "set", *arguments, expect=exit_code)
    assert message in " ".join(errors.replace("│", " ").split()), errors
    assert "Traceback" not in errors


def test_only_approvers_answer(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "5 USD", "--approver", "nobody-else")
    cli("budget", "request", "vision/resnet", "5 USD", "--why", "one more epoch")
    for command in ("approve", "deny"):
        _, errors = cli("budget", command, "latest", expect=1)
        assert "ask one of: nobody-else" in errors
    _, errors = cli("budget", "set", "vision/resnet", "50 USD", expect=1)
    assert "ask one of: nobody-else" in errors
    assert amount(budget(cli, "vision/resnet")["limit"]) == 5


def test_a_request_expires(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "5 USD")
    cli("budget", "request", "vision/resnet", "5 USD", "--why", "x", "--expires", "100ms")
    time.sleep(0.2)
    _, errors = cli("budget", "approve", "latest", expect=1)
    assert "expired at" in errors
    assert amount(budget(cli, "vision/resnet")["limit"]) == 5


def test_a_burn_cap_refuses_the_run_that_would_pass_it(cli: Cli) -> None:
    cli("budget", "set", "project:vision", "900 USD", "--burn-cap", "500 USD")
    first = cli.start("run", *PRICED, "--", "sleep", "60")
    cli.live_runs()
    _, errors = cli("run", *PRICED, "--", "sleep", "60", expect=1)
    assert "500 USD per hour: 360 USD is running" in errors
    assert amount(budget(cli, "project:vision")["burn_per_hour"]) == 360
    assert len(cli.runs()) == 1, "what was refused left nothing behind"
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=LIMIT_SECONDS)
    cli("run", *PRICED, "--", "true")


def test_show_says_what_can_still_go_past_the_limit(cli: Cli) -> None:
    cli("budget", "set", "project:vision", "900 USD")
    cli.start("run", *PRICED, "--", "sleep", "60")
    cli.live_runs()
    page, _ = cli("budget", "show", "project:vision", COLUMNS="80")
    assert "at most $0.00 past the limit by what runs now" in page
    assert "$360.00/h" in page
    assert budget(cli, "project:vision")["overspend_bound"] == {"amount": "0", "currency": "USD"}


def test_a_soft_budget_shows_what_went_past_it(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "0.02 USD", "--soft")
    cli("run", *PRICED, "--name", "base", "--", "sleep", "0.5")
    (entry,) = budget(cli, "vision/resnet")["overspent_by"]
    assert amount(entry["amount"]) == amount(budget(cli, "vision/resnet")["overspent"]) > 0
    page, _ = cli("budget", "show", "vision/resnet", COLUMNS="100")
    assert "past the limit" in page
    assert "vision/resnet/base" in page


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"it ended without saying: {words}")


def test_a_second_ctrl_c_ends_the_wait(cli: Cli) -> None:
    process = cli.start("run", *PRICED, *SHORT, "--budget", "0.4 USD", "--", "sleep", "60")
    read_until(process, "waiting for more budget")
    process.send_signal(signal.SIGINT)
    read_until(process, "Ctrl-C again leaves with exit code 75")
    assert process.poll() is None, "it still waits"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 75
    assert "no longer waiting" in errors


def test_ledgers_of_two_hosts_become_one(cli: Cli, tmp_path: pathlib.Path) -> None:
    other_home = str(tmp_path / "other")
    cli("run", *PRICED, "--", "sleep", "0.2")
    cli("run", *PRICED, "--", "sleep", "0.2", FINOPS_HOME=other_home)
    copy = str(tmp_path / "other-host.db")
    cli("ledger", "copy", copy, FINOPS_HOME=other_home)
    (merged,) = cli.json("ledger", "merge", copy)
    assert (merged["run_count"], merged["attempt_count"]) == (1, 1)
    (again,) = cli.json("ledger", "merge", copy)
    assert sum(value for key, value in again.items() if key != "file") == 0
    assert len(cli.runs()) == 2
    assert cli.json("ledger", "verify")["is_clean"]
    _, errors = cli("ledger", "merge", str(tmp_path / "missing.db"), expect=1)
    assert "there is no file" in errors
    _, errors = cli("ledger", "copy", copy, FINOPS_HOME=other_home, expect=1)
    assert "exists" in errors


def test_a_daily_budget_shows_its_day(cli: Cli) -> None:
    cli("budget", "set", "project:vision", "100 USD", "--period", "day")
    cli("run", *PRICED, "--", "sleep", "0.2")
    one = budget(cli, "project:vision")
    assert Decimal(0) < amount(one["spent"]) < 1
    assert amount(one["limit"]) == amount(one["spent"]) + amount(one["left"])
    assert one["period_end"] is not None
