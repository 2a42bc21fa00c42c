"""Rows of results: how the benchmarks hand them over, and the one table that people read.

Owns: Row, the command line and the output of a Python benchmark, reading Google Benchmark's JSON.
Does not own: what is measured. Run as a script it prints one table of the result files it is given.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import statistics
import sys
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: the median of the samples, and between which values half of them lie.

    ``goal`` is a limit for ``judged`` (or for the median if that is None): at most ``goal``, or at
    least with ``goal_is_minimum``. Without a goal the row is there to compare with.
    """

    benchmark: str
    case: str
    unit: str
    median: float
    low: float
    high: float
    ratio: float | None = None  # to what the benchmark compares with
    goal: float | None = None
    goal_of: str = "median"  # or "ratio"
    goal_is_minimum: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        value = self.ratio if self.goal_of == "ratio" else self.median
        if self.goal is None or value is None:
            return ""
        is_met = value >= self.goal if self.goal_is_minimum else value <= self.goal
        return "PASS" if is_met else "MISS"

    @property
    def goal_text(self) -> str:
        if self.goal is None:
            return ""
        unit = "x" if self.goal_of == "ratio" else f" {self.unit}"
        return f"{'>=' if self.goal_is_minimum else '<='} {self.goal:g}{unit}"


def quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile; of one sample, three times itself."""
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return median, low, high


def row_of(benchmark: str, case: str, unit: str, samples: Sequence[float], **more: Any) -> Row:
    median, low, high = quartiles(samples)
    return Row(benchmark, case, unit, median, low, high, **more)


def table(rows: Sequence[Row]) -> str:
    heads = ("benchmark", "case", "median", "half within", "unit", "ratio", "goal", "", "note")
    lines = [
        (
            row.benchmark,
            row.case,
            _number(row.median),
            f"{_number(row.low)}..{_number(row.high)}",
            row.unit,
            "" if row.ratio is None else f"{row.ratio:.2f}x",
            row.goal_text,
            row.verdict,
            row.note,
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    right = (2, 3, 5)
    return "\n".join(
        "  ".join(
            text.rjust(width) if i in right else text.ljust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [heads, *lines]
    )


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every Python benchmark has; the caller may add its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="only show that it works")
    parser.add_argument("--json", action="store_true", help="print rows as JSON, not as a table")
    return parser


def show(rows: Sequence[Row], *, as_json: bool) -> None:
    print(json.dumps([dataclasses.asdict(row) for row in rows]) if as_json else table(rows))


def rows_of_google_benchmark(path: pathlib.Path) -> list[Row]:
    """Reads ``--benchmark_out`` of a C++ benchmark: the counter ``goal`` is a limit for its time;
    ``ratio`` and ``goal_ratio`` compare with something measured in the same rounds."""
    samples: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]:
        if entry.get("error_occurred"):
            raise SystemExit(f"{path.stem}: {entry['name']}: {entry['error_message']}")
        if entry["run_type"] == "iteration":
            samples.setdefault(entry["run_name"].split("/")[0], []).append(entry)
    rows = []
    # Interleaved repetitions come in any order; the table keeps that of the source.
    for case, entries in sorted(samples.items(), key=lambda item: item[1][0]["family_index"]):
        first = entries[0]
        is_ratio = "ratio" in first
        # What takes its time by hand waits for disks; the rest never waits, so that processor time
        # is its cost, and other processes on the machine are not.
        is_waiting = "manual_time" in first["run_name"]
        rows.append(
            row_of(
                path.stem.replace("_", "/", 1),  # cpp_scan: cpp/scan
                case,
                first["time_unit"] + ("" if is_waiting else " cpu"),
                [entry["real_time" if is_waiting else "cpu_time"] for entry in entries],
                ratio=statistics.median(e["ratio"] for e in entries) if is_ratio else None,
                goal=first.get("goal_ratio" if is_ratio else "goal"),
                goal_of="ratio" if is_ratio else "median",
                goal_is_minimum=is_ratio,
                note=_counters(entries),
            )
        )
    return rows


def _counters(entries: Sequence[dict[str, Any]]) -> str:
    """The counters of a benchmark, each its median, in one line."""
    start = list(entries[0]).index("time_unit") + 1
    names = [
        name
        for name, value in list(entries[0].items())[start:]
        if isinstance(value, float | int) and name not in ("goal", "goal_ratio", "ratio")
    ]
    values = {name: statistics.median(entry[name] for entry in entries) for name in names}
    return ", ".join(f"{name} {_number(value)}" for name, value in values.items())


def main() -> None:
    rows: list[Row] = []
    for path in map(pathlib.Path, sys.argv[1:]):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            rows += rows_of_google_benchmark(path)
        else:
            rows += [Row(**fields) for fields in content]
    print(table(rows))


if __name__ == "__main__":
    main()
