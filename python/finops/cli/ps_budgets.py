"""Which budget `finops ps` shows beside a run: of all that it debits the hard one with least left.

Owns: the chains of runs, and what is left of each budget now. Does not own: rows (ps).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from finops import Money
from finops.ledger import BudgetSummary, Ledger, RunSummary
from finops.live import LiveRun


def chains_of(ledger: Ledger, run_ids: Iterable[str]) -> dict[str, list[str]]:
    """The ids of the budgets that the last attempt of each run debits, the smallest scope first."""
    chains = {}
    for run_id in run_ids:
        attempts = ledger.attempts(run_id)
        if attempts:
            chains[run_id] = attempts[-1].attempt.budget_chain
    return chains


def budgets_left(
    budgets: Mapping[str, BudgetSummary],
    pages: Iterable[LiveRun],
    chains: Mapping[str, Sequence[str]],
    costs: Mapping[str, Money | None],
    runs: Mapping[str, RunSummary],
) -> dict[str, Money]:
    """What is left of each budget now: live runs have used more than is settled by now."""
    left = {budget_id: budget.limit - budget.spent for budget_id, budget in budgets.items()}
    for page in pages:
        cost, run = costs[page.attempt_id], runs.get(page.run_id)
        if cost is None:
            continue
        settled = run.metered_cost if run is not None else None
        has_settled = settled is not None and settled.currency == cost.currency
        unsettled = cost - settled if has_settled and settled is not None else cost
        if unsettled <= Money(0, cost.currency):
            continue
        for budget_id in chains.get(page.run_id, ()):
            known = left.get(budget_id)
            if known is not None and known.currency == cost.currency:
                left[budget_id] = known - unsettled
    return left


def scarcest(
    chain: Sequence[str], budgets: Mapping[str, BudgetSummary], left: Mapping[str, Money]
) -> BudgetSummary | None:
    """The hard budget of the chain with least left; without a hard one its first; else None.

    All budgets of a chain are in one currency.
    """
    known = [budgets[budget_id] for budget_id in chain if budget_id in budgets]
    hard = [budget for budget in known if budget.is_hard]
    return min(hard, key=lambda budget: left[budget.budget_id], default=known[0] if known else None)
