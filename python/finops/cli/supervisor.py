"""The supervisor of `finops run`: starts the command, looks after it, and waits at the budget.

Owns: the child process, the signals for it, what is said on stderr.
Does not own: money and decisions (CommandRun and Agent, the C++ core).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from finops import EXIT_PAUSED
from finops.agent import AgentReport, CommandRun, RunOptions
from finops.errors import BudgetExhausted, FinopsError
from finops.ledger import BudgetSummary, DecisionRecord, Ledger, open_ledger
from finops.policy import PolicyFile, find_policy_file, read_policy
from finops.policybook import make_agent, make_book

from .budget_page import budget_name
from .courier import Courier
from .options import user_name
from .render import format_money, format_price, format_span, print_error, print_note
from .waiting import SignalWaiter

EXIT_NOT_FOUND = 127
_EXIT_NOT_EXECUTABLE = 126
_SIGNAL_EXIT = 128  # a shell's code for a command that a signal ended: 128 + its number
_BUDGET_POLL_SECONDS = 1.0
_SENDING_SECONDS = 5.0  # a command that has ended is not held up for longer by a slow mail server
_SCHEDULERS = {"SLURM_JOB_ID": "a Slurm job", "KUBERNETES_SERVICE_HOST": "a Kubernetes pod"}
_PAID_RULES = ("budget", "lease")


@dataclass(frozen=True)
class SupervisorOptions:
    """What `finops run` was asked for, apart from the run itself."""

    command: list[str]
    interval: timedelta
    waits: bool


class Supervisor:
    """One `finops run`, from its first attempt to its last."""

    def __init__(self, run_options: RunOptions, options: SupervisorOptions) -> None:
        self._run_options = run_options
        self._options = options
        self._told_warnings: set[str] = set()
        self._policy = self._read_policy()
        self._agent = make_agent(
            run_options.home, self._policy, name="finops run", interval=options.interval
        )
        self._courier = Courier(run_options.home, lambda line: self._warn([line]))
        self._child: subprocess.Popen[bytes] | None = None
        self._interrupts = 0
        self._is_waiting = False
        self._ends_waiting = False

    def _read_policy(self) -> PolicyFile:
        """The policy file; a broken one is told of, and the command runs by the defaults."""
        home = self._run_options.home
        try:
            policy = read_policy(find_policy_file(None, home))
            make_book(policy)
        except FinopsError as error:
            self._warn([f"the policy file is not used: {error}"])
            return PolicyFile()
        self._warn(list(policy.warnings))
        return policy

    def run(self) -> int:
        """Run the command to its end. Returns the exit code of `finops run`."""
        with SignalWaiter(self._on_signal) as waiter:
            run = CommandRun.start(self._run_options)
            while True:
                self._announce(run)
                exit_code, status = self._run_attempt(run, waiter)
                if status != "PAUSED":
                    self._say_end(run, status)
                    self._tell_people()
                    return exit_code if exit_code >= 0 else _SIGNAL_EXIT - exit_code
                resumed = self._paused(run, waiter)
                if resumed is None:
                    self._tell_people()
                    return EXIT_PAUSED
                run = resumed

    def _run_attempt(self, run: CommandRun, waiter: SignalWaiter) -> tuple[int, str]:
        try:
            child = self._spawn(run)
        except OSError as error:
            print_error(f"{self._options.command[0]}: {error.strerror}")
            return _EXIT_NOT_EXECUTABLE, run.child_ended(self._agent, _EXIT_NOT_EXECUTABLE)
        self._child = child
        next_tick = time.monotonic()
        while child.poll() is None:
            if time.monotonic() >= next_tick:
                self._look(run)
                next_tick = time.monotonic() + self._options.interval.total_seconds()
            if child.poll() is None:
                waiter.wait(next_tick - time.monotonic())
        self._child = None
        exit_code = child.returncode
        return exit_code, run.child_ended(self._agent, exit_code)

    def _spawn(self, run: CommandRun) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "FINOPS_RUN_ID": run.run_id,
            "FINOPS_ATTEMPT_ID": run.attempt_id,
            "FINOPS_PROJECT": self._run_options.project,
            "FINOPS_EXPERIMENT": self._run_options.experiment,
            "FINOPS_HOME": run.home or self._run_options.home,
        }
        # A session of its own: Ctrl-C comes to us, and we pass it on, once.
        return subprocess.Popen(self._options.command, env=environment, start_new_session=True)

    def _look(self, run: CommandRun) -> None:
        self._tell(run.tick(self._agent), run.attempt_id)
        self._courier.look(self._policy)

    def _tell_people(self) -> None:
        """What this run's end is news for; a sender that needs longer goes on by itself."""
        self._courier.look(self._policy)
        self._courier.finish(_SENDING_SECONDS, lambda: False)

    def _tell(self, report: AgentReport, attempt_id: str) -> None:
        for decision in report.decisions:
            if decision.attempt_id == attempt_id:
                print_note(describe_decision(decision))
        self._warn(report.warnings)

    def _warn(self, warnings: list[str]) -> None:
        for warning in warnings:
            if warning not in self._told_warnings:
                self._told_warnings.add(warning)
                print_note(f"warning: {warning}")

    def _on_signal(self, number: int) -> None:
        self._interrupts += 1
        if self._is_waiting:
            self._wait_interrupted(number)
            return
        if self._child is None or self._child.returncode is not None:
            return
        is_second_try = number == signal.SIGINT and self._interrupts > 1
        with contextlib.suppress(ProcessLookupError):  # it may have ended just now
            os.killpg(self._child.pid, signal.SIGKILL if is_second_try else number)

    def _announce(self, run: CommandRun) -> None:
        self._warn(run.warnings)
        parts = [f"run {run.run_id}"]
        if run.attempt_number > 1:
            parts.append(f"attempt {run.attempt_number}")
        parts.append(f"{self._run_options.project}/{self._run_options.experiment}")
        try:
            ledger = open_ledger(run.home, read_only=True)
            price = ledger.attempts(run.run_id)[-1].price
            parts.append(format_price(price) if price else "price unknown")
            budget = ledger.budget(run.budget_id) if run.budget_id else None
            if budget is not None:
                left = budget.limit - budget.spent
                parts.append(f"{format_money(left)} of {format_money(budget.limit)} left")
        except (FinopsError, IndexError):
            pass  # observation: the command starts all the same
        print_note(", ".join(parts))

    def _say_end(self, run: CommandRun, status: str) -> None:
        self._warn(run.warnings)
        reason = f" ({run.reason})" if run.reason else ""
        cost = format_money(run.cost)
        print_note(f"run {run.run_id} {status.lower()}{reason}, this attempt cost {cost}")

    def _paused(self, run: CommandRun, waiter: SignalWaiter) -> CommandRun | None:
        """Say why, and wait for more budget where that holds no GPU. None: leave with 75."""
        self._warn(run.warnings)
        is_at_budget = self._say_pause(run)
        if not is_at_budget:
            print_note(f"go on with: finops run --resume {run.run_id} ...")
            return None
        place = next((name for key, name in _SCHEDULERS.items() if key in os.environ), None)
        if place is not None or not self._options.waits:
            why = f" (waiting inside {place} would hold its GPUs)" if place else ""
            print_note(
                f"exit code {EXIT_PAUSED}: paused{why}; afterwards go on with: "
                f"finops run --resume {run.run_id} ..."
            )
            return None
        print_note(f"waiting for more budget; Ctrl-C twice leaves with exit code {EXIT_PAUSED}")
        return self._wait_for_budget(run, waiter)

    def _say_pause(self, run: CommandRun) -> bool:
        """Explain a pause. Returns whether money was its reason."""
        print_note(f"paused: {run.reason or 'the run paused itself'}")
        is_at_budget = False
        try:
            ledger = open_ledger(run.home, read_only=True)
            decisions = ledger.decisions(attempt_id=run.attempt_id)
            is_at_budget = any(decision.rule in _PAID_RULES for decision in decisions)
            spent = f"this attempt cost {format_money(run.cost)}"
            budget = _exhausted_budget(ledger, run, self._run_options)
            if budget is not None:
                spent += f"; {budget_name(budget.budget_id)} has spent "
                spent += f"{format_money(budget.spent)} of {format_money(budget.limit)}"
            print_note(spent)
            checkpoint = ledger.last_checkpoint(run.run_id)
            if checkpoint is None:
                print_note(
                    "no checkpoint was reported: the next attempt begins anew, unless the "
                    "command keeps checkpoints of its own"
                )
            else:
                print_note(f"checkpoint: step {checkpoint.step}, {checkpoint.path}")
            if is_at_budget and budget is not None:
                print_note(
                    "ask for more with: "
                    + f"finops budget request {budget_name(budget.budget_id)} "
                    + f'"2 {budget.limit.currency}" '
                    + '--why "..."'
                )
        except FinopsError as error:
            print_note(f"warning: {error}")
        return is_at_budget

    def _wait_interrupted(self, number: int) -> None:
        # The first Ctrl-C may have been meant for the command, which is gone already.
        if number == signal.SIGINT and self._interrupts == 1:
            print_note(f"still waiting; Ctrl-C again leaves with exit code {EXIT_PAUSED}")
        else:
            self._ends_waiting = True

    def _waits_on(self) -> bool:
        return not self._ends_waiting

    def _wait_for_budget(self, run: CommandRun, waiter: SignalWaiter) -> CommandRun | None:
        since = datetime.now(timezone.utc)
        self._interrupts, self._is_waiting, self._ends_waiting = 0, True, False
        try:
            while self._waits_on():
                waiter.wait(_BUDGET_POLL_SECONDS)
                self._courier.look(self._policy)  # somebody must hear that it waits
                resumed = self._try_resume(run) if self._waits_on() else None
                if resumed is not None:
                    waited = datetime.now(timezone.utc) - since
                    print_note(f"there is budget again after {format_span(waited)}")
                    self._interrupts = 0
                    return resumed
        finally:
            self._is_waiting = False
        print_note(f"no longer waiting; go on with: finops run --resume {run.run_id} ...")
        return None

    def _try_resume(self, run: CommandRun) -> CommandRun | None:
        try:
            if not run.has_budget_again():
                return None
            self._run_options.resume = run.run_id
            self._run_options.budget = None  # it may have another limit by now
            return CommandRun.start(self._run_options)
        except BudgetExhausted:
            return None  # another run was first
        except FinopsError as error:
            self._warn([str(error)])
            return None


def _exhausted_budget(ledger: Ledger, run: CommandRun, options: RunOptions) -> BudgetSummary | None:
    """The hard budget above the run that has least left: the one to ask for more of."""
    if not run.budget_id:
        return None
    chain = ledger.budget_chain(options.project, options.experiment, user_name())
    hard = [budget for budget in chain if budget.is_hard]
    return min(hard, key=lambda budget: budget.available, default=chain[0] if chain else None)


def describe_decision(decision: DecisionRecord) -> str:
    """A decision in plain words, with what was done."""
    done = {"directive": decision.directive, "SIGTERM": "SIGTERM", "SIGKILL": "SIGKILL"}
    action = done.get(decision.rung)
    reason = decision.reason or "all is well again"
    return f"{reason} ({action})" if action else reason
