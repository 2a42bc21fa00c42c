"""`finops predict refresh`: the forecasts of running runs, renewed."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from rich.table import Table
from rich.text import Text

from finops.ledger import ledger_path, open_ledger
from finops.live import live_path, live_runs
from finops.predict.refreshing import Refreshed, Renewed
from finops.predict.refreshing import refresh as refresh_forecasts

from .graph_page import plain_table
from .options import HomeOption, JsonOption, home_path
from .predict_format import format_gpu_hours
from .render import UNKNOWN, format_money, make_console, money_json, one_line, print_json

# Columns from which experiment, first forecast and step are in the table.
_WIDE, _NARROW, _NARROWEST = 125, 105, 92


def refresh(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Renew the forecasts of running runs, and say which will pass their budget."""
    path = home_path(home)
    if not ledger_path(path).exists():
        if as_json:
            print_json({"runs": [], "notes": []})
        else:
            print(f"no runs recorded in {path}")
        return

    pages = live_runs(live_path(path))[0] if os.path.isdir(live_path(path)) else []
    done = refresh_forecasts(open_ledger(path), pages, home=path, now=datetime.now(timezone.utc))
    if as_json:
        print_json(_refreshed_json(done))
    else:
        _show(done)


def _show(done: Refreshed) -> None:
    console = make_console()
    if done.runs:
        console.print(_table(done.runs, console.width))
    else:
        print("no run is running")
    for one in done.runs:
        for sentence in worries(one):
            console.print(Text(sentence, style="red"))
    if done.runs and not any(worries(one) for one in done.runs):
        console.print(Text("no run is expected to pass its budget", style="green"))
    jobs = "job that has ended is" if done.ended_since == 1 else "jobs that have ended are"
    told = [f"{done.ended_since:,} more {jobs} in the model"] if done.ended_since else []
    told += ["it was fitted anew"] if done.was_refitted else []
    if told:
        console.print(Text("; ".join(told), style="dim"))
    for note in done.notes:
        console.print(Text(one_line(note), style="yellow"))


def worries(one: Renewed) -> list[str]:
    """What somebody should know of a run, in sentences."""
    name = one_line(f"{one.job.run_id} ({one.job.project}/{one.job.experiment})")
    found = []
    if one.passes_budget:
        chance = one.forecast.chance_to_exceed(one.budget_left) if one.budget_left else None
        sure = f" (chance {round(chance * 100)} %)" if chance is not None else ""
        found.append(
            f"{name} will probably pass its budget: {format_money(one.forecast.p50_cost)} is "
            f"expected, {format_money(one.budget_left)} of {one_line(one.budget_id)} is there{sure}"
        )
    if one.is_far_past and one.first_p90_gpu_hours is not None:
        found.append(
            f"{name} will run far past its first forecast: "
            f"{format_gpu_hours(one.forecast.p50_gpu_hours)} GPU-hours are expected, at most "
            f"{format_gpu_hours(one.first_p90_gpu_hours)} were (p90)"
        )
    return found


def _table(runs: list[Renewed], width: int) -> Table:
    headers = ["RUN", "EXPERIMENT", "STEP", "USED", "FIRST P50", "NOW P50", "P10 TO P90"]
    headers += ["COST P50", "BUDGET LEFT"]
    # What goes first where the terminal is narrow; the sentences below have it too.
    for header, least in (("EXPERIMENT", _WIDE), ("FIRST P50", _NARROW), ("STEP", _NARROWEST)):
        if width < least:
            headers.remove(header)
    right = ("STEP", "USED", "FIRST P50", "NOW P50", "COST P50", "BUDGET LEFT")
    table = plain_table(*headers, right=right)
    for column in table.columns:
        column.no_wrap = True
    for one in runs:
        cells = _cells(one)
        table.add_row(*(cells[header] for header in headers))
    return table


def _cells(one: Renewed) -> dict[str, Text]:
    style = "red" if worries(one) else ""
    forecast = one.forecast
    planned = f" of {one.planned_steps:,}" if one.planned_steps else ""
    low, high = format_gpu_hours(forecast.p10_gpu_hours), format_gpu_hours(forecast.p90_gpu_hours)
    first, left = one.first_p50_gpu_hours, one.budget_left
    texts = {
        "EXPERIMENT": one_line(f"{one.job.project}/{one.job.experiment}"),
        "STEP": "-" if one.step is None else f"{one.step:,}{planned}",
        "USED": f"{format_gpu_hours(one.used_gpu_hours)} h",
        "FIRST P50": "-" if first is None else f"{format_gpu_hours(first)} h",
        "P10 TO P90": f"{low} to {high} h",
        "COST P50": UNKNOWN if forecast.p50_cost is None else format_money(forecast.p50_cost),
        "BUDGET LEFT": "-" if left is None else format_money(left),
    }
    return {
        **{header: Text(text) for header, text in texts.items()},
        "RUN": Text(one.job.run_id, style=f"bold {style}".strip()),
        "NOW P50": Text(f"{format_gpu_hours(forecast.p50_gpu_hours)} h", style=style),
    }


def _refreshed_json(done: Refreshed) -> dict[str, Any]:
    return {
        "runs": [_renewed_json(one) for one in done.runs],
        "ended_since": done.ended_since,
        "was_refitted": done.was_refitted,
        "notes": list(done.notes),
    }


def _renewed_json(one: Renewed) -> dict[str, Any]:
    forecast = one.forecast
    quantiles = ("p10", "p50", "p90", "mean")
    return {
        "run_id": one.job.run_id,
        "project": one.job.project,
        "experiment": one.job.experiment,
        "name": one.job.name,
        "step": one.step,
        "planned_steps": one.planned_steps,
        "used_gpu_hours": one.used_gpu_hours,
        "first_p50_gpu_hours": one.first_p50_gpu_hours,
        "first_p90_gpu_hours": one.first_p90_gpu_hours,
        "gpu_hours": {name: getattr(forecast, f"{name}_gpu_hours") for name in quantiles},
        "cost": {name: money_json(getattr(forecast, f"{name}_cost")) for name in quantiles},
        "basis": forecast.basis,
        "ended_job_count": forecast.ended_job_count,
        "budget_id": one.budget_id or None,
        "budget_left": money_json(one.budget_left),
        "passes_budget": one.passes_budget,
        "is_far_past_first_forecast": one.is_far_past,
        "chance_to_exceed": (
            forecast.chance_to_exceed(one.budget_left) if one.budget_left is not None else None
        ),
    }
