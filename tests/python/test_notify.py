"""Notices reach people: in groups, in order, once, and not lost in a crash.

Method: a real ledger makes the notices (requests for a budget), real `finops notify` processes send
them to real servers of this host. Where only time moves, `deliver` is called with another `now`.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from message_servers import LIMIT_SECONDS, Inbox, http_inbox, smtp_inbox

import finops
from finops._core import BudgetTerms
from finops.ledger import Ledger, open_ledger
from finops.notify import Message, Outcome, SendFailed, deliver, has_work, send, sender_lock
from finops.notify.message import short_id
from finops.policy import Channel

# apprise loads modules that newer versions of Python warn about.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BUDGET = "experiment:vision/resnet"


class World:
    """A home with a budget, whose requests make notices, and a policy file with channels."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.home = os.environ["FINOPS_HOME"]
        self.policy = folder / "policy.toml"
        self.policy.touch(0o600)
        self.running: list[subprocess.Popen[str]] = []
        self.ledger: Ledger = open_ledger(self.home)
        self.budget(BUDGET)

    def budget(self, budget_id: str) -> None:
        self.ledger.ensure_budget(budget_id, BudgetTerms(finops.Money(5)), who="ann")

    def channel(self, name: str, inbox: Inbox, *lines: str) -> None:
        more = "\n".join(('min_interval = "1ms"', *lines))
        with open(self.policy, "a") as file:
            file.write(f'[[channel]]\nname = "{name}"\nurl = "{inbox.address}"\n{more}\n')

    def ask(self, why: str, budget_id: str = BUDGET) -> str:
        """One more notice."""
        return self.ledger.add_request(budget_id, finops.Money(1), who="ann", why=why)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "finops.cli.main", "notify", *arguments]
        process = subprocess.Popen(
            [*command, "--policy", str(self.policy)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        return process

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=LIMIT_SECONDS * 2)
        assert process.returncode == expect, output
        return output

    def states(self) -> dict[str, Any]:
        channels = json.loads(self("status", "--json"))["channels"]
        return {channel["channel"]: channel for channel in channels}


def last_step(ledger: Ledger, channel: str) -> datetime:
    """When the channel's last step was recorded; now if there was none."""
    delivery = ledger.last_delivery(channel)
    at = delivery.recorded_at if delivery else None
    return at or datetime.now(timezone.utc)


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[World]:
    one = World(tmp_path)
    yield one
    for process in one.running:
        process.kill()
        process.communicate()


@pytest.fixture
def web() -> Iterator[Inbox]:
    with http_inbox() as inbox:
        yield inbox


@pytest.fixture
def mail() -> Iterator[Inbox]:
    with smtp_inbox() as inbox:
        yield inbox


def test_all_new_notices_go_in_one_message(world: World, web: Inbox, mail: Inbox) -> None:
    world.channel("web", web)
    world.channel("mail", mail)
    world.ask("before anybody was told")
    world("--once")
    assert (web.messages, mail.messages) == ([], []), "a new channel is told no history"
    request = world.ask("five epochs")
    world.ask("six epochs")
    world.ledger.rule_request(request, is_approved=True, who="bob", why="yes")
    assert world("--once") == "web: 3 notices sent\nmail: 3 notices sent\n"
    notices = world.ledger.notices(1)
    for inbox in (web, mail):
        ((title, body),) = inbox.messages
        assert title == "finops: 3 notices: 2 request, 1 approved"
        lines = body.splitlines()[:3]
        for line, notice in zip(lines, notices, strict=True):
            assert " UTC  " + notice.kind in line
            assert notice.text in line
            assert line.endswith(f"[{short_id(notice.notice_id)}]")
    world("--once")
    assert (len(web.messages), len(mail.messages)) == (1, 1), "nobody is told twice"


def test_what_a_crash_cut_off_is_sent_again_and_marked(world: World, web: Inbox) -> None:
    """kill -9 while the server has the message and does not answer: it may have arrived."""
    world.channel("web", web)
    world("--once")
    world.ask("first")
    web.stalls = True
    sender = world.start("--once")
    web.wait_for(1)
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    delivery = world.ledger.last_delivery("web")
    assert delivery is not None
    assert (delivery.state, delivery.detail) == ("SENDING", "try 1")
    web.stalls = False
    web.released.set()
    world.ask("second")
    world("--once")
    world("--once")
    (cut, again, later) = web.messages
    assert again[0] == cut[0] + " (possible repeat)"
    assert again[1].splitlines()[0] == cut[1].splitlines()[0]
    assert ("first" in again[1], "second" in again[1]) == (True, False), "the same group"
    assert (later[0], "second" in later[1]) == ("finops: 1 notice: 1 request", True)
    world("--once")
    assert len(web.messages) == 3


def test_a_refusing_server_is_asked_again_later(world: World, web: Inbox) -> None:
    world.channel("web", web)
    world("--once")
    world.ask("first")
    web.refuses = True
    shown = world("--once", expect=1)
    assert shown.startswith("web: 1 notice not sent: try 1: Failed to send JSON")
    state = world.states()["web"]
    assert (state["state"], state["tries"], state["waiting_count"]) == ("FAILED", 1, 1)
    assert "error=500" in state["detail"]
    assert "secret" not in shown + json.dumps(state)
    assert world("--once") == "", "not before its time"
    web.refuses = False
    world.ask("second")
    channel = Channel("web", url=web.address)
    for later, count in ((29, 0), (31, 1)):
        at = last_step(world.ledger, "web") + timedelta(seconds=later)
        outcomes = deliver(world.ledger, [channel], send, host="h", now=at)
        assert len(outcomes) == count, later
    assert [title for title, _ in web.messages[1:]] == ["finops: 2 notices: 2 request"]
    assert world.states()["web"]["state"] == "SENT"


def test_two_senders_exclude_each_other(world: World, web: Inbox) -> None:
    world.channel("web", web)
    world("--once")
    world.ask("first")
    web.stalls = True
    first = world.start("--once")
    web.wait_for(1)
    assert world("--once") == "another process sends for this home already\n"
    web.released.set()
    assert first.communicate(timeout=LIMIT_SECONDS)[0] == "web: 1 notice sent\n"
    assert len(web.messages) == 1
    with sender_lock(world.home) as is_ours, sender_lock(world.home) as is_theirs:
        assert (is_ours, is_theirs) == (True, False)


def test_order_is_kept_and_a_long_group_is_counted(world: World, web: Inbox) -> None:
    world.channel("web", web)
    world("--once")
    for number in range(52):
        world.ask(f"number {number};")
    world("--once")
    ((title, body),) = web.messages
    assert title == "finops: 52 notices: 52 request"
    lines = body.splitlines()
    assert [f"number {number};" in lines[number] for number in range(50)] == [True] * 50
    assert lines[50] == "... and 2 more"


def test_channels_get_what_they_want(world: World, web: Inbox) -> None:
    world.budget("experiment:speech/whisper")
    world.budget("team:nlp")
    world.channel("web", web, 'projects = ["visi*"]', 'kinds = ["request"]')
    world("--once")
    world.ask("of speech", "experiment:speech/whisper")
    world.ask("of the team", "team:nlp")
    request = world.ask("of vision")
    world.ledger.rule_request(request, is_approved=False, who="bob", why="no")
    world("--once")
    ((title, body),) = web.messages
    assert title == "finops: 2 notices: 2 request"
    assert ("of the team" in body, "of vision" in body, "of speech" in body) == (True, True, False)


def test_a_channel_that_is_added_later_begins_then(world: World, web: Inbox) -> None:
    world.channel("early", web)
    world("--once")
    world.ask("first")
    world.channel("late", web)
    world("--once")
    assert len(web.messages) == 1
    world.ask("second")
    world("--once")
    assert [("second" in body) for _, body in web.messages] == [False, True, True]


def test_without_apprise_it_says_what_to_install(
    world: World, web: Inbox, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.channel("web", web)
    (tmp_path / "apprise.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for arguments in (("--once",), ("test", "web")):
        assert "pip install 'finops-train[notify]'" in world(*arguments, expect=1)
    # An option in front of a command would be for something else, and is not passed over.
    assert "put the options behind the command" in world("--json", "status", expect=2)
    assert world.states()["web"]["state"] == "new", "the status needs no apprise"


def test_a_test_message_and_an_unknown_channel(world: World, mail: Inbox) -> None:
    world.channel("mail", mail)
    assert world("test", "mail") == "mail: sent\n"
    assert [title for title, _ in mail.messages] == ["finops: test of channel mail"]
    assert "no channel 'mial'; the known ones are: mail" in world("test", "mial", expect=1)
    mail.refuses = True
    failed = world("test", "mail", expect=1)
    assert failed.startswith("error: Sending email to")
    assert "example.org" not in failed, "no part of the address is shown"
    assert world.ledger.last_delivery("mail") is None, "a test is no delivery"


# Time limit, back-off and spacing: only `now` and the sender move.


class Pass:
    """Passes over one channel with a sender of the test's own."""

    def __init__(self, world: World, channel: Channel) -> None:
        self.ledger, self.channel = world.ledger, channel
        self.sent: list[Message] = []
        self.why = ""

    def send(self, channel: Channel, message: Message) -> None:
        if channel.name == "stalled":
            threading.Event().wait(LIMIT_SECONDS)
        if self.why:
            raise SendFailed(self.why)
        self.sent.append(message)

    def after(
        self, seconds: float, *others: Channel, limit: float = LIMIT_SECONDS
    ) -> list[Outcome]:
        """A pass that long after the last step of the channel."""
        now = last_step(self.ledger, self.channel.name) + timedelta(seconds=seconds)
        return deliver(
            self.ledger,
            [*others, self.channel],
            self.send,
            host="h",
            now=now,
            time_limit_seconds=limit,
        )


def test_failures_are_retried_ever_more_slowly(world: World) -> None:
    one = Pass(world, Channel("c"))
    assert one.after(0) == []
    world.ask("first")
    one.why = "no route"
    assert one.after(0) == [Outcome("c", "FAILED", 1, "try 1: no route")]
    for tries, wait in ((2, 30), (3, 60), (4, 120), (5, 240), (6, 480), (7, 960), (8, 1920)):
        assert one.after(wait - 1) == []
        assert one.after(wait + 1) == [Outcome("c", "FAILED", 1, f"try {tries}: no route")]
    for tries in (9, 10):
        assert one.after(3599) == []
        assert one.after(3601) == [Outcome("c", "FAILED", 1, f"try {tries}: no route")]
    one.why = ""
    assert [outcome.state for outcome in one.after(3601)] == ["SENT"]
    assert [message.title for message in one.sent] == ["finops: 1 notice: 1 request"]


def test_messages_keep_their_distance(world: World) -> None:
    one = Pass(world, Channel("c", min_interval=timedelta(minutes=5)))
    one.after(0)
    world.ask("first")
    assert len(one.after(0)) == 1, "the first does not wait"
    world.ask("second")
    world.ask("third")
    assert not has_work(world.ledger, [one.channel], datetime.now(timezone.utc))
    assert one.after(299) == []
    assert [outcome.count for outcome in one.after(301)] == [2]
    world.ask("fourth")
    # The clock was set back by a day: nobody waits for its return.
    assert [outcome.count for outcome in one.after(-86400)] == [1]


def test_a_channel_that_does_not_answer_holds_up_nobody(world: World) -> None:
    stalled = Channel("stalled")
    one = Pass(world, Channel("c"))
    one.after(0, stalled)
    world.ask("first")
    outcomes = {outcome.channel: outcome for outcome in one.after(0, stalled, limit=3)}
    assert outcomes["c"].state == "SENT"
    why = "try 1: no answer within 3 s; it may have arrived"
    assert outcomes["stalled"] == Outcome("stalled", "FAILED", 1, why)
    # It may have arrived, so its repeat is the same group, and says so.
    world.ask("second")
    again = Pass(world, stalled)
    again.send = lambda channel, message: again.sent.append(message)  # type: ignore[method-assign]
    assert [outcome.count for outcome in again.after(31)] == [1]
    assert [message.title for message in again.sent] == [
        "finops: 1 notice: 1 request (possible repeat)"
    ]


def test_what_nobody_wants_is_passed_over(world: World) -> None:
    one = Pass(world, Channel("c", kinds=("breaker",)))
    one.after(0)
    for number in range(200):
        assert one.after(0) == []
        world.ask(str(number))
    one.after(0)
    delivery = world.ledger.last_delivery("c")
    assert delivery is not None
    assert (delivery.state, delivery.last_number) == ("SENT", 200)
    assert one.sent == []
