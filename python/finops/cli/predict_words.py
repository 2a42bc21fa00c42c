"""Features of a forecast in people's words.

Owns: words for names, numbers in units that people know. Does not own: what a feature is
(include/finops/predict/feature_stream.hpp). Invariant: a name that is not known here is
shown as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

from finops.predict import Driver

from .render import format_span, one_line

# Whose jobs. The longest that fits counts.
_WHOSE = {
    "sibling": "same kind of job",
    "user": "this user's jobs",
    "user_gpus": "this user's jobs on as many GPUs",
    "user_queue": "this user's jobs in this queue",
    "user_name": "this user's jobs of this name",
    "group": "the group's jobs",
    "group_gpus_request": "the group's jobs of this request",
    "name": "jobs of this name",
}


def _times(value: float) -> str:
    return f"{math.exp(value):,.2g} x the usual use"


def _count(value: float) -> str:
    return f"{math.expm1(value):,.0f}"


def _span(value: float) -> str:
    return format_span(timedelta(seconds=min(math.expm1(value), 1e10)))


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


# What of them: as a multiple of what the forecast takes for usual, ...
_LEVELS = {
    "last": "the last one",
    "last_completed": "the last that completed",
    "last_three_mean": "mean of the last three",
    "last_three_median": "median of the last three",
    "fast": "recent level",
    "slow": "level over time",
    "p10": "p10 of the recent ones",
    "p90": "p90 of the recent ones",
    "median": "median of the recent ones",
    "log_mean": "mean of the recent ones",
    "oldest_elapsed": "the oldest that runs has used",
    "median_elapsed": "those that run have used (median)",
    "youngest_elapsed": "the youngest that runs has used",
    "ended10m_median": "ended in the last 10 minutes (median)",
    "ended1h_median": "ended in the last hour (median)",
    "burst_median": "ended of this burst (median)",
    "burst_min": "least of this burst",
    "burst_max": "most of this burst",
}
# ... as a count, a span of time, or a share.
_COUNTS = {
    "log_count": "ended so far",
    "running": "running now",
    "waiting": "waiting now",
    "submitted1m": "submitted in the last minute",
    "submitted10m": "submitted in the last 10 minutes",
    "submitted1h": "submitted in the last hour",
    "submitted1d": "submitted in the last day",
    "ended1h": "ended in the last hour",
    "ended1d": "ended in the last day",
}
_SPANS = {"since_end": "since the last one ended", "since_submit": "since the last was submitted"}
_SHARES = {"failed_ratio": "that failed", "censored_ratio": "that were killed or timed out"}
_KINDS: tuple[tuple[dict[str, str], Callable[[float], str]], ...] = (
    (_LEVELS, _times),
    (_COUNTS, _count),
    (_SPANS, _span),
    (_SHARES, _percent),
)
_OWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "gpus": ("GPUs", lambda value: f"{math.exp(value):,.0f}"),
    "nodes": ("machines", lambda value: f"{math.exp(value):,.0f}"),
    "requested_seconds": ("requested time", _span),
    "planned_steps": ("steps planned", _count),
    "hour_of_day": ("hour of submission (UTC)", lambda value: f"{value:.0f}"),
    "own_elapsed": ("used so far", _times),
    "anchor": (
        "usual use of such jobs",
        lambda value: f"{math.expm1(value) / 3600:,.3g} GPU-hours",
    ),
    "cluster_median": ("all jobs (median)", _times),
}


def driver_words(driver: Driver) -> str:
    """'same kind of job, the last one: 1.4 x the usual use'; what is missing is said to be."""
    label, show = _words(driver.name)
    if math.isnan(driver.value):
        return f"{label}: not known"
    return f"{label}: {show(min(max(driver.value, -50.0), 50.0))}"


def _words(name: str) -> tuple[str, Callable[[float], str]]:
    if name in _OWN:
        return _OWN[name]
    for whose in sorted(_WHOSE, key=len, reverse=True):
        rest = name.removeprefix(f"{whose}_")
        if rest == name:
            continue
        for what, show in _KINDS:
            if rest in what:
                return f"{_WHOSE[whose]}, {what[rest]}", show
    return one_line(name).replace("_", " "), lambda value: f"{value:,.4g}"
