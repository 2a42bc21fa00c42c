"""`finops predict report`: how good forecasts were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from finops.predict.judging import outcomes_of_history, outcomes_of_ledger
from finops.predict.report_numbers import Outcome, ReportNumbers, Week, report_numbers
from finops.predict.sources import jobs_of_file

from .graph_page import plain_table
from .options import HomeOption, JsonOption, find_ledger, home_path
from .predict_format import MapOption, format_gpu_hours, parse_map
from .render import make_console, one_line, print_json

_WEEKS_SHOWN = 12
_NONE = "-"


def report(
    history: Annotated[
        Path | None,
        typer.Option(
            "--history", metavar="FILE", help="Tell a CSV of jobs over again, as if live."
        ),
    ] = None,
    columns: MapOption = None,
    project: Annotated[str, typer.Option(help="Only this project.")] = "",
    experiment: Annotated[str, typer.Option(help="Only this experiment.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Pictures: .html, .svg or .png.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show how good forecasts were: coverage, losses, misses, GPU-hours a week."""
    path = home_path(home)
    title, outcomes, left_out = _gather(
        history, parse_map(columns or []), project, experiment, path
    )
    numbers = report_numbers(outcomes)
    if out is not None:
        from finops.predict.pictures import write_report

        write_report(
            out, numbers, outcomes, title=title, summary=summary_rows(numbers),
            weeks=week_rows(numbers.weeks),
        )  # fmt: skip
    if as_json:
        print_json({**_numbers_json(numbers), "left_out": left_out})
        return
    console = make_console()
    _show(title, numbers, left_out, console)
    if out is not None:
        console.print(Text(f"pictures: {out}", style="dim"))


def _gather(
    history: Path | None, column_map: dict[str, str], project: str, experiment: str, home: str
) -> tuple[str, list[Outcome], dict[str, int]]:
    if history is not None:
        jobs = jobs_of_file(history, column_map)
        unfinished = sum(row.get("end_time") is None for row in jobs.rows)
        left_out = dict(jobs.left_out)
        if unfinished:
            left_out["that wait or run"] = unfinished
        return f"forecasts of {jobs.source}", outcomes_of_history(jobs.rows), left_out
    ledger = find_ledger(home)
    title = "forecasts of " + ("/".join(filter(None, (project, experiment))) or "all runs")
    if ledger is None:
        return title, [], {}
    outcomes, left_out = outcomes_of_ledger(ledger, project=project, experiment=experiment)
    return title, outcomes, left_out


def _show(title: str, numbers: ReportNumbers, left_out: dict[str, int], console: Console) -> None:
    judged = numbers.judged_count
    if not judged and not numbers.censored_count:
        console.print(
            "no forecast can be judged yet: runs with finops.init(forecast=True) are once they "
            "end; or tell a history over again: finops predict report --history jobs.csv.gz"
        )
        return
    head = f"{title}: {judged:,} ended job{'s' * (judged != 1)}"
    console.print(Text(one_line(head), style="bold"))
    if numbers.censored_count:
        text = f"{numbers.censored_count:,} were killed or timed out: in the weeks alone"
        console.print(Text(text, style="dim"))
    for reason, count in left_out.items():
        console.print(Text(f"left out: {count:,} {one_line(reason)}", style="dim"))
    console.print()
    table = plain_table("", "VALUE", "MEANT", right=("VALUE", "MEANT"))
    for what, value, meant in summary_rows(numbers):
        table.add_row(what, value, meant)
    console.print(table)
    header, *rows = week_rows(numbers.weeks)
    if rows:
        console.print()
        weeks = plain_table(
            *(cell.upper() for cell in header), right=[c.upper() for c in header[1:]]
        )
        for row in rows[-_WEEKS_SHOWN:]:
            weeks.add_row(*row)
        console.print(weeks)
        if len(rows) > _WEEKS_SHOWN:
            more = len(rows) - _WEEKS_SHOWN
            console.print(Text(f"and {more} weeks before; --json has all of them", style="dim"))


def summary_rows(numbers: ReportNumbers) -> list[tuple[str, str, str]]:
    """What, value, and what is meant; for the terminal and the page."""
    loss = numbers.mean_pinball
    return [
        ("between p10 and p90", _percent(numbers.coverage_ratio), "80 %"),
        ("at or below p90", _percent(numbers.p90_coverage_ratio), "90 %"),
        ("p50 within 25 %", _percent(numbers.within_25_percent_ratio), "more is better"),
        ("p50 off by a factor of 2 or more", _percent(numbers.off_by_2x_ratio), "less is better"),
        (
            "mean pinball loss, log GPU-seconds",
            _NONE if loss is None else f"{loss:.3f}",
            "less is better",
        ),
        (
            "GPU-hours a week, median error",
            _percent(numbers.median_week_error_ratio),
            "at most 15 %",
        ),
        ("GPU-hours in all, error", _signed(numbers.total_error_ratio), "at most 10 %"),
    ]


def week_rows(weeks: tuple[Week, ...]) -> list[tuple[str, ...]]:
    """The header and a row for each week."""
    return [
        ("week from", "jobs", "forecast GPU-hours", "used GPU-hours", "error"),
        *(
            (
                week.monday.isoformat(), f"{week.job_count:,}",
                format_gpu_hours(week.forecast_gpu_hours),
                format_gpu_hours(week.actual_gpu_hours), _signed(week.error_ratio),
            )
            for week in weeks
        ),
    ]  # fmt: skip


def _percent(ratio: float | None) -> str:
    return _NONE if ratio is None else f"{100 * ratio:.1f} %"


def _signed(ratio: float | None) -> str:
    return _NONE if ratio is None else f"{100 * ratio:+.1f} %"


def _numbers_json(numbers: ReportNumbers) -> dict[str, Any]:
    names = (
        "judged_count", "censored_count", "coverage_ratio", "p90_coverage_ratio", "mean_pinball",
        "within_25_percent_ratio", "off_by_2x_ratio", "total_error_ratio",
        "median_week_error_ratio",
    )  # fmt: skip
    return {
        **{name: getattr(numbers, name) for name in names},
        "weeks": [
            {
                "monday": week.monday.isoformat(),
                "job_count": week.job_count,
                "forecast_gpu_hours": week.forecast_gpu_hours,
                "actual_gpu_hours": week.actual_gpu_hours,
                "error_ratio": week.error_ratio,
            }
            for week in numbers.weeks
        ],
        "calibration": [
            {"said": said, "observed": observed} for said, observed in numbers.calibration
        ],
    }
