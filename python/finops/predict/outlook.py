"""A running job's forecast, from its progress and from its history together. Pure.

Owns: how throughput and steps left become an estimate, and how it is put together with the model's.
Does not own: where progress comes from (live), the model. Invariants: p10 <= p50 <= p90, none below
what was used already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A normal's p90 lies so many deviations above its middle.
_P90_DEVIATIONS = 1.2815515655446004
# How far the pace of steps may change later on, as a deviation of its logarithm. A choice, not a
# measurement: a tenth for what no measured step can tell (evaluations, checkpoints, slower data),
# and the error of a mean over the steps seen, each of which is taken to vary by half.
_PACE_SPREAD = 0.1
_STEP_SPREAD = 0.5
# A model that claims to know better than this is not believed over the run's own pace.
_LEAST_MODEL_SPREAD = 0.05
_LEAST_RECENT_STEPS = 5


@dataclass(frozen=True)
class ProgressSample:
    """Where a run stood: how long it had run, and which step it had reported last."""

    elapsed_seconds: float
    step: int


@dataclass(frozen=True)
class ProgressEstimate:
    """How long the whole attempt will run if it does all its steps at its pace."""

    total_seconds: float
    spread: float  # deviation of the logarithm of the total


@dataclass(frozen=True)
class Quantiles:
    """GPU-seconds of the whole job."""

    p10: float
    p50: float
    p90: float
    mean: float


def estimate_from_progress(
    now: ProgressSample, earlier: Sequence[ProgressSample], *, first_step: int, planned_steps: int
) -> ProgressEstimate | None:
    """What pace and steps left say; None before the first step.

    Parameters
    ----------
    earlier : of the same attempt, in any order; the pace since about half the time counts, so that
        start-up and compilation are not taken for the pace of training.
    first_step : where the attempt began, 0 unless it was resumed.
    planned_steps : steps are numbered from 0, so that the last one is planned_steps - 1.
    """
    done = now.step + 1 - first_step
    if done < 1 or now.elapsed_seconds <= 0:
        return None
    overall = now.elapsed_seconds / done
    pace, spread = overall, _PACE_SPREAD + _STEP_SPREAD / math.sqrt(done)
    base = _sample_near_half(now, earlier)
    if base is not None:
        steps = now.step - base.step
        pace = (now.elapsed_seconds - base.elapsed_seconds) / steps
        spread = _PACE_SPREAD + _STEP_SPREAD / math.sqrt(steps)
        spread += min(1.0, abs(math.log(pace / overall))) / 2
    remaining = max(0, planned_steps - now.step - 1) * pace
    total = now.elapsed_seconds + remaining
    return ProgressEstimate(total, spread * remaining / total)


def _sample_near_half(
    now: ProgressSample, earlier: Sequence[ProgressSample]
) -> ProgressSample | None:
    usable = [
        sample
        for sample in earlier
        if now.step - sample.step >= _LEAST_RECENT_STEPS
        and sample.elapsed_seconds < now.elapsed_seconds
    ]
    half = now.elapsed_seconds / 2
    return min(usable, key=lambda sample: abs(sample.elapsed_seconds - half), default=None)


def combine(
    model: Quantiles, progress: ProgressEstimate | None, *, gpu_count: int, used_gpu_seconds: float
) -> Quantiles:
    """Both, each with the weight of what it knows (inverse variances of the logarithm).

    Where they disagree the answer is wider: a run that crawls may be stuck, or stop early.

    Parameters
    ----------
    progress : of all attempts together; None: the model alone.
    used_gpu_seconds : nothing in the answer is below it.
    """
    if progress is None or progress.total_seconds <= 0:
        return _at_least(model, used_gpu_seconds)
    middle = math.log(max(model.p50, 1.0))
    reach = math.log(max(model.p90, 1.0)) - math.log(max(model.p10, 1.0))
    model_variance = max(reach / (2 * _P90_DEVIATIONS), _LEAST_MODEL_SPREAD) ** 2
    own = math.log(max(progress.total_seconds * gpu_count, 1e-9))
    own_variance = progress.spread**2
    weight = model_variance / (model_variance + own_variance)
    mean_log = weight * own + (1 - weight) * middle
    variance = weight * own_variance + weight * (1 - weight) * (own - middle) ** 2
    reach = _P90_DEVIATIONS * math.sqrt(variance)
    together = Quantiles(
        _exp(mean_log - reach),
        _exp(mean_log),
        _exp(mean_log + reach),
        _exp(mean_log + variance / 2),
    )
    return _at_least(together, used_gpu_seconds)


def _at_least(one: Quantiles, used: float) -> Quantiles:
    return Quantiles(*(max(value, used) for value in (one.p10, one.p50, one.p90, one.mean)))


def _exp(value: float) -> float:
    return math.exp(min(value, 80.0))
