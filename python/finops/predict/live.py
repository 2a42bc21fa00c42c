"""Forecasts of runs of this process: before their first step, and while they run.

Owns: what `init(forecast=True)` and `run.forecast()` do. Does not own: the model, prices, how
progress becomes an estimate (outlook). Invariant: observation: it fails open. No fault of a model,
a ledger or of this file stops a run or its start; each is one warning.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .. import _run
from .._core import Forecaster, Ledger, Money, Run, UsageForecast
from ..errors import FinopsError, InvalidArgument
from ..ledger import ledger_path
from ..texts import format_money
from .forecast import Forecast, cold_notes, load_or_cold, make_job, priced_forecast, to_forecast
from .model_store import ModelNote, StoredModel
from .outlook import (
    ProgressEstimate,
    ProgressSample,
    Quantiles,
    combine,
    estimate_from_progress,
)
from .pricing import Asked, asked_of_run
from .records import make_record, store_record

_log = logging.getLogger("finops")
# A start waits for a busy ledger no longer than this; the forecast is then not kept.
LEDGER_PATIENCE = timedelta(milliseconds=500)
# A start reads no larger model: 150,000 jobs, the most that one holds, are about 20 MB.
MOST_MODEL_BYTES = 64 * 1024 * 1024
_SAMPLES_KEPT = 64
_KEEP_INTERVAL_SECONDS = 60.0


@dataclass
class _Watched:
    """What is known of an open attempt."""

    asked: Asked
    job: dict[str, Any]
    stored: StoredModel
    earlier_seconds: float = 0.0  # of the run's attempts before this one
    usage: UsageForecast | None = None  # what was said at the start
    began_at: datetime | None = None  # on the model's clock
    first: Forecast | None = None
    samples: list[ProgressSample] = field(default_factory=list)
    told: set[str] = field(default_factory=set)  # warnings are given once
    kept_at_seconds: float = -_KEEP_INTERVAL_SECONDS


_watched: dict[str, _Watched] = {}


def _forget(attempt_id: str) -> None:
    _watched.pop(attempt_id, None)


_run._after_finish.append(_forget)


def forecast_at_start(run: Run) -> None:
    """Make the forecast of a run that starts, show it, keep it, and warn if it passes the budget.

    Of several ranks one shows it. Never raises: what goes wrong is one warning.
    """
    try:
        watched = _watch(run)
        if run.is_keeper:
            _show_first(run, watched)
    except Exception as error:  # noqa: BLE001 - observation fails open, whatever it meets
        _log.warning("no forecast of this run: %s", _describe(error))


def forecast_of_run(run: Run) -> Forecast:
    """What the whole run will use: `run.forecast()`.

    A model that cannot be read is a warning and a wide forecast from progress alone.
    """
    watched = _watched.get(run.attempt_id)
    if watched is None:
        try:
            watched = _watch(run)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("no history for the forecast of this run: %s", _describe(error))
            watched = _watch_cold(run)
    forecast = _outlook(run, watched)
    notes = _worries(run, watched, forecast)
    for note in notes:
        if note.split(",")[0] not in watched.told:
            watched.told.add(note.split(",")[0])
            _log.warning("%s/%s: %s", run.project, run.experiment, note)
    forecast = replace(forecast, notes=(*notes, *forecast.notes))
    _keep_now_and_then(run, watched, forecast)
    return forecast


def _watch(run: Run) -> _Watched:
    asked = asked_of_run(run)
    planned_steps, requested_time = _run._plans.get(run.attempt_id, (None, None))
    job = make_job(
        asked,
        submit_time=run.started_at or datetime.now(timezone.utc),
        job_id=run.attempt_id,
        user=run.user_name,
        group=run.project,
        queue=run.experiment,
        name=run.name,
        requested_time=requested_time,
        planned_steps=planned_steps,
    )
    watched = _Watched(asked, job, load_or_cold(home=run.home or None, most_bytes=MOST_MODEL_BYTES))
    if run.attempt_number > 1:
        watched.earlier_seconds = _earlier_seconds(run)
    _submit(watched)
    _watched[run.attempt_id] = watched
    return watched


def _watch_cold(run: Run) -> _Watched:
    asked = asked_of_run(run)
    job = make_job(
        asked,
        submit_time=datetime.now(timezone.utc),
        job_id=run.attempt_id,
        user=run.user_name,
        planned_steps=_run._plans.get(run.attempt_id, (None, None))[0],
    )
    watched = _Watched(asked, job, StoredModel(Forecaster(), ModelNote()))
    _submit(watched)
    _watched[run.attempt_id] = watched
    return watched


def _submit(watched: _Watched) -> None:
    # The model's clock may be ahead of the run's start: it was taught in between.
    moment = watched.stored.moment(watched.job["submit_time"])
    forecaster = watched.stored.forecaster
    try:
        usage = forecaster.submit({**watched.job, "submit_time": moment})
    except InvalidArgument:
        moment = watched.stored.moment(datetime.now(timezone.utc))
        usage = forecaster.submit({**watched.job, "submit_time": moment})
    forecaster.start(watched.job["job_id"], moment)
    watched.usage, watched.began_at = usage, moment


def _earlier_seconds(run: Run) -> float:
    ledger = _open(run, is_writing=False)
    if ledger is None:
        return 0.0
    attempts = ledger.attempts(run.run_id)
    earlier = [one for one in attempts if one.attempt.attempt_id != run.attempt_id]
    return sum(one.metered_time.total_seconds() for one in earlier)


def _show_first(run: Run, watched: _Watched) -> None:
    assert watched.usage is not None
    watched.first = to_forecast(watched.usage, watched.asked, notes=cold_notes(watched.usage))
    _tell(f"forecast of {run.project}/{run.experiment}: {sentence(watched.first)}")
    warning = _over_budget(run, watched.first)
    if warning:
        watched.told.add(warning.split(",")[0])
        _log.warning("%s/%s: %s", run.project, run.experiment, warning)
    _store(run, watched, watched.first, kind="submitted")


def sentence(forecast: Forecast) -> str:
    """One line: the middle, the range, and what it rests on."""
    hours = (
        f"{forecast.p50_gpu_hours:.3g} GPU-hours"
        f" ({forecast.p10_gpu_hours:.3g} to {forecast.p90_gpu_hours:.3g})"
    )
    if forecast.p50_cost is not None:
        low, high = format_money(forecast.p10_cost), format_money(forecast.p90_cost)
        hours = f"{format_money(forecast.p50_cost)} ({low} to {high}), {hours}"
    count = forecast.ended_job_count
    rests = f"{count:,} finished job{'s' * (count != 1)}" if count else "no finished job: a guess"
    return f"about {hours}; from {rests}"


def _outlook(run: Run, watched: _Watched) -> Forecast:
    elapsed = run.elapsed.total_seconds()
    used = (elapsed + watched.earlier_seconds) * watched.asked.gpu_count
    assert watched.began_at is not None
    ran = timedelta(seconds=elapsed + watched.earlier_seconds)
    usage = watched.stored.forecaster.refresh(watched.job["job_id"], watched.began_at + ran)
    model = Quantiles(
        usage.p10_gpu_seconds, usage.p50_gpu_seconds, usage.p90_gpu_seconds, usage.mean_gpu_seconds
    )
    progress = _progress(run, watched, elapsed)
    one = combine(model, progress, gpu_count=watched.asked.gpu_count, used_gpu_seconds=used)
    return priced_forecast(
        (one.p10, one.p50, one.p90, one.mean),
        watched.asked,
        ended_job_count=usage.ended_job_count,
        similar_job_count=usage.similar_job_count,
        tree_weight=usage.tree_weight,
        notes=cold_notes(usage) if progress is None else (),
        basis="history" if progress is None else "history and progress",
    )


def _progress(run: Run, watched: _Watched, elapsed: float) -> ProgressEstimate | None:
    step, planned = run.step, watched.job["planned_steps"]
    if step is None:
        return None
    now = ProgressSample(elapsed, step)
    estimate = None
    if planned is not None:
        resumed = run.resume_from
        estimate = estimate_from_progress(
            now,
            watched.samples,
            first_step=min(resumed.step, step) if resumed is not None else 0,
            planned_steps=planned,
        )
    watched.samples.append(now)
    if len(watched.samples) > _SAMPLES_KEPT:
        del watched.samples[::2]  # every other one: old and new ones stay
    if estimate is None or not watched.earlier_seconds:
        return estimate
    total = estimate.total_seconds + watched.earlier_seconds
    return ProgressEstimate(total, estimate.spread * estimate.total_seconds / total)


def _worries(run: Run, watched: _Watched, forecast: Forecast) -> tuple[str, ...]:
    first = watched.first
    found = [_over_budget(run, forecast)]
    if first is not None and forecast.p50_gpu_hours > first.p90_gpu_hours:
        found.append(
            f"it will run far past its first forecast, {forecast.p50_gpu_hours:.3g} GPU-hours are "
            f"expected and {first.p90_gpu_hours:.3g} were the most of 9 in 10 such jobs"
        )
    return tuple(one for one in found if one)


def _over_budget(run: Run, forecast: Forecast) -> str:
    """A sentence if the middle of the forecast passes what the budget has for this run."""
    if forecast.p50_cost is None:
        return ""
    try:
        budget = run.budget
        if budget is None:
            return ""
        own = run.cost or Money(0, budget.limit.currency)
        # What this run spent itself counts for it; some of that is not settled yet.
        left = min(budget.limit, budget.limit - budget.spent + own)
        chance = forecast.chance_to_exceed(left)
    except FinopsError:  # an unreachable ledger, another currency: then it is not known
        return ""
    if forecast.p50_cost <= left:
        return ""
    is_guess = forecast.is_cold and forecast.basis == "history"
    may = "it may pass its budget, by a guess from no finished job" if is_guess else ""
    return (
        f"{may or 'it will probably pass its budget'}, {format_money(forecast.p50_cost)} is "
        f"expected and {format_money(left)} of {budget.budget_id} is there for it"
        f" (chance to pass it: {round(100 * (chance or 0))} %)"
    )


def _keep_now_and_then(run: Run, watched: _Watched, forecast: Forecast) -> None:
    # A loop that asks at each step must not fill the ledger, nor wait for its disk.
    elapsed = run.elapsed.total_seconds()
    if elapsed - watched.kept_at_seconds < _KEEP_INTERVAL_SECONDS or not run.is_keeper:
        return
    watched.kept_at_seconds = elapsed
    try:
        _store(run, watched, forecast, kind="refreshed")
    except Exception as error:  # noqa: BLE001 - as above
        if "store" not in watched.told:
            watched.told.add("store")
            _log.warning("the forecast of this run is not kept: %s", _describe(error))


def _store(run: Run, watched: _Watched, forecast: Forecast, *, kind: str) -> None:
    ledger = _open(run, is_writing=True)
    if ledger is None:
        return
    used = (run.elapsed.total_seconds() + watched.earlier_seconds) * forecast.gpu_count
    record = make_record(
        forecast,
        watched.job,
        run_id=run.run_id,
        attempt_id=run.attempt_id,
        experiment=run.experiment,
        kind=kind,
        elapsed_gpu_seconds=used if kind == "refreshed" else 0.0,
        model_id=watched.stored.model_id,
        price_id=run.price_id,
    )
    store_record(ledger, record)


def _open(run: Run, *, is_writing: bool) -> Ledger | None:
    if not run.home or not run.is_owner:
        return None
    path = str(ledger_path(run.home))
    return Ledger(path, read_only=not is_writing, busy_timeout=LEDGER_PATIENCE)


def _tell(text: str) -> None:
    """To the log if it takes such lines, else on stderr: who asked for a forecast sees it."""
    if _log.isEnabledFor(logging.INFO):
        _log.info("%s", text)
    elif sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(f"finops: {text}", file=sys.stderr, flush=True)


def _describe(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0] if text else type(error).__name__
