"""The model file: written whole, its owner's alone, and refused if it is anything else.

Goal: no file that lies in the home folder makes a forecast hang, crash or trust a stranger. Method:
a good file, then one thing about it is broken.
"""

from __future__ import annotations

import os
import pathlib
import stat
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import finops
from finops import errors
from finops._core import Forecaster
from finops.predict import ModelNote, load_model, model_path, save_model

START = datetime(2026, 1, 5, tzinfo=timezone.utc)


def rows(count: int = 40) -> list[dict[str, Any]]:
    found = []
    for index in range(count):
        begin = START + timedelta(hours=3 * index)
        found.append({
            "job_id": f"j{index}", "user_name": "ana", "name": "sft", "gpu_count": 8,
            "submit_time": begin, "start_time": begin, "end_time": begin + timedelta(hours=1),
            "run_seconds": 3600.0 + 60 * (index % 7), "status": "COMPLETED",
        })  # fmt: skip
    return found


@pytest.fixture
def model(home: pathlib.Path) -> pathlib.Path:
    forecaster = Forecaster()
    forecaster.learn(rows())
    return save_model(forecaster, ModelNote("jobs.csv", START, START, {"bad rows": 2}), home=home)


def test_it_is_private_and_comes_back(home: pathlib.Path, model: pathlib.Path) -> None:
    assert model == model_path(home)
    assert stat.S_IMODE(model.stat().st_mode) == 0o600
    stored = load_model(home=home)
    assert (stored.note.source, stored.note.left_out) == ("jobs.csv", {"bad rows": 2})
    assert stored.note.as_of == START
    assert len(stored.model_id) == 16
    assert finops.forecast(gpus=8, user="ana", name="sft").ended_job_count == 40
    assert sorted(path.name for path in home.iterdir() if "forecast" in path.name) == [
        "forecast-model.about.json", "forecast-model.json",
    ]  # fmt: skip


def test_a_note_of_another_model_is_not_believed(home: pathlib.Path, model: pathlib.Path) -> None:
    note = home / "forecast-model.about.json"
    for text in (b"", b"{}", b"[" * 10_000, note.read_bytes().replace(b'256": "', b'256": "0')):
        note.write_bytes(text)
        assert load_model(home=home).note == ModelNote()


def test_without_a_model_it_is_cold_and_says_so(home: pathlib.Path) -> None:
    with pytest.raises(errors.NotFound, match="finops predict train"):
        load_model(home=home)
    cold = finops.forecast(gpus=8)
    assert cold.is_cold
    assert cold.p10_gpu_hours < cold.p50_gpu_hours < cold.p90_gpu_hours
    assert cold.p90_gpu_hours > 10 * cold.p10_gpu_hours  # an honest prior is wide
    assert "no finished job" in cold.notes[0]
    with pytest.raises(errors.NotFound):
        finops.forecast(gpus=8, model=home / "named.json")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "deep", "binary"])
def test_a_damaged_file_is_an_error_that_says_so(model: pathlib.Path, damage: str) -> None:
    data = model.read_bytes()
    flipped = data.replace(b"ana", b"anb", 1)
    model.write_bytes({
        "cut": data[:-10], "flip": flipped, "empty": b"", "text": b"hello",
        "deep": b"[" * 100_000, "binary": b"\xff\xfe" + data,
    }[damage])  # fmt: skip
    with pytest.raises(errors.InvalidArgument):
        finops.forecast(gpus=8)


def test_a_link_a_pipe_or_an_open_file_is_refused(
    model: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    model.chmod(0o622)
    with pytest.raises(errors.HomeNotSafe, match="not yours alone"):
        finops.forecast(gpus=8)
    elsewhere = tmp_path / "elsewhere.json"
    os.replace(model, elsewhere)
    elsewhere.chmod(0o600)
    model.symlink_to(elsewhere)
    with pytest.raises(errors.HomeNotSafe):
        finops.forecast(gpus=8)
    model.unlink()
    os.mkfifo(model, 0o600)
    with pytest.raises(errors.HomeNotSafe, match="no plain file"):
        finops.forecast(gpus=8)
    assert finops.forecast(gpus=8, model=elsewhere).ended_job_count == 40


def test_a_failed_write_leaves_the_old_file(
    home: pathlib.Path, model: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        save_model(Forecaster(), ModelNote(), home=home)
    assert model.read_bytes() == before
    assert not [path for path in home.iterdir() if path.name.startswith(".forecast")]


def test_a_history_ahead_of_this_clock_still_answers(home: pathlib.Path) -> None:
    ahead = datetime.now(timezone.utc) - START + timedelta(days=30)
    later = [
        {**row, **{name: row[name] + ahead for name in ("submit_time", "start_time", "end_time")}}
        for row in rows()
    ]
    forecaster = Forecaster()
    forecaster.learn(later)
    save_model(forecaster, ModelNote("x", None, later[-1]["end_time"]), home=home)
    assert finops.forecast(gpus=8, user="ana", name="sft").ended_job_count == 40
    with finops.track(project="p", experiment="e", price="36 USD/h", forecast=True) as run:
        assert run.forecast().ended_job_count == 40
        assert run.warnings == []
