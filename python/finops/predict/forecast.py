"""What a job will use and cost, before it starts.

Owns: Forecast, the question as people ask it. Does not own: the model (the C++ core), prices
(pricing), files (model_store). Invariants: p10 <= p50 <= p90; money is exact; without a model the
answer is the cold start's wide prior, and says so.
"""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .._core import Forecaster, Money, Rate, UsageForecast, chance_to_exceed
from ..errors import InvalidArgument, NotFound
from ..ledger import ledger_path, open_ledger
from ..pricebook import load_price_book
from ..spans import read_span
from .model_store import MAX_MODEL_BYTES, ModelNote, StoredModel, load_model
from .pricing import Asked, affordable_gpu_seconds, cost_of_use, read_resource
from .sources import renew_from_ledger

_HOUR = 3600.0
MAX_STEPS = 2**62


@dataclass(frozen=True)
class Driver:
    """Something that moved the forecast: above 0 it makes it larger. In log units."""

    name: str
    value: float
    log_contribution: float


@dataclass(frozen=True)
class PastRun:
    """An earlier job that the forecast rests on."""

    job_id: str
    gpu_hours: float
    status: str


@dataclass(frozen=True)
class Forecast:
    """What a job will use and cost. Of ten such jobs, eight end between p10 and p90.

    Costs are None where no price is known. `mean_*` is what adds up over jobs; quantiles do not.
    """

    gpu_count: int
    resources: str
    p10_gpu_hours: float
    p50_gpu_hours: float
    p90_gpu_hours: float
    mean_gpu_hours: float
    p10_cost: Money | None
    p50_cost: Money | None
    p90_cost: Money | None
    mean_cost: Money | None
    price_per_hour: Money | None
    ended_job_count: int  # it rests on so many finished jobs; 0: on none
    similar_job_count: int = 0  # of them, the most recent of the same kind
    tree_weight: float = 0.0  # 0: cold start alone, towards 1: learned trees alone
    drivers: tuple[Driver, ...] = ()  # strongest first
    past_runs: tuple[PastRun, ...] = ()  # newest first
    notes: tuple[str, ...] = ()  # what to know before trusting it, in plain words
    basis: str = "history"  # or "history and progress"
    # What the request allows, if jobs of this history are ended at theirs; None: no limit is known.
    most_gpu_hours: float | None = None
    _rate: Rate | None = field(default=None, repr=False, compare=False)

    @property
    def p10_duration(self) -> timedelta:
        """How long the job runs, on `gpu_count` GPUs."""
        return _duration(self.p10_gpu_hours, self.gpu_count)

    @property
    def p50_duration(self) -> timedelta:
        """How long the job runs, on `gpu_count` GPUs."""
        return _duration(self.p50_gpu_hours, self.gpu_count)

    @property
    def p90_duration(self) -> timedelta:
        """How long the job runs, on `gpu_count` GPUs."""
        return _duration(self.p90_gpu_hours, self.gpu_count)

    @property
    def is_cold(self) -> bool:
        """Whether it rests on no finished job at all."""
        return self.ended_job_count == 0

    def chance_to_exceed(self, amount: Money | str) -> float | None:
        """The chance, 0 to 1, that the job costs more than `amount`; None without a price.

        Raises
        ------
        CurrencyMismatch : the amount is not in the price's currency.
        """
        if self._rate is None:
            return None
        money = Money.parse(amount) if isinstance(amount, str) else amount
        return self.chance_to_exceed_gpu_hours(
            affordable_gpu_seconds(self._rate, money, self.gpu_count) / _HOUR
        )

    def chance_to_exceed_gpu_hours(self, gpu_hours: float) -> float:
        """The chance, 0 to 1, that the job uses more than `gpu_hours`."""
        if self.most_gpu_hours is not None and gpu_hours >= self.most_gpu_hours:
            return 0.0
        return chance_to_exceed(
            p10_gpu_seconds=self.p10_gpu_hours * _HOUR,
            p50_gpu_seconds=self.p50_gpu_hours * _HOUR,
            p90_gpu_seconds=self.p90_gpu_hours * _HOUR,
            gpu_seconds=gpu_hours * _HOUR,
        )

    @property
    def use_gpu_seconds(self) -> tuple[float, float, float, float]:
        """p10, p50, p90 and mean, as the core counts."""
        hours = (self.p10_gpu_hours, self.p50_gpu_hours, self.p90_gpu_hours, self.mean_gpu_hours)
        return tuple(one * _HOUR for one in hours)  # type: ignore[return-value]


