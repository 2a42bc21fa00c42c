"""The command line, end to end: real processes on a home folder of their own.

Method: each test starts `finops` as a user would and reads what it prints, as JSON where there is.
360 USD/h is ten cents a second, so that short commands have costs and reach budgets.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from decimal import Decimal

import pytest
from command_line import LIMIT_SECONDS, PRICED, SHORT, Cli, amount, wait_until

# finops run.


def test_unmodified_command_is_tracked_and_costed(cli: Cli) -> None:
    output, errors = cli("run", *PRICED, "--name", "base", "--", "sh", "-c", "sleep 0.5; echo hi")
    assert output == "hi\n"
    (run,) = cli.runs()
    assert (run["status"], run["name"], run["attempt_count"]) == ("FINISHED", "base", 1)
    assert run["attempts"][0]["command"] == "sh -c 'sleep 0.5; echo hi'"
    # To the microsecond that JSON shows of the span: 360 USD/h are 1e-4 USD in a millisecond.
    seconds = Decimal(str(run["metered_time_seconds"]))
    assert abs(amount(run["metered_cost"]) - seconds / 10) < Decimal("0.000001")
    assert Decimal("0.5") < seconds < 5
    assert run["run_id"] in errors


@pytest.mark.parametrize(
    ("given", "missing"),
    [(("--project", "p"), "experiment"), (("--experiment", "e"), "project"), ((), "both")],
)
def test_no_experiment_no_gpu(cli: Cli, given: tuple[str, ...], missing: str) -> None:
    output, errors = cli("run", *given, "--", "echo", "ran", expect=2)
    assert "no experiment, no GPU: " in errors, missing
    assert output == ""


def test_project_and_experiment_from_the_environment(cli: Cli) -> None:
    script = 'echo "$FINOPS_PROJECT $FINOPS_EXPERIMENT $FINOPS_RUN_ID"'
    output, _ = cli("run", "--", "sh", "-c", script, FINOPS_PROJECT="p", FINOPS_EXPERIMENT="e")
    (run,) = cli.runs("e")
    assert output.split() == ["p", "e", run["run_id"]]


@pytest.mark.parametrize(
    ("script", "exit_code", "status"),
    [("exit 0", 0, "FINISHED"), ("exit 3", 3, "FAILED"), ("kill -9 $$", 137, "FAILED")],
)
def test_exit_code_is_the_commands_own(cli: Cli, script: str, exit_code: int, status: str) -> None:
    cli("run", *PRICED, "--", "sh", "-c", script, expect=exit_code)
    assert [run["status"] for run in cli.runs()] == [status]


def test_unknown_program_records_nothing(cli: Cli) -> None:
    _, errors = cli("run", *PRICED, "--", "no-such-program", expect=127)
    assert errors.startswith("error: no-such-program")
    assert cli.json("report") == {"experiments": []}


def test_cost_of_an_unpriced_run_is_unknown_until_it_has_a_price(cli: Cli) -> None:
    where = ("--project", "p", "--experiment", "e", "--resources", "8xH100@aws:nowhere")
    cli("run", *where, "--", "sleep", "0.2")
    assert cli.runs("e")[0]["metered_cost"] is None
    page, _ = cli("report")
    assert "unknown" in page
    assert "$0" not in page
    answer = cli.json("prices", "set", "H100@aws:nowhere", "45 USD/gpu/h")
    assert answer["priced_attempt_count"] == 1
    (run,) = cli.runs("e")
    expected = Decimal(str(run["metered_time_seconds"])) / 10
    assert abs(amount(run["metered_cost"]) - expected) < Decimal("0.000001")


def test_interrupt_is_passed_on_and_a_second_one_kills(cli: Cli) -> None:
    stubborn = "import signal, time; signal.signal(2, signal.SIG_IGN); print(1, flush=True)"
    process = cli.start("run", *PRICED, "--", sys.executable, "-c", stubborn + "; time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=LIMIT_SECONDS) == 137


def test_run_inside_a_run_is_charged_once(cli: Cli) -> None:
    inner = (sys.executable, "-m", "finops.cli.main", "run", "--project", "p", "--experiment", "x")
    output, errors = cli("run", *PRICED, "--", *inner, "--", "echo", "inside")
    assert output == "inside\n"
    assert "already inside the tracked attempt" in errors
    assert len(cli.runs()) == 1
    assert cli.runs("x") == []


# Budgets.


def test_budget_is_set_asked_for_and_approved(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "5 USD")
    cli("budget", "set", "vision/resnet", "6.123456789012 USD", "--why", "price went up")
    asked = cli.json("budget", "request", "vision/resnet", "2 USD", "--why", "five epochs more")
    shown = cli.json("budget", "show", "vision/resnet")
    assert [r["request_id"] for r in shown["waiting_requests"]] == [asked["request_id"]]
    cli("budget", "approve", "latest", "--why", "worth it")
    (budget,) = cli.json("budget", "show")["budgets"]
    assert budget["limit"] == budget["left"] == {"amount": "8.123456789012", "currency": "USD"}
    history = cli.json("budget", "history", "vision/resnet")
    assert [(e["what"], e["why"]) for e in history] == [
        ("created", "created"),
        ("limit changed", "price went up"),
        ("requested", "five epochs more"),
        ("approved", "worth it"),
    ]
    assert [amount(e["new_limit"]) for e in history if e["new_limit"]] == [
        Decimal(5), Decimal("6.123456789012"), Decimal("8.123456789012"),
    ]  # fmt: skip
    assert history[3]["old_limit"]["amount"] == "6.123456789012"


def test_denied_request_changes_nothing(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "5 USD", "--soft")
    cli("budget", "request", "vision/resnet", "2 USD", "--why", "x")
    cli("budget", "deny", "latest", "--why", "no")
    _, errors = cli("budget", "approve", "latest", expect=1)
    assert "no request waits" in errors
    budget = cli.json("budget", "show", "vision/resnet")["budgets"][0]
    assert (budget["limit"]["amount"], budget["is_hard"]) == ("5", False)
    assert cli.json("budget", "history", "vision/resnet")[-1]["what"] == "denied"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("set", "vision", "5 USD"), 2, "PROJECT/EXPERIMENT"),
        (("set", "vision/resnet", "5.0000000000001 USD"), 1, "error: "),
        (("show", "vision/resnet"), 1, "has no budget; make one"),
        (("request", "vision/resnet", "2 USD", "--why", "x"), 1, "has no budget; make one"),
        (("request", "vision/resnet", "2 USD"), 2, "--why"),
        (("settle", "a-b"), 2, "either --spent or --released"),
        (("approve", "nothing"), 1, "no budget request nothing"),
    ],
)
def test_wrong_budget_commands(
    cli: Cli, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    _, errors = cli("budget", *arguments, expect=exit_code)
    assert message in errors
    assert "Traceback" not in errors


def test_no_wait_leaves_with_75_at_the_budget(cli: Cli) -> None:
    _, errors = cli(
        "run", *PRICED, *SHORT, "--budget", "0.5 USD", "--no-wait", "--", "sleep", "60", expect=75
    )
    assert 'finops budget request vision/resnet "2 USD" --why "..."' in errors
    (run,) = cli.runs()
    assert run["status"] == "PAUSED"
    (budget,) = cli.json("budget", "show")["budgets"]
    assert amount(budget["spent"]) == amount(run["metered_cost"]) <= Decimal("0.5")
    assert amount(budget["overspent"]) == 0
    decisions = [d["rule"] for d in run["decisions"]]
    assert decisions
    assert set(decisions) == {"budget"}


def test_approval_starts_the_paused_run_again(cli: Cli, tmp_path: pathlib.Path) -> None:
    again = tmp_path / "started-before"
    script = f'if [ -e "{again}" ]; then echo again; else : > "{again}"; exec sleep 60; fi'
    process = cli.start("run", *PRICED, *SHORT, "--budget", "0.5 USD", "--", "sh", "-c", script)
    (row,) = wait_until(
        lambda: [r for r in cli.json("ps")["runs"] if r["state"] == "paused"],
    )
    assert row["live"] is None
    cli("budget", "request", "vision/resnet", "1 USD", "--why", "x", "--run", row["run_id"])
    cli("budget", "approve", "latest")
    output, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, output) == (0, "again\n"), errors
    (run,) = cli.runs()
    assert [a["status"] for a in run["attempts"]] == ["PAUSED", "FINISHED"]
    assert amount(run["metered_cost"]) == sum(amount(a["metered_cost"]) for a in run["attempts"])


@pytest.mark.parametrize("variable", ["SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST"])
def test_inside_an_allocation_nobody_waits(cli: Cli, variable: str) -> None:
    arguments = ("run", *PRICED, *SHORT, "--budget", "0.4 USD", "--", "sleep", "60")
    _, errors = cli(*arguments, expect=75, **{variable: "1"})
    assert "would hold its GPUs" in errors


# ps, guard.


def test_ps_shows_a_live_run(cli: Cli) -> None:
    cli("budget", "set", "vision/resnet", "50 USD")
    cli.start("run", *PRICED, "--name", "base", "--", "sleep", "60")
    (row,) = cli.live_runs()
    assert (row["state"], row["name"]) == ("no signal", "base")
    assert row["price_per_hour"] == {"amount": "360", "currency": "USD"}
    assert amount(row["budget"]["left"]) + amount(row["cost"]) == 50
    for columns in ("60", "80", "160"):
        page, _ = cli("ps", COLUMNS=columns)
        assert row["run_id"] in page, columns
        assert "1 live run, $360.00/h" in page, columns
        assert max(map(len, page.splitlines())) <= int(columns)


def test_guard_stops_a_silent_run(cli: Cli) -> None:
    silent = (
        "import finops, time\n"
        "run = finops.init(project='p', experiment='silent', price='36 USD/h')\n"
        "run.progress(1)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", silent], env=dict(os.environ))
    try:
        cli.live_runs()
        spans = ("--silence-limit", "1s", "--directive-grace", "500ms", "--term-grace", "1s")
        guard = cli.start("guard", "--interval", "200ms", *spans, "--json")
        assert process.wait(timeout=LIMIT_SECONDS) == -signal.SIGTERM
        wait_until(lambda: cli.runs("silent")[0]["status"] == "KILLED")
        guard.send_signal(signal.SIGTERM)
        output, _ = guard.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert guard.returncode == 0
    events = [json.loads(line) for line in output.splitlines()]
    assert [e["rung"] for e in events if e["event"] == "decision"][:2] == ["directive", "SIGTERM"]
    assert [e["status"] for e in events if e["event"] == "concluded"] == ["KILLED"]
    assert "the limit is 1 s" in cli("report", COLUMNS="160")[0]


def test_guard_once(cli: Cli) -> None:
    assert cli("guard", "--once") == ("", "")


# Prices, ledger, doctor.


def test_prices_show_and_set(cli: Cli) -> None:
    shipped = cli.json("prices", "show", "8xH100")
    assert shipped["row"]["source"] != ""
    assert amount(shipped["price_per_hour"]) > 0
    cli("prices", "set", "H100", "2.50 USD/gpu/h")
    own = cli.json("prices", "show", "8xH100")
    assert own["price_per_hour"] == {"amount": "20", "currency": "USD"}
    assert own["row"]["is_user_set"]
    rows = cli.json("prices", "list", "--gpu", "h100")
    assert {"H100-80GB"} == {row["gpu"] for row in rows}
    _, errors = cli("prices", "show", "H1000", expect=1)
    assert errors.startswith("error: unknown GPU or machine 'H1000'")


def test_empty_home_is_no_error(cli: Cli, tmp_path: pathlib.Path) -> None:
    home = str(tmp_path / "nobody-was-here")
    assert cli.json("ps", "--home", home)["runs"] == []
    assert cli.json("report", "--home", home) == {"experiments": []}
    assert cli.json("budget", "show", "--home", home)["budgets"] == []
    assert cli.json("ledger", "verify", "--home", home)["is_clean"]
    assert not pathlib.Path(home).exists()


def test_ledger_verify_finds_a_changed_balance(cli: Cli) -> None:
    import sqlite3

    cli("budget", "set", "vision/resnet", "5 USD")
    clean = cli.json("ledger", "verify")
    assert (clean["is_clean"], clean["budget_count"], clean["problems"]) == (True, 1, [])
    database = sqlite3.connect(os.path.join(os.environ["FINOPS_HOME"], "ledger.db"))
    with database:
        database.execute("UPDATE budget_balances SET limit_units=6, available_units=6")
    database.close()
    broken = cli.json("ledger", "verify", expect=1)
    assert not broken["is_clean"]
    assert "experiment:vision/resnet" in broken["problems"][0]


def test_doctor(cli: Cli) -> None:
    cli("run", *PRICED, "--", "true")
    report = cli.json("doctor")
    names = [check["name"] for check in report["checks"]]
    assert names == [
        "finops", "Python", "packages", "SQLite", "home", "ledger", "agent", "price book", "NVML",
    ]  # fmt: skip
    assert report["ok"]
    os.chmod(os.environ["FINOPS_HOME"], 0o777)
    levels = {check["name"]: check["level"] for check in cli.json("doctor", expect=1)["checks"]}
    assert levels["home"] == "problem"


def test_without_typer_it_says_what_to_install(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "typer.py").write_text("raise ImportError('not here')\n")
    _, errors = cli("ps", expect=2, PYTHONPATH=str(tmp_path))
    assert errors == "the command line needs: pip install 'finops-train[cli]'\n"
