"""`finops budget`: limits of experiments, requests for more, and their answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from finops import Money
from finops.errors import BudgetMismatch, NotFound
from finops.ledger import BudgetSummary, Ledger, RequestSummary, budget_id_of, open_ledger

from .history import budget_history, history_table
from .options import (
    ExperimentArgument,
    HomeOption,
    JsonOption,
    WhyOption,
    find_ledger,
    home_path,
    parse_experiment,
    user_name,
)
from .render import (
    bar,
    fields_json,
    format_money,
    format_time,
    make_console,
    money_json,
    one_line,
    print_json,
)

app = typer.Typer(help="Budgets: set, show, request, approve.", no_args_is_help=True)

_BUDGET_FIELDS = (
    "budget_id", "scope", "period", "is_hard", "created_by", "created_at", "limit", "available",
    "held", "spent", "overspent", "open_lease_count",
)  # fmt: skip
_REQUEST_FIELDS = (
    "request_id", "budget_id", "run_id", "amount", "who", "why", "requested_at", "is_ruled",
    "is_approved", "ruled_by", "ruling_reason", "old_limit", "new_limit", "ruled_at",
)  # fmt: skip
RequestArgument = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Its id, or 'latest': the newest unanswered one.")
]


@app.command("set")
def set_budget(
    experiment: ExperimentArgument,
    limit: Annotated[str, typer.Argument(metavar='"5 USD"')],
    soft: Annotated[bool, typer.Option("--soft", help="At the limit warn, do not pause.")] = False,
    why: WhyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Create an experiment's budget, or change its limit."""
    project, name = parse_experiment(experiment)
    amount = Money.parse(limit)
    ledger = open_ledger(home_path(home))
    budget_id = budget_id_of(project, name)
    before = ledger.budget(budget_id)
    if before is None:
        ledger.create_budget(project, name, amount, is_hard=not soft, who=user_name())
    elif soft and before.is_hard:
        raise BudgetMismatch(f"budget {budget_id} is hard, and a budget's kind cannot be changed")
    else:
        ledger.set_limit(budget_id, amount, who=user_name(), why=why)
    after = _existing(ledger, budget_id)
    if as_json:
        print_json(budget_json(after))
        return
    kind = "hard" if after.is_hard else "soft"
    change = f", was {format_money(before.limit)}" if before else ""
    print(f"{project}/{name}: {kind} budget of {format_money(after.limit)}{change}")


