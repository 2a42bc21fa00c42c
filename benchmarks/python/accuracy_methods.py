"""The methods that bench_accuracy.py compares: floors, static models, the fair rival, finops.

Owns: how each is trained, and on what. Each gives p10, p50 and p90 as [n x 3] of log1p(seconds),
NaN where it says nothing. Does not own: scores. Invariant: a method sees of each job what was known
at its submission, and of the jobs before it those that had ended.
"""

from __future__ import annotations

import heapq
import importlib
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
from accuracy_histories import Counts, Floats, History
from accuracy_loss import QUANTILES, row_losses

from finops import _core

REFIT_S = 7 * 86_400.0

TREE_COUNT = 100
# The same for the fair rival and for the static models, which may stop earlier.
LIGHTGBM = {
    "learning_rate": 0.05, "num_leaves": 31, "max_bin": 63, "feature_fraction": 0.5,
    "verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True, "force_col_wise": True,
}  # fmt: skip
REFRESH_AFTER_S = (600.0, 3600.0, 14_400.0)


def per_job(history: History, log_gpu_seconds: Floats) -> Floats:
    """From log1p of GPU-seconds to log1p of seconds; for [n] and [n x 3]."""
    gpus = history.gpu_count if log_gpu_seconds.ndim == 1 else history.gpu_count[:, None]
    return np.asarray(np.log1p(np.expm1(np.maximum(log_gpu_seconds, 0)) / gpus))


# --- floors --------------------------------------------------------------------------------------


def constant(history: History) -> Floats:
    rows = history.ended_rows(0, history.test_start, history.submit_s[history.test_start])
    return np.tile(np.quantile(history.target[rows], QUANTILES), (len(history), 1))


def last_30(history: History, *, with_request: bool) -> Floats:
    """Quantiles of the last 30 ended jobs of the same user and GPU count (and request)."""
    requests = history.columns["requested_seconds"] if with_request else itertools.repeat(None)
    keys = list(zip(history.user, history.gpu_count, requests, strict=False))
    by_end = np.argsort(history.end_s, kind="stable")
    known: dict[Any, list[float]] = {}
    result = constant(history)
    ended = 0
    for row, key in enumerate(keys):
        while history.end_s[by_end[ended]] < history.submit_s[row]:
            known.setdefault(keys[by_end[ended]], []).append(history.target[by_end[ended]])
            ended += 1
        if key in known:
            result[row] = np.quantile(known[key][-30:], QUANTILES)
    return result


def requested(history: History) -> Floats:
    """The request, scaled by what jobs of the training part used of theirs."""
    asked = np.array(
        [np.nan if value is None else value for value in history.columns["requested_seconds"]],
        dtype=float,
    )
    logs = np.log1p(asked)
    rows = history.ended_rows(0, history.test_start, history.submit_s[history.test_start])
    used = (history.target - logs)[rows]
    if np.isnan(used).all():
        return np.full((len(history), 3), np.nan)
    return np.asarray(logs[:, None] + np.nanquantile(used, QUANTILES)[None, :])


# --- models that are trained once ----------------------------------------------------------------

# Of each the better one by the tuning part counts: with the names of user, group and queue as
# categories, or without them. Names mislead where the work changes, and help where it does not.


def static_columns(history: History, *, ours: bool) -> tuple[Any, Any]:
    """What a static model is given: the job's own columns and what its user, its kind and its group
    took so far; with `ours` all features of finops. Beside it, the categories as numbers."""
    names = _core.feature_names()
    plain = ("gpus", "nodes", "requested_seconds", "hour_of_day", "anchor", "sibling_last",
             "sibling_slow", "sibling_p10", "sibling_p90", "sibling_log_count", "user_last",
             "user_slow", "user_log_count", "group_last", "group_fast",
             "cluster_median")  # fmt: skip
    chosen = [place for place, name in enumerate(names) if ours or name in plain]
    codes = [
        np.unique(history.columns[name], return_inverse=True)[1]
        for name in ("user", "group", "queue")
    ]
    return history.features[:, chosen], np.column_stack(codes)


