"""Forecasts in the ledger, and runs as the job history that forecasts are learned from.

Goal: the names that users see do what their docstrings say, on the ledger of real runs. Does not
own: what a backend has to do (C++: ledger_conformance_forecasts.hpp).
"""

from __future__ import annotations

import math
import pathlib
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import finops
from finops import Money, Run, errors
from finops.ledger import (
    ForecastCost,
    ForecastJob,
    ForecastRecord,
    Ledger,
    open_ledger,
)

Start = Callable[..., Run]

NOW = datetime(2026, 5, 12, 8, 30, 0, 250_001, tzinfo=timezone.utc)
COST = ForecastCost(p10=Money(1), p50=Money(2), p90=Money("4.000000000001"), mean=Money("2.5"))
JOB = ForecastJob(
    user_name="ada",
    group_name="vision",
    experiment="resnet",
    name="sft-\u05d3",
    queue="large",
    gpu_model="H100-80GB",
    node_count=2,
    requested_seconds=86_400,
    planned_steps=10_000,
)


def forecast(run_id: str, **changes: Any) -> ForecastRecord:
    """A forecast with nothing that may be left out, and `changes`."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "kind": "submitted",
        "made_at": NOW,
        "p10_gpu_seconds": 100.0,
        "p50_gpu_seconds": 0.1 + 0.2 + 200,
        "p90_gpu_seconds": 400,
        "mean_gpu_seconds": 250.5,
        "gpu_count": 8,
    }
    return ForecastRecord(**(values | changes))


def whole_forecast(run_id: str, **changes: Any) -> ForecastRecord:
    """A forecast with every field, and `changes`."""
    values: dict[str, Any] = {
        "elapsed_gpu_seconds": 12.5,
        "ended_job_count": 7,
        "model_id": "3fa9c0",
        "price_id": "sku+1",
        "cost": COST,
        "job": JOB,
    }
    return forecast(run_id, **(values | changes))


def finished_run(start: Start, **options: Any) -> str:
    run = start(**options)
    run.progress(1)
    finops.finish(run)
    return run.run_id


def test_a_forecast_shows_what_it_was_made_with() -> None:
    record = whole_forecast("r1", attempt_id="r1-1", kind="refreshed")
    assert record.event_id == "r1/forecast/refreshed/1778574600250001000"
    assert (record.run_id, record.attempt_id, record.kind) == ("r1", "r1-1", "refreshed")
    assert record.made_at == NOW
    assert record.p50_gpu_seconds == 0.1 + 0.2 + 200
    assert record.cost == COST
    assert record.cost is not None
    assert record.cost.p90 == Money("4.000000000001")
    assert record.job == JOB
    assert (record.job.requested_seconds, record.job.planned_steps) == (86_400, 10_000)
    bare = forecast("r1")
    assert bare.cost is None
    assert (bare.price_id, bare.model_id, bare.attempt_id) == ("", "", "")
    assert bare.job == ForecastJob()
    assert bare.job.requested_seconds is None


def test_a_forecast_comes_back_as_it_was(start: Start) -> None:
    run_id = finished_run(start)
    records = [forecast(run_id), whole_forecast(run_id, made_at=NOW + timedelta(microseconds=1))]
    ledger = open_ledger()
    for record in reversed(records * 2):
        ledger.add_forecast(record)
    assert ledger.forecasts() == records
    assert open_ledger(read_only=True).forecasts(run_id=run_id) == records
    assert ledger.verify().problems == []


def test_a_known_id_with_other_content_is_refused(start: Start) -> None:
    run_id = finished_run(start)
    ledger = open_ledger()
    ledger.add_forecast(forecast(run_id))
    with pytest.raises(errors.Conflict, match="exists with other content"):
        ledger.add_forecast(whole_forecast(run_id))
    with pytest.raises(errors.NotFound):
        ledger.add_forecast(forecast("stranger"))
    with pytest.raises(errors.NotFound):
        ledger.add_forecast(forecast(run_id, kind="refreshed", attempt_id="stranger"))
    with pytest.raises(errors.LedgerUnavailable):
        open_ledger(read_only=True).add_forecast(forecast(run_id, kind="refreshed"))
    assert ledger.forecasts() == [forecast(run_id)]


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": ""},
        {"run_id": "a b"},
        {"kind": "guessed"},
        {"made_at": None},
        {"made_at": NOW.replace(tzinfo=None)},
        {"p10_gpu_seconds": -1},
        {"p10_gpu_seconds": 1e9},
        {"p90_gpu_seconds": math.inf},
        {"mean_gpu_seconds": math.nan},
        {"elapsed_gpu_seconds": -0.5},
        {"gpu_count": 0},
        {"ended_job_count": -1},
        {"model_id": "x" * 600},
        {"price_id": "p"},
        {"cost": COST},
        {
            "price_id": "p",
            "cost": ForecastCost(p10=COST.p50, p50=COST.p10, p90=COST.p90, mean=COST.p10),
        },
        {"job": ForecastJob(planned_steps=-1)},
    ],
    ids=str,
)
def test_what_cannot_be_kept_is_refused_where_it_is_made(changes: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        forecast(**({"run_id": "r1"} | changes))


@pytest.mark.parametrize(
    "changes",
    [{"p50_gpu_seconds": "1"}, {"gpu_count": 1.5}, {"gpu_count": 2**40}, {"cost": 1}, {"more": 1}],
    ids=str,
)
def test_wrong_types_are_type_errors(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        forecast("r1", **changes)


def test_costs_have_one_currency() -> None:
    with pytest.raises(errors.CurrencyMismatch):
        forecast(
            "r1",
            price_id="p",
            cost=ForecastCost(p10=Money(1), p50=Money(2, "EUR"), p90=Money(3), mean=Money(2)),
        )


def test_filters_match_what_they_say(start: Start) -> None:
    first = finished_run(start, project="vision")
    second = finished_run(start, project="speech", experiment="whisper")
    hour = timedelta(hours=1)
    a, b, c = (
        forecast(first),
        forecast(first, kind="refreshed", made_at=NOW + hour),
        forecast(second, made_at=NOW + 2 * hour),
    )
    ledger = open_ledger()
    for record in (c, a, b):
        ledger.add_forecast(record)
    assert ledger.forecasts() == [a, b, c]
    assert ledger.forecasts(run_id=first) == [a, b]
    assert ledger.forecasts(project="speech") == [c]
    assert ledger.forecasts(experiment="whisper") == [c]
    assert ledger.forecasts(kind="submitted") == [a, c]
    assert ledger.forecasts(made_from=NOW + hour) == [b, c]
    assert ledger.forecasts(made_until=NOW + hour) == [a]
    assert ledger.forecasts(limit=2) == [b, c]
    assert ledger.forecasts(run_id="stranger") == []
    with pytest.raises(errors.InvalidArgument):
        ledger.forecasts(kind="guessed")
    with pytest.raises(errors.InvalidArgument):
        ledger.forecasts(made_from=NOW.replace(tzinfo=None))


def test_an_outcome_says_what_became_of_it(start: Start) -> None:
    run = start(resources="8xH100", price="24 USD/h", name="sft")
    ledger = open_ledger()
    ledger.add_forecast(forecast(run.run_id, attempt_id=run.attempt_id))
    (before,) = ledger.forecast_outcomes(run_id=run.run_id)
    assert before.job.status == "RUNNING"
    assert before.job.ended_at is None
    finops.finish(run)
    (after,) = ledger.forecast_outcomes(kind="submitted", project=run.project)
    assert after.forecast == before.forecast
    assert after.job.status == "FINISHED"
    assert after.job.ended_at is not None
    assert after.job.gpu_count == 8
    assert after.job.gpu_seconds == pytest.approx(8 * after.job.run_seconds)
    assert after.job.run_seconds > 0
    (summary,) = ledger.runs(run_id=run.run_id)
    assert after.job.metered_cost == summary.metered_cost


def test_runs_are_a_history(start: Start) -> None:
    first = finished_run(start, resources="8xH100", name="first")
    paused = start(name="second")
    finops.finish(paused, "PAUSED")
    running = start(name="third")
    ledger = open_ledger()
    ledger.add_forecast(whole_forecast(running.run_id))
    jobs = ledger.job_history()
    assert [job.run_id for job in jobs] == [first, paused.run_id, running.run_id]
    assert [job.status for job in jobs] == ["FINISHED", "PAUSED", "RUNNING"]
    assert [job.ended_at is None for job in jobs] == [False, True, True]
    assert [job.gpu_count for job in jobs] == [8, None, 8]
    assert jobs[1].gpu_seconds is None
    assert jobs[0].name == "first"
    assert jobs[0].requested_seconds is None
    assert (jobs[2].queue, jobs[2].node_count) == ("large", 2)
    assert (jobs[2].requested_seconds, jobs[2].planned_steps) == (86_400, 10_000)
    assert all(job.submitted_at is not None and job.attempt_count == 1 for job in jobs)
    ended_at = jobs[0].ended_at
    assert ended_at is not None
    assert len(ledger.job_history(since=ended_at)) == 3
    assert len(ledger.job_history(since=ended_at + timedelta(seconds=1))) == 2


def test_a_resumed_run_is_one_job(start: Start) -> None:
    run = start(resources="2xH100")
    finops.finish(run, "PAUSED")
    again = start(resources="2xH100", resume=run.run_id)
    assert again.run_id == run.run_id
    finops.finish(again)
    (job,) = open_ledger().job_history()
    assert job.attempt_count == 2
    assert job.status == "FINISHED"
    times = [attempt.metered_time.total_seconds() for attempt in open_ledger().attempts(run.run_id)]
    assert job.run_seconds == pytest.approx(sum(times), abs=1e-5)


def test_merges_and_copies_take_forecasts_along(start: Start, tmp_path: pathlib.Path) -> None:
    run_id = finished_run(start)
    ledger = open_ledger()
    ledger.add_forecast(whole_forecast(run_id))
    ledger.copy_to(str(tmp_path / "copy.db"))
    other = open_ledger(tmp_path / "elsewhere")
    assert other.forecasts() == []
    for _ in range(2):
        other.merge(str(tmp_path / "copy.db"))
        assert other.forecasts() == ledger.forecasts()
    assert [job.run_id for job in other.job_history()] == [run_id]
    assert other.verify().problems == []


def test_the_view_reads_as_the_guide_says(start: Start, home: pathlib.Path) -> None:
    run_id = finished_run(start, resources="8xH100")
    open_ledger().add_forecast(whole_forecast(run_id))
    connection = sqlite3.connect(f"file:{home}/ledger.db?mode=ro", uri=True)
    row = connection.execute(
        "SELECT kind, p50_gpu_seconds, status, p50_cost, currency FROM report_forecasts"
    ).fetchone()
    used = connection.execute("SELECT used_gpu_seconds FROM report_forecasts").fetchone()[0]
    connection.close()
    assert row == ("submitted", 0.1 + 0.2 + 200, "FINISHED", "2.000000000000", "USD")
    (outcome,) = open_ledger().forecast_outcomes()
    assert used == pytest.approx(outcome.job.gpu_seconds)


def test_only_the_core_makes_outcomes() -> None:
    with pytest.raises(TypeError):
        finops.ledger.ForecastOutcome()
    with pytest.raises(TypeError):
        finops.ledger.LedgerJob()
    assert isinstance(Ledger, type)
