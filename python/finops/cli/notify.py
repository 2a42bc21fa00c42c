"""`finops notify`: tell people what the ledger noticed, and see whether they were told."""

from __future__ import annotations

import os
import socket
import sys
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from finops.ledger import Ledger, open_ledger
from finops.notify import (
    Outcome,
    deliver,
    make_test_message,
    require_apprise,
    send,
    sender_lock,
    standing_of,
)
from finops.policy import Channel, PolicyFile, find_policy_file, read_policy

from .options import HomeOption, JsonOption, find_ledger, home_path
from .render import format_span, make_console, one_line, print_error, print_json, time_json

_COUNT_LIMIT = 1000

PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help="The policy file; else $FINOPS_POLICY, else policy.toml in the home folder.",
        metavar="FILE",
    ),
]

app = typer.Typer(no_args_is_help=True, help="Tell people what happened; see if they were told.")


@app.callback(invoke_without_command=True)
def notify(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Send what is due and end, for cron. Exit 1 on failure.")
    ] = False,
    policy: PolicyOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Tell people what happened, through the channels of the policy file."""
    if context.invoked_subcommand is not None:
        source = context.get_parameter_source("home")
        has_home = source is not None and source.name == "COMMANDLINE"
        if once or policy or as_json or has_home:
            name = context.invoked_subcommand
            raise typer.BadParameter(
                f"put the options behind the command: finops notify {name} ..."
            )
        return
    if not once:
        raise typer.BadParameter("say --once, or one of the commands: status, test")
    path = home_path(home)
    outcomes = _send_once(path, load_policy(policy, path))
    if as_json:
        print_json({"channels": [vars(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            print(outcome_text(outcome))
    _leave(has_failed=any(outcome.state != "SENT" for outcome in outcomes))


@app.command()
def status(
    policy: PolicyOption = None, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Show for each channel what was sent, what waits, and why it failed."""
    path = home_path(home)
    states = channel_states(find_ledger(path), load_policy(policy, path).channels)
    if as_json:
        print_json({"channels": [state.as_json() for state in states]})
    elif not states:
        print("no channels; the policy file has no [[channel]]")
    else:
        make_console().print(_status_table(states))


@app.command("test")
def try_channel(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL")],
    policy: PolicyOption = None,
    home: HomeOption = None,
) -> None:
    """Send a test message through one channel. Exit 1 if it is not taken within a minute."""
    require_apprise()
    found = load_policy(policy, home_path(home)).channel(channel)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            send(found, make_test_message(socket.gethostname(), found.name))
        except Exception as error:  # noqa: BLE001 - it is raised again below
            failures.append(error)

    sender = threading.Thread(target=work, daemon=True)
    sender.start()
    sender.join(timeout=60)
    if sender.is_alive():
        print_error(f"channel {channel!r}: no answer within 60 s")
        _leave(has_failed=True)
    if failures:
        raise failures[0]
    print(f"{channel}: sent")


def _leave(*, has_failed: bool) -> NoReturn:
    """End at once: at a usual end Python would wait for a service that never answers."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(has_failed))


def load_policy(given: Path | None, home: str) -> PolicyFile:
    """The policy file that holds, with its warnings on stderr."""
    policy = read_policy(find_policy_file(given, home))
    for warning in policy.warnings:
        print_error(f"warning: {warning}")
    return policy


def outcome_text(outcome: Outcome) -> str:
    """What became of a channel's group, on one line."""
    notices = f"{outcome.count} notice{'s' * (outcome.count != 1)}"
    if outcome.state == "SENT":
        return f"{outcome.channel}: {notices} sent"
    return f"{outcome.channel}: {notices} not sent: {one_line(outcome.detail)}"


def _send_once(home: str, policy: PolicyFile) -> list[Outcome]:
    if not policy.channels or find_ledger(home) is None:
        return []
    require_apprise()
    with sender_lock(home) as is_ours:
        if not is_ours:
            print("another process sends for this home already")
            return []
        return deliver(
            open_ledger(home),
            policy.channels,
            send,
            host=socket.gethostname(),
            now=datetime.now(timezone.utc),
        )


@dataclass(frozen=True)
class ChannelState:
    """How one channel does.

    Attributes
    ----------
    state : "new", "SENT", "SENDING" (its sender is at work or died), "FAILED".
    waiting_count : notices since its last success, filters apart; at most 1000 are counted.
    due_at : not before; None: at once.
    """

    channel: str
    state: str
    recorded_at: datetime | None
    waiting_count: int
    tries: int
    due_at: datetime | None
    detail: str

    def as_json(self) -> dict[str, Any]:
        times = {"recorded_at": time_json(self.recorded_at), "due_at": time_json(self.due_at)}
        return {**vars(self), **times}


def channel_states(ledger: Ledger | None, channels: tuple[Channel, ...]) -> list[ChannelState]:
    """How each channel does; without a ledger all are new."""
    states = []
    for channel in channels:
        standing = standing_of(channel, ledger.last_delivery(channel.name) if ledger else None)
        waiting = 0
        if ledger is not None and standing.state != "new":
            waiting = len(ledger.notices(standing.first_number - 1, _COUNT_LIMIT))
        states.append(
            ChannelState(
                channel=channel.name,
                state=standing.state,
                recorded_at=standing.recorded_at,
                waiting_count=waiting,
                tries=standing.tries,
                due_at=standing.due_at,
                detail=standing.detail,
            )
        )
    return states


def _status_table(states: list[ChannelState]) -> Table:
    styles = {"SENT": "green", "FAILED": "red", "SENDING": "yellow"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in ("CHANNEL", "STATE", "WHEN", "WAITING", "NEXT"):
        table.add_column(header, no_wrap=True)
    table.add_column("DETAIL")
    now = datetime.now(timezone.utc)
    for state in states:
        when = f"{format_span(now - state.recorded_at)} ago" if state.recorded_at else "-"
        due = state.due_at if state.waiting_count else None
        wait = max(due - now, timedelta(0)) if due else timedelta(0)
        following = f"in {format_span(wait)}" if wait else "at once" if state.waiting_count else "-"
        table.add_row(
            state.channel,
            Text(state.state, style=styles.get(state.state, "")),
            when,
            str(state.waiting_count),
            following,
            Text(one_line(state.detail)),
        )
    return table
