"""The peers of scoring: trained alike, each called the fastest way that its documentation has.

Owns: training data, one class for each peer, and our model made of CatBoost's trees. Does not own:
what is timed (bench_scorer.py). A peer that is not installed raises ImportError.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import tempfile
from typing import Any, Protocol

import numpy

FEATURE_COUNT = 32
DEPTH = 6
BORDER_COUNT = 126  # the most that our model may have, and the most work for us
LEAF_LIMIT = 32_767
Array = Any  # numpy.ndarray, without its types where NumPy is absent


def features(row_count: int, seed: int) -> Array:
    random = numpy.random.default_rng(seed)
    return random.uniform(-1, 1, (row_count, FEATURE_COUNT)).astype(numpy.float32)


def targets(rows: Array, seed: int) -> Array:
    """Every feature matters, some together: no tree runs out of splits."""
    random = numpy.random.default_rng(seed)
    weights = random.uniform(0.2, 1, FEATURE_COUNT)
    waves = numpy.sin(rows * 3) @ weights
    pairs = (rows[:, ::2] * rows[:, 1::2]) @ weights[::2]
    return (waves + 2 * pairs + random.normal(0, 0.3, len(rows))).astype(numpy.float32)


class Peer(Protocol):
    name: str
    version: str
    call: str

    def prepare(self, rows: Array) -> Any: ...
    def predict(self, prepared: Any) -> Array: ...


class XGBoost:
    name = "XGBoost"
    call = "inplace_predict"

    def __init__(self, rows: Array, values: Array, tree_count: int) -> None:
        import xgboost

        self.version = xgboost.__version__
        self.booster = xgboost.train(
            {"max_depth": DEPTH, "eta": 0.05, "tree_method": "hist", "max_bin": BORDER_COUNT + 1},
            xgboost.DMatrix(rows, values),
            tree_count,
        )
        self.booster.set_param({"nthread": 1})

    def prepare(self, rows: Array) -> Any:
        return rows

    def predict(self, prepared: Any) -> Array:
        return self.booster.inplace_predict(prepared)


class CatBoost:
    """Asked with a Pool made beforehand of FeaturesData: without the time to make it."""

    name = "CatBoost"
    call = "predict(Pool of FeaturesData, made before)"

    def __init__(self, rows: Array, values: Array, tree_count: int, quantile: float = 0) -> None:
        import catboost

        self.version = catboost.__version__
        self.module = catboost
        self.model = catboost.CatBoost(
            {
                "iterations": tree_count,
                "depth": DEPTH,
                "learning_rate": 0.05,
                "border_count": BORDER_COUNT,
                "loss_function": f"Quantile:alpha={quantile}" if quantile else "RMSE",
                "verbose": False,
                "allow_writing_files": False,
                "boost_from_average": False,
            }
        )
        self.model.fit(rows, values)

    def prepare(self, rows: Array) -> Any:
        return self.module.Pool(self.module.FeaturesData(num_feature_data=rows))

    def predict(self, prepared: Any) -> Array:
        return self.model.predict(prepared, thread_count=1)


class CatBoostFromArray(CatBoost):
    call = "predict(array)"

    def __init__(self, trained: CatBoost) -> None:
        self.version = trained.version
        self.model = trained.model

    def prepare(self, rows: Array) -> Any:
        return rows


class LightGBM:
    name = "LightGBM"
    call = "predict(num_threads=1, predict_disable_shape_check=True)"

    def __init__(self, rows: Array, values: Array, tree_count: int) -> None:
        import lightgbm

        self.version = lightgbm.__version__
        self.booster = lightgbm.train(
            {
                "objective": "regression",
                "num_leaves": 2**DEPTH,
                "max_depth": DEPTH,
                "learning_rate": 0.05,
                "max_bin": BORDER_COUNT + 1,
                "verbose": -1,
            },
            lightgbm.Dataset(rows, values),
            tree_count,
        )

    def prepare(self, rows: Array) -> Any:
        return rows

    def predict(self, prepared: Any) -> Array:
        return self.booster.predict(prepared, num_threads=1, predict_disable_shape_check=True)


class TL2cgen:
    """XGBoost's trees as C, compiled by GCC with -O3."""

    name = "TL2cgen"
    call = "predict, compiled with -O3"

    def __init__(self, peer: XGBoost) -> None:
        import tl2cgen
        import treelite

        self.version = tl2cgen.__version__
        self.module = tl2cgen
        model = treelite.frontend.from_xgboost(peer.booster)
        self.folder = tempfile.TemporaryDirectory()
        library = pathlib.Path(self.folder.name) / "model.so"
        tl2cgen.export_lib(
            model,
            toolchain="gcc",
            libpath=str(library),
            params={"parallel_comp": 16, "quantize": 1},
            options=["-O3"],
            nthread=1,
        )
        self.predictor = tl2cgen.Predictor(str(library), nthread=1)

    def prepare(self, rows: Array) -> Any:
        return self.module.DMatrix(rows, dtype="float32")

    def predict(self, prepared: Any) -> Array:
        return self.predictor.predict(prepared).reshape(-1)


