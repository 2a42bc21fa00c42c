"""Scoring rows: ours against XGBoost, CatBoost, LightGBM and TL2cgen, one thread each.

Every peer is trained on the same rows, to the same number of trees of depth 6. Our trees are
CatBoost's own, with leaves of 16 bits, and must give its answers. Times are processor times of the
whole process, in turns; two threads against one is time on the wall. A peer that is not installed
is a row that says so.
"""

from __future__ import annotations

import functools
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import report
import scorer_peers as peers

from finops import _core

PLACEMENT_FEATURES = 10
INSTRUCTION_SETS = ("avx512vbmi", "avx512", "avx2", "scalar")
XGBOOST_GOAL = 40
CATBOOST_GOAL = 4
QUANTILES = (0.1, 0.5, 0.9)
NAME = "python/scorer"


def cpu_seconds(call: Callable[[], Any]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def scorers_of(model: peers.OurModel) -> dict[str, Any]:
    """A scorer for each instruction set that there is, the best first."""
    best = INSTRUCTION_SETS.index(_core.best_instruction_set())
    return {
        name: _core.Scorer(**model.arguments(), instruction_set=name)
        for name in INSTRUCTION_SETS[best:]
    }


class Contest:
    """Contestants in turns on the same rows; ``share`` of them for those that take too long."""

    def __init__(self, rows: Any, turns: int) -> None:
        self.rows = rows
        self.turns = turns
        self.calls: dict[str, tuple[Callable[[], Any], int]] = {}
        self.seconds: dict[str, list[float]] = {}  # for a row

    def add(self, name: str, call: Callable[[], Any], row_count: int) -> None:
        call()
        self.calls[name] = (call, row_count)
        self.seconds[name] = []

    def add_ours(self, name: str, scorer: Any) -> Any:
        share = 20 if name == "scalar" else 1
        rows = self.rows[: len(self.rows) // share]
        outputs = numpy.empty((len(rows), scorer.output_count), numpy.float32)
        self.add(name, lambda: scorer.score_batch(rows, outputs), len(rows))
        return outputs

    def add_peer(self, peer: Any, share: int = 1, times: int = 1) -> None:
        """``times``: so many models of the same kind, one after another."""
        prepared = peer.prepare(self.rows[: len(self.rows) // share])

        def call() -> None:
            for _ in range(times):
                peer.predict(prepared)

        self.add(f"{peer.name} {peer.call}", call, len(self.rows) // share)

    def run(self) -> None:
        for _ in range(self.turns):
            for name, (call, row_count) in self.calls.items():
                self.seconds[name].append(cpu_seconds(call) / row_count)

    def ratios(self, name: str, to: str) -> list[float]:
        return [a / b for a, b in zip(self.seconds[name], self.seconds[to], strict=True)]


def rows_of_contest(
    contest: Contest, case: str, sets: Sequence[str], versions: dict[str, str], judged: bool
) -> list[report.Row]:
    goals = {"XGBoost": XGBOOST_GOAL, "CatBoost": CATBOOST_GOAL}
    rows = []
    for name, seconds in contest.seconds.items():
        peer = name.split()[0]
        ratios = {
            other: statistics.median(contest.ratios(name, other)) for other in sets if other != name
        }
        note = ", ".join(f"{ratio:.1f}x {other}" for other, ratio in ratios.items())
        is_goal = judged and peer in goals and sets[0] == "avx512vbmi"
        rows.append(
            report.row_of(
                NAME,
                f"{case}: {versions.get(peer, peer)} {name.removeprefix(peer).strip()}".strip(),
                "ns/row cpu",
                [second * 1e9 for second in seconds],
                ratio=ratios.get(sets[0]),
                goal=goals[peer] if is_goal else None,
                goal_of="ratio",
                goal_is_minimum=True,
                note=note,
            )
        )
    return rows


def absent(case: str, name: str, why: ImportError) -> report.Row:
    return report.Row(NAME, f"{case}: {name}", "", 0, 0, 0, note=f"not measured: {why}")


class Trained:
    """The peers of one number of trees, those that are installed."""

    def __init__(self, tree_count: int, training_rows: int, *, is_short: bool) -> None:
        rows = peers.features(training_rows, seed=1)
        values = peers.targets(rows, seed=2)
        self.case = f"{tree_count} trees"
        self.found: dict[str, Any] = {}
        self.absent: list[report.Row] = []
        for kind in (peers.XGBoost, peers.CatBoost, peers.LightGBM):
            self._try(kind.name, lambda kind=kind: kind(rows, values, tree_count))
        if "CatBoost" in self.found:
            catboost = self.found["CatBoost"]
            self.found["CatBoost array"] = peers.CatBoostFromArray(catboost)
            self.model = peers.model_of_catboost([catboost])
        else:
            self.model = peers.random_model(tree_count, 1)
        # A thousand trees as C take GCC many minutes.
        if "XGBoost" in self.found and tree_count <= 304 and not is_short:
            self._try("TL2cgen", lambda: peers.TL2cgen(self.found["XGBoost"]))

    def _try(self, name: str, make: Callable[[], Any]) -> None:
        try:
            self.found[name] = make()
        except ImportError as error:
            self.absent.append(absent(self.case, name, error))

    @property
    def versions(self) -> dict[str, str]:
        return {peer.name: f"{peer.name} {peer.version}" for peer in self.found.values()}


def contest_rows(trained: Trained, rows: Any, turns: int, *, is_short: bool) -> list[report.Row]:
    contest = Contest(rows, turns)
    sets = list(scorers := scorers_of(trained.model))
    outputs = {name: contest.add_ours(name, scorer) for name, scorer in scorers.items()}
    for name, peer in trained.found.items():
        contest.add_peer(peer, share=10 if name in ("LightGBM", "TL2cgen") else 1)
    contest.run()
    found = rows_of_contest(contest, trained.case, sets, trained.versions, judged=not is_short)
    if "CatBoost" in trained.found:
        sample = rows[:10_000]
        theirs = trained.found["CatBoost"].model.predict(sample)
        apart = float(numpy.abs(outputs[sets[0]][: len(sample), 0] - theirs).max())
        spread = float(theirs.std())
        if apart > 0.01 * spread:
            raise SystemExit(f"ours and CatBoost's trees are {apart} apart, spread {spread}")
        found.append(
            report.Row(
                NAME,
                f"{trained.case}: furthest from CatBoost",
                "of its spread",
                *[apart / spread] * 3,
                note="the cost of leaves of 16 bits",
            )
        )
    return found + trained.absent


def quantile_rows(
    tree_count: int, training_rows: int, rows: Any, turns: int, found: Any, *, is_short: bool
) -> list[report.Row]:
    """Three quantiles: our one model of three outputs against three models of a peer."""
    case = f"3 quantiles, {tree_count} trees each"
    train = peers.features(training_rows, seed=1)
    values = peers.targets(train, seed=2)
    try:
        trained = [peers.CatBoost(train, values, tree_count, quantile) for quantile in QUANTILES]
        model = peers.model_of_catboost(trained)
    except ImportError:
        model = peers.random_model(tree_count, len(QUANTILES))
    contest = Contest(rows, turns)
    sets = list(scorers := scorers_of(model))
    for name, scorer in scorers.items():
        contest.add_ours(name, scorer)
    for name in ("XGBoost", "CatBoost"):
        if name in found:
            contest.add_peer(found[name], times=len(QUANTILES))
    contest.run()
    versions = {peer.name: f"3 of {peer.name} {peer.version}" for peer in found.values()}
    return rows_of_contest(contest, case, sets, versions, judged=not is_short)


def thread_rows(trained: Trained, rows: Any, turns: int, *, is_short: bool) -> report.Row:
    scorer = _core.Scorer(**trained.model.arguments())
    outputs = numpy.empty((len(rows), 1), numpy.float32)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(4 * turns):
        for thread_count, taken in seconds.items():
            begin, cpu_begin = time.perf_counter(), time.process_time()
            scorer.score_batch(rows, outputs, thread_count=thread_count)
            taken.append(time.perf_counter() - begin)
            cpu[thread_count].append(time.process_time() - cpu_begin)
    more = statistics.median(cpu[2]) / statistics.median(cpu[1])
    note = (
        f"one thread {min(seconds[1]) * 1e3:.1f} ms; ratio of the fastest rounds of each; "
        f"{more:.3f} of one thread's processor time"
    )
    return report.row_of(
        NAME, f"{trained.case}: two threads, {scorer.instruction_set}", "ms",
        [second * 1e3 for second in seconds[2]], ratio=min(seconds[1]) / min(seconds[2]),
        goal=None if is_short else 1.9, goal_of="ratio", goal_is_minimum=True, note=note,
    )  # fmt: skip


def one_row_rows(trained: Trained, rows: Any, turns: int, *, is_short: bool) -> list[report.Row]:
    """Single rows through Python: an array each, the time of one call with all that it takes."""
    single = list(rows[:1_000])
    found = []
    calls: dict[str, Callable[[Any], Any]] = {}
    for name, scorer in scorers_of(trained.model).items():
        calls[name] = scorer.score_one
    if not is_short:
        for name in ("XGBoost", "CatBoost array", "LightGBM"):
            if name in trained.found:
                peer = trained.found[name]
                calls[trained.versions[peer.name]] = lambda row, peer=peer: peer.predict(row[None])
    gc.disable()
    for name, call in calls.items():
        taken = []
        for _ in range(turns if name in INSTRUCTION_SETS else 1):
            for row in single:
                begin = time.perf_counter_ns()
                call(row)
                taken.append((time.perf_counter_ns() - begin) / 1e3)
        p99 = sorted(taken)[len(taken) * 99 // 100]
        is_goal = name == _core.best_instruction_set() and not is_short
        found.append(
            report.row_of(
                NAME,
                f"{trained.case}: one row, {name}",
                "us",
                taken,
                goal=2 if is_goal else None,
                note=f"p99 {p99:.2f}",
            )
        )
    gc.enable()
    return found


def grid_rows(trained: Trained, rows: Any, turns: int, *, is_short: bool) -> list[report.Row]:
    """A square grid of about as many pairs as ``rows``, against those pairs as rows."""
    side = int(len(rows) ** 0.5)
    job_features = peers.FEATURE_COUNT - PLACEMENT_FEATURES
    jobs = numpy.ascontiguousarray(rows[:side, :job_features])
    placements = numpy.ascontiguousarray(rows[:side, job_features:])
    joined = numpy.hstack([numpy.repeat(jobs, side, axis=0), numpy.tile(placements, (side, 1))])
    found = []
    for name, scorer in scorers_of(trained.model).items():
        if name == "scalar":
            continue
        grid = numpy.empty((side, side, 1), numpy.float32)
        batch = numpy.empty((side * side, 1), numpy.float32)
        as_grid = functools.partial(scorer.score_grid, jobs, placements, grid)
        as_rows = functools.partial(scorer.score_batch, joined, batch)
        pairs: list[float] = []
        ratios = []
        for _ in range(turns):
            pairs.append(cpu_seconds(as_grid))
            ratios.append(cpu_seconds(as_rows) / pairs[-1])
        if not numpy.array_equal(grid.reshape(-1, 1), batch):
            raise SystemExit("a grid's outputs differ from the rows'")
        found.append(report.row_of(
            NAME, f"{trained.case}: grid {side} x {side}, {name}", "ns/pair cpu",
            [second / side**2 * 1e9 for second in pairs], ratio=statistics.median(ratios),
            goal=None if is_short else 3, goal_of="ratio", goal_is_minimum=True,
            note=f"{PLACEMENT_FEATURES} of {peers.FEATURE_COUNT} features are the placement's; "
            "ratio to the row path",
        ))  # fmt: skip
    return found


def main() -> None:
    parser = report.arguments(__doc__ or "")
    parser.add_argument("--rows", type=int, default=0, help="instead of 1,000,000")
    parser.add_argument("--trees", type=int, nargs="*", default=[304, 1_000])
    options = parser.parse_args()
    is_short = options.short
    row_count = options.rows or (2_000 if is_short else 1_000_000)
    training_rows = 500 if is_short else 20_000
    turns = 1 if is_short else 3
    rows = peers.features(row_count, seed=3)
    found: list[report.Row] = []
    for tree_count in [20] if is_short else options.trees:
        trained = Trained(tree_count, training_rows, is_short=is_short)
        found += contest_rows(trained, rows, turns, is_short=is_short)
        found.append(thread_rows(trained, rows, turns, is_short=is_short))
        found += one_row_rows(trained, rows, turns, is_short=is_short)
        found += grid_rows(trained, rows, turns, is_short=is_short)
        if tree_count <= 304:
            found += quantile_rows(
                tree_count, training_rows, rows, turns, trained.found, is_short=is_short
            )
    report.show(found, as_json=options.json)


if __name__ == "__main__":
    main()
