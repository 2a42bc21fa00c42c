"""The errors of finops: one class tree, each class also a built-in one.

Owns: the classes. Does not own: the messages, which the C++ core writes; each names the value, the
limit and the next step.
"""

from __future__ import annotations

from . import _core


class FinopsError(Exception):
    """The base of everything finops raises on purpose."""


class InvalidArgument(FinopsError, ValueError):
    """The caller's value is wrong."""


class InvalidMoney(InvalidArgument):
    """A money or price text is malformed, negative, or finer than 12 decimals."""


class CurrencyMismatch(InvalidArgument):
    """Two currencies met without a rate between them."""


class MoneyOverflow(FinopsError, OverflowError):
    """An amount left its range."""


class UnknownResource(FinopsError, LookupError):
    """No such GPU, instance type or SKU; the message names the nearest."""


class AmbiguousResource(FinopsError, LookupError):
    """Several prices fit; the message lists them."""


class UnpricedResource(FinopsError, LookupError):
    """A budget needs a price and there is none."""


class NotFound(FinopsError, LookupError):
    """No such run, attempt, budget or request."""


class Conflict(FinopsError, RuntimeError):
    """The same id with other content, or somebody else was first."""


class BudgetMismatch(FinopsError, ValueError):
    """The budget exists with another limit."""


class BudgetExhausted(FinopsError, RuntimeError):
    """Nothing is left to start with."""


class BurnCapExceeded(BudgetExhausted):
    """Together with the others it would cost more in an hour than a budget allows."""


class NotEntitled(FinopsError, PermissionError):
    """Only an approver of the budget may do this."""


class HomeNotSafe(FinopsError, PermissionError):
    """The home folder or ledger is not ours, or open to others."""


class UnsupportedSchema(FinopsError, RuntimeError):
    """The file was written by a newer finops."""


class LedgerCorrupt(FinopsError, RuntimeError):
    """The ledger is damaged; nothing more is written to it."""


class LedgerUnavailable(FinopsError, ConnectionError):
    """The ledger cannot be reached in time."""


class MissingPackage(FinopsError, ImportError):
    """An optional package is needed; the message says how to install it."""


class SystemFailure(FinopsError, OSError):
    """The operating system refused a call."""


class InternalError(FinopsError, AssertionError):
    """Our own code is wrong: please report it."""


class RunPaused(SystemExit):
    """Raised by ``finops.pause(run)``: ends the process with the exit code of a paused run (75)."""

    def __init__(self, reason: str) -> None:
        super().__init__(_core.EXIT_PAUSED)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


_core.set_error_classes(
    {
        "InvalidArgument": InvalidArgument,
        "InvalidMoney": InvalidMoney,
        "CurrencyMismatch": CurrencyMismatch,
        "Overflow": MoneyOverflow,
        "UnknownResource": UnknownResource,
        "AmbiguousResource": AmbiguousResource,
        "UnpricedResource": UnpricedResource,
        "NotFound": NotFound,
        "Conflict": Conflict,
        "BudgetMismatch": BudgetMismatch,
        "BudgetExhausted": BudgetExhausted,
        "BurnCapExceeded": BurnCapExceeded,
        "NotEntitled": NotEntitled,
        "PermissionDenied": HomeNotSafe,
        "UnsupportedSchema": UnsupportedSchema,
        "LedgerCorrupt": LedgerCorrupt,
        "LedgerUnavailable": LedgerUnavailable,
        "SystemFailure": SystemFailure,
        "InternalError": InternalError,
    }
)