@dataclasses.dataclass(frozen=True)
class OurModel:
    """What finops._core.Scorer takes, by name."""

    feature_names: list[str]
    borders: list[list[float]]
    outputs: list[tuple[str, float, float, list[Any]]]

    def arguments(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def trees_of_catboost(peer: CatBoost) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.json"
        peer.model.save_model(str(path), format="json")
        return json.loads(path.read_text(encoding="utf-8"))


def model_of_catboost(peers: list[CatBoost]) -> OurModel:
    """The same trees with leaves of 16 bits: one output for each peer, over common borders."""
    exported = [trees_of_catboost(peer) for peer in peers]
    borders: list[set[float]] = [set() for _ in range(FEATURE_COUNT)]
    for model in exported:
        for feature in model["features_info"]["float_features"]:
            borders[feature["flat_feature_index"]] |= set(feature["borders"] or [])
    ordered = [sorted(float(numpy.float32(border)) for border in each) for each in borders]
    outputs = [_output(str(i), model, ordered) for i, model in enumerate(exported)]
    return OurModel([f"f{i}" for i in range(FEATURE_COUNT)], ordered, outputs)


def _output(name: str, model: dict[str, Any], borders: list[list[float]]) -> Any:
    scale, (bias,) = model["scale_and_bias"]
    positions = [{border: i for i, border in enumerate(each)} for each in borders]
    most = max(abs(v) for tree in model["oblivious_trees"] for v in tree["leaf_values"])
    leaf_scale = most * scale / LEAF_LIMIT
    trees = []
    for tree in model["oblivious_trees"]:
        splits = [
            (
                split["float_feature_index"],
                positions[split["float_feature_index"]][float(numpy.float32(split["border"]))],
                False,
            )
            for split in tree["splits"]
        ]
        trees.append((splits, [round(v * scale / leaf_scale) for v in tree["leaf_values"]]))
    return name, bias, leaf_scale, trees


def random_model(tree_count: int, output_count: int) -> OurModel:
    """Without CatBoost: trees of chance, leaves that shrink as a trained forest's do."""
    random = numpy.random.default_rng(5)
    borders = numpy.sort(random.uniform(-1, 1, (FEATURE_COUNT, BORDER_COUNT)), axis=1)
    outputs = []
    for output in range(output_count):
        trees = []
        for tree in range(tree_count):
            chosen = zip(
                random.integers(0, FEATURE_COUNT, DEPTH),
                random.integers(0, BORDER_COUNT, DEPTH),
                strict=True,
            )
            splits = [(int(feature), int(border), False) for feature, border in chosen]
            limit = max(1_000, LEAF_LIMIT * 0.97**tree)
            leaves = random.uniform(-limit, limit, 2**DEPTH)
            trees.append((splits, [int(leaf) for leaf in leaves]))
        outputs.append((str(output), 0.0, 1e-4, trees))
    return OurModel([f"f{i}" for i in range(FEATURE_COUNT)], borders.tolist(), outputs)
