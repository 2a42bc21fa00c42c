"""Tables of jobs as files have them: CSV, what sacct prints, and Parquet, as rows of text.

Owns: opening the file, what Slurm writes in words of its own (AllocTRES, Timelimit, job steps).
Does not own: which column is which and what a row means (csv_jobs), checks of a whole history (the
C++ core). Invariants: a row is given on or counted in `left_out`; a column that the file has is
given on as it is: what is worked out from it comes as a further column.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import InvalidArgument

# gres/gpu=4 is the sum; gres/gpu:a100=4 are parts of it, and stand alone on some clusters.
_TRES_SUM = re.compile(r"(?:^|,)gres/gpu=(\d+)(?:$|,)")
_TRES_PART = re.compile(r"(?:^|,)gres/gpu:([^=,]+)=(\d+)")
_SLURM_SPAN = re.compile(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)(?:\.\d+)?")
_PARQUET_BATCH_ROWS = 65_536


@dataclass
class Table:
    """A header, and rows as long as it or shorter. `rows` can be read once."""

    header: list[str]
    rows: Iterator[Sequence[str]]
    left_out: dict[str, int] = field(default_factory=dict)  # reason: count, once all are read


def open_table(path: str | os.PathLike[str]) -> Table:
    """The table in a file, by its name: .parquet, or CSV (.gz too; ",", "|", ";" or tab).

    sacct's AllocTRES (or ReqTRES, TRES) becomes a further column `gpu_count` (and `gpu_model`),
    Timelimit a further column `requested_seconds`, unless the file has such columns; the lines of
    job steps ("123.batch") are left out: their job has a line of its own.

    Raises
    ------
    InvalidArgument : the file cannot be read, is empty, or is Parquet and pyarrow is not there.
    """
    name = os.fspath(path)
    lines = _parquet_lines(name) if name.endswith(".parquet") else _csv_lines(name)
    try:
        header = [cell.strip() for cell in next(lines, ())]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(name, error) from error
    if not any(header):
        raise InvalidArgument(f"{name} is empty: its first line must name the columns")
    left_out: dict[str, int] = {}
    added = _further_columns(header)
    rows = _rows(name, lines, header, added, left_out)
    return Table(header + [column for column, _, _ in added], rows, left_out)


def gpu_count_of_tres(text: str) -> int | None:
    """GPUs in a list as Slurm writes it: "cpu=8,gres/gpu=4,gres/gpu:a100=4" has 4.

    None if the list is empty: nothing is known. A list without GPUs has 0.
    """
    if not text.strip():
        return None
    total = _TRES_SUM.search(text)
    if total:
        return int(total[1])
    return sum(int(count) for _, count in _TRES_PART.findall(text))


def gpu_model_of_tres(text: str) -> str:
    """The one GPU model of the list; empty if it names none, or several."""
    models = {model for model, _ in _TRES_PART.findall(text)}
    return cast(str, models.pop()) if len(models) == 1 else ""


def seconds_of_slurm(text: str) -> int | None:
    """Seconds of "1-12:00:00", "12:00:00" or "30:00". None: no limit, or no such time.

    A plain number is minutes, as sacct's TimelimitRaw has it. Source: sacct(1), Timelimit.
    """
    found = _SLURM_SPAN.fullmatch(text.strip())
    if not found:
        return None
    days, hours, minutes, last = found.groups()
    if days is None and minutes is None:
        return int(last) * 60
    return ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes or 0)) * 60 + int(last)


_Further = tuple[str, int, Any]


def _further_columns(header: list[str]) -> list[_Further]:
    """Name, source column and reading of what is worked out from sacct's columns."""
    places = {name.lower(): place for place, name in reversed(list(enumerate(header)))}
    added: list[_Further] = []
    tres = next((places[n] for n in ("alloctres", "tres", "reqtres") if n in places), None)
    if tres is not None and not {"gpu_count", "gpus", "num_gpus", "gpu_num"} & places.keys():
        added.append(("gpu_count", tres, gpu_count_of_tres))
        if not {"gpu_model", "gpu_type"} & places.keys():
            added.append(("gpu_model", tres, gpu_model_of_tres))
    limit = places.get("timelimit", places.get("timelimitraw"))
    if limit is not None and not {"requested_seconds", "requested_walltime_s"} & places.keys():
        added.append(("requested_seconds", limit, seconds_of_slurm))
    return added


def _rows(
    name: str,
    lines: Iterator[Sequence[str]],
    header: list[str],
    added: list[_Further],
    left_out: dict[str, int],
) -> Iterator[Sequence[str]]:
    step = next((place for place, title in enumerate(header) if title.lower() == "jobid"), None)
    try:
        for cells in lines:
            if not cells:
                continue  # an empty line, as at the end of a file
            if step is not None and added and step < len(cells) and "." in cells[step]:
                reason = "job steps; their job has a line of its own"
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            if added:
                values = (read(cells[at]) if at < len(cells) else None for _, at, read in added)
                padding = [""] * (len(header) - len(cells))
                further = ["" if value is None else str(value) for value in values]
                cells = [*cells[: len(header)], *padding, *further]
            yield cells
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(name, error) from error


def _csv_lines(name: str) -> Iterator[Sequence[str]]:
    opened: Any = gzip.open if name.endswith(".gz") else open
    with opened(name, "rb") as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        first = text.readline()
        # What divides the header divides the rows: the sign that occurs most in it.
        delimiter = max(",|;\t", key=first.count)
        yield from csv.reader(_first_and_rest(first, text), delimiter=delimiter)


def _first_and_rest(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _parquet_lines(name: str) -> Iterator[Sequence[str]]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")  # a wish of some users, not ours
    except ImportError as error:
        raise InvalidArgument(
            f"{name} is Parquet, and pyarrow is not installed: pip install "
            "'finops-train[parquet]', or give a CSV file"
        ) from error
    try:
        table = parquet.ParquetFile(name)
    except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
        raise _unreadable(name, error) from error
    yield table.schema_arrow.names
    for batch in table.iter_batches(_PARQUET_BATCH_ROWS):
        columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
        yield from zip(*columns, strict=True)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return cast(str, value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _unreadable(name: str, error: Exception) -> InvalidArgument:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InvalidArgument(f"{name} cannot be read: {words}")
