"""The panel of `finops predict job`, and what `train` and `refresh` print.

Owns: display. Invariants: the middle never stands without its range; what is not known is said.
"""

from __future__ import annotations

import math

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from finops import Money
from finops.predict import Driver, Forecast, PastRun
from finops.predict.pricing import Placement
from finops.predict.training import Trained
from finops.texts import shorten

from .graph_page import plain_table
from .predict_format import format_chance, format_gpu_hours
from .predict_words import driver_words
from .render import UNKNOWN, bar, format_money, format_span, money_text, one_line

_WIDEST = 100
_DRIVERS_SHOWN = 5
_PAST_RUNS_SHOWN = 5
_STATUS_STYLES = {"COMPLETED": "green", "FAILED": "red"}


def show_forecast(
    forecast: Forecast,
    title: str,
    console: Console,
    *,
    budget: Money | None,
    placements: list[Placement],
    placement_note: str,
    warnings: tuple[str, ...] = (),
) -> None:
    """The panel: numbers, range, chance, placements, and why."""
    parts: list[RenderableType] = [_headline(forecast), Text(""), _numbers(forecast)]
    width = min(console.width, _WIDEST)
    scale = _range_line(forecast, budget, width - 8)
    if scale is not None:
        parts += [Text(""), *scale]
    parts += [Text(""), *_facts(forecast, budget)]
    parts += [Text(one_line(warning), style="yellow") for warning in warnings]
    if placements:
        parts += [Text(""), _heading("cheapest placements", placement_note)]
        parts.append(_placements_table(placements, width))
    parts += _why(forecast)
    border = "red" if _is_over(forecast, budget) else "yellow" if forecast.notes else "cyan"
    console.print(
        Panel(
            Group(*parts),
            title=Text(one_line(title), style="bold"),
            title_align="left",
            border_style=border,
            padding=(1, 2),
            width=width,
        )
    )


def show_trained(trained: Trained, console: Console) -> None:
    """What a model rests on, what was left out, and how its last forecasts held."""
    note, health = trained.note, trained.health
    waiting = trained.job_count - trained.ended_job_count
    users = f"{trained.user_count:,} user{'s' * (trained.user_count != 1)}"
    lines = [
        Text.assemble(
            (f"learned from {trained.ended_job_count:,} ended jobs", "bold"), f" of {users}",
            f" ({note.source}), {waiting:,} more wait or run; {trained.seconds:.1f} s",
        ),
        Text(", ".join(f"{count:,} {name}" for name, count in trained.status_counts.items())),
    ]  # fmt: skip
    lines += [
        Text(f"left out: {count:,} {one_line(reason)}", style="yellow")
        for reason, count in note.left_out.items()
    ]
    if health.scored_job_count:
        lines.append(
            Text.assemble(
                f"of the last {health.scored_job_count:,} ended jobs, ",
                (format_chance(health.coverage_ratio), _coverage_style(health.coverage_ratio, 0.8)),
                " were between p10 and p90 of what was said at their submission (80 % is meant), ",
                (
                    format_chance(health.p90_coverage_ratio),
                    _coverage_style(health.p90_coverage_ratio, 0.9),
                ),
                " at or below p90 (90 %)",
            )
        )
    if health.is_drifting:
        lines.append(Text(f"drift: {one_line(health.reason)}", style="bold red"))
    lines += [Text(one_line(text), style="yellow") for text in trained.notes]
    lines.append(Text.assemble(("model: ", "dim"), one_line(str(trained.path))))
    for line in lines:
        console.print(line)


def _coverage_style(ratio: float, meant: float) -> str:
    off = abs(ratio - meant)
    return "green" if off <= 0.05 else "yellow" if off <= 0.1 else "red"


def _headline(forecast: Forecast) -> Text:
    hours = format_gpu_hours(forecast.p50_gpu_hours)
    low, high = format_gpu_hours(forecast.p10_gpu_hours), format_gpu_hours(forecast.p90_gpu_hours)
    if forecast.p50_cost is None:
        return Text.assemble(
            ("about ", ""), (f"{hours} GPU-hours", "bold"),
            f"; 8 of 10 such jobs use {low} to {high}",
        )  # fmt: skip
    return Text.assemble(
        "about ", (format_money(forecast.p50_cost), "bold"), f" ({hours} GPU-hours); ",
        f"8 of 10 such jobs cost {format_money(forecast.p10_cost)} "
        f"to {format_money(forecast.p90_cost)}",
    )  # fmt: skip


def _numbers(forecast: Forecast) -> Table:
    table = plain_table("", "P10", "P50", "P90", "MEAN", right=("P10", "P50", "P90", "MEAN"))
    hours = (
        forecast.p10_gpu_hours, forecast.p50_gpu_hours, forecast.p90_gpu_hours,
        forecast.mean_gpu_hours,
    )  # fmt: skip
    costs = (forecast.p10_cost, forecast.p50_cost, forecast.p90_cost, forecast.mean_cost)
    spans = (forecast.p10_duration, forecast.p50_duration, forecast.p90_duration)
    if forecast.p50_cost is not None:
        table.add_row("cost", *(money_text(cost) for cost in costs), style="bold")
    table.add_row("GPU-hours", *(format_gpu_hours(one) for one in hours))
    table.add_row("run time", *(format_span(span) for span in spans), "")
    return table


