"""Forecasts of the runs that run, renewed: siblings ended, failed, or go on; steps were done.

Owns: bringing the model up to date and asking it again. Does not own: the commands' output.
Invariants: a refreshed forecast is never below what was used; it is kept beside the earlier ones.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from .._core import Forecaster, Ledger, LedgerJob, LiveRun, Money, Rate, UsageForecast
from ..errors import FinopsError, InvalidArgument, NotFound
from .forecast import Forecast, cold_notes, priced_forecast
from .model_store import ModelNote, StoredModel, load_model, save_model
from .outlook import ProgressSample, Quantiles, combine, estimate_from_progress
from .pricing import Asked
from .records import make_record, store_record
from .sources import catch_up, job_row, jobs_of_ledger


@dataclass(frozen=True)
class Renewed:
    """A running run, and what is expected of it now."""

    job: LedgerJob
    forecast: Forecast
    used_gpu_hours: float
    step: int | None
    planned_steps: int | None
    first_p50_gpu_hours: float | None  # of the first forecast; None: there was none
    first_p90_gpu_hours: float | None
    budget_id: str  # empty: it has none
    budget_left: Money | None  # for this run: what it spent itself counts for it
    cost_now: Money | None

    @property
    def passes_budget(self) -> bool:
        """Whether the middle of the forecast is above what the budget has for it."""
        cost, left = self.forecast.p50_cost, self.budget_left
        return cost is not None and left is not None and cost > left

    @property
    def is_far_past(self) -> bool:
        """Whether it will use more than nine in ten such jobs, as its first forecast saw them."""
        first = self.first_p90_gpu_hours
        return first is not None and self.forecast.p50_gpu_hours > first


@dataclass(frozen=True)
class Refreshed:
    """What `refresh` did."""

    runs: list[Renewed]
    ended_since: int  # jobs that the model did not know to have ended
    was_refitted: bool
    is_model_saved: bool
    notes: tuple[str, ...]


def refresh(
    ledger: Ledger, pages: list[LiveRun], *, home: str | os.PathLike[str], now: datetime
) -> Refreshed:
    """Renew and keep the forecasts of the runs that run.

    Parameters
    ----------
    ledger : open for writing.
    pages : the live pages of this host; runs without one are judged by what is settled.

    Raises
    ------
    InvalidArgument, UnsupportedSchema, HomeNotSafe : the model file is damaged, newer, not yours.
    """
    notes: list[str] = []
    stored, ended_since, is_known = _current_model(ledger, home, now, notes)
    moment = stored.moment(now)  # on the model's clock
    was_refitted = stored.forecaster.refit_if_due(moment)
    if is_known and stored.note.is_from_ledger:
        save_model(stored.forecaster, replace(stored.note, as_of=moment), home=home)
    by_run = {page.run_id: page for page in pages if page.is_alive}
    renewed = []
    for job in ledger.job_history(None):
        if job.status != "RUNNING" or job.ended_at is not None:
            continue
        try:
            renewed.append(_renew(ledger, stored, job, by_run.get(job.run_id), now))
        except FinopsError as error:
            notes.append(f"{job.run_id}: no forecast: {error}")
    renewed.sort(key=lambda one: (not one.passes_budget, not one.is_far_past, one.job.run_id))
    is_saved = is_known and stored.note.is_from_ledger
    return Refreshed(renewed, ended_since, was_refitted, is_saved, tuple(notes))


def _current_model(
    ledger: Ledger, home: str | os.PathLike[str], now: datetime, notes: list[str]
) -> tuple[StoredModel, int, bool]:
    """The model with all that the ledger knows, how many jobs that ended, whether it has a file."""
    try:
        stored = load_model(home=home)
    except NotFound:
        rows = jobs_of_ledger(ledger).rows
        forecaster = Forecaster()
        if rows:
            forecaster.learn(rows)
        notes.append("there is no model yet, so this one was made for now: finops predict train")
        return StoredModel(forecaster, ModelNote("ledger", now, now)), 0, False
    as_of = stored.note.as_of
    rows = jobs_of_ledger(ledger, as_of).rows
    return stored, catch_up(stored.forecaster, rows, as_of or now), True


def _renew(
    ledger: Ledger, stored: StoredModel, job: LedgerJob, page: LiveRun | None, now: datetime
) -> Renewed:
    asked = _asked(ledger, job)
    earlier = ledger.forecasts(run_id=job.run_id)
    run_seconds = _run_seconds(ledger, job, page)
    used = run_seconds * asked.gpu_count
    row = {**job_row(job), "gpu_count": asked.gpu_count}
    usage = _ask(stored.forecaster, row, run_seconds, stored.moment(now), job.attempt_count)
    estimate = None
    if page is not None and page.step > 0 and job.planned_steps:  # heartbeats leave it at 0
        first_step = _first_step(ledger, job, page)
        sample = ProgressSample(page.elapsed.total_seconds(), page.step)
        estimate = estimate_from_progress(
            sample, (), first_step=first_step, planned_steps=job.planned_steps
        )
        before = run_seconds - page.elapsed.total_seconds()
        if estimate is not None:
            estimate = replace(estimate, total_seconds=estimate.total_seconds + max(0.0, before))
    model = Quantiles(
        usage.p10_gpu_seconds, usage.p50_gpu_seconds, usage.p90_gpu_seconds, usage.mean_gpu_seconds
    )
    one = combine(model, estimate, gpu_count=asked.gpu_count, used_gpu_seconds=used)
    forecast = priced_forecast(
        (one.p10, one.p50, one.p90, one.mean),
        asked,
        ended_job_count=usage.ended_job_count,
        similar_job_count=usage.similar_job_count,
        tree_weight=usage.tree_weight,
        notes=cold_notes(usage),
        basis="history" if estimate is None else "history and progress",
    )
    record = make_record(
        forecast, row, run_id=job.run_id, attempt_id=page.attempt_id if page else "",
        experiment=job.experiment, kind="refreshed", elapsed_gpu_seconds=used,
        model_id=stored.model_id,
        price_id=asked.price_id, made_at=now,
    )  # fmt: skip
    store_record(ledger, record)
    first = earlier[0] if earlier else None
    budget_id, left = _budget_left(ledger, job, forecast)
    return Renewed(
        job, forecast, used / 3600, page.step if page is not None and page.reports else None,
        job.planned_steps, first.p50_gpu_seconds / 3600 if first else None,
        first.p90_gpu_seconds / 3600 if first else None, budget_id, left, job.metered_cost,
    )  # fmt: skip


def _asked(ledger: Ledger, job: LedgerJob) -> Asked:
    """What the newest attempt runs on, at the price that it is charged."""
    newest = ledger.attempts(job.run_id)[-1]
    rate, price_id = None, ""
    if newest.price:
        rate = Rate.whole(Money.parse(newest.price.rpartition("/")[0]))
        price_id = newest.attempt.price_id
    gpu_count = max(1, math.ceil(job.gpu_count or 1))  # of unknown size: one, as in live.py
    return Asked(job.resource, job.gpu_model, gpu_count, rate, price_id)


def _run_seconds(ledger: Ledger, job: LedgerJob, page: LiveRun | None) -> float:
    """How long the run has run in all its attempts; what a page says is newer than the ledger."""
    if page is None:
        return job.run_seconds
    earlier = sum(
        one.metered_time.total_seconds()
        for one in ledger.attempts(job.run_id)
        if one.attempt.attempt_id != page.attempt_id
    )
    return max(job.run_seconds, earlier + page.elapsed.total_seconds())


def _first_step(ledger: Ledger, job: LedgerJob, page: LiveRun) -> int:
    if job.attempt_count < 2:
        return 0
    checkpoint = ledger.last_checkpoint(job.run_id)
    if checkpoint is None or checkpoint.attempt_id == page.attempt_id:
        return 0
    return min(checkpoint.step, page.step)


def _ask(
    forecaster: Forecaster, row: Mapping[str, Any], run_seconds: float, now: datetime, attempts: int
) -> UsageForecast:
    # The model counts from a job's start, pauses too: of a run that paused, the moment asked for is
    # its start and the time that it ran.
    moment = now
    if attempts > 1:
        moment = (row["start_time"] or row["submit_time"]) + timedelta(seconds=run_seconds)
    try:
        return forecaster.refresh(row["job_id"], moment)
    except InvalidArgument:  # the model does not know it: made from a file, or a clock that differs
        forecaster.submit({**row, "submit_time": now})
        forecaster.start(row["job_id"], now)
        return forecaster.refresh(row["job_id"], now + timedelta(seconds=run_seconds))


def _budget_left(ledger: Ledger, job: LedgerJob, forecast: Forecast) -> tuple[str, Money | None]:
    """The budget of the chain with the least left for this run, in the price's currency."""
    found: tuple[str, Money | None] = ("", None)
    for budget in ledger.budget_chain(job.project, job.experiment, job.user_name):
        left = budget.limit - budget.spent
        if job.metered_cost is not None and job.metered_cost.currency == left.currency:
            left = left + job.metered_cost
        cost = forecast.p50_cost
        if cost is not None and cost.currency != left.currency:
            continue
        if found[1] is None or left < found[1]:
            found = (budget.budget_id, left)
    return found
