"""A running job's forecast from progress and history. Pure: numbers in, numbers out.

Goal: pace and steps left count as they should, nothing falls below what was used, and quantiles
stay in order. Method: one of the inputs moves at a time.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.predict.outlook import (
    ProgressEstimate,
    ProgressSample,
    Quantiles,
    combine,
    estimate_from_progress,
)

MODEL = Quantiles(1_000.0, 4_000.0, 16_000.0, 6_000.0)


def test_steps_left_at_the_pace_so_far() -> None:
    estimate = estimate_from_progress(
        ProgressSample(100.0, 99), (), first_step=0, planned_steps=1000
    )
    assert estimate is not None
    assert estimate.total_seconds == pytest.approx(1000.0)


def test_no_step_is_no_estimate_and_the_last_step_is_the_end() -> None:
    before = estimate_from_progress(ProgressSample(50.0, 9), (), first_step=10, planned_steps=20)
    assert before is None
    done = estimate_from_progress(ProgressSample(50.0, 19), (), first_step=0, planned_steps=20)
    assert done == ProgressEstimate(50.0, 0.0)
    past = estimate_from_progress(ProgressSample(60.0, 25), (), first_step=0, planned_steps=20)
    assert past == ProgressEstimate(60.0, 0.0)


def test_a_slow_start_is_not_the_pace() -> None:
    # 100 s of compilation, then a step a second.
    samples = [ProgressSample(101.0, 0), ProgressSample(151.0, 50)]
    now = ProgressSample(201.0, 100)
    with_samples = estimate_from_progress(now, samples, first_step=0, planned_steps=1001)
    without = estimate_from_progress(now, (), first_step=0, planned_steps=1001)
    assert with_samples is not None
    assert without is not None
    assert with_samples.total_seconds == pytest.approx(1101.0)
    assert without.total_seconds > 1900


def test_a_resumed_attempt_counts_its_own_steps() -> None:
    estimate = estimate_from_progress(
        ProgressSample(10.0, 509), (), first_step=500, planned_steps=1000
    )
    assert estimate is not None
    assert estimate.total_seconds == pytest.approx(500.0)


def test_more_steps_seen_is_a_narrower_answer() -> None:
    spreads = []
    for step in (9, 99, 499):
        estimate = estimate_from_progress(
            ProgressSample(float(step + 1), step), (), first_step=0, planned_steps=1000
        )
        assert estimate is not None
        spreads.append(estimate.spread)
    assert spreads == sorted(spreads, reverse=True)


def test_without_progress_the_model_counts_but_never_below_what_was_used() -> None:
    assert combine(MODEL, None, gpu_count=8, used_gpu_seconds=0.0) == MODEL
    used = combine(MODEL, None, gpu_count=8, used_gpu_seconds=5_000.0)
    assert used == Quantiles(5_000.0, 5_000.0, 16_000.0, 6_000.0)


def test_progress_wins_where_it_knows_more() -> None:
    sure = combine(MODEL, ProgressEstimate(2_000.0, 0.01), gpu_count=8, used_gpu_seconds=8_000.0)
    assert sure.p50 == pytest.approx(16_000.0, rel=0.02)
    vague = combine(MODEL, ProgressEstimate(2_000.0, 3.0), gpu_count=8, used_gpu_seconds=0.0)
    assert vague.p50 == pytest.approx(MODEL.p50, rel=0.35)
    assert vague.p50 > MODEL.p50


def test_disagreement_is_a_wider_answer() -> None:
    def reach(total_seconds: float) -> float:
        estimate = ProgressEstimate(total_seconds, 0.5)
        one = combine(MODEL, estimate, gpu_count=1, used_gpu_seconds=0.0)
        return math.log(one.p90 / one.p10)

    assert reach(4_000.0) < reach(40_000.0) < reach(400_000.0)


@given(
    logs=st.lists(st.floats(-5, 30), min_size=3, max_size=3),
    total=st.floats(1e-6, 1e9),
    spread=st.floats(0, 5),
    gpus=st.integers(1, 1_000_000),
    used=st.floats(0, 1e12),
)
def test_order_and_floor_hold_for_all_numbers(
    logs: list[float], total: float, spread: float, gpus: int, used: float
) -> None:
    low, middle, high = (math.exp(one) for one in sorted(logs))
    model = Quantiles(low, middle, high, middle)
    one = combine(model, ProgressEstimate(total, spread), gpu_count=gpus, used_gpu_seconds=used)
    assert used <= one.p10 <= one.p50 <= one.p90
    assert one.mean >= used
    assert all(math.isfinite(value) for value in (one.p10, one.p50, one.p90, one.mean))
