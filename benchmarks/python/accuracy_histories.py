"""Histories of jobs for bench_accuracy.py: a trace read from its file, or invented jobs.

Owns: History, and the split of its rows in time. Does not own: methods and scores.
"""

from __future__ import annotations

import dataclasses
import pathlib
import random
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import numpy.typing as npt

from finops import _core
from finops.predict.csv_jobs import read_jobs

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
STATUSES = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "CANCELLED_BY_SYSTEM")
# Of the jobs, in the order of submission; the rest tests. Of Philly's, most came within its last
# days: there the shares are of the time.
TRAIN_SHARE, TUNE_SHARE = 0.6, 0.1
BY_TIME = ("philly",)


@dataclasses.dataclass(frozen=True)
class History:
    """Ended jobs by (submit time, id), as arrays of one length [n], and the core's features."""

    name: str
    jobs: list[dict[str, Any]]  # as Forecaster takes them
    columns: dict[str, list[Any]]  # as JobHistory takes them
    submit_s: Floats
    start_s: Floats
    end_s: Floats
    seconds: Floats  # of running
    gpu_count: Counts
    user: Counts  # a number for each
    features: npt.NDArray[np.float32]  # [n x features]: as known at each submission
    anchor_log: Floats  # log1p of GPU-seconds, of the last 30 of the job's kind
    anchor_count: Counts

    def __len__(self) -> int:
        return len(self.jobs)

    @property
    def target(self) -> Floats:
        return np.log1p(self.seconds)

    @property
    def tune_start(self) -> int:
        return self._row_at(TRAIN_SHARE)

    @property
    def test_start(self) -> int:
        return self._row_at(TRAIN_SHARE + TUNE_SHARE)

    def _row_at(self, share: float) -> int:
        if self.name not in BY_TIME:
            return int(len(self) * share)
        first, last = self.submit_s[0], self.submit_s[-1]
        return int(np.searchsorted(self.submit_s, first + share * (last - first)))

    def ended_rows(self, first: int, last: int, before_s: float) -> Counts:
        """Rows of [first, last) whose end was known strictly before a moment."""
        return np.nonzero(self.end_s[first:last] < before_s)[0] + first


def history_of(name: str, jobs: list[dict[str, Any]]) -> History:
    jobs = [job for job in jobs if job["gpu_count"] > 0 and job["end_time"] is not None]
    jobs.sort(key=lambda job: (job["submit_time"], job["job_id"]))
    columns = columns_of(jobs)
    history = _core.JobHistory(columns)
    if history.problem_count or len(history) != len(jobs):
        raise SystemExit(f"{name}: {history.problem_count} problems: {history.problems[:3]}")
    table = history.build_features()
    _, users = np.unique(columns["user"], return_inverse=True)
    seconds = {key: np.array(columns[f"{key}_ns"]) / 1e9 for key in ("submit", "start", "end")}
    return History(
        name,
        jobs,
        columns,
        seconds["submit"],
        seconds["start"],
        seconds["end"],
        np.array(columns["run_seconds"], dtype=float),
        np.array(columns["gpu_count"]),
        users,
        np.frombuffer(table["features"], np.float32).reshape(len(jobs), -1),
        np.frombuffer(table["anchor_log_gpu_seconds"], np.float64),
        np.frombuffer(table["anchor_job_count"], np.int32).astype(np.int64),
    )


def columns_of(jobs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = ("job_id", "gpu_count", "node_count", "queue", "requested_seconds", "run_seconds")
    columns: dict[str, list[Any]] = {name: [job.get(name) for job in jobs] for name in names}
    columns["node_count"] = [count or 0 for count in columns["node_count"]]
    columns["queue"] = [queue or "" for queue in columns["queue"]]
    columns["user"] = [job.get("user_name") or "" for job in jobs]
    columns["group"] = [job.get("group_name") or "" for job in jobs]
    columns["status"] = [STATUSES.index(job["status"]) for job in jobs]
    for key in ("submit", "start", "end"):
        columns[f"{key}_ns"] = [round(job[f"{key}_time"].timestamp() * 1e6) * 1000 for job in jobs]
    return columns


def trace(path: pathlib.Path, name: str) -> History:
    jobs, _ = read_jobs(path)
    for job in jobs:  # ids of traces are numbers: in their order
        job["job_id"] = job["job_id"].zfill(12)
    return history_of(name, jobs)


def traces(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Each trace's name and file; empty if there are none."""
    found = {path.name.removesuffix(".csv.gz"): path for path in folder.glob("aaic/*.csv.gz")}
    found |= {path.parent.name: path for path in folder.glob("philly/jobs.csv.gz")}
    return dict(sorted(found.items()))


def invented(job_count: int, seed: int = 1) -> History:
    """Jobs of 20 users in bursts, whose run times wander from week to week."""
    chance = random.Random(seed)
    level = {user: chance.uniform(5, 10) for user in range(20)}
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    jobs: list[dict[str, Any]] = []
    while len(jobs) < job_count:
        user = min(int(chance.expovariate(0.25)), 19)
        level[user] = min(max(level[user] + chance.gauss(0, 0.3), 3), 11)
        gpus = chance.choice((1, 1, 2, 4, 8))
        shared = chance.gauss(level[user], 0.7)
        moment += timedelta(seconds=chance.expovariate(1 / 7200))
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            moment += timedelta(seconds=chance.uniform(0, 30))
            failed = chance.random() < 0.1
            seconds = 10.0 if failed else round(2.718281828 ** chance.gauss(shared, 0.4), 3)
            start = moment + timedelta(seconds=chance.expovariate(1 / 300))
            jobs.append({
                "job_id": f"{len(jobs):08}", "user_name": f"u{user}", "group_name": f"g{user % 4}",
                "gpu_count": gpus, "node_count": 1, "requested_seconds": 86_400,
                "submit_time": moment, "start_time": start,
                "end_time": start + timedelta(seconds=seconds), "run_seconds": seconds,
                "status": "FAILED" if failed else "COMPLETED",
            })  # fmt: skip
    return history_of("invented", jobs[:job_count])
