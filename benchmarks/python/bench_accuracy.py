"""How accurate forecasts are: finops beside floors, static models and a fair rival, on real traces.

Method (the same for every file): jobs with GPUs by (submit time, id); the first 60 % train, the
next 10 % tune, the last 30 % test; loss is the mean pinball at 0.1, 0.5 and 0.9 of log1p(seconds).
finops and the fair rival go through the file as it would have been live, and are trained again each
week of it. Static models are trained once; those "with ours" are given all features of finops, too.
Ratios have the interval of 1,000 draws over (user, day); capped: users of many jobs weigh as 2,000.

Traces are no part of this repository: --traces names their folder (default: ../shared/data/traces
beside the project). Without it, and with --short, invented jobs stand in, and prove nothing.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

import accuracy_histories as histories
import accuracy_methods as methods
import accuracy_scores as scores
import numpy as np
from accuracy_histories import Floats, History
from report import Row, arguments, show

NAME = "python/accuracy"
RIVAL_GOAL, STATIC_GOAL = 0.95, 0.82
OFF_BY_2X_GOALS = {"2017Q4": 0.30, "2018Q1": 0.30, "2018Q2": 0.35}
ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Result:
    history: History
    ours: methods.Ours
    others: dict[str, Floats]

    @property
    def is_quarter(self) -> bool:
        return self.history.name.startswith("20")


def methods_of(history: History, *, is_short: bool) -> Iterator[tuple[str, Callable[[], Floats]]]:
    yield "constant", lambda: methods.constant(history)
    yield "last 30 (user, GPUs)", lambda: methods.last_30(history, with_request=False)
    yield "last 30 (user, GPUs, request)", lambda: methods.last_30(history, with_request=True)
    yield "requested walltime", lambda: methods.requested(history)
    static = {
        "lightgbm": ("LightGBM", methods.static_lightgbm),
        "xgboost": ("XGBoost", methods.static_xgboost),
        "catboost": ("CatBoost", methods.static_catboost),
    }
    for package, (name, method) in static.items():
        if importlib.util.find_spec(package) is None or (is_short and package != "lightgbm"):
            continue
        for ours in (False, True) if package == "lightgbm" else (False,):
            words = f"static {name}" + (" with ours" if ours else "")
            yield words, lambda method=method, ours=ours: method(history, ours=ours)
    if importlib.util.find_spec("lightgbm") is not None:
        yield (
            "static LightGBM with ours and our residual",
            lambda: methods.static_lightgbm(history, ours=True, residual=True),
        )
        yield "fair rival", lambda: methods.fair_rival(history)


def measure(history: History, *, is_short: bool, is_alone: bool) -> Result:
    def tell(words: str, began: float) -> None:
        print(f"  {history.name}: {words} in {time.perf_counter() - began:.0f} s", file=sys.stderr)

    began = time.perf_counter()
    ours = methods.Ours(history)
    tell(f"finops, {len(history):,} jobs", began)
    others = {}
    for name, method in () if is_alone else methods_of(history, is_short=is_short):
        began = time.perf_counter()
        logs = method()
        tell(name, began)
        if not np.isnan(logs[history.test_start :]).any():  # without requests there is no floor
            others[name] = logs
    return Result(history, ours, others)


# --- rows ----------------------------------------------------------------------------------------


def row(case: str, unit: str, value: float, note: str = "", **more: object) -> Row:
    return Row(NAME, case, unit, value, value, value, note=note, **more)  # type: ignore[arg-type]


def ratio_row(result: Result, rival: str, goal: float | None) -> Row:
    found = scores.ratio(result.history, result.ours.logs, result.others[rival])
    note = f"95 %: {found.low:.3f}..{found.high:.3f}; capped {found.capped:.3f} "
    note += f"({found.capped_low:.3f}..{found.capped_high:.3f})"
    return row(
        f"{result.history.name}: loss by that of {rival}", "ratio", found.value, note, goal=goal
    )


def quality_rows(result: Result) -> Iterator[Row]:
    name = result.history.name
    own = scores.score(result.history, result.ours.logs)
    by_name = {other: scores.score(result.history, logs) for other, logs in result.others.items()}
    pinballs = ", ".join(f"{other} {value.pinball:.3f}" for other, value in by_name.items())
    yield row(f"{name}: mean pinball", "log", own.pinball, pinballs)
    yield row(f"{name}: off by 2x, recurring", "%", 100 * own.off_by_2x_ratio,
              ", ".join(f"{other} {100 * value.off_by_2x_ratio:.0f}"
                        for other, value in by_name.items()),
              goal=_percent(OFF_BY_2X_GOALS.get(name)))  # fmt: skip
    yield row(f"{name}: within 25 %, recurring", "%", 100 * own.within_25_ratio)
    yield row(f"{name}: coverage off 80 %", "points", abs(100 * own.coverage_ratio - 80),
              f"p10-p90 cover {100 * own.coverage_ratio:.1f} %; the month {own.worst_month[0]} "
              f"{100 * own.worst_month[1]:.1f} %, {own.worst_bucket[0]} GPUs "
              f"{100 * own.worst_bucket[1]:.1f} %", goal=3)  # fmt: skip
    worst = max(abs(100 * share - 80) for _, share in (own.worst_month, own.worst_bucket))
    yield row(f"{name}: worst month or GPU count", "points", worst, goal=5)
    yield row(f"{name}: p90 coverage off 90 %", "points", abs(100 * own.p90_coverage_ratio - 90),
              f"p90 covers {100 * own.p90_coverage_ratio:.1f} %", goal=2)  # fmt: skip
    yield row(f"{name}: crossings", "", float(scores.crossings(result.ours.logs)), goal=0)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def cold_rows(result: Result) -> Iterator[Row]:
    """The first jobs of a file, when there is little to learn from."""
    history, logs = result.history, result.ours.logs
    for first, last in ((0, 50), (50, 200), (200, 1000)):
        target, said = history.target[first:last], logs[first:last]
        losses = scores.row_losses(target, said)
        inside = ((target >= said[:, 0]) & (target <= said[:, 2])).mean()
        yield row(f"{history.name}: jobs {first} to {last}, mean pinball", "log",
                  float(losses.mean()), f"p10-p90 cover {100 * inside:.0f} %")  # fmt: skip


def sum_rows(result: Result) -> Iterator[Row]:
    history = result.history
    own = scores.sums(history, result.ours.mean_seconds)
    plain = scores.sums(history, scores.last_30_mean(history))
    goals = (15, 10) if result.is_quarter else (None, None)
    note = f"mean of the last 30: {100 * plain.median_week_ratio:.0f}"
    case = f"{history.name}: GPU-hours, median week off"
    yield row(case, "%", 100 * own.median_week_ratio, note, goal=goals[0])
    yield row(f"{history.name}: GPU-hours, total off", "%", 100 * abs(own.total_ratio),
              f"{100 * own.total_ratio:+.0f}; mean of the last 30: "
              f"{100 * plain.total_ratio:+.0f}", goal=goals[1])  # fmt: skip


def refresh_rows(result: Result) -> Iterator[Row]:
    """What a forecast gains when it is asked for again, for the jobs still waiting or running."""
    history = result.history
    for after in methods.REFRESH_AFTER_S:
        rows, said = result.ours.refreshed_logs(after)
        if len(rows) == 0:
            continue
        target = history.target[rows]
        before = scores.row_losses(target, result.ours.logs[rows]).mean()
        now = scores.row_losses(target, said).mean()
        off = [float(np_off) for np_off in (
            (abs(logs[:, 1] - target) >= math.log(2)).mean()
            for logs in (result.ours.logs[rows], said))]  # fmt: skip
        yield row(f"{history.name}: refreshed after {after / 60:.0f} min, loss by the first",
                  "ratio", float(now / before), f"{len(rows):,} jobs still in flight; off by 2x "
                  f"{100 * off[0]:.0f} -> {100 * off[1]:.0f} %")  # fmt: skip


def rows_of(results: list[Result]) -> list[Row]:
    rows: list[Row] = []
    for result in results:
        rows += quality_rows(result)
        for rival in result.others:
            if rival == "fair rival" or rival.startswith("static"):
                rows.append(ratio_row(result, rival, 1.0 if result.is_quarter else None))
        rows += cold_rows(result)
        rows += sum_rows(result)
        rows += refresh_rows(result)
    quarters = [result for result in results if result.is_quarter]
    for rival, goal in (
        ("fair rival", RIVAL_GOAL),
        ("static LightGBM", STATIC_GOAL),
        ("static LightGBM with ours", STATIC_GOAL),
    ):
        losses = [scores.ratio(one.history, one.ours.logs, one.others[rival]).value
                  for one in quarters if rival in one.others]  # fmt: skip
        if losses:
            mean = math.exp(sum(map(math.log, losses)) / len(losses))
            rows.append(row(f"all quarters: loss by that of {rival}", "ratio", mean,
                            "geometric mean", goal=goal))  # fmt: skip
    return rows


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--traces", type=pathlib.Path,
                        default=ROOT.parent / "shared" / "data" / "traces")  # fmt: skip
    parser.add_argument("--only", action="append", help="name of a trace, as in 2017Q3")
    parser.add_argument("--alone", action="store_true", help="finops without the others")
    options = parser.parse_args()
    found = {} if options.short else histories.traces(options.traces)
    if options.only:
        found = {name: path for name, path in found.items() if name in options.only}
    results = [
        measure(histories.trace(path, name), is_short=False, is_alone=options.alone)
        for name, path in found.items()
    ]
    if not results:
        results.append(measure(histories.invented(2_000), is_short=True, is_alone=options.alone))
    show(rows_of(results), as_json=options.json)


if __name__ == "__main__":
    main()