def _range_line(forecast: Forecast, budget: Money | None, width: int) -> list[Text] | None:
    """p10 to p90 on a logarithmic line, and the budget below it."""
    low, middle, high = forecast.p10_cost, forecast.p50_cost, forecast.p90_cost
    points = [
        float(one.amount) for one in (low, middle, high) if one is not None and one.amount > 0
    ]
    if len(points) < 3 or points[0] >= points[2] or width < 20:
        return None
    limit = None
    if budget is not None and low is not None and budget.currency == low.currency:
        limit = float(budget.amount) or None
    ends = [*points, limit] if limit else points
    start, stop = math.log(min(ends)) - 0.3, math.log(max(ends)) + 0.3

    def column(value: float) -> int:
        return round((math.log(value) - start) / (stop - start) * (width - 1))

    first, dot, last = (column(value) for value in points)
    cells = ["─"] * first + ["━"] * (last - first + 1) + ["─"] * (width - last - 1)
    cells[dot] = "●"
    line = Text("".join(cells), style="bright_black")
    line.stylize("cyan", first, last + 1)
    line.stylize("bold", dot, dot + 1)
    lines = [line]
    if limit and budget is not None:
        label = f"budget {format_money(budget)}"
        place = column(limit)
        line.stylize("bold red", place, place + 1)
        on_left = place + len(label) + 2 > width
        text = f"{label} ▲" if on_left else f"▲ {label}"
        indent = max(0, place - len(label) - 1) if on_left else place
        lines.append(Text(" " * indent + text, style="red"))
    return lines


def _facts(forecast: Forecast, budget: Money | None) -> list[Text]:
    lines = []
    if budget is not None:
        chance = forecast.chance_to_exceed(budget)
        if chance is None:
            text = (
                f"chance to exceed {format_money(budget)}: {UNKNOWN} without --resources or --price"
            )
            lines.append(Text(text, style="yellow"))
        else:
            meter = bar(chance, 20)
            style = "red" if chance >= 0.5 else "yellow" if chance >= 0.1 else "green"
            meter.stylize(style)
            lines.append(
                Text.assemble(
                    f"chance to exceed {format_money(budget)}  ", meter,
                    (f" {format_chance(chance)}", f"bold {style}"),
                )
            )  # fmt: skip
    if forecast.most_gpu_hours is not None:
        most = format_gpu_hours(forecast.most_gpu_hours)
        words = f"at most {most} GPU-hours: jobs here are ended at the time that they asked for"
        lines.append(Text(words, style="dim"))
    lines.append(Text(_rests_on(forecast), style="dim"))
    lines += [Text(one_line(note), style="yellow") for note in forecast.notes]
    return lines


def _rests_on(forecast: Forecast) -> str:
    if forecast.is_cold:
        return "rests on no finished job"
    count, similar = forecast.ended_job_count, forecast.similar_job_count
    jobs = f"rests on {count:,} finished job{'s' * (count != 1)}"
    return f"{jobs}, {similar:,} of this kind among the most recent" if similar else jobs


def _placements_table(placements: list[Placement], width: int) -> Table:
    columns = ["WHERE", "GPUS", "PER HOUR", "P50 COST", "P90 COST"]
    table = plain_table(*columns, right=("PER HOUR", "P50 COST", "P90 COST"))
    for one in placements:
        row = one.row
        spot = " spot" if row.pricing_category == "Dynamic" else ""
        count = f"{one.machine_count} x " if one.machine_count > 1 else ""
        place = "/".join(filter(None, (row.provider, row.zone or row.region)))
        name = row.instance_type if width >= 90 else ""
        where = f"{count}{place} {name}".rstrip()
        table.add_row(
            Text.assemble(shorten(one_line(where), 44), (spot, "yellow")),
            one_line(f"{one.gpu_count} {row.gpu}"),
            format_money(one.hourly),
            format_money(one.p50_cost),
            format_money(one.p90_cost),
        )
    return table


def _why(forecast: Forecast) -> list[RenderableType]:
    parts: list[RenderableType] = []
    drivers = [one for one in forecast.drivers if abs(one.log_contribution) >= 0.01]
    if drivers:
        parts += [Text(""), _heading("why", "what moved it most")]
        parts.append(_drivers_table(drivers[:_DRIVERS_SHOWN]))
    if forecast.past_runs:
        parts += [Text(""), _heading("past runs of this kind", "newest first")]
        parts.append(_past_table(list(forecast.past_runs[:_PAST_RUNS_SHOWN])))
    return parts


def _drivers_table(drivers: list[Driver]) -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True, overflow="ellipsis")
    for one in drivers:
        factor = math.exp(min(max(one.log_contribution, -9.0), 9.0))
        is_up = one.log_contribution > 0
        change = f"x {factor:.2f}" if factor >= 0.1 else "x under 0.1"
        mark = Text("▲" if is_up else "▼", style="red" if is_up else "green")
        table.add_row(mark, change, driver_words(one))
    return table


def _past_table(past: list[PastRun]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for one in past:
        status = Text(one.status, style=_STATUS_STYLES.get(one.status, "yellow"))
        hours = f"{format_gpu_hours(one.gpu_hours)} GPU-hours"
        table.add_row(one_line(one.job_id), hours, status)
    return table


def _heading(title: str, note: str) -> Text:
    return Text.assemble((title, "bold"), (f"  {note}" if note else "", "dim"))


def _is_over(forecast: Forecast, budget: Money | None) -> bool:
    cost = forecast.p50_cost
    if budget is None or cost is None or cost.currency != budget.currency:
        return False
    return cost > budget
