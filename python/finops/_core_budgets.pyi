"""The records of budgets, notices and telemetry in the C++ core. `_core.pyi` gives them out.

There is no such module: it is this part of the extension's stub.
"""

from datetime import datetime, timedelta
from typing import final

from ._core import Money

@final
class BudgetTerms:
    """What a budget demands; take a budget's `terms`, change them, hand them to `change_terms`."""

    limit: Money
    burn_cap_per_hour: Money | None
    max_duration: timedelta | None
    warning_percents: list[int]
    approvers: list[str]
    def __init__(
        self,
        limit: Money,
        *,
        burn_cap_per_hour: Money | None = ...,
        max_duration: timedelta | float | None = ...,
        warning_percents: list[int] = ...,
        approvers: list[str] = ...,
    ) -> None: ...

@final
class BudgetSummary:
    budget_id: str
    scope: str
    period: str
    period_label: str
    period_start: datetime | None
    period_end: datetime | None
    parent_id: str
    burn_per_hour: Money
    terms: BudgetTerms
    approvers: list[str]
    is_hard: bool
    created_by: str
    created_at: datetime | None
    limit: Money
    available: Money
    held: Money
    spent: Money
    overspent: Money
    open_lease_count: int

@final
class BudgetTermsChange:
    budget_id: str
    sequence: int
    terms: BudgetTerms
    who: str
    why: str
    recorded_at: datetime | None

@final
class Membership:
    child_id: str
    parent_id: str
    who: str
    recorded_at: datetime | None

@final
class OverspentEntry:
    budget_id: str
    period_label: str
    attempt_id: str
    amount: Money
    why: str
    recorded_at: datetime | None

@final
class Notice:
    number: int
    notice_id: str
    kind: str
    budget_id: str
    attempt_id: str
    text: str
    recorded_at: datetime | None

@final
class Delivery:
    channel: str
    sequence: int
    first_number: int
    last_number: int
    state: str
    detail: str
    recorded_at: datetime | None

@final
class TelemetryWindow:
    attempt_id: str
    window_start: datetime | None
    metric: str
    device: str
    sample_count: int
    minimum: float
    mean: float
    maximum: float

@final
class MergeReport:
    run_count: int
    attempt_count: int
    usage_count: int
    charge_count: int
    other_count: int

@final
class BudgetLine:
    budget_id: str
    period_start: datetime | None
    attempt_id: str
    from_account: str
    to_account: str
    amount: Money
    who: str
    why: str
    recorded_at: datetime | None

@final
class RequestSummary:
    request_id: str
    budget_id: str
    run_id: str
    amount: Money
    who: str
    why: str
    requested_at: datetime | None
    expires_at: datetime | None
    is_ruled: bool
    is_approved: bool
    outcome: str
    ruled_by: str
    ruling_reason: str
    old_limit: Money | None
    new_limit: Money | None
    ruled_at: datetime | None
