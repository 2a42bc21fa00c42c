"""The tree of commands. Needs Typer and Rich; `main` looks after their absence."""

from __future__ import annotations

from typing import Annotated

import typer

import finops

from . import budget, doctor, graph, guard, ledger, notify, predict, prices, ps, report, run, value

app = typer.Typer(
    name="finops",
    help="What ML training runs cost, and a stop at their budget.",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 75 paused at the budget; "
    "'finops run' ends with its command's own code.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"finops {finops.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="And leave.")
    ] = False,
) -> None:
    """What ML training runs cost, and a stop at their budget."""


app.command("run", context_settings={"allow_interspersed_args": False})(run.run)
app.command("guard")(guard.guard)
app.command("ps", cls=ps.PsCommand)(ps.ps)
app.command("report")(report.report)
app.add_typer(budget.app, name="budget")
app.add_typer(prices.app, name="prices")
app.add_typer(ledger.app, name="ledger")
app.add_typer(notify.app, name="notify")
app.add_typer(graph.app, name="graph")
app.add_typer(value.app, name="value")
app.add_typer(predict.app, name="predict")
app.command("doctor")(doctor.doctor)
