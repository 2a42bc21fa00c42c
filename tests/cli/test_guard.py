"""`finops guard` as people use it: policy file, dry run, explanation, breaker, notifications.

Method: real guards, real runs, a real server for what is sent. Limits are so short that a rule
speaks within a test, and everything is waited for.
"""

from __future__ import annotations

import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from command_line import LIMIT_SECONDS, Cli, wait_until
from message_servers import Inbox, http_inbox

from finops.cli.explain import find_page
from finops.errors import InvalidArgument
from finops.policy import parse_policy
from finops.policybook import make_book

ROUNDS = ("--interval", "200ms")
QUICK = 'silence_limit = "1s"\ndirective_grace = "500ms"\nterm_grace = "1s"\n'
SILENT = """
import sys, time, finops
run = finops.init(project="p", experiment=sys.argv[1], name=sys.argv[2], price="36 USD/h")
run.progress(1)
print("ready", flush=True)
time.sleep(120)
"""


class Runs:
    """Scripts that report once and then no more."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []

    def silent(self, experiment: str = "e", name: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SILENT, experiment, name], stdout=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process


@pytest.fixture
def runs() -> Iterator[Runs]:
    one = Runs()
    yield one
    for process in one.processes:
        process.kill()
        process.communicate()


@pytest.fixture
def web() -> Iterator[Inbox]:
    with http_inbox() as inbox:
        yield inbox


@pytest.fixture
def policy(tmp_path: pathlib.Path) -> pathlib.Path:
    """The file that every guard of this test is given; empty."""
    path = tmp_path / "given-policy.toml"
    path.touch(0o600)
    return path


class Guard:
    """A guard that goes on, and what it said, a JSON object a line."""

    def __init__(self, cli: Cli, policy: pathlib.Path, *arguments: str) -> None:
        self.process = cli.start("guard", *ROUNDS, "--json", "--policy", str(policy), *arguments)
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        """The first such event."""

        def found() -> Any:
            for one in list(self.events):
                if one["event"] == event and fields.items() <= one.items():
                    return one
            return None

        return dict(wait_until(found))

    def end(self) -> list[dict[str, Any]]:
        """Ends it by SIGTERM; all that it said."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=LIMIT_SECONDS) == 0
        self._reader.join(timeout=LIMIT_SECONDS)
        return self.events


def test_the_policy_file_is_what_it_judges_by(cli: Cli, runs: Runs, policy: pathlib.Path) -> None:
    """Two silent runs; only the one that a rule fits is stopped."""
    policy.write_text(f"[guard]\n[[rule]]\nname = 'quick'\nexperiment = 'sweep-*'\n{QUICK}")
    stopped, left = runs.silent("sweep-1"), runs.silent("other")
    guard = Guard(cli, policy)
    assert stopped.wait(timeout=LIMIT_SECONDS) == -signal.SIGTERM
    guard.wait_for("concluded", status="KILLED")
    guard.end()
    assert left.poll() is None


def test_options_stand_above_the_file_and_below_its_rules() -> None:
    policy = parse_policy(
        "[guard]\nsilence_limit='7m'\nterm_grace='7s'\nbreaker_share=0.25\nbreaker_minimum=9\n"
        "[[rule]]\nname='r'\nproject='x'\nsilence_limit='8m'\nenforced=true\n",
        "f",
    )
    given = {"silence_limit": timedelta(minutes=6), "term_grace": None}
    book = make_book(policy, overrides=given)
    facts = {"experiment": "e", "user_name": "u", "tags": {}}
    other, names = book.policy_for(project="y", **facts)
    assert (other.silence_limit, other.term_grace, names) == (
        timedelta(minutes=6), timedelta(seconds=7), [],
    )  # fmt: skip
    fitting, names = book.policy_for(project="x", **facts)
    assert (fitting.silence_limit, fitting.is_enforced, names) == (
        timedelta(minutes=8),
        True,
        ["r"],
    )
    assert (book.breaker_share, book.breaker_minimum) == (0.25, 9)
    lax = parse_policy("[[rule]]\nname='lax'\ndry_run=false\n", "f")
    assert make_book(lax, is_dry_run=True).policy_for(project="x", **facts)[0].is_dry_run
    assert not make_book(lax).policy_for(project="x", **facts)[0].is_dry_run


