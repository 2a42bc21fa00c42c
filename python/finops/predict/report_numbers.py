"""How good forecasts were: coverage, pinball loss, shares, weeks. Pure.

Owns: the numbers of a report. Does not own: where forecasts and ends come from, tables, pictures.
Invariants: a job that was killed says only that it needed more, so it is counted apart and judges
no quantile; weeks add up means, never medians.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from statistics import median

from .._core import chance_to_exceed

QUANTILES = (0.1, 0.5, 0.9)
_CLOSE_RATIO = 0.25
_FAR_FACTOR = 2.0
# Reliability is asked at these probabilities.
_CURVE = tuple(step / 20 for step in range(1, 20))


@dataclass(frozen=True)
class Outcome:
    """A forecast beside what came of it, in GPU-seconds of the whole job."""

    job_id: str
    made_at: datetime
    p10: float
    p50: float
    p90: float
    mean: float
    actual: float
    is_censored: bool = False  # killed or timed out: it needed at least `actual`


@dataclass(frozen=True)
class Week:
    """What a week's jobs were said to use, and used. By the time of the forecast."""

    monday: date
    job_count: int
    forecast_gpu_hours: float
    actual_gpu_hours: float

    @property
    def error_ratio(self) -> float | None:
        """Forecast over actual less one; None if nothing was used."""
        return (
            self.forecast_gpu_hours / self.actual_gpu_hours - 1 if self.actual_gpu_hours else None
        )


@dataclass(frozen=True)
class ReportNumbers:
    """What `finops predict report` says. Ratios are None where no job can be judged."""

    judged_count: int
    censored_count: int
    coverage_ratio: float | None  # p10 to p90; 0.8 is meant
    p90_coverage_ratio: float | None  # 0.9 is meant
    mean_pinball: float | None  # of log GPU-seconds, mean of the losses at 0.1, 0.5, 0.9
    within_25_percent_ratio: float | None
    off_by_2x_ratio: float | None
    total_error_ratio: float | None  # of all GPU-hours
    median_week_error_ratio: float | None  # without sign
    weeks: tuple[Week, ...]
    calibration: tuple[tuple[float, float], ...]  # (said, observed)


def report_numbers(outcomes: Iterable[Outcome]) -> ReportNumbers:
    """All of it. An empty list gives None everywhere, and no weeks."""
    every = list(outcomes)
    judged = [one for one in every if not one.is_censored]
    weeks = _weeks(every)
    forecast = sum(week.forecast_gpu_hours for week in weeks)
    actual = sum(week.actual_gpu_hours for week in weeks)
    errors = [abs(week.error_ratio) for week in weeks if week.error_ratio is not None]
    return ReportNumbers(
        judged_count=len(judged),
        censored_count=len(every) - len(judged),
        coverage_ratio=_share([one.p10 <= one.actual <= one.p90 for one in judged]),
        p90_coverage_ratio=_share([one.actual <= one.p90 for one in judged]),
        mean_pinball=_mean([_pinball(one) for one in judged]),
        within_25_percent_ratio=_share([_is_close(one) for one in judged]),
        off_by_2x_ratio=_share([_is_far(one) for one in judged]),
        total_error_ratio=forecast / actual - 1 if actual else None,
        median_week_error_ratio=median(errors) if errors else None,
        weeks=weeks,
        calibration=_calibration(judged),
    )


def _pinball(one: Outcome) -> float:
    actual = math.log1p(one.actual)
    losses = []
    for quantile, said in zip(QUANTILES, (one.p10, one.p50, one.p90), strict=True):
        below = actual - math.log1p(said)
        losses.append(max(quantile * below, (quantile - 1) * below))
    return sum(losses) / len(losses)


def _is_close(one: Outcome) -> bool:
    return abs(one.p50 - one.actual) <= _CLOSE_RATIO * one.actual


def _is_far(one: Outcome) -> bool:
    return one.p50 >= _FAR_FACTOR * one.actual or one.actual >= _FAR_FACTOR * one.p50


def _calibration(judged: Sequence[Outcome]) -> tuple[tuple[float, float], ...]:
    if not judged:
        return ()
    ranks = [
        1.0
        - chance_to_exceed(
            p10_gpu_seconds=one.p10,
            p50_gpu_seconds=one.p50,
            p90_gpu_seconds=one.p90,
            gpu_seconds=one.actual,
        )
        for one in judged
    ]
    return tuple((p, sum(rank <= p for rank in ranks) / len(ranks)) for p in _CURVE)


def _weeks(outcomes: Sequence[Outcome]) -> tuple[Week, ...]:
    sums: dict[date, tuple[int, float, float]] = {}
    for one in outcomes:
        day = one.made_at.astimezone(timezone.utc).date()
        monday = day - timedelta(days=day.weekday())
        count, said, used = sums.get(monday, (0, 0.0, 0.0))
        sums[monday] = (count + 1, said + one.mean / 3600, used + one.actual / 3600)
    return tuple(Week(monday, *sums[monday]) for monday in sorted(sums))


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