def static_parts(history: History) -> tuple[Counts, Counts]:
    """Rows to train on and to tune on: what had ended when the testing began."""
    train_end, test_start = history.tune_start, history.test_start
    return (
        history.ended_rows(0, train_end, history.submit_s[test_start]),
        history.ended_rows(train_end, test_start, history.submit_s[test_start]),
    )


def better(history: History, fit: Callable[[bool], Floats]) -> Floats:
    """Of a fit with categories and one without the one with the lower loss on the tuning part."""
    _, tune = static_parts(history)
    answers = [np.sort(fit(with_names), axis=1) for with_names in (False, True)]
    return min(answers, key=lambda logs: float(row_losses(history.target[tune], logs[tune]).mean()))


def static_lightgbm(history: History, *, ours: bool, residual: bool = False) -> Floats:
    """`residual`: it learns the difference to what the last 30 jobs of the kind took."""
    lightgbm = importlib.import_module("lightgbm")
    columns, codes = static_columns(history, ours=ours)
    train, tune = static_parts(history)
    base = per_job(history, history.anchor_log) if residual else np.zeros(len(history))
    target = history.target - base

    def fit(with_names: bool) -> Floats:
        rows = np.column_stack([columns, codes]) if with_names else columns
        names = list(range(columns.shape[1], rows.shape[1]))
        result = np.full((len(history), 3), np.nan)
        for place, quantile in enumerate(QUANTILES):
            data = lightgbm.Dataset(rows[train], target[train], categorical_feature=names)
            model = lightgbm.train(
                {**LIGHTGBM, "objective": "quantile", "alpha": quantile},
                data,
                num_boost_round=500,
                valid_sets=[data.create_valid(rows[tune], target[tune])],
                callbacks=[lightgbm.early_stopping(50, verbose=False)],
            )
            result[:, place] = model.predict(rows)
        return result + base[:, None]

    return better(history, fit)


def static_xgboost(history: History, *, ours: bool) -> Floats:
    xgboost = importlib.import_module("xgboost")
    columns, codes = static_columns(history, ours=ours)
    train, tune = static_parts(history)

    def fit(with_names: bool) -> Floats:
        rows = np.column_stack([columns, codes]) if with_names else columns
        kinds = ["q"] * columns.shape[1] + ["c"] * (rows.shape[1] - columns.shape[1])
        shared = {"feature_types": kinds, "enable_categorical": True}
        result = np.full((len(history), 3), np.nan)
        for place, quantile in enumerate(QUANTILES):
            data = xgboost.QuantileDMatrix(rows[train], history.target[train], **shared)
            check = xgboost.QuantileDMatrix(rows[tune], history.target[tune], ref=data, **shared)
            model = xgboost.train(
                {"objective": "reg:quantileerror", "quantile_alpha": quantile, "max_depth": 6,
                 "eta": 0.05, "colsample_bytree": 0.5, "nthread": 1, "seed": 1},
                data, num_boost_round=500, evals=[(check, "tune")], early_stopping_rounds=50,
                verbose_eval=False,
            )  # fmt: skip
            last = (0, model.best_iteration + 1)
            result[:, place] = model.predict(xgboost.DMatrix(rows, **shared), iteration_range=last)
        return result

    return better(history, fit)


def static_catboost(history: History, *, ours: bool) -> Floats:
    catboost = importlib.import_module("catboost")
    columns, codes = static_columns(history, ours=ours)
    train, tune = static_parts(history)
    words = codes.astype(str).astype(bytes).astype(object)

    def fit(with_names: bool) -> Floats:
        def pool(rows: Any, target: Any = None) -> Any:
            numbers = np.ascontiguousarray(columns[rows], dtype=np.float32)
            names = words[rows] if with_names else None
            data = catboost.FeaturesData(num_feature_data=numbers, cat_feature_data=names)
            return catboost.Pool(data, target)

        model = catboost.CatBoostRegressor(
            loss_function="MultiQuantile:alpha=0.1,0.5,0.9", iterations=500, learning_rate=0.05,
            depth=6, random_seed=1, thread_count=1, verbose=False, allow_writing_files=False,
            early_stopping_rounds=50,
        )  # fmt: skip
        model.fit(pool(train, history.target[train]), eval_set=pool(tune, history.target[tune]))
        return np.asarray(model.predict(pool(np.arange(len(history)))))

    return better(history, fit)


