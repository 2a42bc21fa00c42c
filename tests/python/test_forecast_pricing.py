"""Money of a forecast: exact, rounded once by the core, and machines are rented whole.

Goal: GPU-seconds become the very amounts that a run of that span is charged. Method: known prices
and spans; below, at and above each limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known import known

import finops
from finops import Money, Run, errors
from finops._core import Rate
from finops.ledger import open_ledger
from finops.predict.pricing import (
    Placement,
    affordable_gpu_seconds,
    cheapest_placements,
    cost_of_use,
    read_resource,
    span_nanoseconds,
)
from finops.pricebook import load_price_book

CENTURY_SECONDS = 36_525 * 86_400


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("8xH100", 8), ("H100", 1), ("p5.48xlarge@aws:us-east-1", 8), ("a100-80gb:0.25", 1),
        ("2xp5.48xlarge@aws:us-east-1:spot", 16), ("3xL4@gcp", 3),
    ],
)  # fmt: skip
def test_a_resource_says_how_many_gpus(text: str, gpus: int) -> None:
    asked = read_resource(load_price_book(), text)
    assert asked.gpu_count == gpus
    quote = known(load_price_book().quote(text))
    assert known(asked.rate).hourly == quote[1]
    assert asked.gpu_model == quote[0].gpu


def test_a_price_of_ones_own_counts_first_and_for_what_nobody_knows() -> None:
    book = load_price_book()
    assert known(read_resource(book, "8xH100", price="3 USD/gpu/h").rate).hourly == Money(24)
    box = read_resource(book, "my-box", gpus=None, price="24 USD/h")
    assert (box.gpu_count, known(box.rate).hourly) == (1, Money(24))
    with pytest.raises(errors.UnknownResource):
        read_resource(book, "my-box")
    with pytest.raises(errors.InvalidArgument, match="how many GPUs"):
        read_resource(book)


@pytest.mark.parametrize("gpus", [0, -1, 1_000_001])
def test_a_number_of_gpus_has_limits(gpus: int) -> None:
    with pytest.raises(errors.InvalidArgument, match="1 to 1,000,000"):
        read_resource(load_price_book(), gpus=gpus)


@given(seconds=st.floats(0, 1e9), gpus=st.integers(1, 4096))
def test_the_cost_is_that_of_the_whole_nanoseconds(seconds: float, gpus: int) -> None:
    rate = Rate.whole(Money("88.489999902575"))
    span = span_nanoseconds(seconds, gpus)
    exact = Fraction("88.489999902575") * span / (3600 * 10**9)
    cost = Fraction(cost_of_use(rate, seconds, gpus).amount)
    assert abs(cost - exact) <= Fraction(1, 2 * 10**12)  # half a pico: one rounding


@pytest.mark.parametrize("seconds", [math.inf, math.nan, 1e300, 1e18])
def test_what_is_past_a_century_costs_a_century(seconds: float) -> None:
    rate = Rate.whole(Money("36"))
    assert cost_of_use(rate, seconds, 8) == Money("0.01") * CENTURY_SECONDS
    assert cost_of_use(rate, -1.0, 8) == Money(0)


def test_what_an_amount_pays_for_is_the_inverse() -> None:
    rate = Rate.whole(Money("36"))
    assert affordable_gpu_seconds(rate, Money("36"), 8) == pytest.approx(8 * 3600)
    one = finops.forecast(gpus=8, price="36 USD/h")
    assert known(one.chance_to_exceed(known(one.p50_cost))) == pytest.approx(0.5, abs=0.01)
    assert known(one.chance_to_exceed(known(one.p90_cost))) == pytest.approx(0.1, abs=0.01)
    assert one.chance_to_exceed("0 USD") == pytest.approx(1.0)
    with pytest.raises(errors.CurrencyMismatch):
        one.chance_to_exceed("5 EUR")


def places(gpus: int, model: str = "H100-80GB", limit: int = 3) -> list[Placement]:
    seconds = [gpus * hours * 3600.0 for hours in (1, 2, 3, 2)]
    return cheapest_placements(
        load_price_book(open_ledger()),
        gpu_model=model, gpu_count=gpus, use_gpu_seconds=seconds, limit=limit,
    )  # fmt: skip


def test_machines_are_rented_whole_and_cheapest_comes_first() -> None:
    for gpus in (1, 7, 8, 9, 16):
        found = places(gpus, limit=20)
        costs = [one.p50_cost for one in found]
        assert costs == sorted(costs)
        for one in found:
            machines = -(-gpus // one.row.gpu_count)
            assert one.machine_count == machines
            assert one.gpu_count == machines * one.row.gpu_count >= gpus
            assert one.hourly == machines * one.row.list_unit_price
            assert one.p50_cost == 2 * one.hourly
        kinds = {(p.row.provider, p.row.instance_type, p.row.pricing_category) for p in found}
        assert len(kinds) == len(found)


def test_a_price_that_was_set_counts_and_the_last_one_of_it() -> None:
    ledger = open_ledger()
    for price in ("0.50 USD/gpu/h", "0.25 USD/gpu/h"):
        ledger.set_price(load_price_book(ledger).make_user_price("H100", price, "ana"))
    first, second, _ = places(8)
    assert (first.row.provider, first.hourly) == ("local", Money(2))
    assert second.row.provider != "local"


def test_no_gpu_named_is_one_line_for_each_model() -> None:
    found = places(8, model="", limit=20)
    kinds = [(one.row.gpu, one.row.pricing_category) for one in found]
    assert len(set(kinds)) == len(kinds)
    assert len({gpu for gpu, _ in kinds}) > 5


def test_a_run_tells_step_time_and_rate(start: Callable[..., Run]) -> None:
    run = start(resources="8xH100", price="")
    assert run.step is None
    run.heartbeat()
    assert run.step is None
    run.progress(7)
    assert run.step == 7
    assert run.elapsed > timedelta(0)
    assert known(run.rate).hourly == run.price_per_hour
    assert run.resource == "8xH100"
    finops.finish(run)
    assert run.elapsed == run.elapsed
    assert start(price="").rate is None
