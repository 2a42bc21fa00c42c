"""Tables of jobs are read as schedulers and people write them; nothing is dropped uncounted."""

from __future__ import annotations

import gzip
import pathlib

import pytest

from finops.errors import InvalidArgument
from finops.predict.history import (
    gpu_count_of_tres,
    gpu_model_of_tres,
    open_table,
    seconds_of_slurm,
)

SACCT = (
    "JobID|User|AllocTRES|Timelimit|State\n"
    "1|ada|billing=8,cpu=8,gres/gpu:a100=4,gres/gpu=4,node=1|1-12:00:00|COMPLETED\n"
    "1.batch|ada|cpu=8|UNLIMITED|COMPLETED\n"
    "2|bob||UNLIMITED|CANCELLED by 1000\n"
    "3_7|bob|cpu=1|30:00|FAILED\n"
)


@pytest.mark.parametrize(
    ("text", "count", "model"),
    [
        ("", None, ""),
        ("cpu=8,mem=1G", 0, ""),
        ("cpu=8,gres/gpu=4", 4, ""),
        ("gres/gpu=4,gres/gpu:a100=4", 4, "a100"),
        ("gres/gpu:a100=4,gres/gpu:h100=2", 6, ""),
        ("gres/gpumem=40,gres/gpu=2", 2, ""),
    ],
)
def test_gpus_of_tres(text: str, count: int | None, model: str) -> None:
    assert gpu_count_of_tres(text) == count
    assert gpu_model_of_tres(text) == model


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-12:00:00", 129_600),
        ("12:00:00", 43_200),
        ("30:00", 1_800),
        ("1440", 86_400),
        ("00:00:30", 30),
        ("UNLIMITED", None),
        ("Partition_Limit", None),
        ("", None),
    ],
)
def test_spans_of_slurm(text: str, seconds: int | None) -> None:
    assert seconds_of_slurm(text) == seconds


# Goal: sacct's form gives GPUs and seconds; steps are counted, not jobs. Method: one line of each.
def test_sacct_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text(SACCT)
    table = open_table(path)
    assert table.header[5:] == ["gpu_count", "gpu_model", "requested_seconds"]
    rows = list(table.rows)
    assert [row[0] for row in rows] == ["1", "2", "3_7"]
    assert [list(row[5:]) for row in rows] == [
        ["4", "a100", "129600"],
        ["", "", ""],
        ["0", "", "1800"],
    ]
    assert table.left_out == {"job steps; their job has a line of its own": 1}


# Goal: a column of the file is never replaced. Method: the same file with a gpu_count of its own.
def test_columns_of_the_file_stand(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("JobID,gpu_count,AllocTRES\n1,7,gres/gpu=4\n")
    table = open_table(path)
    assert table.header == ["JobID", "gpu_count", "AllocTRES"]
    assert [list(row) for row in table.rows] == [["1", "7", "gres/gpu=4"]]


def test_gzip_byte_order_mark_and_empty_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "jobs.csv.gz"
    path.write_bytes(gzip.compress("\ufeffjob_id,user\n1,\u00e9\n\n2,b\n".encode()))
    table = open_table(path)
    assert table.header == ["job_id", "user"]
    assert [list(row) for row in table.rows] == [["1", "\u00e9"], ["2", "b"]]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.csv", b""),
        ("latin.csv", b"job_id\n\xff\xfe\n"),
        ("cut.csv.gz", gzip.compress(b"job_id\n" + b"1\n" * 10_000)[:-20]),
        ("no.csv.gz", b"job_id\n1\n"),
        ("no.parquet", b"job_id\n1\n"),
    ],
)
def test_damaged_files_are_named(tmp_path: pathlib.Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InvalidArgument, match=name):
        list(open_table(path).rows)
    with pytest.raises(InvalidArgument, match="absent"):
        open_table(tmp_path / "absent.csv")


def test_parquet_is_read(tmp_path: pathlib.Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "jobs.parquet"
    parquet.write_table(pyarrow.table({"job_id": [1, 2], "user": ["a", None]}), path)
    table = open_table(path)
    assert table.header == ["job_id", "user"]
    assert [list(row) for row in table.rows] == [["1", "a"], ["2", ""]]