# --- models that are trained again every week ----------------------------------------------------


def fair_rival(history: History) -> Floats:
    """LightGBM with all features of finops, the difference to the same anchor, weekly refits."""
    lightgbm = importlib.import_module("lightgbm")
    difference = np.log1p(history.seconds * history.gpu_count) - history.anchor_log
    result = np.full((len(history), 3), np.nan)
    moment = history.submit_s[history.test_start]
    first = history.test_start
    while first < len(history):
        last = int(np.searchsorted(history.submit_s, moment + REFIT_S))
        rows = history.ended_rows(0, first, moment)
        for place, quantile in enumerate(QUANTILES if last > first else ()):
            model = lightgbm.train(
                {**LIGHTGBM, "objective": "quantile", "alpha": quantile},
                lightgbm.Dataset(history.features[rows], difference[rows]),
                num_boost_round=TREE_COUNT,
            )
            result[first:last, place] = model.predict(history.features[first:last])
        moment, first = moment + REFIT_S, last
    result.sort(axis=1)
    return per_job(history, result + history.anchor_log[:, None])


class Ours:
    """A live forecaster: jobs come, start and end, and it is asked at each submission.

    logs : [n x 3], and mean_seconds [n], as said at the submission
    refreshed : for each of REFRESH_AFTER_S: rows in flight so long after their submission, and what
        a refreshed forecast says of them then
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.forecaster = _core.Forecaster()
        gpu_seconds = np.zeros((len(history), 4))
        self.refreshed: dict[float, tuple[list[int], list[list[float]]]] = {
            after: ([], []) for after in REFRESH_AFTER_S
        }
        for moment, kind, row in self.events():
            job = history.jobs[row]
            if kind == 0:
                self.forecaster.refit_if_due(job["submit_time"])
                gpu_seconds[row] = _numbers(self.forecaster.submit(job))
            elif kind == 1:
                self.forecaster.start(job["job_id"], job["start_time"])
            elif kind == 2:
                end = {key: job[key] for key in ("end_time", "run_seconds", "status")}
                self.forecaster.end(job["job_id"], **end)
            else:
                rows, said = self.refreshed[REFRESH_AFTER_S[kind - 3]]
                now = datetime.fromtimestamp(moment, timezone.utc) + timedelta(microseconds=1)
                rows.append(row)
                said.append(_numbers(self.forecaster.refresh(job["job_id"], now))[:3])
        self.logs = per_job(history, np.log1p(gpu_seconds[:, :3]))
        self.mean_seconds = gpu_seconds[:, 3] / history.gpu_count

    def events(self) -> Any:
        """(seconds, kind, row) in the order of time: what ends before what starts is submitted."""
        history = self.history
        rows = range(len(history))
        streams = [
            zip(history.submit_s, itertools.repeat(0), rows, strict=False),
            _sorted(history.start_s, 1, rows),
            _sorted(history.end_s, 2, rows),
        ]
        for place, after in enumerate(REFRESH_AFTER_S):
            asked = history.submit_s + after
            still = [row for row in range(history.test_start, len(history))
                     if asked[row] < history.end_s[row] - 1e-3]  # fmt: skip
            streams.append(_sorted(asked, 3 + place, still))
        return heapq.merge(*streams)

    def refreshed_logs(self, after: float) -> tuple[Counts, Floats]:
        rows, said = self.refreshed[after]
        gpus = self.history.gpu_count[rows][:, None]
        return np.array(rows, dtype=np.int64), np.log1p(np.array(said).reshape(-1, 3) / gpus)


def _sorted(moments: Floats, kind: int, rows: Any) -> list[tuple[float, int, int]]:
    return sorted((moments[row], kind, row) for row in rows)


def _numbers(forecast: Any) -> list[float]:
    return [forecast.p10_gpu_seconds, forecast.p50_gpu_seconds, forecast.p90_gpu_seconds,
            forecast.mean_gpu_seconds]  # fmt: skip