def test_a_dry_run_says_what_it_would_do_and_does_not(
    cli: Cli, runs: Runs, policy: pathlib.Path
) -> None:
    policy.write_text("[guard]\n" + QUICK)
    process = runs.silent()
    guard = Guard(cli, policy, "--dry-run")
    decision = guard.wait_for("decision", is_dry_run=True)
    assert (decision["directive"], decision["rule"]) == ("STOP", "silence")
    (row,) = cli.json("ps")["runs"]
    assert row["last_word"].startswith("dry run, would STOP: ")
    assert row["last_decision"]["is_dry_run"]
    guard.end()
    assert process.poll() is None
    assert "dry run, would STOP " in cli("report", COLUMNS="160")[0]
    text, _ = cli("guard", "--once", "--dry-run", "--policy", str(policy))
    assert text == "" or "dry run, would send STOP: " in text
    assert process.poll() is None


def test_explain_says_what_each_rule_says(cli: Cli, runs: Runs, policy: pathlib.Path) -> None:
    policy.write_text("[[rule]]\nname = 'hours'\nproject = 'p'\nsilence_limit = '2h'\n")
    runs.silent("e", "baseline")
    (row,) = cli.json("ps")["runs"]
    attempt = row["live"]["attempt_id"]
    where = ("guard", "--policy", str(policy), "--explain")
    for name in ("baseline", row["run_id"], attempt):
        explained = cli.json(*where, name)
        assert explained["attempt_id"] == attempt
        assert explained["policy_rules"] == ["hours"]
        says = {rule["rule"]: rule for rule in explained["rules"]}
        assert not any(rule["is_fired"] for rule in says.values())
        assert "the limit is 2.0 h" in says["silence"]["says"]
    fired = cli.json(*where[:-1], "--explain", attempt, "--silence-limit", "1ms")
    assert not any(rule["is_fired"] for rule in fired["rules"]), "the rule stands above the option"
    policy.write_text("[guard]\nsilence_limit = '1ms'\n")
    says = {rule["rule"]: rule for rule in cli.json(*where, attempt)["rules"]}
    assert says["silence"]["is_fired"]
    text, _ = cli(*where, "baseline", COLUMNS="100")
    assert "✗ stop" in text
    assert "no decision was ever made about it" in text
    _, errors = cli(*where, "nobody", expect=1)
    assert "there is no run 'nobody'" in errors


def test_explain_of_an_ended_run_shows_why_it_ended(
    cli: Cli, runs: Runs, policy: pathlib.Path
) -> None:
    policy.write_text("[guard]\n" + QUICK)
    runs.silent("e", "gone")
    guard = Guard(cli, policy)
    attempt = guard.wait_for("concluded")["attempt_id"]
    guard.end()
    explained = cli.json("guard", "--explain", "gone")
    assert (explained["attempt_id"], explained["live"]) == (attempt, None)
    assert explained["state"].startswith("KILLED: ")
    assert [one["rung"] for one in explained["decisions"]][-2:] == ["SIGTERM", "directive"]


def test_a_name_that_fits_several_is_refused() -> None:
    class Page:
        def __init__(self, attempt_id: str, run_id: str, name: str) -> None:
            self.attempt_id, self.run_id, self.name = attempt_id, run_id, name

    pages: Any = [Page("a-1", "a", "x"), Page("b-1", "b", "x"), Page("c-1", "c", "")]
    found = find_page(pages, "b")
    assert found is not None
    assert found.attempt_id == "b-1"
    assert find_page(pages, "d") is None
    with pytest.raises(InvalidArgument, match="say one of: a-1, b-1"):
        find_page(pages, "x")


def test_the_breaker_spares_all_until_somebody_says_otherwise(
    cli: Cli, runs: Runs, policy: pathlib.Path
) -> None:
    policy.write_text("[guard]\nbreaker_minimum = 1\n" + QUICK)
    processes = [runs.silent() for _ in range(3)]
    # All of them are silent before the guard looks for the first time.
    wait_until(lambda: all(r["live"]["since_progress_seconds"] > 1 for r in ps_rows(cli)))
    guard = Guard(cli, policy)
    held = guard.wait_for("breaker")
    assert held["held_count"] == 3
    assert not [event for event in guard.end() if event["event"] == "decision"]
    assert [process.poll() for process in processes] == [None] * 3
    guard = Guard(cli, policy, "--allow-mass-stop")
    for process in processes:
        assert process.wait(timeout=LIMIT_SECONDS) == -signal.SIGTERM
    guard.end()


def ps_rows(cli: Cli) -> list[Any]:
    return list(cli.json("ps")["runs"])


