"""The binding of Scorer: shapes and types are checked, and all ways to score agree."""

from __future__ import annotations

import array
import os
import subprocess
import sys
from typing import Any

import numpy
import pytest

from finops import _core
from finops.errors import InvalidArgument

SPLITS = [(0, 0, False), (1, 0, True)]
LEAVES = [1, 2, 30, 40]
MISSING = float("nan")


def scorer(output_count: int = 1, **more: Any) -> Any:
    outputs = [(f"p{i}", 100.0 * i, 0.5, [(SPLITS, LEAVES)]) for i in range(output_count)]
    return _core.Scorer(
        feature_names=["gpus", "hours"], borders=[[1.5], [10.0]], outputs=outputs, **more
    )


# Goal: the stated formula. Method: each leaf once, by hand, and missing values both ways.
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1.0, 2.0], 0.5),
        ([2.0, 2.0], 1.0),
        ([1.0, 11.0], 15.0),
        ([2.0, 11.0], 20.0),
        ([1.5, 10.0], 0.5),
        ([MISSING, 2.0], 0.5),
        ([1.0, MISSING], 15.0),
    ],
)
def test_one_row(row: list[float], expected: float) -> None:
    assert scorer().score_one(row) == expected
    assert scorer().score_one(array.array("f", row)) == expected
    assert scorer().score_one(numpy.array(row, numpy.float32)) == expected
    assert scorer(2).score_one(row) == (expected, 100 + expected)


def test_batch_and_grid_give_what_one_row_gives() -> None:
    model = scorer(3)
    rows = numpy.random.default_rng(1).uniform(0, 20, (500, 2)).astype(numpy.float32)
    batch = numpy.empty((500, 3), numpy.float32)
    model.score_batch(rows, batch, thread_count=2)
    assert [tuple(row) for row in batch.tolist()] == [model.score_one(row) for row in rows]
    grid = numpy.empty((500, 500, 3), numpy.float32)
    jobs, hours = rows[:, :1].copy(), rows[:, 1:].copy()
    model.score_grid(jobs, hours, grid)
    assert numpy.array_equal(grid[range(500), range(500)], batch)


def test_sizes_and_types_that_do_not_fit() -> None:
    model = scorer()
    rows = numpy.zeros((4, 2), numpy.float32)
    out = numpy.zeros((4, 1), numpy.float32)
    model.score_batch(rows, out)
    with pytest.raises(InvalidArgument, match="3 features"):
        model.score_batch(numpy.zeros((4, 3), numpy.float32), out)
    with pytest.raises(InvalidArgument, match="float32"):
        model.score_batch(rows.astype(float), out)
    with pytest.raises(InvalidArgument, match="row after row"):
        model.score_batch(numpy.asfortranarray(rows), out)
    with pytest.raises(InvalidArgument, match="room for 3"):
        model.score_batch(rows, out[:3])
    with pytest.raises(InvalidArgument, match="two axes"):
        model.score_batch(rows.reshape(-1), out)
    with pytest.raises(InvalidArgument):
        model.score_grid(rows, rows, out)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([1.0], ValueError),
        ([1.0, 2.0, 3.0], ValueError),
        ([0.0] * 65, ValueError),
        (numpy.zeros(65, numpy.float32), ValueError),
        (numpy.zeros(2), TypeError),
        (numpy.zeros(2, numpy.int32), TypeError),
        (["a", "b"], TypeError),
        (7, TypeError),
        (b"12345678", TypeError),
    ],
)
def test_rows_that_do_not_fit(row: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        scorer().score_one(row)


def test_never_initialised() -> None:
    with pytest.raises(TypeError):
        _core.Scorer.__new__(_core.Scorer).score_one([1.0, 2.0])


def test_instruction_sets() -> None:
    best = _core.best_instruction_set()
    assert scorer().instruction_set == best
    assert scorer(instruction_set="scalar").instruction_set == "scalar"
    with pytest.raises(InvalidArgument, match="avx512vbmi"):
        scorer(instruction_set="sse9")


# Goal: the environment forces a lower one. Method: a new interpreter, which reads it afresh.
def test_environment_forces_the_instruction_set() -> None:
    code = "from finops import _core; print(_core.best_instruction_set())"
    environment = {**os.environ, "FINOPS_INSTRUCTION_SET": "scalar"}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "scalar"
