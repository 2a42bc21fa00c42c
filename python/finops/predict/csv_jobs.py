"""Jobs from a CSV file: a scheduler's accounting, or a public trace.

Owns: columns by their names, values as people and schedulers write them. Does not own: what is
learned. Invariants: each line of the file is a job or in exactly one count of what was left out; a
column is never guessed where a wrong guess would be silent.
"""

from __future__ import annotations

import difflib
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import InvalidArgument
from .history import open_table

# Our names, and those that Slurm's sacct and public traces use for the same, in the same unit.
COLUMNS: dict[str, tuple[str, ...]] = {
    "job_id": ("jobid", "id"),
    "user_name": ("user", "owner"),
    "group_name": ("group", "account", "project", "vc"),
    "queue": ("partition",),
    "name": ("job_name", "jobname"),
    "gpu_model": ("gpu_type",),
    "gpu_count": ("gpus", "gpu_num", "num_gpus"),
    "node_count": ("nodes", "nnodes", "node_num"),
    "requested_seconds": ("requested_walltime_s", "requested_time_s"),
    "planned_steps": ("steps",),
    "submit_time": ("submit", "submitted_at"),
    "start_time": ("start", "started_at"),
    "end_time": ("end", "ended_at"),
    "run_seconds": ("run_time_s", "elapsedraw", "duration_s"),
    "status": ("state", "job_status"),
}
_REQUIRED = ("submit_time", "gpu_count")
_STATUSES = {
    "COMPLETED": "COMPLETED", "FINISHED": "COMPLETED", "PASS": "COMPLETED", "FAILED": "FAILED",
    "OUT_OF_MEMORY": "FAILED", "TIMEOUT": "TIMEOUT", "DEADLINE": "TIMEOUT",
    "CANCELLED": "CANCELLED", "KILLED": "CANCELLED", "PREEMPTED": "CANCELLED_BY_SYSTEM",
    "NODE_FAIL": "CANCELLED_BY_SYSTEM", "BOOT_FAIL": "CANCELLED_BY_SYSTEM",
    "CANCELLED_BY_SYSTEM": "CANCELLED_BY_SYSTEM",
}  # fmt: skip
_UNFINISHED = ("RUNNING", "PENDING", "SUSPENDED", "REQUEUED", "")
_MOST_ROWS = 20_000_000
_LONGEST_TEXT = 512
_EARLIEST = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST = datetime(2200, 1, 1, tzinfo=timezone.utc)
_LONGEST_RUN_SECONDS = 100 * 365.25 * 86400
_MOST_GPUS = 1_000_000


class _Unusable(Exception):
    """Why a line is left out; its text is the reason that is counted."""


