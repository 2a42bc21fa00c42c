"""A row knows nothing of what comes after it: on columns given from Python, and on real traces.

The traces are not part of this repository: FINOPS_DATA_DIR, or ../shared/data beside the project,
holds them; without them those tests skip.
"""

from __future__ import annotations

import csv
import gzip
import os
import pathlib
import random
from datetime import datetime
from typing import Any

import pytest

from finops._core import JobHistory, feature_names
from finops.errors import InvalidArgument

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("FINOPS_DATA_DIR", ROOT.parent / "shared" / "data"))
STATUSES = ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "CANCELLED_BY_SYSTEM"]
MISSING = -(2**63)
ROW_COUNT = 20_000

Columns = dict[str, list[Any]]


def columns_of_trace(path: pathlib.Path) -> Columns:
    """The first jobs of a trace by their submission, as columns."""

    def ns(text: str) -> int:
        seconds = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None
        return MISSING if seconds is None else round(seconds) * 10**9

    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["gpu_count"]) > 0]
    rows = sorted(rows, key=lambda row: (row["submit_time"], int(row["job_id"])))[:ROW_COUNT]
    walltimes = [row["requested_walltime_s"] for row in rows]
    return {
        **{name: [row[name] for row in rows] for name in ("job_id", "user", "group", "queue")},
        "gpu_count": [int(row["gpu_count"]) for row in rows],
        "node_count": [int(row["node_count"] or 0) for row in rows],
        "requested_seconds": [int(float(text)) if text else MISSING for text in walltimes],
        **{f"{name}_ns": [ns(row[f"{name}_time"]) for row in rows]
           for name in ("submit", "start", "end")},
        "run_seconds": [float(row["run_time_s"]) for row in rows],
        "status": [STATUSES.index(row["status"]) for row in rows],
    }  # fmt: skip


def row_bytes(columns: Columns) -> tuple[JobHistory, bytes]:
    history = JobHistory(columns)
    return history, bytes(history.build_features()["features"])


def another_future(columns: Columns, now: int, seed: int) -> Columns:
    """The same, but what has not started or ended before `now` does so some other time."""
    chance = random.Random(seed)
    other = {name: list(values) for name, values in columns.items()}
    for row, end in enumerate(columns["end_ns"]):
        if end < now:
            continue
        start = columns["start_ns"][row]
        if start >= now:
            start = max(now, columns["submit_ns"][row]) + chance.randrange(0, 3600) * 10**9
            other["start_ns"][row] = start
        other["end_ns"][row] = max(now, start) + chance.randrange(0, 86_400) * 10**9
        other["run_seconds"][row] = float(chance.randrange(0, 1_000_000))
        other["status"][row] = chance.randrange(0, 5)
    return other


@pytest.mark.data
@pytest.mark.parametrize("name", ["2017Q3", "2017Q4", "2018Q1", "2018Q2"])
def test_real_rows_know_no_future(name: str) -> None:
    path = DATA / "traces" / "aaic" / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"needs {path}")
    columns = columns_of_trace(path)
    history, real = row_bytes(columns)
    assert len(history) == len(columns["job_id"])
    assert history.problem_count == 0
    row_size = 4 * len(feature_names())
    for share in (0.2, 0.6, 0.95):
        count = int(share * len(history))
        _, cut = row_bytes({key: values[:count] for key, values in columns.items()})
        assert cut == real[: count * row_size], f"cut at {count}"
        now = columns["submit_ns"][count]
        _, other = row_bytes(another_future(columns, now, seed=count))
        known = (count + 1) * row_size
        assert other[:known] == real[:known], f"another future from row {count}"
        assert other != real


# Goal: columns from Python become rows and counts, and a wrong one is named. Method: two jobs; one
# column moves.
def test_columns_become_rows() -> None:
    columns: Columns = {
        "job_id": ["1", "2"],
        "user": ["ada", "ada"],
        "gpu_count": [8, 0],
        "submit_ns": [10**18, 10**18],
        "start_ns": [None, 10**18],
        "run_seconds": [60.0, 60.0],
    }
    history = JobHistory(columns)
    assert (len(history), history.cpu_job_count, history.assumed_time_count) == (1, 1, 1)
    table = history.build_features()
    assert len(table["features"]) == 4 * len(feature_names())
    assert len(table["anchor_log_gpu_seconds"]) == 8
    bad = JobHistory({**columns, "run_seconds": [-1.0, 60.0]})
    assert [problem[:2] for problem in bad.problems] == [(0, "run_seconds")]
    with pytest.raises(InvalidArgument, match="column user"):
        JobHistory({**columns, "user": ["ada"]})
    with pytest.raises(InvalidArgument, match="gpu_count, row 1"):
        JobHistory({**columns, "gpu_count": [8, "many"]})
    with pytest.raises(InvalidArgument, match="job_id"):
        JobHistory({})
