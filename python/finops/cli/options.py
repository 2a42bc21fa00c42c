"""What the commands share: options, durations, names of experiments, who is asking.

Owns: how arguments are read. Does not own: output (render).
"""

from __future__ import annotations

import getpass
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from finops.errors import InvalidArgument
from finops.ledger import Ledger, budget_id_of, ledger_path, open_ledger
from finops.live import default_home_path
from finops.spans import read_span

_SCOPES = ("project", "team", "organisation", "user")


def parse_span(text: str | timedelta) -> timedelta:
    """A span above zero, as `finops.spans` reads it.

    Raises
    ------
    typer.BadParameter : it is none.
    """
    if isinstance(text, timedelta):
        return text
    try:
        return read_span(text)
    except InvalidArgument as error:
        raise typer.BadParameter(str(error)) from None


def parse_experiment(text: str) -> tuple[str, str]:
    """Split "PROJECT/EXPERIMENT"; the experiment may have a '/' of its own.

    Raises
    ------
    typer.BadParameter : one of the two is missing.
    """
    project, _, experiment = text.removeprefix("experiment:").partition("/")
    if not project or not experiment:
        raise typer.BadParameter(f"{text!r} must be PROJECT/EXPERIMENT, as in vision/resnet")
    return project, experiment


def parse_budget(text: str) -> str:
    """A budget's id from what people write: "vision/resnet", "project:vision", "team:research".

    Raises
    ------
    typer.BadParameter : neither a scope with a name nor PROJECT/EXPERIMENT.
    """
    scope, colon, name = text.partition(":")
    if colon and scope in _SCOPES:
        if not name or "/" in name:
            raise typer.BadParameter(f"{text!r} must be {scope}:NAME, without a '/'")
        return text
    if "/" not in text:
        raise typer.BadParameter(
            f"{text!r} must be PROJECT/EXPERIMENT, or project:, team:, organisation: or user:NAME"
        )
    return budget_id_of(*parse_experiment(text))


def span_option(
    name: str, help_text: str, *, default: str, variable: str | None = None
) -> typer.models.OptionInfo:
    """A Typer option that takes a span; `default` is how help shows it."""
    option = typer.Option(
        name,
        help=f"{help_text} [default: {default}]",
        parser=parse_span,
        metavar="SPAN",
        envvar=variable,
        show_default=False,
    )
    assert isinstance(option, typer.models.OptionInfo)
    return option


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="The folder of the ledger; else $XDG_STATE_HOME/finops or ~/.local/state/finops.",
        envvar="FINOPS_HOME",
        metavar="PATH",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON: exact amounts as text, times in UTC.")
]
ExperimentArgument = Annotated[str, typer.Argument(metavar="PROJECT/EXPERIMENT")]
BudgetArgument = Annotated[
    str, typer.Argument(metavar="BUDGET", help="PROJECT/EXPERIMENT, project:NAME, team:NAME, ...")
]
WhyOption = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept for good.")]


def home_path(home: Path | None) -> str:
    """The absolute path of the home folder; nothing is created."""
    return os.path.abspath(default_home_path(str(home) if home else ""))


def find_ledger(home: str) -> Ledger | None:
    """The ledger for reading, or None if nothing was ever recorded in `home`."""
    return open_ledger(home, read_only=True) if os.path.exists(ledger_path(home)) else None


def user_name() -> str:
    """Who is asking, as it stands in the ledger."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a user database
        return f"uid {os.getuid()}"
