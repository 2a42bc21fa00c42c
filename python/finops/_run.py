"""Starting and ending runs from Python: ``init``, ``finish``, ``track``.

Owns: arguments as users write them, the open runs of this process, what happens at exit.
Does not own: the run itself (the C++ core). Starts no thread and installs no signal handler.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from . import _core
from ._core import Money, Run
from .errors import InvalidArgument, RunPaused
from .pricebook import read_shipped_text

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("finops")
_open_runs: list[Run] = []
# What `sys.last_value` was when a run began: an older error, in a notebook, is not that run's end.
_errors_before: dict[str, BaseException | None] = {}

# What was said of a run's work, for `run.forecast()`: planned steps and requested time.
_plans: dict[str, tuple[int | None, timedelta | None]] = {}
_after_finish: list[Callable[[str], None]] = []  # told the attempt's id

_ENVIRONMENT_SPANS = {
    "lease_term": "FINOPS_LEASE_TERM",
    "check_gap": "FINOPS_CHECK_GAP",
    "stop_time": "FINOPS_STOP_TIME",
    "billing_quantum": "FINOPS_BILLING_QUANTUM",
    "max_duration": "FINOPS_MAX_DURATION",
}


def init(
    *,
    project: str | None = None,
    experiment: str | None = None,
    name: str = "",
    budget: Money | str | None = None,
    soft_budget: bool = False,
    resources: str = "",
    price: str = "",
    parent: str | Run = "",
    fork_of: str | Run = "",
    fork_step: int | None = None,
    resume: str | bool = "",
    long_running: str | bool = False,
    silence_limit: timedelta | float | None = None,
    max_duration: timedelta | float | None = None,
    fail_open: bool = True,
    tags: Mapping[str, str] | None = None,
    home: str | os.PathLike[str] | None = None,
    forecast: bool = False,
    planned_steps: int | None = None,
    requested_time: timedelta | float | None = None,
) -> Run:
    """Start accounting for one training run. Returns the run; it ends with ``finish``.

    The processes of one job on one host are one attempt, charged once, whatever their number:

    - below ``finops run`` each that calls ``init`` attaches to the attempt that was started there;
    - where FINOPS_RUN_ID is set, it names the run, and all processes with it are one attempt;
    - under torchrun with more than one rank (TORCHELASTIC_RUN_ID, MASTER_ADDR, MASTER_PORT, RANK,
      LOCAL_RANK, WORLD_SIZE), and in a Slurm step of more than one task (SLURM_JOB_ID,
      SLURM_STEP_ID, SLURM_PROCID, SLURM_LOCALID, SLURM_NTASKS), local rank 0 begins the attempt
      (another rank if it has not in a second) and the others attach. A rank that finds no attempt
      in 30 s trains on without reporting, with a warning. On several hosts each host has an attempt
      of its own, all of one run: merge their ledgers to see it. Two jobs of one experiment that
      share all of torchrun's three names count as one run too, so give --rdzv-id;
    - a second ``init`` of a process that attached shares that attempt.

    Progress of any rank is progress of the attempt, and any living rank keeps it alive. The last to
    finish ends it: as FAILED if any rank failed, as PAUSED if any paused. All ranks get a directive
    at one step, about a second of steps after it was given, at most 3 s. ``run.is_keeper`` tells
    which of them settles the money; if that one dies, another one does within about a second.

    Parameters
    ----------
    project, experiment : required, here or as FINOPS_PROJECT and FINOPS_EXPERIMENT.
    budget : of the experiment, "5 USD"; created if there is none. An equal one is fine, another
        one raises BudgetMismatch: more money is asked for with ``run.request_budget``.
    soft_budget : a hard budget (the default) pauses the run, a soft one only warns.
    resources : "8xH100", "p5.48xlarge@aws:us-east-1:spot", "a100-80gb:0.25".
    price : "24 USD/h" for the whole resource, "3 USD/gpu/h" for each GPU; else the price book's.
    parent : the run, or its id, that this one is a part of, as a trial is of its sweep.
    fork_of, fork_step : the run, or its id, that this one began from, and the step there.
    resume : a run id, or True for the newest paused run of the same project, experiment and name.
    long_running : the reason why the silence rule does not hold for this run.
    silence_limit : a run that reports no progress for longer is stopped by the guard (30 min).
    max_duration : the attempt is told to stop when it has run for longer (timedelta or seconds; or
        FINOPS_MAX_DURATION, in seconds). The smallest of this and of its budgets' limits counts.
    fail_open : a broken ledger is a warning (True) or raises (False). It covers observation only:
        a hard budget always needs its ledger.
    forecast : say before the first step what the run will probably use and cost, warn where that
        passes its budget, and keep it with the run. It is observation: whatever goes wrong with it
        is one warning.
    planned_steps, requested_time : what the run is to do, and what was asked of the scheduler
        (timedelta or seconds), for forecasts; ``run.forecast()`` counts the steps left.

    Raises
    ------
    InvalidArgument, InvalidMoney, UnknownResource, AmbiguousResource : what was given is wrong.
    UnpricedResource : a budget on a resource without a price.
    BudgetExhausted : a hard budget that the run would debit has too little left for a start.
    BurnCapExceeded : a hard budget's burn cap has no room for the run's price.
    LedgerUnavailable : for a hard budget, or with ``fail_open=False``.
    """
    options = _core.RunOptions()
    options.project = project or os.environ.get("FINOPS_PROJECT", "")
    options.experiment = experiment or os.environ.get("FINOPS_EXPERIMENT", "")
    options.name = name
    options.budget = Money.parse(budget) if isinstance(budget, str) else budget
    options.is_hard_budget = not soft_budget
    options.resources = resources
    options.price = price
    options.parent = parent if isinstance(parent, str) else parent.run_id
    options.fork_of = fork_of if isinstance(fork_of, str) else fork_of.run_id
    options.fork_step = fork_step
    options.resume = ("auto" if resume else "") if isinstance(resume, bool) else resume
    if long_running is True:
        raise InvalidArgument("long_running needs the reason: long_running='hyperband, 3 days'")
    options.is_long_running = bool(long_running)
    options.long_running_reason = long_running or ""
    options.silence_limit = _span("silence_limit", silence_limit)
    options.fail_open = fail_open
    options.tags = json.dumps(dict(tags or {}))
    options.home = os.fspath(home) if home is not None else ""
    options.price_book = read_shipped_text()
    for attribute, variable in _ENVIRONMENT_SPANS.items():
        if os.environ.get(variable):
            setattr(options, attribute, _seconds(variable, os.environ[variable]))
    if max_duration is not None:
        options.max_duration = _span("max_duration", max_duration)
    plan = _plan(planned_steps, requested_time)
    run = Run.start(options)
    for warning in run.warnings:
        _log.warning("%s", warning)
    _remember(run, plan)
    if forecast:
        from .predict.live import forecast_at_start

        forecast_at_start(run)
    return run


def _remember(run: Run, plan: tuple[int | None, timedelta | None]) -> None:
    _open_runs.append(run)
    _errors_before[run.attempt_id] = getattr(sys, "last_value", None)
    _plans[run.attempt_id] = plan


def finish(run: Run | None = None, status: str = "FINISHED", reason: str = "") -> None:
    """End `run`, or the newest open one. Never raises for the ledger's sake; twice is fine."""
    target = run if run is not None else (_open_runs[-1] if _open_runs else None)
    if target is None:
        return
    known = len(target.warnings)
    target.finish(status, reason.encode("utf-8", "replace").decode())
    for warning in target.warnings[known:]:  # what the ledger could not take at the end
        _log.warning("%s", warning)
    with contextlib.suppress(ValueError):
        _open_runs.remove(target)
    _errors_before.pop(target.attempt_id, None)
    _plans.pop(target.attempt_id, None)
    for tell in _after_finish:
        tell(target.attempt_id)


