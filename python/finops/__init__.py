"""finops: what ML training runs cost, and a stop at their budget.

>>> import finops
>>> finops.Money.parse("24.50 USD") + finops.Money("0.5")
Money('25', 'USD')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from ._run import finish, init, pause, track
from .directive import Directive

if TYPE_CHECKING:
    from .predict import forecast

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


def __getattr__(name: str) -> Any:
    # The predictor is loaded on use: `import finops` stays cheap.
    if name == "forecast":
        from .predict import forecast

        globals()[name] = forecast
        return forecast
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
