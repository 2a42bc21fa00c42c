"""The C++ core. Private: use the names of `finops` and its modules."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, final

from ._core_budgets import (
    BudgetLine as BudgetLine,
)
from ._core_budgets import (
    BudgetSummary as BudgetSummary,
)
from ._core_budgets import (
    BudgetTerms as BudgetTerms,
)
from ._core_budgets import (
    BudgetTermsChange as BudgetTermsChange,
)
from ._core_budgets import (
    Delivery as Delivery,
)
from ._core_budgets import (
    Membership as Membership,
)
from ._core_budgets import (
    MergeReport as MergeReport,
)
from ._core_budgets import (
    Notice as Notice,
)
from ._core_budgets import (
    OverspentEntry as OverspentEntry,
)
from ._core_budgets import (
    RequestSummary as RequestSummary,
)
from ._core_budgets import (
    TelemetryWindow as TelemetryWindow,
)
from ._core_features import (
    FeatureColumns as FeatureColumns,
)
from ._core_features import (
    JobHistory as JobHistory,
)
from ._core_features import (
    feature_monotone as feature_monotone,
)
from ._core_features import (
    feature_names as feature_names,
)
from ._core_forecast import (
    ForecastCost as ForecastCost,
)
from ._core_forecast import (
    ForecastJob as ForecastJob,
)
from ._core_forecast import (
    ForecastOutcome as ForecastOutcome,
)
from ._core_forecast import (
    ForecastRecord as ForecastRecord,
)
from ._core_forecast import (
    LedgerJob as LedgerJob,
)
from ._core_forest import (
    BinnedFeatures as BinnedFeatures,
)
from ._core_forest import (
    Forest as Forest,
)
from ._core_forest import (
    ForestModel as ForestModel,
)
from ._core_forest import (
    Loss as Loss,
)
from ._core_forest import (
    TrainOptions as TrainOptions,
)
from ._core_forest import (
    bin_features as bin_features,
)
from ._core_forest import (
    train_forest as train_forest,
)
from ._core_genealogy import (
    Allocation as Allocation,
)
from ._core_genealogy import (
    ClaimantShare as ClaimantShare,
)
from ._core_genealogy import (
    Contributor as Contributor,
)
from ._core_genealogy import (
    CostGraph as CostGraph,
)
from ._core_genealogy import (
    CostSum as CostSum,
)
from ._core_genealogy import (
    Difference as Difference,
)
from ._core_genealogy import (
    Genealogy as Genealogy,
)
from ._core_genealogy import (
    Group as Group,
)
from ._core_genealogy import (
    NodeValue as NodeValue,
)
from ._core_genealogy import (
    NodeView as NodeView,
)
from ._core_genealogy import (
    Problem as Problem,
)
from ._core_genealogy import (
    Refusal as Refusal,
)
from ._core_genealogy import (
    TreeNode as TreeNode,
)
from ._core_genealogy import (
    ValueAmount as ValueAmount,
)
from ._core_genealogy import (
    allocate as allocate,
)
from ._core_genealogy import (
    value_amount as value_amount,
)
from ._core_genealogy import (
    value_of as value_of,
)
from ._core_genealogy import (
    value_report as value_report,
)
from ._core_ledger import (
    Ledger as Ledger,
)
from ._core_ledger import (
    PriceBook as PriceBook,
)
from ._core_lineage import (
    BusinessValue as BusinessValue,
)
from ._core_lineage import (
    LineageCost as LineageCost,
)
from ._core_lineage import (
    LineageEdge as LineageEdge,
)
from ._core_lineage import (
    LineageLine as LineageLine,
)
from ._core_lineage import (
    LineageNode as LineageNode,
)
from ._core_lineage import (
    LineageRecords as LineageRecords,
)
from ._core_lineage import (
    NodeStatus as NodeStatus,
)
from ._core_lineage import (
    NodeUse as NodeUse,
)
from ._core_lineage import (
    lineage_line as lineage_line,
)
from ._core_lineage import (
    parse_lineage_line as parse_lineage_line,
)
from ._core_lineage import (
    parse_node_id as parse_node_id,
)
from ._core_predict import (
    ForecastDriver as ForecastDriver,
)
from ._core_predict import (
    Forecaster as Forecaster,
)
from ._core_predict import (
    ForecastHealth as ForecastHealth,
)
from ._core_predict import (
    PastJob as PastJob,
)
from ._core_predict import (
    Rate as Rate,
)
from ._core_predict import (
    RateQuote as RateQuote,
)
from ._core_predict import (
    UsageForecast as UsageForecast,
)
from ._core_predict import (
    chance_to_exceed as chance_to_exceed,
)
from ._core_predict import (
    explicit_rate as explicit_rate,
)
from ._core_predict import (
    parse_resource as parse_resource,
)
from ._core_predict import (
    quote_rate as quote_rate,
)
from ._core_run import (
    CommandRun as CommandRun,
)
from ._core_run import (
    Run as Run,
)
from ._core_run import (
    RunOptions as RunOptions,
)
from ._core_scorer import (
    Scorer as Scorer,
)
from ._core_scorer import (
    best_instruction_set as best_instruction_set,
)

__version__: str
EXIT_PAUSED: int
DEFAULT_SILENCE_LIMIT: timedelta

def set_error_classes(classes: dict[str, type[BaseException]]) -> None: ...
def set_directives(members: tuple[Any, Any, Any, Any]) -> None: ...

@final
class Money:
    def __init__(self, amount: str | int | Decimal, currency: str = ...) -> None: ...
    @staticmethod
    def parse(text: str) -> Money: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...
    def split(self, weights: list[int]) -> list[Money]: ...
    def __add__(self, other: Money) -> Money: ...
    def __sub__(self, other: Money) -> Money: ...
    def __neg__(self) -> Money: ...
    def __mul__(self, factor: int) -> Money: ...
    def __rmul__(self, factor: int) -> Money: ...
    def __lt__(self, other: Money) -> bool: ...
    def __le__(self, other: Money) -> bool: ...
    def __gt__(self, other: Money) -> bool: ...
    def __ge__(self, other: Money) -> bool: ...
    def __bool__(self) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RunRecord:
    run_id: str
    project: str
    experiment: str
    name: str
    user_name: str
    parent_run_id: str
    fork_of: str
    tags: str
    created_at: datetime | None

@final
class RunSummary:
    run: RunRecord
    status: str
    reason: str
    attempt_count: int
    metered_cost: Money | None
    uncertain_cost: Money | None
    metered_time: timedelta
    unpriced_time: timedelta
    started_at: datetime | None
    ended_at: datetime | None

@final
class AttemptRecord:
    attempt_id: str
    run_id: str
    attempt_number: int
    host: str
    pid: int
    entry_point: str
    command: str
    resource: str
    price_id: str
    budget_chain: list[str]
    is_long_running: bool
    long_running_reason: str
    started_at: datetime | None

@final
class AttemptSummary:
    attempt: AttemptRecord
    status: str
    reason: str
    ended_at: datetime | None
    account_state: str
    price: str
    metered_cost: Money | None
    uncertain_cost: Money | None
    metered_time: timedelta
    uncertain_time: timedelta

@final
class DecisionRecord:
    attempt_id: str
    sequence: int
    directive: str
    rule: str
    rung: str
    reason: str
    decided_by: str
    decided_at: datetime | None
    is_dry_run: bool

@final
class CheckpointRecord:
    run_id: str
    attempt_id: str
    step: int
    path: str
    confirmed_at: datetime | None

@final
class PriceRow:
    price_id: str
    sku_id: str
    provider: str
    region: str
    zone: str
    instance_type: str
    gpu: str
    gpu_count: int
    pricing_category: str
    list_unit_price: Money
    valid_from: datetime | None
    valid_to: datetime | None
    source: str
    source_date: str
    is_default: bool
    is_user_set: bool

@final
class VerifyReport:
    journal_row_count: int
    budget_count: int
    attempt_count: int
    audit_record_count: int
    audit_head: str
    problems: list[str]

@final
class LiveRun:
    """One live page, read without changing anything."""

    attempt_id: str
    run_id: str
    project: str
    experiment: str
    name: str
    user_name: str
    host: str
    resource: str
    pid: int
    budget_id: str
    is_command: bool
    is_long_running: bool
    is_alive: bool
    reports: bool
    step: int
    progress_count: int
    directive: str
    reason: str
    price_per_hour: Money | None
    cost_so_far: Money | None
    use: str
    overspend_bound: Money | None
    elapsed: timedelta
    since_progress: timedelta
    silence_limit: timedelta | None
    started_at: datetime | None

def live_runs(live_path: str) -> tuple[list[LiveRun], list[tuple[str, str]]]: ...
def default_home_path(path: str = ...) -> str: ...
def open_home(path: str = ...) -> tuple[str, list[str]]: ...
def check_readable_home(path: str) -> str: ...
def sqlite_version() -> str: ...

@final
class GuardPolicy:
    silence_limit: timedelta
    longest_expected_silence: timedelta
    directive_grace: timedelta
    term_grace: timedelta
    max_duration: timedelta
    min_gpu_utilization: float
    utilization_window: timedelta
    allows_long_running: bool
    is_dry_run: bool
    is_enforced: bool
    def __init__(self) -> None: ...

@final
class PolicyRule:
    name: str
    project: str
    experiment: str
    user_name: str
    tags: dict[str, str]
    silence_limit: timedelta | None
    directive_grace: timedelta | None
    term_grace: timedelta | None
    max_duration: timedelta | None
    min_gpu_utilization: float | None
    utilization_window: timedelta | None
    allows_long_running: bool | None
    is_dry_run: bool | None
    is_enforced: bool | None
    def __init__(self) -> None: ...

@final
class PolicyBook:
    base: GuardPolicy
    rules: list[PolicyRule]
    breaker_share: float
    breaker_minimum: int
    def __init__(
        self,
        base: GuardPolicy = ...,
        rules: list[PolicyRule] = ...,
        breaker_share: float = ...,
        breaker_minimum: int = ...,
    ) -> None: ...
    def check(self) -> None: ...
    def policy_for(
        self, *, project: str, experiment: str, user_name: str, tags: dict[str, str]
    ) -> tuple[GuardPolicy, list[str]]: ...

@final
class AgentReport:
    page_count: int
    decisions: list[DecisionRecord]
    concluded: list[tuple[str, str, str]]
    warnings: list[str]
    breaker_held: int

@final
class Agent:
    def __init__(
        self,
        home: str,
        *,
        name: str,
        interval: timedelta,
        policies: PolicyBook,
        overrides_breaker: bool = ...,
        with_telemetry: bool = ...,
    ) -> None: ...
    def explain(self, attempt_id: str) -> list[tuple[str, str, bool]]: ...
    def policy_rules(self, attempt_id: str) -> list[str]: ...
    def try_serve(self) -> bool: ...
    @property
    def is_serving(self) -> bool: ...
    def tick(self) -> AgentReport: ...
