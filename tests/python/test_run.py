"""One run in one process: init, the calls, finish, track, resume, budgets.

Goal: each name of `finops` does what its docstring says, and refuses what is wrong.
"""

from __future__ import annotations

import copy
import json
import logging
import pathlib
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import numpy
import pytest
from known import known

import finops
from finops import Directive, Money, Run, errors
from finops._core import Ledger

Start = Callable[..., Run]
OpenLedger = Callable[[], Ledger]


# init and finish.


def test_a_run_is_recorded_from_its_start_to_its_end(
    start: Start, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    run = start(name="baseline", tags={"team": "vision", "ticket": "A-7"})
    assert run.status == "RUNNING"
    assert (run.project, run.experiment, run.name) == ("p", "e", "baseline")
    assert run.attempt_number == 1
    assert run.resume_from is None
    assert run.is_owner
    assert run.price_per_hour == Money(36)
    assert len(list((home / "live").glob("*.page"))) == 1
    (running,) = open_ledger().runs(status="RUNNING")
    assert running.run.run_id == run.run_id
    assert json.loads(running.run.tags) == {"team": "vision", "ticket": "A-7"}
    time.sleep(0.05)
    finops.finish(run)
    assert run.status == "FINISHED"
    assert not run.is_owner
    assert list((home / "live").iterdir()) == []
    (summary,) = open_ledger().runs()
    assert (summary.status, summary.attempt_count) == ("FINISHED", 1)
    assert summary.metered_cost == run.cost
    assert summary.metered_time >= timedelta(milliseconds=50)
    assert summary.started_at.tzinfo is not None
    (attempt,) = open_ledger().attempts(run.run_id)
    assert attempt.attempt.attempt_id == run.attempt_id
    assert open_ledger().verify().problems == []


def test_the_cost_grows_with_time_and_stops_at_the_end(start: Start) -> None:
    run = start()
    first = known(run.cost)
    time.sleep(0.02)
    second = known(run.cost)
    # 36 USD/h is a cent a second: 20 ms are at least 0.0002 USD, exactly.
    assert second - first >= Money("0.0002")
    finops.finish(run)
    final = run.cost
    time.sleep(0.01)
    assert run.cost == final


def test_finish_twice_and_without_a_run_is_fine(start: Start, open_ledger: OpenLedger) -> None:
    finops.finish()
    run = start()
    finops.finish()
    finops.finish(run, "FAILED", "too late")
    run.finish("FAILED", "too late")
    assert run.status == "FINISHED"
    (summary,) = open_ledger().runs()
    assert summary.status == "FINISHED"


def test_finish_ends_the_newest_open_run(start: Start) -> None:
    first, second = start(), start()
    finops.finish()
    assert (first.status, second.status) == ("RUNNING", "FINISHED")
    finops.finish()
    assert first.status == "FINISHED"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED", "PAUSED"])
def test_each_end_is_recorded(start: Start, open_ledger: OpenLedger, status: str) -> None:
    run = start()
    finops.finish(run, status, "because")
    assert run.status == status
    (summary,) = open_ledger().runs()
    assert (summary.status, summary.reason) == (status, "because")


@pytest.mark.parametrize("status", ["RUNNING", "finished", "", "DONE"])
def test_a_status_that_is_no_end_is_refused(start: Start, status: str) -> None:
    run = start()
    with pytest.raises(errors.InvalidArgument):
        finops.finish(run, status)
    assert run.status == "RUNNING"


def test_project_and_experiment_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in ({"experiment": "e"}, {"project": "p"}, {"project": "", "experiment": "e"}):
        with pytest.raises(errors.InvalidArgument, match="missing"):
            finops.init(**missing)  # type: ignore[arg-type]
    monkeypatch.setenv("FINOPS_PROJECT", "from-env")
    monkeypatch.setenv("FINOPS_EXPERIMENT", "too")
    run = finops.init()
    assert (run.project, run.experiment) == ("from-env", "too")
    other = finops.init(project="argument", experiment="wins")
    assert (other.project, other.experiment) == ("argument", "wins")


@pytest.mark.parametrize("field", ["project", "experiment", "name"])
@pytest.mark.parametrize(
    ("text", "is_fine"),
    [
        ("x" * 127, True),
        ("x" * 128, False),
        ("ü" * 63, True),
        ("ü" * 64, False),
        ("a\nb", False),
        ("a\0b", False),
        ("a b", True),
    ],
)
def test_names_have_a_limit(start: Start, field: str, text: str, is_fine: bool) -> None:
    if is_fine:
        assert getattr(start(**{field: text}), field) == text
    else:
        with pytest.raises(errors.InvalidArgument, match=field):
            start(**{field: text})


@pytest.mark.parametrize(
    "arguments",
    [
        {"project": 7},
        {"resources": 8},
        {"price": Decimal(24)},
        {"budget": 5},
        {"budget": 5.0},
        {"silence_limit": "60"},
        {"tags": 5},
        {"home": 5},
        {"unknown": 1},
    ],
)
def test_wrong_types_are_type_errors(start: Start, arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        start(**arguments)


def test_everything_is_keyword_only() -> None:
    with pytest.raises(TypeError):
        finops.init("p", "e")  # type: ignore[call-arg]


# The hot calls.


@pytest.mark.parametrize("step", [0, -1, 2**63 - 1, -(2**63), 2**63, 10**100, -(10**100), True])
def test_any_whole_number_is_a_step(start: Start, step: int) -> None:
    run = start()
    run.progress(step)
    run.heartbeat()
    assert run.check_budget() is Directive.CONTINUE


@pytest.mark.parametrize("step", [1.0, "1", None, [1], object(), Decimal(1)])
def test_other_steps_are_type_errors(start: Start, step: object) -> None:
    run = start()
    with pytest.raises(TypeError):
        run.progress(step)  # type: ignore[arg-type]


def test_numpy_integers_are_steps(start: Start) -> None:
    start().progress(numpy.int64(7))


@pytest.mark.parametrize("call", ["heartbeat", "check_budget"])
def test_calls_without_arguments_take_none(start: Start, call: str) -> None:
    run = start()
    with pytest.raises(TypeError):
        getattr(run, call)(1)
    with pytest.raises(TypeError):
        run.progress()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        run.progress(step=1)  # type: ignore[call-arg]


def test_hot_calls_do_nothing_after_the_end(start: Start) -> None:
    run = start()
    finops.finish(run)
    for _ in range(3):
        run.progress(1)
        run.heartbeat()
        assert run.check_budget() is Directive.CONTINUE
    run.checkpointed(1, "/tmp/x")
    run.commit()
    run.expect_silence(1, "after the end")
    assert run.status == "FINISHED"


EMPTY_RUN = """
import finops
try:
    empty = finops.Run.__new__(finops.Run)
except TypeError:
    raise SystemExit(0)  # cannot be made: nothing to be afraid of
empty.progress(1)
empty.heartbeat()
assert empty.check_budget() is finops.Directive.CONTINUE
names = ["cost", "price_per_hour", "budget", "run_id", "attempt_id", "attempt_number", "status",
         "reason", "warnings", "resume_from", "is_owner", "slow_path_time", "project", "name"]
calls = [lambda run, name=name: getattr(run, name) for name in names]
calls += [lambda run: run.commit(), lambda run: run.checkpointed(1, "/x"),
          lambda run: run.finish("FINISHED", ""), lambda run: run.expect_silence(1, "x"),
          lambda run: run.request_budget("1 USD", "x")]
for call in calls:
    try:
        call(empty)
    except TypeError:
        continue
    raise SystemExit("no TypeError")
"""


def test_an_object_without_a_run_is_harmless() -> None:
    """`Run.__new__` alone is refused, or gives an object whose hot calls do nothing.

    In a process of its own, since a fault here is a crash.
    """
    subprocess.run([sys.executable, "-c", EMPTY_RUN], check=True, timeout=30)


def test_a_run_cannot_be_made_copied_or_pickled(start: Start) -> None:
    """A copy would be a second owner of the page, or an object with nothing behind it."""
    run = start()
    for attempt in (
        Run,
        lambda: copy.copy(run),
        lambda: copy.deepcopy([run]),
        lambda: pickle.dumps(run),
    ):
        with pytest.raises(TypeError):
            attempt()
    assert run.is_owner


def test_hot_calls_check_their_self() -> None:
    for call in (Run.progress, Run.heartbeat, Run.check_budget):
        with pytest.raises(TypeError):
            call(*[object()])  # type: ignore[arg-type]


def test_a_run_is_final() -> None:
    with pytest.raises(TypeError):
        type("MyRun", (Run,), {})


def test_directives_are_ordered_and_continue_is_falsy() -> None:
    assert not Directive.CONTINUE
    assert Directive.CONTINUE < Directive.CHECKPOINT < Directive.PAUSE < Directive.STOP


# Checkpoints and resuming.


def test_a_paused_run_is_resumed_by_true_and_by_id(
    start: Start, open_ledger: OpenLedger, tmp_path: pathlib.Path
) -> None:
    first = start(name="n")
    first.checkpointed(10, tmp_path / "step-10.pt")
    first.checkpointed(20, str(tmp_path / "step-20.pt"))
    time.sleep(0.02)
    finops.finish(first, "PAUSED", "budget")
    second = start(name="n", resume=True)
    assert second.run_id == first.run_id
    assert second.attempt_id != first.attempt_id
    assert second.attempt_number == 2
    assert second.resume_from is not None
    assert second.resume_from.step == 20
    assert second.resume_from.path == str(tmp_path / "step-20.pt")
    assert known(second.cost) > known(first.cost)  # over all attempts
    finops.finish(second, "PAUSED", "again")
    third = start(name="n", resume=first.run_id)
    assert (third.run_id, third.attempt_number) == (first.run_id, 3)
    finops.finish(third)
    (summary,) = open_ledger().runs()
    assert (summary.attempt_count, summary.status) == (3, "FINISHED")
    assert summary.metered_cost == third.cost
    assert len(open_ledger().attempts(first.run_id)) == 3


def test_resume_true_without_a_paused_run_starts_anew(start: Start) -> None:
    first = start(name="n")
    finops.finish(first)
    second = start(name="n", resume=True)
    assert second.run_id != first.run_id
    assert second.resume_from is None
    finops.finish(second, "PAUSED")
    assert start(name="other", resume=True).run_id != second.run_id


def test_resume_refuses_unknown_and_running_runs(start: Start) -> None:
    with pytest.raises(errors.NotFound, match="nobody"):
        start(resume="nobody")
    running = start()
    with pytest.raises(errors.Conflict, match="still running"):
        start(resume=running.run_id)


@pytest.mark.parametrize(("size", "is_fine"), [(700, True), (701, False)])
def test_a_checkpoint_path_has_a_limit(start: Start, size: int, is_fine: bool) -> None:
    run = start()
    path = "/" + "x" * (size - 1)
    if is_fine:
        run.checkpointed(1, path)
    else:
        with pytest.raises(errors.InvalidArgument):
            run.checkpointed(1, path)


def test_a_checkpoint_path_may_be_any_file_name(start: Start) -> None:
    """A file name is bytes: os.fsdecode gives surrogates for what is not UTF-8."""
    run = start(name="n")
    run.checkpointed(1, "/ckpt/caf\udce9.pt")
    finops.finish(run, "PAUSED")


@pytest.mark.parametrize("arguments", [("1", "/x"), (1.5, "/x"), (1, None), (1, 5), (1,)])
def test_a_checkpoint_needs_a_step_and_a_path(start: Start, arguments: tuple[object, ...]) -> None:
    run = start()
    with pytest.raises(TypeError):
        run.checkpointed(*arguments)  # type: ignore[arg-type]


def test_commit_settles_up_to_now(start: Start, open_ledger: OpenLedger) -> None:
    run = start()
    time.sleep(0.02)
    before = known(run.cost)
    run.commit()
    (summary,) = open_ledger().runs()
    assert summary.status == "RUNNING"
    assert before <= known(summary.metered_cost) <= known(run.cost)


def test_parent_and_fork_are_recorded(start: Start, open_ledger: OpenLedger) -> None:
    base = start(name="base")
    finops.finish(base)
    child = start(name="child", parent=base, fork_of=base.run_id)
    finops.finish(child)
    (summary,) = open_ledger().runs(run_id=child.run_id)
    assert (summary.run.parent_run_id, summary.run.fork_of) == (base.run_id, base.run_id)


# Silence.


@pytest.mark.parametrize(
    ("span", "is_fine"),
    [
        (0, True),
        (1.5, True),
        (timedelta(hours=24), True),
        (86_400, True),
        (timedelta(hours=24, microseconds=1), False),
        (86_401, False),
        (-1, False),
        (10**30, False),
        (1e300, False),
        (float("inf"), False),
        (float("nan"), False),
    ],
)
def test_an_expected_silence_is_at_most_a_day(start: Start, span: object, is_fine: bool) -> None:
    run = start()
    if is_fine:
        run.expect_silence(span, "compiling")  # type: ignore[arg-type]
    else:
        with pytest.raises(errors.InvalidArgument):
            run.expect_silence(span, "compiling")  # type: ignore[arg-type]


def test_an_expected_silence_has_a_reason(start: Start) -> None:
    run = start()
    with pytest.raises(errors.InvalidArgument, match="reason"):
        run.expect_silence(1, "")
    with pytest.raises(TypeError):
        run.expect_silence("60", "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        run.expect_silence(60)  # type: ignore[call-arg]


@pytest.mark.parametrize("limit", [0, -1, timedelta(0), 1e300, 10**40, float("nan")])
def test_a_silence_limit_is_a_usable_span(start: Start, limit: object) -> None:
    with pytest.raises(errors.InvalidArgument):
        start(silence_limit=limit)


def test_long_running_needs_its_reason(start: Start, open_ledger: OpenLedger) -> None:
    with pytest.raises(errors.InvalidArgument, match="reason"):
        start(long_running=True)
    run = start(long_running="hyperband, 3 days")
    (attempt,) = open_ledger().attempts(run.run_id)
    assert attempt.attempt.is_long_running
    assert attempt.attempt.long_running_reason == "hyperband, 3 days"
    plain = start(long_running=False)
    (attempt,) = open_ledger().attempts(plain.run_id)
    assert not attempt.attempt.is_long_running


# Prices and resources.


@pytest.mark.parametrize(
    ("resources", "price", "per_hour"),
    [
        ("", "24 USD/h", "24"),
        ("8xH100", "24 USD/h", "24"),
        ("8xH100", "3 USD/gpu/h", "24"),
        ("H100:0.25", "4 USD/gpu/hour", "1"),
        ("", "0 USD/h", "0"),
        ("", "0.000000000001 USD/h", "0.000000000001"),
    ],
)
def test_a_stated_price(start: Start, resources: str, price: str, per_hour: str) -> None:
    assert start(resources=resources, price=price).price_per_hour == Money(per_hour)


def test_the_price_book_prices_a_gpu_by_its_share_of_a_block() -> None:
    run = finops.init(project="p", experiment="e", resources="8xH100")
    one = finops.init(project="p", experiment="e", resources="H100")
    assert run.price_per_hour is not None
    assert one.price_per_hour is not None
    assert run.price_per_hour > Money(0)
    # A share is rounded once to a pico: eight shares differ from the whole by at most 4 picos.
    difference = run.price_per_hour - one.price_per_hour * 8
    assert Money("-0.000000000004") <= difference <= Money("0.000000000004")


def test_an_unpriced_run_costs_none_not_zero(
    open_ledger: OpenLedger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "finops"):
        run = finops.init(project="p", experiment="e")
    assert run.cost is None
    assert run.price_per_hour is None
    assert run.budget is None
    time.sleep(0.01)
    finops.finish(run)
    assert run.cost is None
    (summary,) = open_ledger().runs()
    assert summary.metered_cost is None
    assert summary.unpriced_time > timedelta(0)


# Environment of the lease.


@pytest.mark.parametrize("text", ["abc", "nan", "1e400", "-1", "0", "1e30", "5 s"])
def test_a_malformed_lease_term_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("FINOPS_LEASE_TERM", text)
    with pytest.raises(errors.InvalidArgument, match=r"(?i)lease.term|292"):
        start()


# Import.


def test_importing_is_light_and_starts_no_thread() -> None:
    code = (
        "import sys, os, signal; before = {s: signal.getsignal(s) for s in signal.Signals}\n"
        "import finops, threading\n"
        "heavy = {'numpy', 'pandas', 'mlflow', 'typer', 'rich', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "run = finops.init(project='p', experiment='e', price='1 USD/h')\n"
        "run.progress(1)\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
        "assert before == {s: signal.getsignal(s) for s in signal.Signals}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