def test_hangup_reads_the_policy_again_and_refuses_a_broken_one(
    cli: Cli, runs: Runs, policy: pathlib.Path
) -> None:
    process = runs.silent()
    guard = Guard(cli, policy)
    guard.wait_for("serving")
    policy.write_text("[guard]\nsilence_limits = '1s'\n")
    guard.process.send_signal(signal.SIGHUP)
    refused = guard.wait_for("policy_refused")
    assert "unknown key 'silence_limits'; known are: silence_limit" in refused["message"]
    assert process.poll() is None
    policy.write_text("[guard]\n" + QUICK)
    guard.process.send_signal(signal.SIGHUP)
    guard.wait_for("policy_read")
    assert process.wait(timeout=LIMIT_SECONDS) == -signal.SIGTERM
    guard.end()


def test_a_wrong_policy_is_refused_at_the_start(cli: Cli, policy: pathlib.Path) -> None:
    policy.write_text("[guard]\nsilence_limit = '0s'\n")
    _, errors = cli("guard", "--once", "--policy", str(policy), expect=1)
    assert f"{policy}: [guard]: silence_limit: '0s' must be above zero" in " ".join(errors.split())


def test_a_guard_whose_terminal_goes_ends(policy: pathlib.Path) -> None:
    ours, theirs = pty.openpty()
    guard = subprocess.Popen(
        [sys.executable, "-m", "finops.cli.main", "guard", *ROUNDS, "--policy", str(policy)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    try:
        os.close(theirs)
        assert b"serving" in os.read(ours, 4096)
        os.close(ours)
        guard.send_signal(signal.SIGHUP)
        assert guard.wait(timeout=LIMIT_SECONDS) == 0
    finally:
        guard.kill()
        guard.wait()


# Notifications.


def channel(inbox: Inbox) -> str:
    return f"[[channel]]\nname = 'web'\nurl = '{inbox.address}'\nmin_interval = '1ms'\n"


def test_a_guard_tells_people(cli: Cli, runs: Runs, policy: pathlib.Path, web: Inbox) -> None:
    policy.write_text("[guard]\n" + QUICK + channel(web))
    cli("budget", "set", "p/e", "500 USD")  # a ledger, so that the channel can begin
    guard = Guard(cli, policy)
    first_delivery(cli, policy)
    runs.silent("e", "quiet")
    guard.wait_for("concluded", status="KILLED")
    (title, body) = web.wait_for(1)[0]
    assert "1 stopped" in title
    assert "p/e/quiet" in body
    assert guard.wait_for("notify")["message"].endswith(" sent")
    guard.end()


def first_delivery(cli: Cli, policy: pathlib.Path) -> None:
    """Waits until the guard has seen the channel, which begins there."""
    states = ("notify", "status", "--policy", str(policy))
    wait_until(lambda: cli.json(*states)["channels"][0]["state"] != "new")


def test_a_service_that_does_not_answer_delays_no_judgement(
    cli: Cli, runs: Runs, policy: pathlib.Path, web: Inbox
) -> None:
    web.stalls = True
    policy.write_text("[guard]\n" + QUICK + channel(web))
    cli("budget", "set", "p/e", "500 USD")  # a ledger, so that the channel can begin
    guard = Guard(cli, policy)
    first_delivery(cli, policy)
    runs.silent()
    guard.wait_for("concluded")
    web.wait_for(1)
    # The sender hangs now, and the guard goes on.
    assert runs.silent().wait(timeout=LIMIT_SECONDS) == -signal.SIGTERM
    assert len(web.messages) == 1
    web.released.set()
    guard.wait_for("notify")
    guard.end()


def test_a_sender_that_cannot_start_is_told_of_once(
    cli: Cli,
    runs: Runs,
    policy: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without apprise nothing is recorded, so there is work to do in each of the many rounds."""
    policy.write_text("[guard]\n" + QUICK + "[[channel]]\nname = 'web'\nurl = 'json://h'\n")
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "apprise.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(shadow))
    cli("budget", "set", "p/e", "500 USD")
    guard = Guard(cli, policy)
    assert "finops-train[notify]" in guard.wait_for("notify")["message"]
    runs.silent()
    guard.wait_for("concluded")
    assert sum(event["event"] == "notify" for event in guard.end()) == 1


def test_once_sends_before_it_ends(cli: Cli, policy: pathlib.Path, web: Inbox) -> None:
    policy.write_text(channel(web))
    once = ("guard", "--once", "--policy", str(policy))
    cli("budget", "set", "vision/resnet", "5 USD")
    cli(*once)
    cli("budget", "request", "vision/resnet", "2 USD", "--why", "five epochs more")
    output, _ = cli(*once)
    assert output.endswith("web: 1 notice sent\n")
    assert "five epochs more" in web.messages[0][1]
    policy.chmod(0o644)
    output, _ = cli(*once)
    assert "warning: others can read" in output
    assert "a-long-secret-path" not in output
