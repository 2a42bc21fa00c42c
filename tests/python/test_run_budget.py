"""Budgets of a run in one process, and `track`, `pause` and exit codes.

Goal: money is refused, granted and asked for as documented; an end is what the code did.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from known import known

import finops
from finops import Directive, Money, Run, errors
from finops._core import Ledger

Start = Callable[..., Run]
OpenLedger = Callable[[], Ledger]


def test_a_budget_is_made_once_and_an_equal_one_is_fine(
    start: Start, open_ledger: OpenLedger
) -> None:
    first = start(budget="5 USD")
    assert first.budget is not None
    assert first.budget.limit == Money(5)
    assert first.budget.is_hard
    assert first.budget.held > Money(0)
    second = start(budget=Money("5.00"))
    third = start()  # an experiment's budget holds for runs that do not mention it
    assert known(second.budget).budget_id == first.budget.budget_id
    assert known(third.budget).budget_id == first.budget.budget_id
    for run in (first, second, third):
        finops.finish(run)
    (budget,) = open_ledger().budgets()
    assert budget.held == Money(0)
    assert budget.overspent == Money(0)
    assert budget.spent + budget.available == Money(5)
    assert budget.spent == known(first.cost) + known(second.cost) + known(third.cost)
    assert open_ledger().verify().problems == []


def test_another_budget_is_refused_and_names_the_way(start: Start) -> None:
    start(budget="5 USD")
    for other in ("6 USD", "4 USD"):
        with pytest.raises(errors.BudgetMismatch, match="finops budget request"):
            start(budget=other)


def test_a_budget_in_another_currency_is_refused(start: Start) -> None:
    with pytest.raises(errors.CurrencyMismatch):
        start(budget="5 EUR")
    start(budget="5 USD")
    with pytest.raises((errors.CurrencyMismatch, errors.BudgetMismatch)):
        start(budget="5 EUR", price="36 EUR/h")
    with pytest.raises(errors.CurrencyMismatch):
        start(price="36 EUR/h")


@pytest.mark.parametrize(
    ("budget", "is_enough"),
    # The reserve is 0.2 + 0.7 + 0.1 s at a cent a second; a start must be worth more than that.
    [("0 USD", False), ("0.01 USD", False), ("0.01000000001 USD", True), ("0.02 USD", True)],
)
def test_a_start_needs_more_than_the_reserve(start: Start, budget: str, is_enough: bool) -> None:
    if is_enough:
        assert start(budget=budget).budget is not None
    else:
        with pytest.raises(errors.BudgetExhausted, match="finops budget request p/e"):
            start(budget=budget)


def test_a_refused_start_leaves_nothing_open(
    start: Start, open_ledger: OpenLedger, home: object
) -> None:
    with pytest.raises(errors.BudgetExhausted):
        start(budget="0.005 USD")
    assert open_ledger().runs() == []
    (budget,) = open_ledger().budgets()
    assert budget.available == Money("0.005")
    assert list((home / "live").iterdir()) == []  # type: ignore[operator]


def test_an_unpriced_run_cannot_have_a_budget() -> None:
    for resources in ("", "1xNVIDIA-RTX-1"):
        with pytest.raises((errors.UnpricedResource, errors.UnknownResource)):
            finops.init(project="p", experiment="e", budget="5 USD", resources=resources)


def test_a_hard_budget_checkpoints_then_pauses(start: Start, open_ledger: OpenLedger) -> None:
    """0.025 USD are 2.5 s, 1 s of it reserve: the directive comes after about 1.5 s."""
    run = start(budget="0.025 USD")
    began = time.monotonic()
    directive = run.check_budget()
    while not directive and time.monotonic() - began < 5:
        time.sleep(0.02)
        directive = run.check_budget()
    waited = time.monotonic() - began
    assert directive is Directive.CHECKPOINT
    assert 1.0 < waited < 2.2, waited
    assert "p/e" in run.reason
    run.checkpointed(7, "/ckpt/7")
    assert run.check_budget() is Directive.PAUSE
    with pytest.raises(errors.RunPaused) as paused:
        finops.pause(run)
    assert paused.value.code == finops.EXIT_PAUSED == 75
    assert run.status == "PAUSED"
    (budget,) = open_ledger().budgets()
    assert budget.overspent == Money(0)
    assert budget.spent <= Money("0.025")
    (summary,) = open_ledger().runs()
    assert summary.status == "PAUSED"
    assert summary.reason == str(paused.value)
    with pytest.raises(errors.BudgetExhausted):
        start(resume=True)
    assert open_ledger().verify().problems == []


def test_a_soft_budget_goes_on_past_its_limit(start: Start, open_ledger: OpenLedger) -> None:
    run = start(budget="0.003 USD", soft_budget=True)
    ends = time.monotonic() + 1.5
    while time.monotonic() < ends:
        assert run.check_budget() is Directive.CONTINUE
        time.sleep(0.02)
    finops.finish(run)
    (budget,) = open_ledger().budgets()
    assert not budget.is_hard
    # Spent is all that was used; overspent, the part of it past the limit.
    assert budget.spent == run.cost
    assert budget.overspent == known(run.cost) - Money("0.003")
    assert budget.available == budget.held == Money(0)


def test_a_request_is_recorded_and_an_approval_pays(start: Start, home: object) -> None:
    run = start(budget="1 USD")
    request_id = run.request_budget("2 USD", "one more epoch")
    again = run.request_budget(Money(2), "one more epoch")
    assert request_id != again
    finops.finish(run)
    ledger = Ledger(f"{home}/ledger.db")
    assert {request.request_id for request in ledger.requests()} == {request_id, again}
    request = next(r for r in ledger.requests() if r.request_id == request_id)
    assert (request.amount, request.why, request.is_ruled) == (Money(2), "one more epoch", False)
    ruled = ledger.rule_request(request_id, is_approved=True, who="lead", why="fine")
    assert ruled.is_approved
    assert ledger.budgets()[0].limit == Money(3)
    assert ledger.verify().problems == []


@pytest.mark.parametrize("amount", ["0 USD", "-1 USD", "1 EUR", "lots", ""])
def test_a_request_is_for_an_amount_above_zero_in_the_budgets_currency(
    start: Start, amount: str
) -> None:
    run = start(budget="1 USD")
    with pytest.raises(errors.InvalidArgument):
        run.request_budget(amount, "why not")


def test_a_request_needs_a_budget_a_reason_and_exact_money(start: Start) -> None:
    with pytest.raises(errors.NotFound):
        start(experiment="none").request_budget("1 USD", "why")
    run = start(budget="1 USD")
    with pytest.raises(errors.InvalidArgument, match="reason"):
        run.request_budget("1 USD", "")
    with pytest.raises(TypeError):
        run.request_budget(1.5, "why")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        run.request_budget(1, "why")  # type: ignore[arg-type]


def test_warnings_are_logged_and_kept(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "finops"):
        run = finops.init(project="p", experiment="e", resources="8xH100")
    assert [record.getMessage() for record in caplog.records] == run.warnings
    assert isinstance(run.warnings, list)


# track.


def test_track_gives_the_run_and_finishes_it() -> None:
    with finops.track(project="p", experiment="e", price="1 USD/h") as run:
        assert run.status == "RUNNING"
    assert run.status == "FINISHED"


def test_track_as_a_decorator_makes_a_run_of_each_call(open_ledger: OpenLedger) -> None:
    @finops.track(project="p", experiment="e", price="1 USD/h")
    def train(steps: int, *, rate: float = 0.1) -> tuple[int, float]:
        """Trains."""
        return steps, rate

    assert train.__name__ == "train"
    assert train.__doc__ == "Trains."
    assert train(3, rate=0.5) == (3, 0.5)
    assert train(4) == (4, 0.1)
    assert [run.status for run in open_ledger().runs()] == ["FINISHED"] * 2


@pytest.mark.parametrize(
    ("raised", "status", "reason"),
    [
        (ValueError("loss is NaN"), "FAILED", "ValueError: loss is NaN"),
        (ValueError("caf\udce9"), "FAILED", "ValueError: caf"),
        (ValueError("a\0b"), "FAILED", "ValueError: a"),
        (ValueError("x" * 100_000), "FAILED", "ValueError: xxx"),
        (KeyboardInterrupt(), "KILLED", "interrupted"),
        (SystemExit(), "FINISHED", ""),
        (SystemExit(0), "FINISHED", ""),
        (SystemExit(1), "FAILED", "exit code 1"),
        (SystemExit("out of memory"), "FAILED", "out of memory"),
        (SystemExit(75), "PAUSED", "paused"),
        (GeneratorExit(), "FAILED", "GeneratorExit"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_track_records_how_the_block_ended(
    open_ledger: OpenLedger, raised: BaseException, status: str, reason: str
) -> None:
    """The exception itself always goes on: what comes out is what was raised."""
    with (
        pytest.raises(type(raised)) as caught,
        finops.track(project="p", experiment="e", price="1 USD/h") as run,
    ):
        raise raised
    assert caught.value is raised
    assert run.status == status
    (summary,) = open_ledger().runs()
    assert summary.status == status
    assert summary.reason.startswith(reason) or reason in summary.reason


def test_an_exception_that_cannot_be_printed_still_goes_on() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(Unprintable), finops.track(project="p", experiment="e") as run:
        raise Unprintable
    assert run.status == "FAILED"


def test_pause_within_track_is_a_pause(open_ledger: OpenLedger) -> None:
    with (
        pytest.raises(errors.RunPaused) as paused,
        finops.track(project="p", experiment="e", price="1 USD/h") as run,
    ):
        finops.pause(run)
    assert paused.value.code == 75
    (summary,) = open_ledger().runs()
    assert (summary.status, summary.reason) == ("PAUSED", "paused by the training code")


def test_track_finishes_a_run_that_was_finished_inside_only_once(open_ledger: OpenLedger) -> None:
    with finops.track(project="p", experiment="e", price="1 USD/h") as run:
        finops.finish(run, "KILLED", "by hand")
    (summary,) = open_ledger().runs()
    assert (summary.status, summary.reason) == ("KILLED", "by hand")


def test_tracks_may_be_nested_and_used_again(open_ledger: OpenLedger) -> None:
    outer = finops.track(project="p", experiment="outer", price="1 USD/h")
    with outer as first, finops.track(project="p", experiment="inner", price="1 USD/h") as second:
        assert first.run_id != second.run_id
    with outer as third:
        assert third.run_id != first.run_id
    with outer as one, outer as two:
        assert one.run_id != two.run_id
    assert {run.status for run in open_ledger().runs()} == {"FINISHED"}


def test_track_refuses_bad_arguments_before_the_block() -> None:
    with pytest.raises(errors.InvalidArgument), finops.track(project="p"):
        pytest.fail("the block must not run")
