"""Numbers of a report: coverage, losses, shares and weeks.

Goal: each number is what its name says. Method: outcomes made by hand, whose numbers are known.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest

from finops.predict.report_numbers import Outcome, report_numbers

MONDAY = datetime(2026, 11, 2, tzinfo=timezone.utc)
HOUR = 3600.0


def outcome(actual: float, *, day: int = 0, mean: float = 4.0, killed: bool = False) -> Outcome:
    """p10, p50 and p90 are 1, 4 and 16 GPU-hours."""
    made_at = MONDAY + timedelta(days=day)
    hours = (1.0, 4.0, 16.0, mean, actual)
    p10, p50, p90, said, used = (one * HOUR for one in hours)
    return Outcome("j", made_at, p10, p50, p90, said, used, is_censored=killed)


def test_nothing_is_none_and_not_zero() -> None:
    numbers = report_numbers([])
    assert numbers.coverage_ratio is None
    assert numbers.mean_pinball is None
    assert numbers.total_error_ratio is None
    assert numbers.weeks == ()
    assert numbers.calibration == ()


def test_limits_of_the_range_are_inside() -> None:
    numbers = report_numbers([outcome(one) for one in (0.99, 1.0, 16.0, 16.01)])
    assert numbers.coverage_ratio == 0.5
    assert numbers.p90_coverage_ratio == 0.75


@pytest.mark.parametrize(
    ("actual", "is_close", "is_far"),
    [
        (4.0, 1, 0), (3.2, 1, 0), (3.19, 0, 0), (5.33, 1, 0), (5.34, 0, 0),
        (2.01, 0, 0), (2.0, 0, 1), (7.99, 0, 0), (8.0, 0, 1), (0.0, 0, 1),
    ],
)  # fmt: skip
def test_within_a_quarter_and_off_by_two(actual: float, is_close: int, is_far: int) -> None:
    numbers = report_numbers([outcome(actual)])
    assert numbers.within_25_percent_ratio == is_close
    assert numbers.off_by_2x_ratio == is_far


def test_pinball_is_the_mean_of_three_losses_of_the_logarithm() -> None:
    actual = math.log1p(8 * HOUR)
    losses = [
        max(q * (actual - math.log1p(said * HOUR)), (q - 1) * (actual - math.log1p(said * HOUR)))
        for q, said in ((0.1, 1), (0.5, 4), (0.9, 16))
    ]
    numbers = report_numbers([outcome(8.0)])
    assert numbers.mean_pinball == pytest.approx(sum(losses) / 3)


def test_a_killed_job_judges_nothing_but_costs() -> None:
    numbers = report_numbers([outcome(4.0), outcome(100.0, killed=True)])
    assert (numbers.judged_count, numbers.censored_count) == (1, 1)
    assert numbers.coverage_ratio == 1.0
    assert numbers.weeks[0].actual_gpu_hours == pytest.approx(104.0)


def test_weeks_begin_on_monday_and_add_up_means() -> None:
    numbers = report_numbers(
        [
            outcome(4.0, day=0, mean=6.0),
            outcome(4.0, day=6, mean=6.0),
            outcome(10.0, day=7, mean=9.0),
        ]
    )
    first, second = numbers.weeks
    assert (first.monday, first.job_count) == (MONDAY.date(), 2)
    assert first.error_ratio == pytest.approx(0.5)
    assert second.error_ratio == pytest.approx(-0.1)
    assert numbers.median_week_error_ratio == pytest.approx(0.3)
    assert numbers.total_error_ratio == pytest.approx(21 / 18 - 1)


def test_a_week_without_use_has_no_error() -> None:
    numbers = report_numbers([outcome(0.0)])
    assert numbers.weeks[0].error_ratio is None
    assert numbers.total_error_ratio is None


def test_calibration_of_a_job_in_the_middle() -> None:
    curve = dict(report_numbers([outcome(4.0)]).calibration)
    assert next(said for said, observed in curve.items() if observed == 1.0) == pytest.approx(0.5)
    assert curve[0.05] == 0.0
    assert curve[0.95] == 1.0
