"""Jobs of the ledger, and a model that is told what happened since.

Goal: a model that was taught until a moment and told the rest knows what one knows that was
taught all at once; what it knows already counts once. Method: one history, cut at a moment.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import finops
from finops import Run
from finops._core import Forecaster, Ledger
from finops.predict.sources import catch_up, jobs_of_ledger
from finops.predict.training import train_and_save

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
ASKED = {"job_id": "asked", "user_name": "ana", "name": "sft", "gpu_count": 8}


def history(count: int = 60) -> list[dict[str, Any]]:
    rows = []
    for index in range(count):
        begin = START + timedelta(minutes=20 * index)  # an hour each: three run at a time
        rows.append({
            "job_id": f"j{index}", "user_name": "ana", "name": "sft", "gpu_count": 8,
            "submit_time": begin, "start_time": begin + timedelta(minutes=1),
            "end_time": begin + timedelta(minutes=61), "run_seconds": 3600.0 + index,
            "status": "COMPLETED",
        })  # fmt: skip
    return rows


def as_seen_at(rows: list[dict[str, Any]], moment: datetime) -> list[dict[str, Any]]:
    """What was known then: jobs submitted by then, without the ends that came later."""
    seen = []
    for row in rows:
        if row["submit_time"] > moment:
            continue
        known = dict(row)
        if row["end_time"] > moment:
            known.update(end_time=None, run_seconds=None, status=None)
        if row["start_time"] > moment:
            known.update(start_time=None)
        seen.append(known)
    return seen


@pytest.mark.parametrize("cut_minutes", [30, 333, 1180, 5000])
def test_told_later_is_as_taught_at_once(cut_minutes: int) -> None:
    rows = history()
    moment = START + timedelta(minutes=cut_minutes)
    told, taught = Forecaster(), Forecaster()
    told.learn(as_seen_at(rows, moment))
    ended = catch_up(told, rows, moment)
    taught.learn(rows)
    assert ended == sum(row["end_time"] > moment for row in rows)
    later = START + timedelta(days=10)
    one = told.forecast({**ASKED, "submit_time": later}, now=later)
    other = taught.forecast({**ASKED, "submit_time": later}, now=later)
    assert one.ended_job_count == other.ended_job_count == len(rows)
    assert one.similar_job_count == other.similar_job_count
    assert one.mean_gpu_seconds == pytest.approx(other.mean_gpu_seconds, rel=0.2)
    assert catch_up(told, rows, rows[-1]["end_time"]) == 0  # nothing is told twice


def test_runs_of_the_ledger_are_jobs_and_what_is_none_is_counted(
    home: pathlib.Path, start: Callable[..., Run]
) -> None:
    finops.finish(start(resources="8xH100", name="sft"))
    finops.finish(start(resources="2xH100"), "FAILED", "out of memory")
    finops.finish(start())  # a price of the whole: nobody knows how many GPUs
    running = start(resources="1xH100", planned_steps=7, forecast=True)
    jobs = jobs_of_ledger(Ledger(str(home / "ledger.db"), read_only=True))
    found = {row["job_id"]: row for row in jobs.rows}
    assert len(found) == 3
    assert sum(jobs.left_out.values()) == 1
    first, second, third = jobs.rows
    assert (first["gpu_count"], first["name"], first["status"]) == (8, "sft", "COMPLETED")
    assert (first["group_name"], first["queue"]) == ("p", "e")
    assert (second["gpu_count"], second["name"], second["status"]) == (2, "e", "FAILED")
    assert third["job_id"] == running.run_id
    assert third["end_time"] is None
    assert third["planned_steps"] == 7
    trained = train_and_save(jobs, home=home, now=datetime.now(timezone.utc))
    assert (trained.job_count, trained.ended_job_count) == (3, 2)
    assert finops.forecast(resources="8xH100", group="p", queue="e").ended_job_count == 2
    finops.finish(running)
    # Without new training the answer knows the run that has ended since.
    assert finops.forecast(resources="8xH100", group="p", queue="e").ended_job_count == 3
