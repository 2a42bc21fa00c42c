"""How long training takes: finops beside LightGBM, on the same rows, with as many trees.

Method: invented rows with missing values, one thread, 64 leaves a tree in both, bins made anew each
time. All contestants train in turns in one process; a ratio is ours by the peer's processor time of
the same turn, the median over the turns. Of LightGBM's ways the fastest counts. The loss on fresh
rows stands in the note: a trainer that learned less would be fast too. Without LightGBM only our
own rows are there.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from report import Row, arguments, row_of, show

from finops import _core

NAME = "python/train"
GOAL = 1.5
LEARNING_RATE = 0.1
FEATURE_COUNT = 32
Floats = npt.NDArray[np.float32]
# Trains on rows and targets; gives a function that predicts rows.
Trainer = Callable[[Floats, Floats, int, "float | None"], Callable[[Floats], Floats]]
LIGHTGBM_WAYS = {
    "LightGBM by columns": {"force_col_wise": True},
    "LightGBM by rows": {"force_row_wise": True},
    "LightGBM quantized": {"force_col_wise": True, "use_quantized_grad": True},
}


def invent(seed: int, row_count: int) -> tuple[Floats, Floats]:
    """Rows of which a twentieth of the values is missing, and a target with curves, a step, a
    product and noise that grows with a feature."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(row_count, FEATURE_COUNT)).astype(np.float32)
    rows[:, FEATURE_COUNT // 2 :] = np.round(rows[:, FEATURE_COUNT // 2 :] * 3)
    rows[random.random(rows.shape) < 0.05] = np.nan
    x = np.nan_to_num(rows)
    target = (
        x[:, 0] + np.sin(3 * x[:, 1]) + (1 + x[:, 2]) * x[:, 3] + (x[:, 4] > 0.3) + 0.3 * x[:, 20]
    )
    noise = (0.2 + 0.3 * np.abs(x[:, 5])) * random.normal(size=row_count)
    return rows, (target + noise).astype(np.float32)


def train_ours(
    rows: Floats, targets: Floats, tree_count: int, quantile: float | None
) -> Callable[[Floats], Floats]:
    options = _core.TrainOptions()
    options.tree_count = tree_count
    options.learning_rate = LEARNING_RATE
    options.leaf_shrinkage = 20
    if quantile is not None:
        options.loss = _core.Loss.Quantile
        options.quantile = quantile
    features = _core.bin_features(rows)
    model = _core.ForestModel(
        feature_names=[f"f{i}" for i in range(rows.shape[1])],
        features=features,
        outputs=[_core.train_forest(features, targets, options=options)],
    )
    return lambda fresh: np.array([model.score_row(row)[0] for row in fresh.tolist()], np.float32)


def lightgbm_trainers() -> dict[str, Trainer]:
    try:
        import lightgbm
    except ImportError:
        return {}

    def trainer(more: dict[str, bool]) -> Trainer:
        def train(
            rows: Floats, targets: Floats, tree_count: int, quantile: float | None
        ) -> Callable[[Floats], Floats]:
            loss = {"objective": "l2"}
            if quantile is not None:
                loss = {"objective": "quantile", "alpha": quantile}
            options = {
                "num_leaves": 64,
                "learning_rate": LEARNING_RATE,
                "max_bin": 127,
                "num_threads": 1,
                "verbose": -1,
                **loss,
                **more,
            }
            data = lightgbm.Dataset(rows, targets, params=options)
            return lightgbm.train(options, data, tree_count).predict

        return train

    return {name: trainer(more) for name, more in LIGHTGBM_WAYS.items()}


def loss_of(predicted: Floats, targets: Floats, quantile: float | None) -> float:
    difference = targets.astype(np.float64) - predicted
    if quantile is None:
        return math.sqrt(float(np.mean(difference**2)))
    return float(np.mean(np.maximum(quantile * difference, (quantile - 1) * difference)))


def compare(
    row_count: int, tree_count: int, turn_count: int, quantile: float | None, *, is_judged: bool
) -> list[Row]:
    rows, targets = invent(1, row_count)
    fresh, fresh_targets = invent(2, 5_000)
    trainers: dict[str, Trainer] = {"finops": train_ours, **lightgbm_trainers()}
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    losses: dict[str, float] = {}
    for _ in range(turn_count):
        for name, train in trainers.items():
            start = time.process_time()
            predict = train(rows, targets, tree_count, quantile)
            seconds[name].append(time.process_time() - start)
            if name not in losses:
                losses[name] = loss_of(predict(fresh), fresh_targets, quantile)
    fastest = min(list(trainers)[1:], key=lambda name: statistics.median(seconds[name]), default="")
    case = f"{row_count:,} x {FEATURE_COUNT}, {tree_count} trees, " + (
        "squared" if quantile is None else f"quantile {quantile:g}"
    )
    result = []
    for name in trainers:
        is_own = name == "finops"
        ratios = [own / peer for own, peer in zip(seconds["finops"], seconds[name], strict=True)]
        result.append(
            row_of(
                NAME,
                f"{name}, {case}",
                "s cpu",
                seconds[name],
                ratio=None if is_own else statistics.median(ratios),
                goal=GOAL if is_judged and name == fastest else None,
                goal_of="ratio",
                note=f"loss {losses[name]:.4f}",
            )
        )
    return result


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    if options.short:
        show(compare(2_000, 5, 2, 0.9, is_judged=False), as_json=options.json)
        return
    cases = [(20_000, 100, 5), (200_000, 100, 3)]
    result = []
    for row_count, tree_count, turn_count in cases:
        for quantile in (None, 0.9):
            result += compare(row_count, tree_count, turn_count, quantile, is_judged=True)
    show(result, as_json=options.json)


if __name__ == "__main__":
    main()