@app.command("show")
def show(
    experiment: Annotated[str, typer.Argument(metavar="[PROJECT/EXPERIMENT]")] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show all budgets, or one, and the requests that wait for an answer."""
    ledger = find_ledger(home_path(home))
    budgets = ledger.budgets() if ledger else []
    if experiment:
        budget_id = budget_id_of(*parse_experiment(experiment))
        budgets = [budget for budget in budgets if budget.budget_id == budget_id]
        if not budgets:
            raise NotFound(_no_budget(experiment))
    ids = {budget.budget_id for budget in budgets}
    waiting = [r for r in (ledger.requests() if ledger else []) if not r.is_ruled]
    waiting = [request for request in waiting if request.budget_id in ids]
    if as_json:
        requests = [fields_json(request, *_REQUEST_FIELDS) for request in waiting]
        print_json({"budgets": [budget_json(b) for b in budgets], "waiting_requests": requests})
    elif not budgets:
        print('no budgets; make one: finops budget set PROJECT/EXPERIMENT "5 USD"')
    else:
        console = make_console()
        console.print(_budget_table(budgets))
        for request in waiting:
            console.print(_waiting_line(request))


@app.command("request")
def request(
    experiment: ExperimentArgument,
    amount: Annotated[str, typer.Argument(metavar='"2 USD"', help="How much more.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason. Required.")],
    run: Annotated[str, typer.Option(metavar="RUN", help="The run that needs it.")] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Ask for more budget."""
    if not why.strip():
        raise typer.BadParameter("must say why", param_hint="--why")
    ledger = open_ledger(home_path(home))
    budget = _existing(ledger, budget_id_of(*parse_experiment(experiment)))
    asked = ledger.request_budget(
        budget.budget_id, Money.parse(amount), who=user_name(), why=why, run_id=run
    )
    if as_json:
        print_json(fields_json(_request_of(ledger, asked), *_REQUEST_FIELDS))
        return
    print(f"request {asked}: {amount} more for {experiment}")
    print(f"to be answered with: finops budget approve {asked}")


@app.command("approve")
def approve(
    request_id: RequestArgument,
    why: WhyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Approve a request: the limit goes up, and paused runs go on."""
    _rule(request_id, why, home_path(home), is_approved=True, as_json=as_json)


@app.command("deny")
def deny(
    request_id: RequestArgument,
    why: WhyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Deny a request."""
    _rule(request_id, why, home_path(home), is_approved=False, as_json=as_json)


@app.command("history")
def history(
    experiment: ExperimentArgument, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Show who changed the limit, who asked, who answered, and why."""
    ledger = find_ledger(home_path(home))
    budget_id = budget_id_of(*parse_experiment(experiment))
    if ledger is None or ledger.budget(budget_id) is None:
        raise NotFound(_no_budget(experiment))
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


def budget_json(budget: BudgetSummary) -> dict[str, Any]:
    """A budget with all accounts, and `left`: what is not spent."""
    left = money_json(budget.limit - budget.spent)
    return {**fields_json(budget, *_BUDGET_FIELDS), "left": left}


def _rule(request_id: str, why: str, home: str, *, is_approved: bool, as_json: bool) -> None:
    ledger = open_ledger(home)
    if request_id == "latest":
        request_id = _latest_request(ledger)
    ruled = ledger.rule_request(request_id, is_approved=is_approved, who=user_name(), why=why)
    if as_json:
        print_json(fields_json(ruled, *_REQUEST_FIELDS))
        return
    name = ruled.budget_id.removeprefix("experiment:")
    if not is_approved:
        print(f"denied: {format_money(ruled.amount)} for {name}")
        return
    limits = f"{format_money(ruled.old_limit)} -> {format_money(ruled.new_limit)}"
    print(f"approved: {name} {limits}; runs that wait for it go on by themselves")


def _latest_request(ledger: Ledger) -> str:
    waiting = [request for request in ledger.requests() if not request.is_ruled]
    if not waiting:
        raise NotFound("no request waits for an answer; see: finops budget show")
    return waiting[-1].request_id  # the ledger gives them in the order they came


def _request_of(ledger: Ledger, request_id: str) -> RequestSummary:
    return next(r for r in ledger.requests() if r.request_id == request_id)


def _existing(ledger: Ledger, budget_id: str) -> BudgetSummary:
    budget = ledger.budget(budget_id)
    if budget is None:
        raise NotFound(_no_budget(budget_id.removeprefix("experiment:")))
    return budget


def _no_budget(experiment: str) -> str:
    return f'{experiment} has no budget; make one: finops budget set {experiment} "5 USD"'


def _budget_table(budgets: list[BudgetSummary]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("BUDGET", overflow="ellipsis", no_wrap=True)
    table.add_column("KIND")
    for header in ("LIMIT", "SPENT", "HELD"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("LEFT", no_wrap=True)
    for budget in budgets:
        ratio = float(budget.spent.amount / budget.limit.amount) if budget.limit else 1.0
        left = budget.limit - budget.spent
        table.add_row(
            one_line(budget.budget_id.removeprefix("experiment:")),
            "hard" if budget.is_hard else "soft",
            format_money(budget.limit),
            format_money(budget.spent),
            format_money(budget.held),
            Text.assemble(bar(ratio, 10), f" {format_money(left)}"),
        )
    return table


def _waiting_line(request: RequestSummary) -> Text:
    return Text(
        f"waiting: {request.who} asks for {format_money(request.amount)} for "
        f"{one_line(request.budget_id.removeprefix('experiment:'))} since "
        f"{format_time(request.requested_at)}: {one_line(request.why)}; "
        f"finops budget approve {request.request_id}",
        style="yellow",
    )
