"""Training: jobs in, a model file and what to know of it out.

Owns: train_and_save, what is said of a thin history. Does not own: reading jobs (sources), learning
(the C++ core).
"""

from __future__ import annotations

import os
import pathlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .._core import Forecaster, ForecastHealth
from ..errors import InvalidArgument
from .model_store import ModelNote, save_model
from .sources import CENSORED_STATUSES, Jobs

COLD_JOB_COUNT = 200  # up to here the cold start weighs as much as the trees


@dataclass(frozen=True)
class Trained:
    """A model that was just made."""

    path: pathlib.Path
    note: ModelNote
    job_count: int
    ended_job_count: int
    status_counts: Mapping[str, int]
    user_count: int
    health: ForecastHealth
    notes: tuple[str, ...]  # stated fallbacks, in plain words
    seconds: float


def train_and_save(
    jobs: Jobs,
    *,
    home: str | os.PathLike[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    now: datetime,
) -> Trained:
    """Learn from `jobs` and write the model to `path`, else into `home`.

    Raises
    ------
    InvalidArgument : there is no job to learn from.
    """
    if not jobs.rows:
        left_out = "; ".join(f"{count:,} {reason}" for reason, count in jobs.left_out.items())
        raise InvalidArgument(
            f"no job in {jobs.source} to learn from" + (f": {left_out}" if left_out else "")
        )
    began = time.monotonic()
    forecaster = Forecaster()
    forecaster.learn(jobs.rows)
    note = ModelNote(jobs.source, now, jobs.latest_time, jobs.left_out)
    target = save_model(forecaster, note, home=home, path=path)
    statuses = Counter(row["status"] for row in jobs.rows if row.get("end_time") is not None)
    users = {row.get("user_name") or "" for row in jobs.rows}
    return Trained(
        target,
        note,
        len(jobs.rows),
        sum(statuses.values()),
        dict(statuses.most_common()),
        len(users),
        forecaster.health(),
        tuple(_notes(statuses, len(users))),
        time.monotonic() - began,
    )


def _notes(statuses: Mapping[str, int], user_count: int) -> list[str]:
    ended = sum(statuses.values())
    censored = sum(statuses.get(one, 0) for one in CENSORED_STATUSES)
    notes = []
    if ended == 0:
        notes.append("no job has ended: forecasts are the cold start's wide prior")
    elif ended <= COLD_JOB_COUNT:
        notes.append(f"{ended} ended jobs are few: the cold start weighs more than the trees")
    if ended and censored == ended:
        notes.append("all jobs were killed or timed out: each only says that it needed more")
    if user_count == 1:
        notes.append("one user only: forecasts for others rest on that one's jobs")
    return notes
