"""The ledger and the price book in the C++ core. `_core.pyi` gives them out.

There is no such module: it is this part of the extension's stub.
"""

from datetime import datetime, timedelta
from typing import final

from ._core import (
    AttemptSummary,
    BudgetLine,
    BudgetSummary,
    BudgetTerms,
    BudgetTermsChange,
    CheckpointRecord,
    DecisionRecord,
    Delivery,
    ForecastOutcome,
    ForecastRecord,
    LedgerJob,
    LineageRecords,
    Membership,
    MergeReport,
    Money,
    Notice,
    OverspentEntry,
    PriceRow,
    RequestSummary,
    RunSummary,
    TelemetryWindow,
    VerifyReport,
)

@final
class Ledger:
    def __init__(
        self, path: str, *, read_only: bool = ..., busy_timeout: timedelta = ...
    ) -> None: ...
    def runs(
        self,
        *,
        run_id: str = ...,
        project: str = ...,
        experiment: str = ...,
        name: str = ...,
        status: str = ...,
        limit: int = ...,
    ) -> list[RunSummary]: ...
    def attempts(self, run_id: str) -> list[AttemptSummary]: ...
    def budgets(self) -> list[BudgetSummary]: ...
    def budget(self, budget_id: str) -> BudgetSummary | None: ...
    def budget_lines(self, budget_id: str) -> list[BudgetLine]: ...
    def requests(self) -> list[RequestSummary]: ...
    def decisions(self, *, attempt_id: str = ..., limit: int = ...) -> list[DecisionRecord]: ...
    def last_checkpoint(self, run_id: str) -> CheckpointRecord | None: ...
    def add_lineage(self, records: LineageRecords) -> None:
        """Record what came from what, all or nothing. The same again is a no-op.

        Raises
        ------
        Conflict : other content under a known id, or the node or cost of a run of this ledger's.
        InvalidArgument : a record that makes no sense, or an edge that closes a cycle (the message
            names its path).
        """

    def lineage(self, as_of: datetime | None = ...) -> LineageRecords:
        """All that a genealogy is built from: what was recorded, and the ledger's own runs.

        Parameters
        ----------
        as_of : as it was then (exclusive); None: all.
        """

    def add_forecast(self, forecast: ForecastRecord) -> None:
        """Keep a forecast of a run. The same again is a no-op.

        Raises
        ------
        Conflict : other content under a known id, or an attempt of another run.
        NotFound : the run or the attempt is not in the ledger.
        """

    def forecasts(
        self,
        *,
        run_id: str = ...,
        project: str = ...,
        experiment: str = ...,
        kind: str = ...,
        made_from: datetime | None = ...,
        made_until: datetime | None = ...,
        limit: int | None = ...,
    ) -> list[ForecastRecord]:
        """What was forecast, in the order of time. Empty fields match everything.

        Parameters
        ----------
        made_from, made_until : from when on, and before when.
        limit : the newest so many; None: all.
        """

    def forecast_outcomes(
        self,
        *,
        run_id: str = ...,
        project: str = ...,
        experiment: str = ...,
        kind: str = ...,
        made_from: datetime | None = ...,
        made_until: datetime | None = ...,
        limit: int | None = ...,
    ) -> list[ForecastOutcome]:
        """The same as `forecasts`, each with what its run has used and cost by now."""

    def job_history(self, since: datetime | None = ...) -> list[LedgerJob]:
        """The runs that forecasts are learned from, in the order of submission.

        Parameters
        ----------
        since : those that ended then or later, and all that have not ended; None: all.
        """

    def verify(self, *, since: str = ...) -> VerifyReport:
        """Check the file, the journal, every balance and the audit chain.

        Parameters
        ----------
        since : a head noted earlier (`audit_head`), or the number of a record: it has to be in the
            chain still. Empty: nothing was noted. What was written since may be more, never other.

        Raises
        ------
        InvalidArgument : `since` is neither.
        """

    def budget_chain(
        self, project: str, experiment: str, user_name: str
    ) -> list[BudgetSummary]: ...
    def terms_history(self, budget_id: str) -> list[BudgetTermsChange]: ...
    def overspent(self, budget_id: str) -> list[OverspentEntry]: ...
    def memberships(self) -> list[Membership]: ...
    def notices(self, after: int = ..., limit: int = ...) -> list[Notice]: ...
    def last_delivery(self, channel: str) -> Delivery | None: ...
    def telemetry(self, attempt_id: str) -> list[TelemetryWindow]: ...
    def ensure_budget(
        self,
        budget_id: str,
        terms: BudgetTerms,
        *,
        who: str,
        is_hard: bool = ...,
        period: str = ...,
    ) -> BudgetSummary: ...
    def change_terms(
        self, budget_id: str, terms: BudgetTerms, *, who: str, why: str = ...
    ) -> BudgetSummary: ...
    def set_parent(self, child_id: str, parent_id: str, *, who: str) -> None: ...
    def add_request(
        self,
        budget_id: str,
        amount: Money,
        *,
        who: str,
        why: str,
        run_id: str = ...,
        expires_in: timedelta | float | None = ...,
    ) -> str: ...
    def rule_request(
        self, request_id: str, *, is_approved: bool, who: str, why: str
    ) -> RequestSummary: ...
    def expire_requests(self) -> int: ...
    def add_delivery(
        self,
        channel: str,
        first_number: int,
        last_number: int,
        state: str,
        detail: str = ...,
    ) -> Delivery: ...
    def merge(self, other_path: str) -> MergeReport: ...
    def copy_to(self, path: str) -> None: ...
    def settle_suspect(self, attempt_id: str, *, is_spent: bool, who: str) -> str: ...
    def set_price(self, row: PriceRow) -> None: ...
    def price_unpriced(self, book: PriceBook) -> int: ...

@final
class PriceBook:
    """The shipped book (or the text of another one), with the prices that a ledger's user set."""

    def __init__(self, json_text: str, source_name: str) -> None: ...
    def add_user_prices(self, ledger: Ledger) -> None: ...
    def rows(self) -> list[PriceRow]: ...
    def quote(self, resource: str) -> tuple[PriceRow, Money, list[str]] | None: ...
    def make_user_price(self, name: str, price: str, who: str) -> PriceRow: ...