def read_jobs(
    path: str | os.PathLike[str], column_map: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The jobs of a file as the core takes them, and counts of the lines that were left out.

    Times are ISO 8601 (UTC unless they say another zone) or seconds since 1970. A job without an
    end is waiting or running; one with a run time alone is taken to start at its submission.

    Parameters
    ----------
    column_map : our name of a column, and the file's, where they differ.

    Raises
    ------
    InvalidArgument : the file cannot be read or is no CSV; a column is missing (names the nearest).
    """
    rows: list[dict[str, Any]] = []
    left_out = Counter[str]()
    known_ids: set[str] = set()
    for number, line in enumerate(_lines(path, dict(column_map or {}), left_out), start=1):
        try:
            row = _row(line, number)
            if row["job_id"] in known_ids:
                raise _Unusable("rows whose job_id came before")
        except _Unusable as reason:
            left_out[str(reason)] += 1
            continue
        known_ids.add(row["job_id"])
        rows.append(row)
        if number >= _MOST_ROWS:
            raise InvalidArgument(f"{path} has more than {_MOST_ROWS:,} rows; give a later part")
    return rows, dict(left_out)


def _lines(
    path: str | os.PathLike[str], column_map: dict[str, str], left_out: Counter[str]
) -> Iterator[dict[str, str]]:
    table = open_table(path)
    places = find_columns(table.header, column_map, str(path))
    for cells in table.rows:
        yield {
            ours: cells[place].strip() if place < len(cells) else ""
            for ours, place in places.items()
        }
    left_out.update(table.left_out)


def find_columns(header: list[str], column_map: Mapping[str, str], source: str) -> dict[str, int]:
    """Our name of each column that is there, and its place.

    Raises
    ------
    InvalidArgument : a name of `column_map` that is none, or a column that is needed and missing.
    """
    for ours, theirs in column_map.items():
        if ours not in COLUMNS:
            raise InvalidArgument(f"--map {ours}=...: no such column{_nearest(ours, COLUMNS)}")
        if theirs not in header:
            raise InvalidArgument(f"{source} has no column {theirs!r}{_nearest(theirs, header)}")
    folded = {name.lower(): place for place, name in reversed(list(enumerate(header)))}
    places: dict[str, int] = {}
    for ours, others in COLUMNS.items():
        if ours in column_map:
            places[ours] = header.index(column_map[ours])
            continue
        found = next((folded[name] for name in (ours, *others) if name in folded), None)
        if found is not None:
            places[ours] = found
    for ours in _REQUIRED:
        if ours not in places:
            raise _missing(ours, header, source)
    if "run_seconds" not in places and not {"start_time", "end_time"} <= places.keys():
        raise _missing("run_seconds", header, source, " (or start_time and end_time)")
    return places


def _missing(ours: str, header: list[str], source: str, more: str = "") -> InvalidArgument:
    near = difflib.get_close_matches(ours, header, n=1, cutoff=0.0)
    example = near[0] if near else "NAME"
    return InvalidArgument(
        f"{source} has no column {ours}{more}; nearest: {example!r}. "
        f"Say which it is: --map {ours}={example}"
    )


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.3)
    return f"; nearest: {', '.join(near)}" if near else ""


def _row(line: Mapping[str, str], number: int) -> dict[str, Any]:
    gpu_count = _number(line, "gpu_count", most=_MOST_GPUS)
    if gpu_count is None:
        raise _Unusable("rows without a gpu_count")
    if gpu_count < 1:
        raise _Unusable("jobs without a GPU")
    submitted = _time(line, "submit_time")
    if submitted is None:
        raise _Unusable("rows without a submit_time")
    started, ended = _time(line, "start_time"), _time(line, "end_time")
    run_seconds = _number(line, "run_seconds", most=_LONGEST_RUN_SECONDS)
    status = _status(line)
    row: dict[str, Any] = {
        name: line.get(name, "")[:_LONGEST_TEXT]
        for name in ("user_name", "group_name", "queue", "name", "gpu_model")
    }
    row["job_id"] = line.get("job_id") or f"row-{number}"
    row["gpu_count"] = math.ceil(gpu_count)
    row["submit_time"] = submitted
    for name in ("node_count", "requested_seconds", "planned_steps"):
        value = _number(line, name, most=2**62)
        row[name] = round(value) if value else None  # 0 is how traces write "not known"
    if status is not None and ended is None and run_seconds is None:
        if "status" in line:
            raise _Unusable("ended jobs without a run time")
        status = None
    row.update(_run_of(submitted, started, ended, run_seconds, status))
    return row


def _run_of(
    submitted: datetime,
    started: datetime | None,
    ended: datetime | None,
    run_seconds: float | None,
    status: str | None,
) -> dict[str, Any]:
    """When it started and ended, and for how long it ran."""
    if status is None:
        return {"start_time": started, "end_time": None, "run_seconds": None, "status": None}
    if started is None:
        began = submitted if ended is None or run_seconds is None else None
        if began is None:
            assert ended is not None
            assert run_seconds is not None
            began = max(submitted, ended - timedelta(seconds=run_seconds))
        started = began
    if ended is None:
        ended = started + timedelta(seconds=run_seconds or 0.0)
    if started < submitted:
        raise _Unusable("rows that start before their submission")
    if ended < started:
        raise _Unusable("rows that end before their start")
    if run_seconds is None:
        run_seconds = (ended - started).total_seconds()
    return {"start_time": started, "end_time": ended, "run_seconds": run_seconds, "status": status}


def _status(line: Mapping[str, str]) -> str | None:
    """How it ended; None: it has not. A file without the column has ended jobs only."""
    if "status" not in line:
        return "COMPLETED"
    word = line["status"].split(" ")[0].upper().rstrip("+")  # sacct: "CANCELLED by 1000"
    if word in _UNFINISHED:
        return None
    if word not in _STATUSES:
        raise _Unusable("rows of an unknown status")
    return _STATUSES[word]


def _number(line: Mapping[str, str], name: str, *, most: float) -> float | None:
    text = line.get(name, "")
    if text in ("", "None", "NULL", "NaN", "nan", "Unknown"):
        return None
    try:
        value = float(text)
    except ValueError:
        raise _Unusable(f"rows whose {name} is no number") from None
    if not 0 <= value <= most:
        raise _Unusable(f"rows whose {name} is below 0 or past its limit")
    return value


def _time(line: Mapping[str, str], name: str) -> datetime | None:
    text = line.get(name, "")
    if text in ("", "None", "NULL", "Unknown"):
        return None
    try:
        try:
            time = datetime.fromtimestamp(float(text), timezone.utc)
        except ValueError:
            time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        raise _Unusable(f"rows whose {name} is no time") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    if not _EARLIEST < time < _LATEST:
        raise _Unusable(f"rows whose {name} is outside 1970 to 2200")
    return time
