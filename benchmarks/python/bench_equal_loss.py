"""Scoring at equal pinball loss: how long each takes for forecasts that are equally good.

Equal numbers of trees flatter whoever learns less from each. Here everybody trains the median on
the same invented rows (those of bench_train.py), depth 6, rate 0.1, to the same loss on fresh rows:
the worst one's after TREE_COUNT trees. Of each the smallest number of trees that reaches it is
timed: rows of 32 features, one thread, processor time, in turns; a ratio is the median of them.
"""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_scorer import Contest
from bench_train import invent, loss_of
from report import Row, arguments, row_of, show

from finops import _core

NAME = "python/equal_loss"
QUANTILE = 0.5
DEPTH, RATE, BORDERS = 6, 0.1, 126
TREE_COUNT, STEP = 300, 20
GOALS = {"XGBoost": 40, "CatBoost": 4}
Array = Any


class Ours:
    name = "finops"
    share = 1

    def __init__(self, rows: Array, targets: Array) -> None:
        self.features = _core.bin_features(rows, max_border_count=BORDERS)
        self.targets = targets
        self.version = _core.best_instruction_set()

    @functools.cache  # noqa: B019 - lives as long as the benchmark
    def scorer(self, tree_count: int) -> Any:
        options = _core.TrainOptions()
        options.loss, options.quantile = _core.Loss.Quantile, QUANTILE
        options.tree_count, options.depth, options.learning_rate = tree_count, DEPTH, RATE
        options.leaf_shrinkage = 20
        forest = _core.train_forest(self.features, self.targets, options=options)
        names = [f"f{i}" for i in range(len(self.features.borders))]
        model = _core.ForestModel(feature_names=names, features=self.features, outputs=[forest])
        return scorer_of(json.loads(model.to_json()))

    def predict(self, rows: Array, tree_count: int) -> Array:
        outputs = np.empty((len(rows), 1), np.float32)
        self.scorer(tree_count).score_batch(rows, outputs)
        return outputs[:, 0]

    def timed(self, rows: Array, tree_count: int) -> Callable[[], Any]:
        scorer, outputs = self.scorer(tree_count), np.empty((len(rows), 1), np.float32)
        return lambda: scorer.score_batch(rows, outputs)


def scorer_of(model: dict[str, Any]) -> Any:
    """A scorer of a model file: splits are (feature, border, where missing values go)."""
    outputs = []
    for output in model["outputs"]:
        trees = [
            ([(*flat[i : i + 2], bool(flat[i + 2])) for i in range(0, len(flat), 3)], leaves)
            for flat, leaves in output["trees"]
        ]
        outputs.append((output["name"], output["base"], output["leaf_scale"], trees))
    return _core.Scorer(
        feature_names=model["feature_names"], borders=model["borders"], outputs=outputs
    )


class XGBoost:
    name = "XGBoost"
    share = 5  # scores so small a part of the rows

    def __init__(self, rows: Array, targets: Array) -> None:
        xgboost = importlib.import_module("xgboost")
        self.version = xgboost.__version__
        self.booster = xgboost.train(
            {"objective": "reg:quantileerror", "quantile_alpha": QUANTILE, "max_depth": DEPTH,
             "eta": RATE, "max_bin": BORDERS + 1, "nthread": 1},
            xgboost.QuantileDMatrix(rows, targets, max_bin=BORDERS + 1), TREE_COUNT,
        )  # fmt: skip

    def predict(self, rows: Array, tree_count: int) -> Array:
        return self.booster[:tree_count].inplace_predict(rows)

    def timed(self, rows: Array, tree_count: int) -> Callable[[], Any]:
        booster = self.booster[:tree_count]
        booster.set_param({"nthread": 1})
        return lambda: booster.inplace_predict(rows)


class CatBoost:
    name = "CatBoost"
    share = 1

    def __init__(self, rows: Array, targets: Array) -> None:
        self.module = importlib.import_module("catboost")
        self.version = self.module.__version__
        self.model = self.module.CatBoost({
            "iterations": TREE_COUNT, "depth": DEPTH, "learning_rate": RATE,
            "border_count": BORDERS, "loss_function": f"Quantile:alpha={QUANTILE}",
            "verbose": False, "allow_writing_files": False, "thread_count": 1, "random_seed": 1,
        })  # fmt: skip
        self.model.fit(rows, targets)

    def predict(self, rows: Array, tree_count: int) -> Array:
        return self.model.predict(rows, ntree_end=tree_count, thread_count=1)

    def timed(self, rows: Array, tree_count: int) -> Callable[[], Any]:
        pool = self.module.Pool(self.module.FeaturesData(num_feature_data=rows))
        return lambda: self.model.predict(pool, ntree_end=tree_count, thread_count=1)


class LightGBM:
    name = "LightGBM"
    share = 20

    def __init__(self, rows: Array, targets: Array) -> None:
        lightgbm = importlib.import_module("lightgbm")
        self.version = lightgbm.__version__
        self.booster = lightgbm.train(
            {"objective": "quantile", "alpha": QUANTILE, "num_leaves": 2**DEPTH,
             "max_depth": DEPTH, "learning_rate": RATE, "max_bin": BORDERS + 1, "verbose": -1,
             "num_threads": 1},
            lightgbm.Dataset(rows, targets), TREE_COUNT,
        )  # fmt: skip

    def predict(self, rows: Array, tree_count: int) -> Array:
        return self.booster.predict(rows, num_iteration=tree_count, num_threads=1)

    def timed(self, rows: Array, tree_count: int) -> Callable[[], Any]:
        return lambda: self.booster.predict(
            rows, num_iteration=tree_count, num_threads=1, predict_disable_shape_check=True
        )


def race(row_count: int, turns: int, training_rows: int) -> list[Row]:
    rows, targets = invent(1, training_rows)
    fresh, truth = invent(2, training_rows)
    found: list[Any] = []
    result: list[Row] = []
    for kind in (Ours, XGBoost, CatBoost, LightGBM):
        try:
            found.append(kind(rows, targets))
        except ImportError as why:
            result.append(Row(NAME, kind.name, "", 0, 0, 0, note=f"not measured: {why}"))
    counts = range(STEP, TREE_COUNT + 1, STEP)
    losses = {
        one.name: {count: loss_of(one.predict(fresh, count), truth, QUANTILE) for count in counts}
        for one in found
    }
    meant = max(each[TREE_COUNT] for each in losses.values())
    chosen = {
        name: next(count for count in counts if each[count] <= meant)
        for name, each in losses.items()
    }
    contest = Contest(invent(3, row_count)[0], turns)
    for one in found:
        part = contest.rows[: row_count // one.share]
        contest.add(one.name, one.timed(part, chosen[one.name]), len(part))
    contest.run()
    for one in found:
        ratios = contest.ratios(one.name, Ours.name)
        result.append(row_of(
            NAME, f"{one.name} {one.version}, {chosen[one.name]} trees", "ns/row cpu",
            [second * 1e9 for second in contest.seconds[one.name]],
            ratio=None if one.name == Ours.name else float(np.median(ratios)),
            goal=GOALS.get(one.name) if row_count >= 1_000_000 else None, goal_of="ratio",
            goal_is_minimum=True,
            note=f"loss {losses[one.name][chosen[one.name]]:.4f}; {meant:.4f} is meant",
        ))  # fmt: skip
    return result


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    rows = race(20_000, 3, 5_000) if options.short else race(1_000_000, 9, 50_000)
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
