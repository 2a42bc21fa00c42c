"""What the three hot calls cost a Python training loop, against an empty Python function.

Method: each case is a compiled loop around one call; all cases run in turn, many times, in one
process, so that a busy machine hits all alike. The time of an empty loop is taken off each round,
so a ratio of two is not flattered by the loop. The ratio is the median over the rounds of case /
empty function with as many arguments.

The pybind11 row is a class of one empty method, compiled when the benchmark starts with the
installed pybind11: no method of finops that pybind11 binds is as plain.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from report import Row, arguments, quartiles, show

import finops

NAME = "python/hot_calls"
GOAL_RATIO = 1.5

PLAIN_MODULE = """
#include <pybind11/pybind11.h>
struct Plain {
  void heartbeat() { ++count; }
  void progress(long long step) { count = step; }
  long long count = 0;
};
PYBIND11_MODULE(finops_bench_plain, module) {
  pybind11::class_<Plain>(module, "Plain")
      .def(pybind11::init<>())
      .def("heartbeat", &Plain::heartbeat)
      .def("progress", &Plain::progress);
}
"""


class Empty:
    """A Python class with the hot calls' names that does nothing."""

    def progress(self, step: int) -> None:
        pass

    def heartbeat(self) -> None:
        pass


def empty() -> None:
    pass


def empty_of_one(step: int) -> None:
    pass


def build_plain_pybind11(folder: pathlib.Path) -> Any | None:
    """The pybind11 object to compare with; None if it cannot be compiled here."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None or importlib.util.find_spec("pybind11") is None:
        print("no compiler or no pybind11: its row is left out", file=sys.stderr)
        return None
    import pybind11

    source = folder / "plain.cpp"
    source.write_text(PLAIN_MODULE, encoding="utf-8")
    target = folder / f"finops_bench_plain{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [f"-I{path}" for path in (pybind11.get_include(), sysconfig.get_path("include"))]
    command = [compiler, "-O2", "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden", *includes]
    done = subprocess.run([*command, str(source), "-o", str(target)], capture_output=True)
    if done.returncode != 0:
        print("the pybind11 module did not compile: its row is left out", file=sys.stderr)
        return None
    spec = importlib.util.spec_from_file_location("finops_bench_plain", target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Plain()


def loop(statement: str, target: object) -> Callable[[int], float]:
    """A function that runs `statement` (on `t` and `step`) n times. Returns ns a turn."""
    code = (
        "def run(n, t=target, clock=clock):\n"
        "    start = clock()\n"
        f"    for step in range(n):\n        {statement}\n"
        "    return (clock() - start) / n\n"
    )
    scope: dict[str, Any] = {"target": target, "clock": time.perf_counter_ns}
    exec(compile(code, f"<{statement}>", "exec"), scope)
    return scope["run"]


def measure(
    cases: dict[str, Callable[[int], float]], *, rounds: int, count: int
) -> dict[str, list[float]]:
    """ns a turn of every case, in turn; the loop itself (case "loop") is taken off the others."""
    samples: dict[str, list[float]] = collections.defaultdict(list)
    for run in cases.values():
        run(count)  # the interpreter specialises a loop while it runs
    for _ in range(rounds):
        turn = {case: run(count) for case, run in cases.items()}
        for case, span in turn.items():
            samples[case].append(span if case == "loop" else span - turn["loop"])
    return samples


@contextlib.contextmanager
def tracked_run(home: str) -> Iterator[finops.Run]:
    os.environ["FINOPS_LEASE_TERM"] = "86400"  # no slow path falls into the measurement
    with finops.track(
        project="benchmark",
        experiment="hot_calls",
        budget="1000000 USD",
        price="36 USD/h",
        home=home,
    ) as run:
        yield run


def all_cases(run: finops.Run, plain: Any | None) -> dict[str, Callable[[int], float]]:
    from prometheus_client import CollectorRegistry, Counter

    counter = Counter("steps", "Steps done.", registry=CollectorRegistry())
    cases = {
        "loop": loop("pass", None),
        "empty()": loop("t()", empty),
        "empty(step)": loop("t(step)", empty_of_one),
        "run.progress(step)": loop("t.progress(step)", run),
        "run.heartbeat()": loop("t.heartbeat()", run),
        "run.check_budget()": loop("t.check_budget()", run),
        "empty method of one": loop("t.progress(step)", Empty()),
        "empty method": loop("t.heartbeat()", Empty()),
        "time.monotonic()": loop("t.monotonic()", time),
        "prometheus Counter.inc()": loop("t.inc()", counter),
    }
    if plain is not None:
        cases["pybind11 method"] = loop("t.heartbeat()", plain)
        cases["pybind11 method of one"] = loop("t.progress(step)", plain)
    return cases


def rows_of(samples: dict[str, list[float]]) -> list[Row]:
    rows = []
    for case, spans in samples.items():
        takes_step = "step" in case or "of one" in case
        base = samples["empty(step)" if takes_step else "empty()"]
        ratio = statistics.median(a / b for a, b in zip(spans, base, strict=True))
        is_ours = case.startswith("run.")
        rows.append(
            Row(
                NAME,
                case,
                "ns",
                *quartiles(spans),
                ratio=None if case == "loop" else ratio,
                goal=GOAL_RATIO if is_ours else None,
                goal_of="ratio",
            )
        )
    return rows


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="finops-bench-") as folder,
        tracked_run(folder + "/home") as run,
    ):
        cases = all_cases(run, build_plain_pybind11(pathlib.Path(folder)))
        rounds, count = (7, 20_000) if options.short else (101, 100_000)
        samples = measure(cases, rounds=rounds, count=count)
        slow = run.slow_path_time.total_seconds()
    rows = rows_of(samples)
    show(rows, as_json=options.json)
    if slow:
        print(f"a slow path of {slow:.3g} s fell into the measurement", file=sys.stderr)
    if not options.short:  # outside these the machine or the method is broken, whatever the goal
        for row in rows:
            assert row.median > 0, row
            assert row.goal is None or 0.05 < row.ratio < 50, row


if __name__ == "__main__":
    main()
