"""`finops budget`: limits, what is left of them, and who belongs to whom.

Owns: set, show, tree, history, settle. Does not own: requests (budget_requests), display
(budget_page).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from finops import Money
from finops.errors import BudgetMismatch, InvalidArgument, NotFound
from finops.ledger import BudgetSummary, BudgetTerms, Ledger, open_ledger

from . import budget_requests
from .budget_page import (
    budget_json,
    budget_name,
    budget_page,
    budget_table,
    budget_tree,
    describe_terms,
    running_of,
    tree_json,
    waiting_line,
)
from .history import budget_history, history_table
from .options import (
    BudgetArgument,
    HomeOption,
    JsonOption,
    WhyOption,
    find_ledger,
    home_path,
    parse_budget,
    span_option,
    user_name,
)
from .render import format_money, make_console, print_json

app = typer.Typer(help="Budgets: set, show, request, approve.", no_args_is_help=True)
app.command("request")(budget_requests.request)
app.command("approve")(budget_requests.approve)
app.command("deny")(budget_requests.deny)

_NONE = "none"  # takes a cap, a duration or a list away

PeriodOption = Annotated[
    str, typer.Option("--period", metavar="PERIOD", help="lifetime, day, week, month or quarter.")
]
ZoneOption = Annotated[
    str, typer.Option("--time-zone", metavar="ZONE", help="Of the period, as in Europe/Berlin.")
]
CapOption = Annotated[
    str, typer.Option("--burn-cap", metavar='"100 USD"', help="The most in an hour, or none.")
]
DurationOption = Annotated[
    timedelta | None,
    span_option("--max-duration", "The longest that one attempt may run.", default="no limit"),
]
WarnOption = Annotated[str, typer.Option("--warn", metavar="50,80,95", help="Percents to warn at.")]
ApproverOption = Annotated[
    list[str] | None,
    typer.Option("--approver", metavar="USER", help="Who may approve; repeat it, or none."),
]
ParentOption = Annotated[
    str, typer.Option("--parent", metavar="BUDGET", help="What it belongs to, or none.")
]


@app.command("set")
def set_budget(
    budget: BudgetArgument,
    limit: Annotated[str, typer.Argument(metavar='["5 USD"]')] = "",
    soft: Annotated[bool, typer.Option("--soft", help="At the limit warn, do not pause.")] = False,
    period: PeriodOption = "",
    time_zone: ZoneOption = "",
    burn_cap: CapOption = "",
    max_duration: DurationOption = None,
    no_max_duration: Annotated[bool, typer.Option("--no-max-duration", help="No limit.")] = False,
    warn: WarnOption = "",
    approver: ApproverOption = None,
    parent: ParentOption = "",
    why: WhyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Create a budget, or change its limit and terms. What is not given stays as it is.

    BUDGET is PROJECT/EXPERIMENT, project:NAME, team:NAME, organisation:NAME or user:NAME.
    """
    budget_id = parse_budget(budget)
    ledger = open_ledger(home_path(home))
    before = ledger.budget(budget_id)
    if time_zone and not period and before is None:
        raise typer.BadParameter("needs --period", param_hint="--time-zone")
    if before is None and not limit:
        if not parent:
            raise NotFound(no_budget(budget_id))
        _set_parent(ledger, budget_id, parent)  # a level without a budget of its own
        print(f"{budget_name(budget_id)} belongs to {parent}")
        return
    terms = before.terms if before else BudgetTerms(Money.parse(limit))
    if limit:
        terms.limit = Money.parse(limit)
    _change_terms(terms, burn_cap, max_duration, no_max_duration, warn, approver)
    if before is None:
        text = period or "lifetime"
        ledger.ensure_budget(
            budget_id,
            terms,
            who=user_name(),
            is_hard=not soft,
            period=f"{text}@{time_zone}" if time_zone else text,
        )
    else:
        _refuse_another_kind(before, soft, period, time_zone)
        ledger.change_terms(budget_id, terms, who=user_name(), why=why)
    if parent:
        _set_parent(ledger, budget_id, parent)
    after = existing(ledger, budget_id)
    if as_json:
        print_json(budget_json(after))
        return
    change = ""
    if before and before.terms.limit != after.terms.limit:
        change = f", was {format_money(before.terms.limit)}"
    print(f"{budget_name(budget_id)}: {describe_terms(after)}{change}")
    if before is None and _open_attempts(ledger):
        print("runs that began before it do not count in it")


