"""The page of `finops report`: experiments, their runs, attempts, decisions and budgets."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from finops.ledger import AttemptSummary, BudgetSummary, DecisionRecord, ForecastRecord

from .history import history_table
from .predict_format import format_gpu_hours
from .render import (
    UNKNOWN,
    bar,
    format_money,
    format_price,
    format_span,
    format_sums,
    format_time,
    money_text,
    one_line,
)
from .report import ExperimentReport, RunReport

_STATUS_STYLES = {
    "RUNNING": "green",
    "FINISHED": "green",
    "PAUSED": "yellow",
    "FAILED": "red",
    "KILLED": "red",
}
_NEXT_STEP = (
    "give a run --resources or --price; what ran on a resource without a price is costed after: "
    'finops prices set NAME "2.50 USD/gpu/h"'
)


def show_reports(reports: list[ExperimentReport], console: Console) -> None:
    """Print every experiment, and the total if there are several."""
    for report in reports:
        _show_experiment(report, console)
    if len(reports) > 1:
        console.print(Rule(style="dim"))
        console.print(_totals_table(reports))
    unpriced = sum((report.unpriced_time() for report in reports), timedelta(0))
    if unpriced:
        note = (
            f"{format_span(unpriced)} of use has no price, so its cost is {UNKNOWN}; {_NEXT_STEP}"
        )
        console.print(Text(note, style="yellow"))


def _show_experiment(report: ExperimentReport, console: Console) -> None:
    title = Text(one_line(f"{report.project}/{report.experiment}"), style="bold")
    console.print(Rule(title, align="left", style="dim"))
    console.print(_totals_line(report))
    if report.budget is not None:
        console.print(_budget_line(report.budget))
    for run in report.runs:
        console.print()
        _show_run(run, console)
    if report.history:
        console.print()
        console.print(Text("budget history", style="dim"))
        console.print(Padding(history_table(report.history), (0, 0, 0, 2)))
    console.print()


def _totals_line(report: ExperimentReport) -> Text:
    count = len(report.runs)
    text = Text.assemble(
        (format_sums(report.metered()), "bold"), f" for {count} run{'s' * (count != 1)}"
    )
    if report.uncertain():
        text.append(f", {format_sums(report.uncertain())} uncertain", style="yellow")
    if report.unpriced_time():
        text.append(f", {format_span(report.unpriced_time())} at an unknown price", style="yellow")
    return text


def _budget_line(budget: BudgetSummary) -> Text:
    ratio = float(budget.spent.amount / budget.limit.amount) if budget.limit else 1.0
    kind = "hard" if budget.is_hard else "soft"
    text = Text.assemble(
        f"{kind} budget ",
        bar(ratio, 20),
        f" {format_money(budget.spent)} of {format_money(budget.limit)} spent",
    )
    if budget.held:
        text.append(f", {format_money(budget.held)} held")
    if budget.overspent:
        text.append(f", {format_money(budget.overspent)} over the limit", style="red")
    return text


def _show_run(run: RunReport, console: Console) -> None:
    summary = run.summary
    name = f' "{one_line(summary.run.name)}"' if summary.run.name else ""
    style = _STATUS_STYLES.get(summary.status, "")
    head = Text.assemble(
        (summary.run.run_id, "bold"), name, f" by {one_line(summary.run.user_name)}  "
    )
    head.append(summary.status, style=style)
    head.append("  ")
    head.append_text(money_text(summary.metered_cost))
    if summary.metered_cost is not None and summary.unpriced_time:
        head.append(f" + {UNKNOWN}", style="yellow")
    head.append(f" in {format_span(summary.metered_time)}")
    if summary.uncertain_cost is not None and summary.uncertain_cost:
        head.append(f", {format_money(summary.uncertain_cost)} uncertain", style="yellow")
    console.print(head)
    console.print(Padding(_attempts_table(run.attempts), (0, 0, 0, 2)))
    for line in _run_notes(run):
        console.print(Padding(line, (0, 0, 0, 2)))


def _attempts_table(attempts: list[AttemptSummary]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("STARTED", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("DURATION", justify="right", no_wrap=True)
    table.add_column("COST", justify="right", no_wrap=True)
    table.add_column("PRICE", justify="right", no_wrap=True)
    table.add_column("REASON", ratio=1)
    for attempt in attempts:
        uncertain = attempt.uncertain_cost
        cost = money_text(attempt.metered_cost)
        if uncertain is not None and uncertain:
            cost.append(f" + {format_money(uncertain)}?", style="yellow")
        table.add_row(
            str(attempt.attempt.attempt_number),
            format_time(attempt.attempt.started_at),
            Text(attempt.status, style=_STATUS_STYLES.get(attempt.status, "")),
            format_span(attempt.metered_time),
            cost,
            format_price(attempt.price),
            one_line(attempt.reason),
        )
    return table


def _run_notes(run: RunReport) -> list[Text]:
    lines = [_decision_line(decision) for decision in run.decisions]
    if run.forecast is not None:
        lines.append(_forecast_line(run.forecast))
    if run.checkpoint is not None:
        where = f"step {run.checkpoint.step:,}, {one_line(run.checkpoint.path)}"
        at = format_time(run.checkpoint.confirmed_at)
        lines.append(Text(f"{at}  last checkpoint: {where}", style="dim"))
    reasons = {a.attempt.long_running_reason for a in run.attempts if a.attempt.is_long_running}
    lines += [Text(f"long-running: {one_line(reason)}", style="blue") for reason in sorted(reasons)]
    for attempt in run.attempts:
        if attempt.account_state == "SUSPECT":
            settle = f"finops budget settle {attempt.attempt.attempt_id} --spent|--released"
            span = format_span(attempt.uncertain_time)
            lines.append(Text(f"{span} without a sign of life: {settle}", style="yellow"))
    return lines


def _forecast_line(forecast: ForecastRecord) -> Text:
    hours = [forecast.p50_gpu_seconds, forecast.p10_gpu_seconds, forecast.p90_gpu_seconds]
    middle, low, high = (format_gpu_hours(seconds / 3600) for seconds in hours)
    money = ""
    if forecast.cost is not None:
        cost = forecast.cost
        money = f"{format_money(cost.p50)} ({format_money(cost.p10)} to {format_money(cost.p90)}), "
    when = format_time(forecast.made_at)
    return Text(f"{when}  forecast: {money}{middle} GPU-hours ({low} to {high})", style="dim")


def _decision_line(decision: DecisionRecord) -> Text:
    action = decision.directive if decision.rung in ("watch", "directive") else decision.rung
    dry = "dry run, would " if decision.is_dry_run and decision.directive != "CONTINUE" else ""
    return Text.assemble(
        (f"{format_time(decision.decided_at)}  ", "dim"),
        (f"{dry}{action} ", "yellow" if decision.directive != "CONTINUE" else "green"),
        one_line(decision.reason or "all is well again"),
        (f" ({one_line(decision.decided_by)})", "dim"),
    )


def _totals_table(reports: list[ExperimentReport]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("EXPERIMENT", no_wrap=True, overflow="ellipsis")
    for header in ("RUNS", "COST", "UNCERTAIN", "UNPRICED"):
        table.add_column(header, justify="right", no_wrap=True)
    for report in reports:
        unpriced = report.unpriced_time()
        table.add_row(
            one_line(f"{report.project}/{report.experiment}"),
            str(len(report.runs)),
            format_sums(report.metered()),
            format_sums(report.uncertain()) if report.uncertain() else "-",
            format_span(unpriced) if unpriced else "-",
        )
    metered = [money for report in reports for money in report.metered()]
    table.add_row(
        "total", str(sum(len(r.runs) for r in reports)), format_sums(metered), style="bold"
    )
    return table
