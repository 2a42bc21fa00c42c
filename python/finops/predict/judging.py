"""What came of forecasts: those kept in the ledger, or those of a history told over again.

Owns: outcomes. Does not own: the numbers made of them (report_numbers). Invariant: a forecast is
made from what was known at its moment: a history is replayed in the order of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from .._core import Forecaster, Ledger, UsageForecast
from .report_numbers import Outcome
from .sources import CENSORED_STATUSES

_CENSORED_RUNS = ("KILLED",)


def outcomes_of_ledger(
    ledger: Ledger, *, project: str = "", experiment: str = ""
) -> tuple[list[Outcome], dict[str, int]]:
    """The first forecast of each run that has ended, and counts of what cannot be judged."""
    found: dict[str, Outcome] = {}
    left_out = Counter[str]()
    for one in ledger.forecast_outcomes(project=project, experiment=experiment, kind="submitted"):
        said, job = one.forecast, one.job
        if said.run_id in found or said.made_at is None:
            continue  # a later attempt; the first word counts
        if job.ended_at is None:
            left_out["that run or are paused"] += 1
        elif job.gpu_seconds is None and job.gpu_count is not None:
            left_out["of unknown use"] += 1
        else:
            found[said.run_id] = Outcome(
                said.run_id, said.made_at, said.p10_gpu_seconds, said.p50_gpu_seconds,
                said.p90_gpu_seconds, said.mean_gpu_seconds, _used(job, said.gpu_count),
                is_censored=job.status in _CENSORED_RUNS,
            )  # fmt: skip
    return list(found.values()), dict(left_out)


def _used(job: Any, gpu_count: int) -> float:
    # As the forecast counts: a part of a GPU is one, and so is a resource of unknown size.
    if job.gpu_seconds is None or (job.gpu_count or 0) < 1:
        return float(job.run_seconds) * gpu_count
    return float(job.gpu_seconds)


def outcomes_of_history(
    rows: Sequence[Mapping[str, Any]], *, forecaster: Forecaster | None = None
) -> list[Outcome]:
    """Tell a history over again, as it would have been live, and note what was said of each job."""
    teller = forecaster if forecaster is not None else Forecaster()
    said: dict[str, UsageForecast] = {}
    outcomes = []
    for moment, kind, row in _events(rows):
        job_id = row["job_id"]
        if kind == _SUBMIT:
            teller.refit_if_due(moment)
            said[job_id] = teller.submit(row)
        elif kind == _START:
            teller.start(job_id, moment)
        else:
            seconds = row["run_seconds"]
            teller.end(job_id, end_time=moment, run_seconds=seconds, status=row["status"])
            usage = said.pop(job_id)
            outcomes.append(
                Outcome(
                    job_id, row["submit_time"], usage.p10_gpu_seconds, usage.p50_gpu_seconds,
                    usage.p90_gpu_seconds, usage.mean_gpu_seconds, seconds * row["gpu_count"],
                    is_censored=row["status"] in CENSORED_STATUSES,
                )
            )  # fmt: skip
    return outcomes


_SUBMIT, _START, _END = 0, 1, 2


def _events(
    rows: Iterable[Mapping[str, Any]],
) -> list[tuple[datetime, int, Mapping[str, Any]]]:
    # At one moment submissions come first and ends last: a forecast knows only what ended before.
    events = []
    for row in rows:
        events.append((row["submit_time"], _SUBMIT, row))
        if row.get("start_time") is not None:
            events.append((row["start_time"], _START, row))
        if row.get("end_time") is not None:
            events.append((row["end_time"], _END, row))
    return sorted(events, key=lambda event: (event[0], event[1], event[2]["job_id"]))
