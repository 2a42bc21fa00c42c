"""`finops guard`: the agent as a process of its own; stops silent runs, pauses them at a budget."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from finops.agent import Agent, AgentReport, is_agent_serving
from finops.errors import FinopsError
from finops.ledger import DecisionRecord
from finops.policy import PolicyFile, find_policy_file, read_policy
from finops.policybook import make_agent

from .courier import Courier
from .notify import PolicyOption
from .options import HomeOption, JsonOption, home_path, span_option
from .render import fields_json, print_json_line, time_json
from .supervisor import describe_decision
from .waiting import SignalWaiter

_DECISION_FIELDS = (
    "attempt_id", "sequence", "directive", "rule", "rung", "reason", "decided_by", "decided_at",
    "is_dry_run",
)  # fmt: skip
_SENDING_SECONDS_AT_END = 10.0
_SENDING_SECONDS_ONCE = 90.0


@dataclass(frozen=True)
class GuardOptions:
    """What a guard was asked for, apart from the policy file.

    Attributes
    ----------
    overrides : limits from the command line, under the core's names; None: not given.
    """

    home: str
    policy_path: Path | None
    interval: timedelta
    overrides: dict[str, Any]
    is_dry_run: bool
    allows_mass_stop: bool

    def find_policy(self) -> Path | None:
        """Where the policy lies now."""
        return find_policy_file(self.policy_path, self.home)

    def agent(self, policy: PolicyFile, *, with_telemetry: bool = True) -> Agent:
        """A new agent that judges by `policy`."""
        return make_agent(
            self.home,
            policy,
            interval=self.interval,
            overrides=self.overrides,
            is_dry_run=self.is_dry_run,
            overrides_breaker=self.allows_mass_stop,
            with_telemetry=with_telemetry,
        )


def guard(
    interval: Annotated[
        timedelta, span_option("--interval", "Time between two rounds.", default="10s")
    ] = timedelta(seconds=10),
    once: Annotated[bool, typer.Option("--once", help="One round, for cron.")] = False,
    policy: PolicyOption = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Record what would be done; budgets hold all the same."),
    ] = False,
    explain: Annotated[
        str,
        typer.Option("--explain", metavar="RUN", help="Say what each rule says of a run, and end."),
    ] = "",
    allow_mass_stop: Annotated[
        bool,
        typer.Option("--allow-mass-stop", help="Stop many runs at once if the rules say so."),
    ] = False,
    silence_limit: Annotated[
        timedelta | None,
        span_option("--silence-limit", "For runs that state none of their own.", default="30m"),
    ] = None,
    directive_grace: Annotated[
        timedelta | None,
        span_option("--directive-grace", "From the directive to SIGTERM.", default="5s"),
    ] = None,
    term_grace: Annotated[
        timedelta | None, span_option("--term-grace", "From SIGTERM to SIGKILL.", default="30s")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Look after all runs of this user on this host. SIGHUP: read the policy file again."""
    options = GuardOptions(
        home=home_path(home),
        policy_path=policy,
        interval=interval,
        overrides={
            "silence_limit": silence_limit,
            "directive_grace": directive_grace,
            "term_grace": term_grace,
        },
        is_dry_run=dry_run,
        allows_mass_stop=allow_mass_stop,
    )
    loaded = read_policy(options.find_policy())
    if explain:
        from .explain import explain_run

        agent = options.agent(loaded, with_telemetry=False)
        explain_run(agent, options.home, loaded, explain, as_json=as_json)
        return
    service = _Guard(options, loaded, _Output(as_json))
    if once:
        service.look_once()
    else:
        service.serve()


