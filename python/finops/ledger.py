"""The ledger: what was used, what it cost, and who allowed it.

Owns: finding and opening it. Does not own: what is in it (the C++ core).
"""

from __future__ import annotations

import os
import pathlib

from ._core import (
    AttemptRecord,
    AttemptSummary,
    BudgetLine,
    BudgetSummary,
    BudgetTerms,
    BudgetTermsChange,
    BusinessValue,
    CheckpointRecord,
    DecisionRecord,
    Delivery,
    ForecastCost,
    ForecastJob,
    ForecastOutcome,
    ForecastRecord,
    Ledger,
    LedgerJob,
    LineageCost,
    LineageEdge,
    LineageNode,
    LineageRecords,
    Membership,
    MergeReport,
    NodeStatus,
    NodeUse,
    Notice,
    OverspentEntry,
    RequestSummary,
    RunRecord,
    RunSummary,
    TelemetryWindow,
    VerifyReport,
    check_readable_home,
    default_home_path,
    lineage_line,
    open_home,
    parse_lineage_line,
    parse_node_id,
)

__all__ = [
    "AttemptRecord",
    "AttemptSummary",
    "BudgetLine",
    "BudgetSummary",
    "BudgetTerms",
    "BudgetTermsChange",
    "BusinessValue",
    "CheckpointRecord",
    "DecisionRecord",
    "Delivery",
    "ForecastCost",
    "ForecastJob",
    "ForecastOutcome",
    "ForecastRecord",
    "Ledger",
    "LedgerJob",
    "LineageCost",
    "LineageEdge",
    "LineageNode",
    "LineageRecords",
    "Membership",
    "MergeReport",
    "NodeStatus",
    "NodeUse",
    "Notice",
    "OverspentEntry",
    "RequestSummary",
    "RunRecord",
    "RunSummary",
    "TelemetryWindow",
    "VerifyReport",
    "budget_id_of",
    "ledger_path",
    "lineage_line",
    "open_ledger",
    "parse_lineage_line",
    "parse_node_id",
]


def ledger_path(home: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Where the ledger of `home` lies, whether or not it is there. Creates nothing."""
    return pathlib.Path(default_home_path(os.fspath(home) if home else "")) / "ledger.db"


def open_ledger(home: str | os.PathLike[str] | None = None, read_only: bool = False) -> Ledger:
    """Open the ledger of `home`; without `read_only` it is created if there is none.

    Parameters
    ----------
    home : the folder; else $FINOPS_HOME, $XDG_STATE_HOME/finops, ~/.local/state/finops.

    Raises
    ------
    HomeNotSafe : the folder is not ours, or others can write to it.
    LedgerUnavailable : it cannot be opened; with `read_only` also if there is none.
    """
    path = default_home_path(os.fspath(home) if home else "")
    folder = check_readable_home(path) if read_only else open_home(path)[0]
    return Ledger(os.path.join(folder, "ledger.db"), read_only=read_only)


def budget_id_of(project: str, experiment: str) -> str:
    """The id of an experiment's budget.

    >>> budget_id_of("vision", "resnet")
    'experiment:vision/resnet'
    """
    return f"experiment:{project}/{experiment}"
