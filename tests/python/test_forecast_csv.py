"""Jobs from CSV files: columns by name, values as schedulers write them, bad lines counted.

Goal: nothing is dropped silently, and a fault of the file says what to do. Method: a small valid
file, of which one thing moves.
"""

from __future__ import annotations

import gzip
import pathlib
from datetime import datetime, timezone
from typing import Any

import pytest

from finops.errors import InvalidArgument
from finops.predict.csv_jobs import read_jobs

HEADER = "job_id,user,gpu_count,submit_time,start_time,end_time,run_time_s,status"
GOOD = "7,u1,8,2026-01-01T00:00:00Z,2026-01-01T00:10:00Z,2026-01-01T01:10:00Z,3600,COMPLETED"


def written(folder: pathlib.Path, *lines: str) -> pathlib.Path:
    path = folder / "jobs.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(folder: pathlib.Path, *lines: str, **column_map: str) -> tuple[list[Any], dict[str, int]]:
    return read_jobs(written(folder, *lines), column_map)


def test_a_row_is_a_job(tmp_path: pathlib.Path) -> None:
    (row,), left_out = read(tmp_path, HEADER, GOOD)
    assert left_out == {}
    assert (row["job_id"], row["user_name"], row["gpu_count"]) == ("7", "u1", 8)
    assert row["submit_time"] == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert (row["run_seconds"], row["status"]) == (3600.0, "COMPLETED")
    assert row["requested_seconds"] is None


def test_a_compressed_file_is_read_and_a_cut_one_is_an_error(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "jobs.csv.gz"
    whole = gzip.compress(f"{HEADER}\n{GOOD}\n".encode())
    path.write_bytes(whole)
    assert len(read_jobs(path)[0]) == 1
    path.write_bytes(whole[:-9])
    with pytest.raises(InvalidArgument, match="cannot be read"):
        read_jobs(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("3600,", "-1,", "run_seconds is below 0"),
        ("3600,", "inf,", "run_seconds is below 0 or past"),
        ("3600,", "nan,", None),
        ("3600,", "soon,", "run_seconds is no number"),
        (",8,", ",0,", "without a GPU"),
        (",8,", ",,", "without a gpu_count"),
        (",8,", ",-8,", "gpu_count is below 0"),
        ("COMPLETED", "EXPLODED", "unknown status"),
        ("COMPLETED", "CANCELLED by 1000", None),
        ("2026-01-01T00:10", "2025-12-31T00:10", "start before their submission"),
        ("2026-01-01T01:10", "2026-01-01T00:05", "end before their start"),
        ("2026-01-01T00:00:00Z", "yesterday", "submit_time is no time"),
        ("2026-01-01T00:00:00Z", "1767225600", None),
        ("2026-01-01T00:00:00Z", "2300-01-01T00:00:00Z", "outside 1970 to 2200"),
    ],
)
def test_a_bad_line_is_counted_with_its_reason(
    tmp_path: pathlib.Path, old: str, new: str, reason: str | None
) -> None:
    assert old in GOOD
    rows, left_out = read(tmp_path, HEADER, GOOD.replace(old, new, 1))
    if reason is None:
        assert (len(rows), left_out) == (1, {})
    else:
        assert rows == []
        ((why, count),) = left_out.items()
        assert reason in why
        assert count == 1


def test_each_line_is_a_job_or_in_one_count(tmp_path: pathlib.Path) -> None:
    rows, left_out = read(tmp_path, HEADER, GOOD, GOOD, "8,u1", GOOD.replace("7,", "9,", 1))
    assert len(rows) == 2
    assert left_out == {
        "rows whose job_id came before": 1,
        "rows without a gpu_count": 1,
    }


def test_a_running_job_has_no_end_and_a_run_time_alone_is_enough(tmp_path: pathlib.Path) -> None:
    running = "1,u1,8,2026-01-01T00:00:00Z,2026-01-01T00:10:00Z,,,RUNNING"
    bare = "2,u1,8,2026-01-01T00:00:00Z,,,60,FAILED"
    first, second = read(tmp_path, HEADER, running, bare)[0]
    assert first["end_time"] is None
    assert first["status"] is None
    assert second["start_time"] == second["submit_time"]
    assert (second["end_time"] - second["start_time"]).total_seconds() == 60


def test_a_missing_column_names_the_nearest_and_the_option(tmp_path: pathlib.Path) -> None:
    header = HEADER.replace("submit_time", "submittime")
    with pytest.raises(
        InvalidArgument, match=r"no column submit_time.*--map submit_time=submittime"
    ):
        read(tmp_path, header, GOOD)
    rows, _ = read(tmp_path, header, GOOD, submit_time="submittime")
    assert len(rows) == 1


def test_a_wrong_map_names_the_nearest(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidArgument, match="no such column; nearest: user_name"):
        read(tmp_path, HEADER, GOOD, username="user")
    with pytest.raises(InvalidArgument, match="has no column 'usr'; nearest: user"):
        read(tmp_path, HEADER, GOOD, user_name="usr")


def test_run_time_may_come_from_start_and_end_but_from_something(tmp_path: pathlib.Path) -> None:
    header = HEADER.replace("run_time_s", "other")
    (row,), _ = read(tmp_path, header, GOOD)
    assert row["run_seconds"] == 3600
    with pytest.raises(
        InvalidArgument, match=r"no column run_seconds \(or start_time and end_time"
    ):
        read(tmp_path, header.replace("end_time", "b"), GOOD)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b"a,b\n"])
def test_what_is_no_history_is_an_error(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "jobs.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument):
        read_jobs(path)
    with pytest.raises(InvalidArgument, match="cannot be read"):
        read_jobs(tmp_path / "absent.csv")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        read_jobs(tmp_path)