@app.command("show")
def show(
    budget: Annotated[str, typer.Argument(metavar="[BUDGET]")] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show all budgets, or one in full, and the requests that wait for an answer."""
    home_text = home_path(home)
    ledger = find_ledger(home_text)
    budgets = ledger.budgets() if ledger else []
    budget_id = parse_budget(budget) if budget else ""
    if budget_id:
        budgets = [one for one in budgets if one.budget_id == budget_id]
        if not budgets:
            raise NotFound(no_budget(budget_id))
    ids = {one.budget_id for one in budgets}
    waiting = [r for r in (ledger.requests() if ledger else []) if not r.is_ruled]
    waiting = [request for request in waiting if request.budget_id in ids]
    running = running_of(ledger, home_text) if ledger and budgets else {}
    if as_json:
        print_json(
            {
                "budgets": [
                    budget_json(one, running.get(one.budget_id, ()), ledger) for one in budgets
                ],
                "waiting_requests": [budget_requests.request_json(r) for r in waiting],
            }
        )
        return
    console = make_console()
    if not budgets:
        print('no budgets; make one: finops budget set PROJECT/EXPERIMENT "5 USD"')
    elif budget_id and ledger is not None:
        console.print(budget_page(ledger, budgets[0], running.get(budget_id, ())))
    else:
        console.print(budget_table(budgets))
    for request in waiting:
        console.print(waiting_line(request))


@app.command("tree")
def tree(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show which budget belongs to which, with what is left of each."""
    ledger = find_ledger(home_path(home))
    budgets = ledger.budgets() if ledger else []
    memberships = ledger.memberships() if ledger else []
    if as_json:
        print_json(tree_json(budgets, memberships))
    elif not budgets and not memberships:
        print('no budgets; make one: finops budget set PROJECT/EXPERIMENT "5 USD"')
    else:
        make_console().print(budget_tree(budgets, memberships))


@app.command("history")
def history(budget: BudgetArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show who changed a budget, who asked, who answered, and why."""
    ledger = find_ledger(home_path(home))
    budget_id = parse_budget(budget)
    if ledger is None or ledger.budget(budget_id) is None:
        raise NotFound(no_budget(budget_id))
    events = budget_history(ledger, budget_id)
    if as_json:
        print_json([event.as_json() for event in events])
    else:
        make_console().print(history_table(events))


@app.command("settle")
def settle(
    attempt: Annotated[str, typer.Argument(metavar="ATTEMPT")],
    spent: Annotated[bool, typer.Option("--spent", help="It was used: it counts.")] = False,
    released: Annotated[bool, typer.Option("--released", help="It was not: given back.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Settle the uncertain time of an attempt whose process ended without a word."""
    if spent == released:
        raise typer.BadParameter("say either --spent or --released")
    ledger = open_ledger(home_path(home))
    state = ledger.settle_suspect(attempt, is_spent=spent, who=user_name())
    outcome = "spent" if spent else "released"
    if as_json:
        print_json({"attempt_id": attempt, "account_state": state, "outcome": outcome})
    else:
        print(f"{attempt}: its uncertain time is {outcome}")


def existing(ledger: Ledger, budget_id: str) -> BudgetSummary:
    """The budget.

    Raises
    ------
    NotFound : there is none, with how to make it.
    """
    budget = ledger.budget(budget_id)
    if budget is None:
        raise NotFound(no_budget(budget_id))
    return budget


def no_budget(budget_id: str) -> str:
    """What to tell somebody who asks for a budget that is not there."""
    name = budget_name(budget_id)
    return f'{name} has no budget; make one: finops budget set {name} "5 USD"'


def _set_parent(ledger: Ledger, budget_id: str, parent: str) -> None:
    parent_id = "" if parent == _NONE else parse_budget(parent)
    ledger.set_parent(budget_id, parent_id, who=user_name())


def _change_terms(
    terms: BudgetTerms,
    burn_cap: str,
    max_duration: timedelta | None,
    no_max_duration: bool,
    warn: str,
    approvers: list[str] | None,
) -> None:
    if burn_cap:
        text = burn_cap.removesuffix("/h")
        terms.burn_cap_per_hour = None if burn_cap == _NONE else Money.parse(text)
    if max_duration is not None or no_max_duration:
        terms.max_duration = None if no_max_duration else max_duration
    if warn:
        try:
            terms.warning_percents = (
                [] if warn == _NONE else [int(part) for part in warn.split(",")]
            )
        except ValueError:
            raise typer.BadParameter(f"{warn!r} is no list of percents like 50,80,95") from None
    if approvers:
        terms.approvers = [] if approvers == [_NONE] else approvers


def _refuse_another_kind(before: BudgetSummary, soft: bool, period: str, zone: str) -> None:
    name = budget_name(before.budget_id)
    if soft and before.is_hard:
        raise BudgetMismatch(f"budget {name} is hard, and a budget's kind cannot be changed")
    if not period and not zone:
        return
    word, _, known_zone = before.period.partition("@")
    wanted = period or word
    wanted_zone = zone or (known_zone if wanted == word else "UTC")
    if (wanted, wanted_zone) != (word, known_zone) and wanted != before.period:
        raise InvalidArgument(
            f"budget {name} is per {before.period}, and a budget's period cannot be changed"
        )


def _open_attempts(ledger: Ledger) -> bool:
    runs: list[Any] = ledger.runs(status="RUNNING", limit=1)
    return bool(runs)
