"""`finops run`: an unmodified command, tracked, costed, and paused at its budget.

Owns: the command's options. Does not own: the child and the rounds of the agent (supervisor).
"""

from __future__ import annotations

import os
import shlex
import shutil
from datetime import timedelta
from typing import Annotated

import typer

from finops import Money
from finops.agent import RunOptions
from finops.live import live_path, live_runs
from finops.pricebook import read_shipped_text

from .options import HomeOption, home_path, span_option
from .render import print_error, print_note
from .supervisor import EXIT_NOT_FOUND, Supervisor, SupervisorOptions

_NO_EXPERIMENT = (
    "no experiment, no GPU: say what this run is for with --project P --experiment E "
    "(or FINOPS_PROJECT and FINOPS_EXPERIMENT)"
)
_EXIT_USAGE = 2


ProjectOption = Annotated[str, typer.Option(envvar="FINOPS_PROJECT", help="Required.")]
ExperimentOption = Annotated[str, typer.Option(envvar="FINOPS_EXPERIMENT", help="Required.")]
BudgetOption = Annotated[
    str, typer.Option(metavar='"5 USD"', help="Of the experiment; made if there is none.")
]
SoftOption = Annotated[bool, typer.Option("--soft", help="At the limit warn, do not pause.")]
ResourcesOption = Annotated[str, typer.Option(metavar="8xH100", help="What it runs on.")]
PriceOption = Annotated[
    str, typer.Option(metavar='"24 USD/h"', help="Or '3 USD/gpu/h'; else the price book's.")
]
ResumeOption = Annotated[str, typer.Option(metavar="RUN", help="Go on with a paused run.")]
LongRunningOption = Annotated[
    str, typer.Option(metavar="REASON", help="Why silence is fine for this run.")
]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Paused: exit 75, do not wait for an approval.")
]
SilenceOption = Annotated[
    timedelta | None,
    span_option("--silence-limit", "Stopped if silent for longer.", default="30m"),
]
DurationOption = Annotated[
    timedelta | None,
    span_option(
        "--max-duration",
        "Stopped if it runs for longer.",
        default="no limit",
        variable="FINOPS_MAX_DURATION",
    ),
]
TermOption = Annotated[
    timedelta | None,
    span_option("--lease-term", "Paid ahead.", default="60s", variable="FINOPS_LEASE_TERM"),
]
GapOption = Annotated[
    timedelta | None,
    span_option("--check-gap", "Between checks.", default="5s", variable="FINOPS_CHECK_GAP"),
]
StopOption = Annotated[
    timedelta | None,
    span_option(
        "--stop-time", "Kept for checkpoint and stop.", default="30s", variable="FINOPS_STOP_TIME"
    ),
]
QuantumOption = Annotated[
    timedelta | None,
    span_option(
        "--billing-quantum", "Billing unit.", default="1s", variable="FINOPS_BILLING_QUANTUM"
    ),
]
IntervalOption = Annotated[
    timedelta, span_option("--interval", "Between two looks at the runs.", default="1s")
]


def run(
    command: Annotated[list[str], typer.Argument(metavar="CMD", show_default=False)],
    project: ProjectOption = "",
    experiment: ExperimentOption = "",
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    budget: BudgetOption = "",
    soft: SoftOption = False,
    resources: ResourcesOption = "",
    price: PriceOption = "",
    resume: ResumeOption = "",
    long_running: LongRunningOption = "",
    silence_limit: SilenceOption = None,
    max_duration: DurationOption = None,
    lease_term: TermOption = None,
    check_gap: GapOption = None,
    stop_time: StopOption = None,
    billing_quantum: QuantumOption = None,
    interval: IntervalOption = timedelta(seconds=1),
    no_wait: NoWaitOption = False,
    home: HomeOption = None,
) -> None:
    """Run CMD, track what it costs, and pause it at its budget.

    Ends with CMD's own exit code; 75 if it was paused at its budget.
    """
    if not project or not experiment:
        print_error(_NO_EXPERIMENT)
        raise typer.Exit(_EXIT_USAGE)
    home_text = home_path(home)
    _refuse_missing_program(command[0])
    _join_outer_run(home_text, command)
    options = RunOptions()
    options.project, options.experiment, options.name = project, experiment, name
    options.budget = Money.parse(budget) if budget else None
    options.is_hard_budget = not soft
    options.resources, options.price = resources, price
    options.resume = resume
    options.is_long_running, options.long_running_reason = bool(long_running), long_running
    options.silence_limit, options.max_duration = silence_limit, max_duration
    options.lease_term, options.check_gap = lease_term, check_gap
    options.stop_time, options.billing_quantum = stop_time, billing_quantum
    options.home = home_text
    options.price_book = read_shipped_text()
    options.command = shlex.join(command)
    supervisor = Supervisor(
        options,
        SupervisorOptions(command=command, interval=interval, waits=not no_wait),
    )
    raise typer.Exit(supervisor.run())


def _refuse_missing_program(program: str) -> None:
    # Before anything is recorded; the code is the one of a shell.
    if shutil.which(program) is None:
        print_error(f"{program}: no such program, or it may not be executed")
        raise typer.Exit(EXIT_NOT_FOUND)


def _join_outer_run(home: str, command: list[str]) -> None:
    """Become the command if an outer `finops run` pays already: nothing is charged twice."""
    attempt_id = os.environ.get("FINOPS_ATTEMPT_ID")
    folder = live_path(home)
    if not attempt_id or not os.path.isdir(folder):
        return
    pages, _ = live_runs(folder)
    if any(page.attempt_id == attempt_id and page.is_alive for page in pages):
        print_note(f"already inside the tracked attempt {attempt_id}: this is part of it")
        os.execvp(command[0], command)
