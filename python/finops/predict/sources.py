"""Where jobs come from: the runs of the ledger as jobs, and the rows of a file.

Owns: Jobs, how a run is a job, bringing a model up to date with the ledger. Does not own: reading
files (csv_jobs), learning (the C++ core). Invariant: nothing is left out without a count.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._core import Forecaster, Ledger, LedgerJob
from ..errors import InvalidArgument
from .csv_jobs import read_jobs
from .model_store import StoredModel

# How jobs end that only say that they needed more.
CENSORED_STATUSES = ("TIMEOUT", "CANCELLED", "CANCELLED_BY_SYSTEM")
# How a run's end is a job's. PAUSED is none: it may go on.
_STATUSES = {"FINISHED": "COMPLETED", "FAILED": "FAILED", "KILLED": "CANCELLED"}
# What is learned on the way to an answer; more is for `finops predict train`.
_MOST_COLD_ROWS = 2_000


@dataclass(frozen=True)
class Jobs:
    """Jobs as the core takes them, and what was left out."""

    source: str  # "ledger", or the name of a file
    rows: Sequence[dict[str, Any]]
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason: count

    @property
    def latest_time(self) -> datetime | None:
        """The last thing that happened in it."""
        times = [
            time
            for row in self.rows
            for time in (row["submit_time"], row.get("start_time"), row.get("end_time"))
            if time is not None
        ]
        return max(times, default=None)


def jobs_of_file(path: str | os.PathLike[str], column_map: Mapping[str, str]) -> Jobs:
    """The jobs of a CSV file (.gz too). `column_map`: our name of a column, and the file's.

    Raises
    ------
    InvalidArgument : no such file, no rows, a column that is missing (with the nearest name).
    """
    rows, left_out = read_jobs(path, column_map)
    return Jobs(os.path.basename(os.fspath(path)), rows, left_out)


def jobs_of_ledger(ledger: Ledger, since: datetime | None = None) -> Jobs:
    """The runs of a ledger as jobs: those that ended since then, and all that have not ended."""
    rows, left_out = [], Counter[str]()
    for job in ledger.job_history(since):
        if job.gpu_count is None:
            left_out["runs without resources: nobody knows how many GPUs they had"] += 1
        elif job.gpu_count == 0:
            left_out["runs without a GPU"] += 1
        else:
            rows.append(job_row(job))
    return Jobs("ledger", rows, dict(left_out))


def job_row(job: LedgerJob) -> dict[str, Any]:
    """A run as a job: its project is the group, its experiment the queue unless it had one."""
    gpu_count = max(1, math.ceil(job.gpu_count or 1))  # a part of a GPU counts as one
    run_seconds = job.run_seconds
    if job.gpu_seconds is not None and (job.gpu_count or 0) >= 1:
        run_seconds = job.gpu_seconds / gpu_count  # attempts may have had other numbers of GPUs
    ended = job.ended_at if job.status in _STATUSES else None
    return {
        "job_id": job.run_id,
        "user_name": job.user_name,
        "group_name": job.project,
        "queue": job.queue or job.experiment,
        "name": job.name or job.experiment,
        "gpu_model": job.gpu_model,
        "gpu_count": gpu_count,
        "node_count": job.node_count or None,
        "requested_seconds": job.requested_seconds,
        "planned_steps": job.planned_steps,
        "submit_time": job.submitted_at,
        "start_time": job.started_at,
        "end_time": ended,
        "run_seconds": run_seconds if ended is not None else None,
        "status": _STATUSES[job.status] if ended is not None else None,
    }


def catch_up(forecaster: Forecaster, rows: Iterable[Mapping[str, Any]], as_of: datetime) -> int:
    """Tell a model what happened after `as_of`. Returns how many jobs ended since.

    What the model knows already is skipped; a time before `as_of` (a run that was merged in later)
    counts as `as_of`, since a model's times come in order.
    """
    events: list[tuple[datetime, int, str, Mapping[str, Any]]] = []
    for row in rows:
        end = row["end_time"]
        if end is not None and end <= as_of:
            continue
        job_id = row["job_id"]
        events.append((max(row["submit_time"], as_of), 0, job_id, row))
        if row["start_time"] is not None:
            events.append((max(row["start_time"], as_of), 1, job_id, row))
        if end is not None:
            events.append((end, 2, job_id, row))
    ended_count = 0
    for moment, kind, job_id, row in sorted(events, key=lambda event: event[:3]):
        try:
            if kind == 0:
                forecaster.submit({**row, "submit_time": moment})
            elif kind == 1:
                forecaster.start(job_id, moment)
        except InvalidArgument:
            pass  # in flight, or started, when the model was made: it knows
        if kind == 2:
            seconds, status = row["run_seconds"], row["status"]
            forecaster.end(job_id, end_time=moment, run_seconds=seconds, status=status)
            ended_count += 1
    return ended_count


def renew_from_ledger(stored: StoredModel, ledger: Ledger) -> None:
    """Tell a model what the ledger knows since: what ended, and what is in flight now.

    A model from a file is left as it is: its jobs may be the ledger's under other ids. A cold one
    learns from the newest runs, so that a first forecast needs no training.
    """
    if stored.note.is_from_ledger and stored.note.as_of is not None:
        as_of = stored.note.as_of
        catch_up(stored.forecaster, jobs_of_ledger(ledger, as_of).rows, as_of)
    elif not stored.model_id:
        rows = jobs_of_ledger(ledger).rows[-_MOST_COLD_ROWS:]
        if rows:
            stored.forecaster.learn(rows)
