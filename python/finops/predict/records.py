"""Forecasts as records of the ledger, to be judged later by what came of them.

Owns: the fields. Does not own: the store (the C++ core).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .._core import ForecastCost, ForecastJob, ForecastRecord, Ledger
from .forecast import Forecast

# The core keeps no more than these: see record/forecast.hpp.
_MOST_GPU_SECONDS = 1e16
_LONGEST_TEXT_BYTES = 512


def make_record(
    forecast: Forecast,
    job: Mapping[str, Any],
    *,
    run_id: str,
    attempt_id: str,
    experiment: str,
    kind: str,
    elapsed_gpu_seconds: float,
    model_id: str,
    price_id: str,
    made_at: datetime | None = None,
) -> ForecastRecord:
    """The record of a forecast. `kind`: "submitted" or "refreshed"."""
    p10, p50, p90, mean = (min(one, _MOST_GPU_SECONDS) for one in forecast.use_gpu_seconds)
    cost = _cost(forecast) if price_id else None
    return ForecastRecord(
        run_id=run_id,
        kind=kind,
        made_at=made_at or datetime.now(timezone.utc),
        p10_gpu_seconds=p10,
        p50_gpu_seconds=p50,
        p90_gpu_seconds=p90,
        mean_gpu_seconds=mean,
        gpu_count=forecast.gpu_count,
        attempt_id=attempt_id,
        elapsed_gpu_seconds=min(elapsed_gpu_seconds, _MOST_GPU_SECONDS),
        ended_job_count=forecast.ended_job_count,
        model_id=model_id,
        price_id=price_id if cost is not None else "",
        cost=cost,
        job=_job(job, experiment),
    )


def _cost(forecast: Forecast) -> ForecastCost | None:
    p10, p50, p90 = forecast.p10_cost, forecast.p50_cost, forecast.p90_cost
    if p10 is None or p50 is None or p90 is None or forecast.mean_cost is None:
        return None
    return ForecastCost(p10=p10, p50=p50, p90=p90, mean=forecast.mean_cost)


def _job(job: Mapping[str, Any], experiment: str) -> ForecastJob:
    texts = {
        name: _kept(job.get(name) or "")
        for name in ("user_name", "group_name", "queue", "name", "gpu_model")
    }
    if texts["queue"] == experiment:  # it stood in for a queue, and is kept as what it is
        texts["queue"] = ""
    return ForecastJob(
        **texts,
        experiment=_kept(experiment),
        node_count=job.get("node_count") or 0,
        requested_seconds=job.get("requested_seconds"),
        planned_steps=job.get("planned_steps"),
    )


def _kept(text: str) -> str:
    data = text.encode("utf-8", "replace")[:_LONGEST_TEXT_BYTES]
    return data.decode("utf-8", "ignore")


def store_record(ledger: Ledger, record: ForecastRecord) -> None:
    """Keep it; the same again is a no-op."""
    ledger.add_forecast(record)
