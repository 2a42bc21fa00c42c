"""The predictor in the C++ core, and rates. `_core.pyi` gives them out.

There is no such module: it is this part of the extension's stub.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, final

from ._core import Money, PriceBook, PriceRow

@final
class Rate:
    """What time costs; the one place that rounds."""

    @staticmethod
    def whole(price_per_hour: Money) -> Rate: ...
    @property
    def hourly(self) -> Money: ...
    def cost_of(self, nanoseconds: int) -> Money: ...
    def affordable(self, amount: Money) -> int: ...

@final
class RateQuote:
    row: PriceRow
    rate: Rate
    gpu_count: int
    warnings: list[str]

def quote_rate(book: PriceBook, resource: str) -> RateQuote | None: ...
def explicit_rate(book: PriceBook, price: str, resource: str = ...) -> Rate: ...
def parse_resource(text: str) -> tuple[str, int]: ...
def chance_to_exceed(
    *,
    p10_gpu_seconds: float,
    p50_gpu_seconds: float,
    p90_gpu_seconds: float,
    gpu_seconds: float,
) -> float: ...

@final
class ForecastDriver:
    name: str
    value: float
    log_contribution: float

@final
class PastJob:
    job_id: str
    gpu_seconds: float
    status: str

@final
class UsageForecast:
    p10_gpu_seconds: float
    p50_gpu_seconds: float
    p90_gpu_seconds: float
    mean_gpu_seconds: float
    most_gpu_seconds: float | None
    ended_job_count: int
    similar_job_count: int
    tree_weight: float
    drivers: list[ForecastDriver]
    past_jobs: list[PastJob]
    def chance_to_exceed(self, gpu_seconds: float) -> float: ...

@final
class ForecastHealth:
    scored_job_count: int
    coverage_ratio: float
    p90_coverage_ratio: float
    is_drifting: bool
    reason: str

class Forecaster:
    """Jobs are mappings with the names of `predict::Job`; what is missing or None is unknown."""

    def __init__(
        self,
        *,
        tree_count: int = ...,
        learning_rate: float = ...,
        refit_period: timedelta | None = ...,
        refit_job_count: int = ...,
        blend_job_count: int = ...,
        max_training_rows: int = ...,
        seed: int = ...,
    ) -> None: ...
    def learn(self, history: Iterable[Mapping[str, Any]]) -> None: ...
    def submit(self, job: Mapping[str, Any]) -> UsageForecast: ...
    def start(self, job_id: str, start_time: datetime) -> None: ...
    def end(self, job_id: str, *, end_time: datetime, run_seconds: float, status: str) -> None: ...
    def refit_if_due(self, now: datetime) -> bool: ...
    def forecast(
        self, job: Mapping[str, Any], *, now: datetime | None = ..., is_explained: bool = ...
    ) -> UsageForecast: ...
    def refresh(self, job_id: str, now: datetime) -> UsageForecast: ...
    def health(self) -> ForecastHealth: ...
    def to_json(self) -> str: ...
    @staticmethod
    def from_json(json_text: str) -> Forecaster: ...