class _Guard:
    """A guard from its start to its end."""

    def __init__(self, options: GuardOptions, policy: PolicyFile, output: _Output) -> None:
        self._options = options
        self._policy = policy
        self._output = output
        self._agent: Agent | None = options.agent(policy)
        self._courier = Courier(options.home, lambda line: output.say(line, "notify"))
        self._signals: list[int] = []
        self._had_terminal = sys.stdout.isatty()
        self._is_busy_told = False
        output.warn(policy.warnings)

    def look_once(self) -> None:
        """One round. Tells people as well, which ends within a minute and a half."""
        assert self._agent is not None
        if self._agent.try_serve():
            self._output.show(self._agent.tick())
        else:
            self._output.say("another agent serves these runs already", "busy")
        self._courier.look(self._policy)
        self._courier.finish(_SENDING_SECONDS_ONCE)

    def serve(self) -> None:
        """Rounds until a signal ends it."""
        with SignalWaiter(self._signals.append) as waiter:
            while not self._is_ended():
                self._round()
                next_round = time.monotonic() + self._options.interval.total_seconds()
                while not self._signals and (left := next_round - time.monotonic()) > 0:
                    waiter.wait(left)
            self._output.say("ended by a signal", "ended")
            told = len(self._signals)
            self._courier.finish(_SENDING_SECONDS_AT_END, lambda: len(self._signals) > told)

    def _round(self) -> None:
        if self._agent is None:
            return
        if not self._agent.is_serving and self._agent.try_serve():
            every = self._options.interval.total_seconds()
            dry = "; dry run: only budgets are enforced" if self._options.is_dry_run else ""
            self._output.say(f"serving, a round every {every:g} s{dry}", "serving")
        if self._agent.is_serving:
            self._output.show(self._agent.tick())
            self._courier.look(self._policy)
        else:
            self._stand_by()

    def _stand_by(self) -> None:
        """Says why this guard does not serve, once for each reason."""
        if is_agent_serving(self._options.home) is False:
            self._output.warn([f"cannot serve: {self._options.home} is gone or read-only"])
        elif not self._is_busy_told:
            self._output.say("another agent serves these runs; standing by", "busy")
            self._is_busy_told = True

    def _is_ended(self) -> bool:
        """Whether a signal ends this guard. SIGHUP does only if it says that the terminal went."""
        signals, self._signals[:] = list(self._signals), []
        has_lost_terminal = self._had_terminal and not sys.stdout.isatty()
        if any(number != signal.SIGHUP for number in signals) or (signals and has_lost_terminal):
            return True
        if signals:
            self._reload()
        return False

    def _reload(self) -> None:
        try:
            policy = read_policy(self._options.find_policy())
            agent = self._options.agent(policy)
        except FinopsError as error:
            self._output.say(f"the policy stays as it was: {error}", "policy_refused")
            return
        # The old agent lets go of its lock before the new one asks for it.
        self._agent = None
        self._agent, self._policy = agent, policy
        where = policy.path or "there is none"
        self._output.say(f"policy read again: {where}", "policy_read", path=policy.path)
        self._output.warn(policy.warnings)


def decision_text(decision: DecisionRecord) -> str:
    """A decision in plain words; one of a dry run says what would have been done."""
    if not decision.is_dry_run or decision.directive == "CONTINUE":
        return describe_decision(decision)
    action = decision.directive if decision.rung in ("watch", "directive") else decision.rung
    return f"dry run, would send {action}: {decision.reason}"


class _Output:
    """One line for each thing that happened, as text or JSON."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._told_warnings: set[str] = set()
        self._held_count = 0

    def say(self, text: str, event: str, **fields: object) -> None:
        now = datetime.now(timezone.utc)
        try:
            if self._as_json:
                more = fields or {"message": text}
                print_json_line({"event": event, "at": time_json(now), **more})
            else:
                print(f"{now.astimezone():%H:%M:%S}  {text}", flush=True)
        except OSError:
            _mute_stdout()  # a reader that went away is no reason to stop looking after runs

    def warn(self, warnings: list[str] | tuple[str, ...]) -> None:
        """Each warning once."""
        for warning in warnings:
            if warning not in self._told_warnings:
                self._told_warnings.add(warning)
                self.say(f"warning: {warning}", "warning", message=warning)

    def show(self, report: AgentReport) -> None:
        for decision in report.decisions:
            text = f"{decision.attempt_id}  {decision_text(decision)}"
            self.say(text, "decision", **fields_json(decision, *_DECISION_FIELDS))
        for attempt_id, status, reason in report.concluded:
            text = f"{attempt_id}  {status}" + (f": {reason}" if reason else "")
            self.say(text, "concluded", attempt_id=attempt_id, status=status, reason=reason)
        self._show_breaker(getattr(report, "breaker_held", 0))
        self.warn(report.warnings)

    def _show_breaker(self, held_count: int) -> None:
        if held_count and held_count != self._held_count:
            text = (
                f"breaker: {held_count} runs would be stopped at once, and none is; if that is "
                "right, end this guard and start: finops guard --allow-mass-stop"
            )
            self.say(text, "breaker", held_count=held_count)
        self._held_count = held_count


def _mute_stdout() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
