"""Training and models of trees through the binding: what goes in, what comes out, what is refused.

The arithmetic is tested in tests/cpp/test_predict_*.cpp.
"""

from __future__ import annotations

import array
import math
import subprocess
import sys
import threading

import numpy as np
import pytest

from finops import _core, errors

ROWS = np.array([[1, 5], [2, math.nan], [3, 7], [4, 8]], np.float32)
TARGETS = np.array([10, 10, 30, 30], np.float32)


def options_of(**fields: object) -> _core.TrainOptions:
    options = _core.TrainOptions()
    for name, value in fields.items():
        setattr(options, name, value)
    return options


def step_model() -> _core.ForestModel:
    features = _core.bin_features(ROWS)
    options = options_of(tree_count=1, depth=1, learning_rate=1.0, leaf_shrinkage=0.0)
    forest = _core.train_forest(features, TARGETS, options=options, name="mean")
    return _core.ForestModel(feature_names=["a", "b"], features=features, outputs=[forest])


# Goal: rows go in and a model that says so comes out. Method: a step in four rows, by hand.
def test_a_step_is_learned() -> None:
    model = step_model()
    assert model.feature_names == ["a", "b"]
    assert model.borders == [[1.5, 2.5, 3.5], [6.0, 7.5, float(np.finfo(np.float32).max)]]
    assert [(forest.name, forest.tree_count) for forest in model.outputs] == [("mean", 1)]
    assert model.outputs[0].base == 20
    for row, target in zip(ROWS.tolist(), TARGETS.tolist(), strict=True):
        assert model.score_row(row)[0] == pytest.approx(target, abs=1e-3)


# Goal: NumPy is not needed. Method: a fresh interpreter trains from the standard library's arrays.
def test_buffers_need_no_numpy() -> None:
    script = """
import array, sys
from finops import _core
rows = memoryview(array.array("f", [1, 2, 3, 4])).cast("B").cast("f", shape=[4, 1])
features = _core.bin_features(rows)
forest = _core.train_forest(features, array.array("f", [1, 1, 3, 3]))
assert forest.tree_count > 0 and forest.base == 2, forest.base
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# Goal: what is no C-contiguous float32 array is refused, not read as something else. Method: one
# wrong thing at a time.
@pytest.mark.parametrize(
    "features",
    [
        ROWS.astype(np.float64),
        TARGETS.reshape(2, 2).astype(np.int32),
        ROWS[:, 0],
        np.asfortranarray(ROWS),
        ROWS[:, ::-1],
        ROWS[::2],
        ROWS.astype(">f4"),
        ROWS.reshape(2, 2, 2),
        b"12345678",
    ],
)
def test_other_buffers_are_refused(features: object) -> None:
    with pytest.raises(errors.InvalidArgument, match="C-contiguous float32 array of 2"):
        _core.bin_features(features)


def test_what_is_no_buffer_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        _core.bin_features([[1.0, 2.0]])


# Goal: sizes and numbers are checked, in the words of the core. Method: one wrong thing each time.
def test_bad_input_is_refused() -> None:
    features = _core.bin_features(ROWS)
    with pytest.raises(errors.InvalidArgument, match="0 rows"):
        _core.bin_features(np.empty((0, 2), np.float32))
    with pytest.raises(errors.InvalidArgument, match="0 features"):
        _core.bin_features(np.empty((2, 0), np.float32))
    with pytest.raises(errors.InvalidArgument, match="row 1, feature 0 is infinite"):
        _core.bin_features(np.array([[1], [math.inf]], np.float32))
    with pytest.raises(errors.InvalidArgument, match="3 targets for 4 rows"):
        _core.train_forest(features, TARGETS[:3].copy())
    with pytest.raises(errors.InvalidArgument, match="0 weights for 4 rows"):
        _core.train_forest(features, TARGETS, weights=array.array("f"))
    with pytest.raises(errors.InvalidArgument, match="depth"):
        _core.train_forest(features, TARGETS, options=options_of(depth=7))
    forest = _core.train_forest(features, TARGETS)
    with pytest.raises(errors.InvalidArgument, match="borders for 2"):
        _core.ForestModel(feature_names=["a"], features=features, outputs=[forest])
    with pytest.raises(errors.InvalidArgument, match="a row of 1"):
        step_model().score_row([1.0])
    with pytest.raises(TypeError):
        _core.BinnedFeatures()


# Goal: a model survives its file, and a damaged or newer one has its own error. Method: one change.
def test_model_files() -> None:
    model = step_model()
    text = model.to_json()
    read = _core.ForestModel.from_json(text)
    assert read.to_json() == text
    assert read.score_row([4.0, math.nan]) == model.score_row([4.0, math.nan])
    with pytest.raises(errors.InvalidArgument, match="checksum"):
        _core.ForestModel.from_json(text.replace("20.0", "21.0"))
    with pytest.raises(errors.UnsupportedSchema):
        _core.ForestModel.from_json(text.replace('"schema_version":1', '"schema_version":2'))


# Goal: other threads run while a forest is trained. Method: count turns of a loop meanwhile; with
# the interpreter held there would be next to none.
def test_training_lets_other_threads_run() -> None:
    random = np.random.default_rng(1)
    features = _core.bin_features(random.random((20_000, 8), np.float32))
    targets = random.random(20_000, np.float32)
    worker = threading.Thread(
        target=_core.train_forest, args=(features, targets), kwargs={"weights": targets}
    )
    worker.start()
    turn_count = 0
    while worker.is_alive():
        turn_count += 1
    assert turn_count > 1_000
