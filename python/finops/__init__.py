"""finops: what ML training runs cost, and a stop at their budget.

>>> import finops
>>> finops.Money.parse("24.50 USD") + finops.Money("0.5")
Money('25', 'USD')
"""

from __future__ import annotations

from . import errors
from ._core import (
    DEFAULT_SILENCE_LIMIT,
    EXIT_PAUSED,
    BudgetSummary,
    CheckpointRecord,
    Money,
    Run,
    __version__,
)
from ._forecast import forecast
from ._run import finish, init, pause, track
from .directive import Directive

__all__ = [
    "DEFAULT_SILENCE_LIMIT",
    "EXIT_PAUSED",
    "BudgetSummary",
    "CheckpointRecord",
    "Directive",
    "Money",
    "Run",
    "__version__",
    "errors",
    "finish",
    "forecast",
    "init",
    "pause",
    "track",
]