def pause(run: Run) -> None:
    """End `run` as PAUSED and leave the process with the exit code of a paused run (75).

    Raises
    ------
    RunPaused : always; it is a SystemExit, so cleanup code runs.
    """
    reason = run.reason or "paused by the training code"
    finish(run, "PAUSED", reason)
    raise RunPaused(reason)


@contextlib.contextmanager
def _tracked(arguments: Mapping[str, Any]) -> Iterator[Run]:
    run = init(**arguments)
    try:
        yield run
    except RunPaused as paused:
        finish(run, "PAUSED", paused.reason)
        raise
    except SystemExit as leaving:
        if leaving.code == _core.EXIT_PAUSED:
            finish(run, "PAUSED", run.reason or "paused by the training code")
        elif leaving.code in (None, 0):
            finish(run)
        else:
            finish(run, "FAILED", f"exit code {leaving.code}")
        raise
    except KeyboardInterrupt:
        finish(run, "KILLED", "interrupted by the user")
        raise
    except BaseException as error:
        finish(run, "FAILED", _describe(error))
        raise
    finish(run)


class track(contextlib.ContextDecorator):  # noqa: N801 - used like a function, as contextmanager is
    """Account for one training run while the ``with`` block, or the decorated function, runs.

    Takes the arguments of ``init``. As a context manager it gives the run; as a decorator every
    call is a run of its own. An exception ends the run as FAILED, ``finops.pause`` as PAUSED.
    """

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments
        self._contexts: list[contextlib.AbstractContextManager[Run]] = []

    def __enter__(self) -> Run:
        context = _tracked(self._arguments)
        run = context.__enter__()
        self._contexts.append(context)  # one object may be entered again while it is open
        return run

    def __exit__(self, *exception: Any) -> bool | None:
        return self._contexts.pop().__exit__(*exception)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:  # type: ignore[override]
        @functools.wraps(function)
        def tracked(*args: P.args, **kwargs: P.kwargs) -> R:
            with _tracked(self._arguments):
                return function(*args, **kwargs)

        return tracked


def _describe(error: BaseException) -> str:
    # The user's own exception goes on whatever its text does.
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        return type(error).__name__


def _plan(
    planned_steps: int | None, requested_time: timedelta | float | None
) -> tuple[int | None, timedelta | None]:
    if planned_steps is not None and planned_steps < 1:
        raise InvalidArgument(f"planned_steps={planned_steps} must be at least 1")
    span = _span("requested_time", requested_time)
    if span is not None and span <= timedelta(0):
        raise InvalidArgument(f"requested_time={requested_time} must be above zero")
    return planned_steps, span


def _span(what: str, value: timedelta | float | None) -> timedelta | None:
    if not isinstance(value, (int, float)):
        return value
    try:
        return timedelta(seconds=value)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{what} must be a span of time, not {value!r}") from error


def _seconds(variable: str, text: str) -> timedelta:
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{variable} must be a number of seconds, not {text!r}") from error


def _finish_open_runs() -> None:
    # An unhandled exception at the top of the script has left its mark by now.
    error = getattr(sys, "last_value", None)
    for run in list(_open_runs):
        if error is None or error is _errors_before.get(run.attempt_id):
            finish(run)
        else:
            finish(run, "FAILED", _describe(error))


atexit.register(_finish_open_runs)
