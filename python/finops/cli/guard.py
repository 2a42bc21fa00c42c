"""`finops guard`: the agent as a process of its own; stops silent runs, pauses them at a budget."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from finops import DEFAULT_SILENCE_LIMIT
from finops.agent import Agent, AgentReport, GuardPolicy, PolicyBook

from .options import HomeOption, JsonOption, home_path, span_option
from .render import fields_json, print_json_line, time_json
from .supervisor import describe_decision
from .waiting import SignalWaiter

_DECISION_FIELDS = (
    "attempt_id", "sequence", "directive", "rule", "rung", "reason", "decided_by", "decided_at",
)  # fmt: skip


def guard(
    interval: Annotated[
        timedelta, span_option("--interval", "Time between two rounds.", default="10s")
    ] = timedelta(seconds=10),
    once: Annotated[bool, typer.Option("--once", help="One round, for cron.")] = False,
    silence_limit: Annotated[
        timedelta,
        span_option("--silence-limit", "For runs that state none of their own.", default="30m"),
    ] = DEFAULT_SILENCE_LIMIT,
    directive_grace: Annotated[
        timedelta, span_option("--directive-grace", "From the directive to SIGTERM.", default="5s")
    ] = timedelta(seconds=5),
    term_grace: Annotated[
        timedelta, span_option("--term-grace", "From SIGTERM to SIGKILL.", default="30s")
    ] = timedelta(seconds=30),
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Look after all runs of this user on this host."""
    policy = GuardPolicy()
    policy.silence_limit = silence_limit
    policy.directive_grace = directive_grace
    policy.term_grace = term_grace
    agent = Agent(home_path(home), name="guard", interval=interval, policies=PolicyBook(policy))
    if once:
        if agent.try_serve():
            _Output(as_json).show(agent.tick())
        else:
            _Output(as_json).say("another agent serves these runs already", "busy")
        return
    _serve(agent, interval.total_seconds(), _Output(as_json))


def _serve(agent: Agent, interval_seconds: float, output: _Output) -> None:
    signals: list[int] = []
    with SignalWaiter(signals.append) as waiter:
        has_told = False
        while not signals:
            is_new = not agent.is_serving and agent.try_serve()
            if agent.is_serving:
                if is_new:
                    output.say(f"serving, a round every {interval_seconds:g} s", "serving")
                output.show(agent.tick())
            elif not has_told:
                output.say("another agent serves these runs; standing by", "busy")
                has_told = True
            next_round = time.monotonic() + interval_seconds
            while not signals and (left := next_round - time.monotonic()) > 0:
                waiter.wait(left)
    output.say("ended by a signal", "ended")


class _Output:
    """One line for each thing that happened, as text or JSON."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._told_warnings: set[str] = set()

    def say(self, text: str, event: str, **fields: object) -> None:
        now = datetime.now(timezone.utc)
        if self._as_json:
            more = fields or {"message": text}
            print_json_line({"event": event, "at": time_json(now), **more})
        else:
            print(f"{now.astimezone():%H:%M:%S}  {text}", flush=True)

    def show(self, report: AgentReport) -> None:
        for decision in report.decisions:
            text = f"{decision.attempt_id}  {describe_decision(decision)}"
            self.say(text, "decision", **fields_json(decision, *_DECISION_FIELDS))
        for attempt_id, status, reason in report.concluded:
            text = f"{attempt_id}  {status}" + (f": {reason}" if reason else "")
            self.say(text, "concluded", attempt_id=attempt_id, status=status, reason=reason)
        for warning in report.warnings:
            if warning not in self._told_warnings:
                self._told_warnings.add(warning)
                self.say(f"warning: {warning}", "warning")
