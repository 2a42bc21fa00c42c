"""Stored forecasts and the runs they are learned from in the C++ core. `_core.pyi` gives them out.

There is no such module: it is this part of the extension's stub.
"""

from datetime import datetime
from typing import final

from ._core import Money

@final
class ForecastCost:
    """A forecast in money, one currency. `mean` adds up over runs, the quantiles do not."""

    p10: Money
    p50: Money
    p90: Money
    mean: Money
    def __init__(self, *, p10: Money, p50: Money, p90: Money, mean: Money) -> None: ...

@final
class ForecastJob:
    """What a forecast was asked with, for later training. An empty text is unknown."""

    user_name: str
    group_name: str
    """Project, account or virtual cluster."""
    experiment: str
    name: str
    queue: str
    gpu_model: str
    node_count: int
    """0: unknown."""
    requested_seconds: int | None
    planned_steps: int | None
    def __init__(
        self,
        *,
        user_name: str = ...,
        group_name: str = ...,
        experiment: str = ...,
        name: str = ...,
        queue: str = ...,
        gpu_model: str = ...,
        node_count: int = ...,
        requested_seconds: int | None = ...,
        planned_steps: int | None = ...,
    ) -> None: ...

@final
class ForecastRecord:
    """What was said of a whole run, in GPU-seconds, what it had used already included.

    Kinds: "submitted" (before an attempt starts), "refreshed" (while one runs). Raises
    InvalidArgument where it is made if it cannot be kept: no run or time, a number that is not
    finite or below zero, quantiles that cross, a cost without a price; CurrencyMismatch if its
    costs have several currencies.
    """

    event_id: str
    """Made from run, kind and time."""
    run_id: str
    attempt_id: str
    kind: str
    made_at: datetime | None
    p10_gpu_seconds: float
    p50_gpu_seconds: float
    p90_gpu_seconds: float
    mean_gpu_seconds: float
    gpu_count: int
    elapsed_gpu_seconds: float
    """Used already when it was made."""
    ended_job_count: int
    """Of the history it rests on."""
    model_id: str
    """The model file's checksum."""
    price_id: str
    cost: ForecastCost | None
    """None: unpriced."""
    job: ForecastJob
    def __init__(
        self,
        *,
        run_id: str,
        kind: str,
        made_at: datetime,
        p10_gpu_seconds: float,
        p50_gpu_seconds: float,
        p90_gpu_seconds: float,
        mean_gpu_seconds: float,
        gpu_count: int,
        attempt_id: str = ...,
        elapsed_gpu_seconds: float = ...,
        ended_job_count: int = ...,
        model_id: str = ...,
        price_id: str = ...,
        cost: ForecastCost | None = ...,
        job: ForecastJob | None = ...,
    ) -> None: ...

@final
class LedgerJob:
    """A run as a job of a history: all its attempts are one job, a pause among them is no end."""

    run_id: str
    user_name: str
    project: str
    experiment: str
    name: str
    resource: str
    """As the user wrote it: "8xH100"."""
    gpu_model: str
    queue: str
    node_count: int
    requested_seconds: int | None
    planned_steps: int | None
    gpu_count: float | None
    """May be a fraction; None: unknown."""
    submitted_at: datetime | None
    started_at: datetime | None
    """Of the first attempt; None: none has started."""
    ended_at: datetime | None
    """Of the last attempt; None: it runs, or is paused and may go on."""
    attempt_count: int
    run_seconds: float
    """Settled, summed over attempts; an uncertain rest is not in it."""
    gpu_seconds: float | None
    """Each attempt with its own GPUs; None: the GPUs of one are unknown."""
    status: str
    reason: str
    metered_cost: Money | None
    """None: not all is priced, or in several currencies."""

@final
class ForecastOutcome:
    """What was said, and what became of it so far (`job.ended_at`: for good)."""

    forecast: ForecastRecord
    job: LedgerJob
