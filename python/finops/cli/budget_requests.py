"""`finops budget request`, `approve` and `deny`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from finops import Money
from finops.errors import NotFound
from finops.ledger import Ledger, RequestSummary, open_ledger

from .options import (
    BudgetArgument,
    HomeOption,
    JsonOption,
    WhyOption,
    home_path,
    parse_budget,
    span_option,
    user_name,
)
from .render import fields_json, format_money, format_time, print_json

_REQUEST_FIELDS = (
    "request_id", "budget_id", "run_id", "amount", "who", "why", "requested_at", "expires_at",
    "is_ruled", "is_approved", "outcome", "ruled_by", "ruling_reason", "old_limit", "new_limit",
    "ruled_at",
)  # fmt: skip
RequestArgument = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Its id, or 'latest': the newest unanswered one.")
]
ExpiresOption = Annotated[
    timedelta, span_option("--expires", "Nobody can answer it afterwards.", default="7d")
]


def request(
    budget: BudgetArgument,
    amount: Annotated[str, typer.Argument(metavar='"2 USD"', help="How much more.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason. Required.")],
    run: Annotated[str, typer.Option(metavar="RUN", help="The run that needs it.")] = "",
    expires: ExpiresOption = timedelta(days=7),
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Ask for more budget."""
    if not why.strip():
        raise typer.BadParameter("must say why", param_hint="--why")
    budget_id = parse_budget(budget)
    ledger = open_ledger(home_path(home))
    found = ledger.budget(budget_id)
    if found is None:
        raise NotFound(f'{budget} has no budget; make one: finops budget set {budget} "5 USD"')
    asked = ledger.add_request(
        budget_id, Money.parse(amount), who=user_name(), why=why, run_id=run, expires_in=expires
    )
    made = next(one for one in ledger.requests() if one.request_id == asked)
    if as_json:
        print_json(request_json(made))
        return
    until = f", until {format_time(made.expires_at)}" if made.expires_at else ""
    by = f" by {', '.join(found.approvers)}" if found.approvers else ""
    print(f"request {asked}: {amount} more for {budget}")
    print(f"to be answered{by}{until} with: finops budget approve {asked}")


def approve(
    request_id: RequestArgument,
    why: WhyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Approve a request: the limit goes up, and paused runs go on."""
    _rule(request_id, why, home_path(home), is_approved=True, as_json=as_json)


def deny(
    request_id: RequestArgument,
    why: WhyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Deny a request."""
    _rule(request_id, why, home_path(home), is_approved=False, as_json=as_json)


def request_json(request: RequestSummary) -> dict[str, Any]:
    """A request with its answer."""
    return fields_json(request, *_REQUEST_FIELDS)


def _rule(request_id: str, why: str, home: str, *, is_approved: bool, as_json: bool) -> None:
    ledger = open_ledger(home)
    if request_id == "latest":
        request_id = _latest_request(ledger)
    ruled = ledger.rule_request(request_id, is_approved=is_approved, who=user_name(), why=why)
    if as_json:
        print_json(request_json(ruled))
        return
    name = ruled.budget_id.removeprefix("experiment:")
    if not is_approved:
        print(f"denied: {format_money(ruled.amount)} for {name}")
        return
    limits = f"{format_money(ruled.old_limit)} -> {format_money(ruled.new_limit)}"
    budget = ledger.budget(ruled.budget_id)
    period = "" if budget is None or budget.period == "lifetime" else f" in {budget.period_label}"
    print(f"approved: {name} {limits}{period}; runs that wait for it go on by themselves")


def _latest_request(ledger: Ledger) -> str:
    waiting = [request for request in ledger.requests() if not request.is_ruled]
    if not waiting:
        raise NotFound("no request waits for an answer; see: finops budget show")
    return waiting[-1].request_id  # the ledger gives them in the order they came
