"""How budgets look: the table of all, the page of one, the tree.

Owns: display. Does not own: what a budget holds (the ledger).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from finops import Money
from finops.ledger import BudgetSummary, Ledger, Membership, RequestSummary
from finops.live import LiveRun, live_path, live_runs

from .render import (
    bar,
    fields_json,
    format_money,
    format_span,
    format_sums,
    format_time,
    money_json,
    one_line,
    sum_by_currency,
)

_BUDGET_FIELDS = (
    "budget_id", "scope", "period", "period_label", "period_start", "period_end", "is_hard",
    "parent_id", "created_by", "created_at", "limit", "available", "held", "spent", "overspent",
    "burn_per_hour", "approvers", "open_lease_count",
)  # fmt: skip
_EXPERIMENT = "experiment:"


@dataclass(frozen=True)
class RunningRun:
    """A live run that debits a budget."""

    live: LiveRun
    bound: Money | None  # the most it can be metered past its lease; None: unpriced


def running_of(ledger: Ledger, home: str) -> dict[str, list[RunningRun]]:
    """The live runs of this host by the budgets that they debit."""
    running: dict[str, list[RunningRun]] = {}
    try:
        pages, _ = live_runs(live_path(home))
    except OSError:
        return {}
    for page in pages:
        if not page.is_alive or not page.budget_id:
            continue
        chain = next(
            (
                one.attempt.budget_chain
                for one in ledger.attempts(page.run_id)
                if one.attempt.attempt_id == page.attempt_id
            ),
            [page.budget_id],
        )
        for budget_id in chain:
            running.setdefault(budget_id, []).append(RunningRun(page, page.overspend_bound))
    return running


def budget_json(
    budget: BudgetSummary, running: Iterable[RunningRun] = (), ledger: Ledger | None = None
) -> dict[str, Any]:
    """A budget with all accounts and terms, and `left`: what is not spent."""
    terms = budget.terms
    bounds = sum_by_currency(run.bound for run in running if run.bound is not None)
    result = {
        **fields_json(budget, *_BUDGET_FIELDS),
        "left": money_json(budget.limit - budget.spent),
        "burn_cap_per_hour": money_json(terms.burn_cap_per_hour),
        "max_duration_seconds": terms.max_duration.total_seconds() if terms.max_duration else None,
        "warning_percents": terms.warning_percents,
        "overspend_bound": money_json(bounds[0]) if bounds else None,
    }
    if ledger is not None:
        result["overspent_by"] = [
            fields_json(one, "period_label", "attempt_id", "amount", "why", "recorded_at")
            for one in ledger.overspent(budget.budget_id)
        ]
    return result


def budget_name(budget_id: str) -> str:
    """A budget's id as people write it: an experiment's without its scope."""
    return budget_id.removeprefix(_EXPERIMENT)


def describe_terms(budget: BudgetSummary) -> str:
    """ "hard budget of $5.00 each month (Europe/Berlin), at most $100.00/h" """
    terms = budget.terms
    kind = "hard" if budget.is_hard else "soft"
    parts = [f"{kind} budget of {format_money(terms.limit)}{_each(budget)}"]
    if terms.burn_cap_per_hour is not None:
        parts.append(f"at most {format_money(terms.burn_cap_per_hour)}/h")
    if terms.max_duration is not None:
        parts.append(f"each run at most {format_span(terms.max_duration)}")
    return ", ".join(parts)


def _each(budget: BudgetSummary) -> str:
    word, _, zone = budget.period.partition("@")
    return "" if word == "lifetime" else f" each {word} ({zone})"


def budget_table(budgets: Sequence[BudgetSummary]) -> Table:
    """All budgets, one line each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("BUDGET", overflow="ellipsis", no_wrap=True, min_width=14)
    table.add_column("KIND")
    has_periods = any(budget.period != "lifetime" for budget in budgets)
    if has_periods:
        table.add_column("PERIOD", no_wrap=True)
    for header in ("LIMIT", "SPENT", "HELD"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("LEFT", no_wrap=True)
    table.add_column("BURN/H", justify="right", no_wrap=True)
    for budget in budgets:
        cells: list[RenderableType] = [
            one_line(budget_name(budget.budget_id)),
            "hard" if budget.is_hard else "soft",
        ]
        if has_periods:
            cells.append("-" if budget.period == "lifetime" else budget.period_label)
        cells += [
            format_money(budget.limit),
            format_money(budget.spent),
            format_money(budget.held),
            _left(budget),
            _burn(budget),
        ]
        table.add_row(*cells)
    return table


def _left(budget: BudgetSummary) -> Text:
    ratio = float(budget.spent.amount / budget.limit.amount) if budget.limit else 1.0
    return Text.assemble(bar(ratio, 10), f" {format_money(budget.limit - budget.spent)}")


def _burn(budget: BudgetSummary) -> Text:
    cap = budget.terms.burn_cap_per_hour
    if not budget.burn_per_hour and cap is None:
        return Text("-", style="dim")
    text = format_money(budget.burn_per_hour)
    if cap is None:
        return Text(text)
    style = "red" if budget.burn_per_hour >= cap else ""
    return Text(f"{text} of {format_money(cap)}", style=style)


def budget_page(
    ledger: Ledger, budget: BudgetSummary, running: Sequence[RunningRun]
) -> RenderableType:
    """One budget in full: accounts, terms, people, what runs on it, what went past it."""
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    for name, value in _facts(ledger, budget, running):
        facts.add_row(name, value)
    parts: list[RenderableType] = [
        Text.assemble((one_line(budget_name(budget.budget_id)), "bold"), "  ", _left(budget)),
        facts,
    ]
    if running:
        parts.append(_running_table(running))
    past = ledger.overspent(budget.budget_id)
    if past:
        parts.append(Text("past the limit", style="red"))
        parts += [
            Text(
                f"  {format_time(one.recorded_at)}  {format_money(one.amount)}  {one_line(one.why)}"
            )
            for one in past
        ]
    return Group(*parts)


def _facts(
    ledger: Ledger, budget: BudgetSummary, running: Sequence[RunningRun]
) -> Iterable[tuple[str, str]]:
    yield "terms", describe_terms(budget)
    if budget.period != "lifetime":
        ends = f", until {format_time(budget.period_end)}" if budget.period_end else ""
        yield "period", f"{budget.period_label}{ends}"
        if budget.limit != budget.terms.limit:
            yield "limit", f"{format_money(budget.limit)} in this period, raised by approvals"
    yield "spent", format_money(budget.spent)
    yield "held", f"{format_money(budget.held)} by {_count(budget.open_lease_count, 'lease')}"
    yield "available", format_money(budget.available)
    if budget.overspent:
        yield "overspent", format_money(budget.overspent)
    yield "burn", f"{format_money(budget.burn_per_hour)}/h"
    yield "bound", _bound(budget, running)
    percents = ", ".join(f"{percent} %" for percent in budget.terms.warning_percents)
    yield "warnings", f"at {percents}" if percents else "none"
    yield "approvers", ", ".join(budget.approvers) or "everybody"
    if budget.parent_id:
        yield "belongs to", budget_name(budget.parent_id)


def _bound(budget: BudgetSummary, running: Sequence[RunningRun]) -> str:
    """The most that can be metered past the limit by what runs now."""
    if not budget.is_hard:
        return "none: a soft budget warns and goes on"
    if not running:
        return "nothing runs on it on this host"
    total = format_sums(run.bound for run in running if run.bound is not None)
    unknown = sum(1 for run in running if run.bound is None)
    rest = f", and {_count(unknown, 'run')} without a price" if unknown else ""
    return f"at most {total} past the limit by what runs now{rest}"


def _running_table(running: Sequence[RunningRun]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("RUNNING", no_wrap=True)
    table.add_column("EXPERIMENT", overflow="ellipsis", no_wrap=True)
    for header in ("RATE", "COST", "BOUND"):
        table.add_column(header, justify="right", no_wrap=True)
    for run in running:
        live = run.live
        table.add_row(
            live.run_id,
            one_line("/".join(filter(None, (live.project, live.experiment, live.name)))),
            f"{format_money(live.price_per_hour)}/h",
            format_money(live.cost_so_far),
            format_money(run.bound),
        )
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _parents(budgets: Iterable[BudgetSummary], memberships: Iterable[Membership]) -> dict[str, str]:
    """Parent by child; an experiment belongs to its project by itself."""
    parents = {one.child_id: one.parent_id for one in memberships}
    for budget in budgets:
        if budget.parent_id:
            parents.setdefault(budget.budget_id, budget.parent_id)
    return parents


def _roots(parents: dict[str, str], budgets: Iterable[BudgetSummary]) -> list[str]:
    nodes = {*parents, *parents.values(), *(budget.budget_id for budget in budgets)}
    order = {"organisation": 0, "team": 1, "project": 2, "experiment": 3, "user": 4}
    return sorted(
        (node for node in nodes if node not in parents),
        key=lambda node: (order.get(node.partition(":")[0], 5), node),
    )


def budget_tree(budgets: Sequence[BudgetSummary], memberships: Sequence[Membership]) -> Tree:
    """Organisation, teams, projects, experiments, and users beside them."""
    parents = _parents(budgets, memberships)
    known = {budget.budget_id: budget for budget in budgets}
    tree = Tree("budgets", guide_style="dim")

    def add(above: Tree, node: str) -> None:
        branch = above.add(_tree_line(node, known.get(node)))
        for child in sorted(child for child, parent in parents.items() if parent == node):
            add(branch, child)

    for root in _roots(parents, budgets):
        add(tree, root)
    return tree


def _tree_line(budget_id: str, budget: BudgetSummary | None) -> Text:
    name = (one_line(budget_name(budget_id)), "bold")
    if budget is None:
        return Text.assemble(name, ("  no budget of its own", "dim"))
    kind = "" if budget.is_hard else "  soft"
    period = "" if budget.period == "lifetime" else f"  {budget.period_label}"
    return Text.assemble(
        name,
        "  ",
        _left(budget),
        (f" of {format_money(budget.limit)}{period}{kind}", "dim"),
    )


def tree_json(
    budgets: Sequence[BudgetSummary], memberships: Sequence[Membership]
) -> list[dict[str, Any]]:
    """The roots, each with its `children`; `budget` is null for a level without one."""
    parents = _parents(budgets, memberships)
    known = {budget.budget_id: budget for budget in budgets}

    def node_json(node: str) -> dict[str, Any]:
        budget = known.get(node)
        children = sorted(child for child, parent in parents.items() if parent == node)
        return {
            "budget_id": node,
            "budget": budget_json(budget) if budget else None,
            "children": [node_json(child) for child in children],
        }

    return [node_json(root) for root in _roots(parents, budgets)]


def waiting_line(request: RequestSummary) -> Text:
    """A request that waits for an answer, and how to give it."""
    until = f", until {format_time(request.expires_at)}" if request.expires_at else ""
    return Text(
        f"waiting: {request.who} asks for {format_money(request.amount)} for "
        f"{one_line(budget_name(request.budget_id))} since "
        f"{format_time(request.requested_at)}{until}: {one_line(request.why)}; "
        f"finops budget approve {request.request_id}",
        style="yellow",
    )
