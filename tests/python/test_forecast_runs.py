"""Forecasts of runs of this process: before the first step, while they run, and in the ledger.

Goal: `init(forecast=True)` shows and keeps it and warns; `run.forecast()` follows progress; neither
ever stops or breaks a run. Method: real runs on a home folder of their own, at one cent a second.
"""

from __future__ import annotations

import logging
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from known import known

import finops
from finops import Money, Run
from finops._core import Forecaster, Ledger
from finops.cli.options import user_name
from finops.predict import ModelNote, live, save_model

Start = Callable[..., Run]
OpenLedger = Callable[[], Ledger]
LAST_WEEK = datetime.now(timezone.utc) - timedelta(days=7)


def teach(home: pathlib.Path, *, seconds: float, count: int = 40) -> None:
    """Past jobs of user, project p and experiment e that took about so long."""
    rows = []
    for index in range(count):
        begin = LAST_WEEK + timedelta(minutes=index)
        took = seconds * (0.9 + 0.2 * (index % 5) / 4)
        rows.append({
            "job_id": f"j{index}", "user_name": user_name(), "group_name": "p", "queue": "e",
            "name": "e", "gpu_count": 1, "submit_time": begin, "start_time": begin,
            "end_time": begin + timedelta(seconds=took), "run_seconds": took,
            "status": "COMPLETED",
        })  # fmt: skip
    forecaster = Forecaster()
    forecaster.learn(rows)
    save_model(forecaster, ModelNote("test"), home=home)


def test_it_is_shown_kept_and_in_money(
    home: pathlib.Path, start: Start, open_ledger: OpenLedger, capfd: pytest.CaptureFixture[str]
) -> None:
    start().finish("FINISHED", "")  # makes the home folder
    teach(home, seconds=3600)
    run = start(forecast=True, planned_steps=1000, requested_time=timedelta(hours=2))
    shown = capfd.readouterr().err
    assert shown.startswith("finops: forecast of p/e: about $")
    assert shown.count("\n") == 1
    (kept,) = open_ledger().forecasts(run_id=run.run_id)
    assert (kept.kind, kept.attempt_id, kept.ended_job_count) == ("submitted", run.attempt_id, 40)
    assert (kept.job.planned_steps, kept.job.requested_seconds) == (1000, 7200)
    assert kept.job.experiment == "e"
    assert kept.job.queue == ""
    assert kept.p10_gpu_seconds <= kept.p50_gpu_seconds <= kept.p90_gpu_seconds
    # One cent a second, exactly: the cost is that of the whole nanoseconds.
    cents = Money("0.01") * round(kept.p50_gpu_seconds)
    assert abs(known(kept.cost).p50.amount - cents.amount) <= Money("0.01").amount
    assert open_ledger().verify().problems == []


def test_it_warns_when_the_middle_passes_the_budget(
    home: pathlib.Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start(experiment="other").finish("FINISHED", "")
    teach(home, seconds=3600)
    with caplog.at_level(logging.WARNING, "finops"):
        start(forecast=True, budget="5 USD")
    assert "will probably pass its budget" in caplog.text
    assert "$5.00 of experiment:p/e is there" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "finops"):
        start(forecast=True, experiment="roomy", budget="500 USD")
    assert caplog.text == ""


def test_progress_narrows_it_and_a_crawl_is_known_early(
    home: pathlib.Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start(experiment="other").finish("FINISHED", "")
    teach(home, seconds=2)
    run = start(forecast=True, budget="2 USD", planned_steps=1_000_000)
    before = run.forecast()
    assert before.basis == "history"
    for step in range(200):
        run.progress(step)
    time.sleep(0.3)  # at this pace a million steps take at least 1,500 s
    with caplog.at_level(logging.WARNING, "finops"):
        after = run.forecast()
        run.forecast()
    assert after.basis == "history and progress"
    assert after.p50_gpu_hours > 10 * before.p50_gpu_hours
    assert known(after.p50_cost) > Money(2)
    assert any("pass its budget" in note for note in after.notes)
    assert any("far past its first forecast" in note for note in after.notes)
    assert caplog.text.count("will probably pass its budget") == 1  # each is told once
    assert known(after.chance_to_exceed("2 USD")) > 0.5


def test_it_is_never_below_what_was_used(home: pathlib.Path, start: Start) -> None:
    start(experiment="other").finish("FINISHED", "")
    teach(home, seconds=0.05)
    run = start(forecast=True)
    time.sleep(0.6)
    one = run.forecast()
    assert one.p10_gpu_hours * 3600 >= 0.6
    assert one.p10_gpu_hours <= one.p50_gpu_hours <= one.p90_gpu_hours


def test_a_run_that_never_asked_can_ask_later(start: Start, open_ledger: OpenLedger) -> None:
    run = start(planned_steps=100)
    for step in range(50):
        run.progress(step)
    one = run.forecast()
    assert one.basis == "history and progress"
    assert one.is_cold
    kept = open_ledger().forecasts(run_id=run.run_id)
    assert [record.kind for record in kept] == ["refreshed"]
    run.forecast()  # at once again: not kept, a loop must not fill the ledger
    assert len(open_ledger().forecasts(run_id=run.run_id)) == 1


def test_an_unpriced_run_has_hours_and_no_money(start: Start) -> None:
    run = start(price="", forecast=True)
    one = run.forecast()
    assert one.p50_cost is None
    assert one.chance_to_exceed("5 USD") is None
    assert one.p50_gpu_hours > 0


@pytest.mark.parametrize("damage", ["text", "folder", "open", "link"])
def test_a_broken_model_is_one_warning_and_no_more(
    home: pathlib.Path, start: Start, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    start().finish("FINISHED", "")
    path = home / "forecast-model.json"
    if damage == "folder":
        path.mkdir()
    elif damage == "link":
        path.symlink_to("/etc/hostname")
    else:
        path.write_text("no model")
        path.chmod(0o666 if damage == "open" else 0o600)
    with caplog.at_level(logging.WARNING, "finops"):
        run = start(forecast=True)
    assert len(caplog.records) == 1
    assert "no forecast of this run" in caplog.text
    run.progress(1)
    assert run.forecast().is_cold
    finops.finish(run)
    assert run.status == "FINISHED"


def test_a_wrong_plan_is_the_callers_fault(start: Start) -> None:
    for wrong in ({"planned_steps": 0}, {"planned_steps": -5}, {"requested_time": 0}):
        with pytest.raises(finops.errors.InvalidArgument):
            start(**wrong)


def test_a_finished_run_is_forgotten(start: Start) -> None:
    run = start(forecast=True)
    assert run.attempt_id in live._watched
    finops.finish(run)
    assert run.attempt_id not in live._watched


def test_the_predictor_is_loaded_on_use() -> None:
    program = (
        "import sys, finops; assert 'finops.predict' not in sys.modules; "
        "finops.forecast(gpus=1); assert 'finops.predict' in sys.modules; "
        "assert not {'numpy', 'matplotlib', 'rich', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