def forecast(
    *,
    gpus: int | None = None,
    resources: str = "",
    price: str = "",
    user: str | None = None,
    group: str = "",
    queue: str = "",
    name: str = "",
    nodes: int | None = None,
    requested_time: timedelta | str | float | None = None,
    planned_steps: int | None = None,
    explain: bool = False,
    home: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
) -> Forecast:
    """What a job will use and cost before it starts, from one's own history: `finops.forecast`.

    Works without any history, and says so: the range is wide then. See docs/predict.md.

    Parameters
    ----------
    gpus, resources : how many GPUs, and which ("8xH100"); one of the two is needed.
    price : "24 USD/h" for the whole, "3 USD/gpu/h" for each GPU; else the price book's.
    user : who starts it; else who asks.
    group, queue : as in the history; runs of a ledger have project and experiment there.
    name : of the job; "sft-llama-7b" is like earlier ones of that name.
    requested_time : what is asked of the scheduler (timedelta, "24h", or seconds).
    nodes : how many machines the GPUs are spread over.
    planned_steps : how many steps it is to do.
    explain : also what drives it (`drivers`), and past runs of the kind (`past_runs`).
    home, model : the folder of the model, or a model file of its own.

    Raises
    ------
    InvalidArgument, UnknownResource, AmbiguousResource : what was asked makes no sense.
    InvalidArgument, UnsupportedSchema, HomeNotSafe : the model file is damaged, newer, not yours.
    """
    ledger = open_ledger(home, read_only=True) if os.path.exists(ledger_path(home)) else None
    asked = read_resource(load_price_book(ledger), resources, gpus=gpus, price=price)
    stored = load_or_cold(home=home, model=model)
    if ledger is not None and model is None:
        renew_from_ledger(stored, ledger)
    now = stored.moment(datetime.now(timezone.utc))
    job = make_job(
        asked,
        submit_time=now,
        user=user,
        group=group,
        queue=queue,
        name=name,
        nodes=nodes,
        requested_time=requested_time,
        planned_steps=planned_steps,
    )
    usage = stored.forecaster.forecast(job, now=now, is_explained=explain)
    return to_forecast(usage, asked, notes=cold_notes(usage))


def make_job(
    asked: Asked,
    *,
    submit_time: datetime,
    job_id: str = "",
    user: str | None = None,
    group: str = "",
    queue: str = "",
    name: str = "",
    nodes: int | None = None,
    requested_time: timedelta | str | float | None = None,
    planned_steps: int | None = None,
) -> dict[str, Any]:
    """A job as the core takes it. Raises InvalidArgument for a number that makes no sense."""
    if planned_steps is not None and not 1 <= planned_steps <= MAX_STEPS:
        raise InvalidArgument(f"planned_steps={planned_steps} must be at least 1")
    if nodes is not None and not 1 <= nodes <= asked.gpu_count:
        raise InvalidArgument(f"nodes={nodes} must be 1 to the number of GPUs, {asked.gpu_count}")
    return {
        "job_id": job_id or "asked",
        "user_name": user if user is not None else _user_name(),
        "group_name": group,
        "queue": queue,
        "name": name,
        "gpu_model": asked.gpu_model,
        "gpu_count": asked.gpu_count,
        "node_count": nodes,
        "requested_seconds": _seconds(requested_time),
        "planned_steps": planned_steps,
        "submit_time": submit_time,
    }


def to_forecast(
    usage: UsageForecast, asked: Asked, *, notes: tuple[str, ...] = (), basis: str = "history"
) -> Forecast:
    """What the core says of GPU-seconds, with the price of what was asked for."""
    seconds = (
        usage.p10_gpu_seconds, usage.p50_gpu_seconds, usage.p90_gpu_seconds, usage.mean_gpu_seconds
    )  # fmt: skip
    return priced_forecast(
        seconds,
        asked,
        ended_job_count=usage.ended_job_count,
        similar_job_count=usage.similar_job_count,
        tree_weight=usage.tree_weight,
        drivers=tuple(Driver(d.name, d.value, d.log_contribution) for d in usage.drivers),
        past_runs=tuple(
            PastRun(p.job_id, p.gpu_seconds / _HOUR, p.status) for p in usage.past_jobs
        ),
        notes=notes,
        basis=basis,
        most_gpu_hours=None if usage.most_gpu_seconds is None else usage.most_gpu_seconds / _HOUR,
    )


def priced_forecast(
    seconds: tuple[float, float, float, float], asked: Asked, **facts: Any
) -> Forecast:
    """`seconds`: p10, p50, p90 and mean GPU-seconds."""
    rate = asked.rate
    p10, p50, p90, mean = (one / _HOUR for one in seconds)
    costs: list[Money | None] = [
        None if rate is None else cost_of_use(rate, one, asked.gpu_count) for one in seconds
    ]
    return Forecast(
        gpu_count=asked.gpu_count,
        resources=asked.text,
        p10_gpu_hours=p10,
        p50_gpu_hours=p50,
        p90_gpu_hours=p90,
        mean_gpu_hours=mean,
        p10_cost=costs[0],
        p50_cost=costs[1],
        p90_cost=costs[2],
        mean_cost=costs[3],
        price_per_hour=None if rate is None else rate.hourly,
        **facts,
        _rate=rate,
    )


def cold_notes(usage: UsageForecast) -> tuple[str, ...]:
    """What to know of a forecast that rests on little."""
    if usage.ended_job_count == 0:
        return (
            "no finished job is known: this is a wide prior, not your history; "
            "teach it with: finops predict train",
        )
    if usage.similar_job_count == 0:
        return ("no finished job of this kind is known: it rests on the others",)
    return ()


def load_or_cold(
    *,
    home: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    most_bytes: int = MAX_MODEL_BYTES,
) -> StoredModel:
    """The model of `home`; a cold one if there is none there. A named file must be there."""
    try:
        return load_model(home=home, path=model, most_bytes=most_bytes)
    except NotFound:
        if model is not None:
            raise
        return StoredModel(Forecaster(), ModelNote())


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a user database
        return f"uid {os.getuid()}"


def _seconds(span: timedelta | str | float | None) -> int | None:
    if span is None:
        return None
    if isinstance(span, str):
        span = read_span(span)
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if not 0 < seconds <= 10 * 365 * 86400:
        raise InvalidArgument(f"requested_time={span} must be above zero and at most ten years")
    return max(1, round(seconds))


def _duration(gpu_hours: float, gpu_count: int) -> timedelta:
    # A timedelta holds 2.7 million years; the answer is capped at ten thousand.
    return timedelta(hours=min(gpu_hours / gpu_count, 87_600_000.0))
