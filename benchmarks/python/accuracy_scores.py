"""How good forecasts were: losses, coverage, intervals of ratios, sums by week.

Owns: the arithmetic of bench_accuracy.py. Does not own: forecasts. A forecast is [n x 3] of
log1p(seconds); scores are over the rows of the test part.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

import numpy as np
import numpy.typing as npt
from accuracy_histories import Floats, History
from accuracy_loss import row_losses

RECURRING_COUNT = 5
LEAST_BUCKET = 200  # jobs, below which a share says nothing
MOST_PER_USER = 2_000
DRAWS = 1_000
WEEK_S = 7 * 86_400.0


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of one method on one history's test part."""

    pinball: float
    off_by_2x_ratio: float  # of recurring jobs
    within_25_ratio: float  # of recurring jobs
    coverage_ratio: float  # p10 to p90
    p90_coverage_ratio: float
    worst_month: tuple[str, float]  # coverage furthest from 0.8, and where
    worst_bucket: tuple[str, float]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A method's mean loss by a rival's, and between which values 95 % of the draws lie."""

    value: float
    low: float
    high: float
    capped: float  # users of many jobs weigh as 2,000
    capped_low: float
    capped_high: float


@dataclasses.dataclass(frozen=True)
class Sums:
    """GPU-hours of the test part, as told by means, against what was used."""

    median_week_ratio: float  # how far off, either way, in the median week
    total_ratio: float  # above 0: too much was said


def test_rows(history: History) -> npt.NDArray[np.bool_]:
    return np.arange(len(history)) >= history.test_start


def score(history: History, logs: Floats) -> Scores:
    test = test_rows(history)
    target = history.target
    recurring = test & (history.anchor_count >= RECURRING_COUNT)
    factor = np.abs(logs[:, 1] - target)[recurring]
    inside = (target >= logs[:, 0]) & (target <= logs[:, 2])
    months = np.array([
        datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m")
        for moment in history.submit_s
    ])  # fmt: skip
    sizes = np.array(["1", "2-7", "8", "9+"])[np.searchsorted([1, 7, 8], history.gpu_count)]
    return Scores(
        float(row_losses(target, logs)[test].mean()),
        float(np.mean(factor >= np.log(2))),
        float(np.mean(factor <= np.log(1.25))),
        float(inside[test].mean()),
        float((target <= logs[:, 2])[test].mean()),
        _worst(inside[test], months[test]),
        _worst(inside[test], sizes[test]),
    )


def _worst(inside: npt.NDArray[np.bool_], labels: npt.NDArray[np.str_]) -> tuple[str, float]:
    shares = {
        str(label): float(inside[labels == label].mean())
        for label in np.unique(labels)
        if np.count_nonzero(labels == label) >= LEAST_BUCKET
    }
    return max(shares.items(), key=lambda share: abs(share[1] - 0.8), default=("-", float("nan")))


def ratio(history: History, logs: Floats, rival: Floats, seed: int = 1) -> Ratio:
    """Bootstrap over (user, day): jobs of a user on a day share their fate."""
    test = np.nonzero(test_rows(history))[0]
    ours = row_losses(history.target, logs)[test]
    theirs = row_losses(history.target, rival)[test]
    day = (history.submit_s[test] // 86_400).astype(np.int64)
    _, block = np.unique(np.stack([history.user[test], day]), axis=1, return_inverse=True)
    block = block.ravel()
    counts = np.bincount(history.user[test])
    capped = np.minimum(1, MOST_PER_USER / counts[history.user[test]])
    found: list[float] = []
    for weight in (np.ones(len(test)), capped):
        sums = [np.bincount(block, weight * losses) for losses in (ours, theirs)]
        draws = np.random.default_rng(seed).multinomial(
            len(sums[0]), np.full(len(sums[0]), 1 / len(sums[0])), size=DRAWS
        )
        drawn = (draws @ sums[0]) / (draws @ sums[1])
        found += [sums[0].sum() / sums[1].sum(), *np.quantile(drawn, (0.025, 0.975))]
    return Ratio(*map(float, found))


def sums(history: History, mean_seconds: Floats) -> Sums:
    test = test_rows(history)
    said, used = (
        np.bincount(
            ((history.submit_s - history.submit_s[history.test_start])[test] // WEEK_S).astype(int),
            (seconds * history.gpu_count)[test],
        )
        for seconds in (mean_seconds, history.seconds)
    )
    weeks = used > 0
    off = np.abs(said[weeks] / used[weeks] - 1)
    return Sums(float(np.median(off)), float(said.sum() / used.sum() - 1))


def crossings(logs: Floats) -> int:
    return int(np.count_nonzero(np.diff(logs, axis=1) < 0))


def last_30_mean(history: History) -> Floats:
    """The plain mean of seconds of the last 30 jobs of the kind; before there are any, 0."""
    known: dict[tuple[int, int, int], list[float]] = {}
    requests = [value or 0 for value in history.columns["requested_seconds"]]
    keys = list(zip(history.user, history.gpu_count, requests, strict=True))
    by_end = np.argsort(history.end_s, kind="stable")
    result, ended = np.zeros(len(history)), 0
    for row, key in enumerate(keys):
        while history.end_s[by_end[ended]] < history.submit_s[row]:
            known.setdefault(keys[by_end[ended]], []).append(history.seconds[by_end[ended]])
            ended += 1
        if key in known:
            result[row] = np.mean(known[key][-30:])
    return result
