"""The policy file as the core's PolicyBook.

Owns: nothing but the translation. Does not own: reading (policy.py), judging (the core).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._core import GuardPolicy, PolicyBook, PolicyRule
from .policy import PolicyFile

__all__ = ["GuardPolicy", "PolicyBook", "PolicyRule", "make_book"]


def make_book(
    policy: PolicyFile, *, overrides: Mapping[str, Any] | None = None, is_dry_run: bool = False
) -> PolicyBook:
    """What the agent judges by.

    Parameters
    ----------
    overrides : stands above the file's [guard], and below its rules; None values are not set.
    is_dry_run : nothing but budgets is enforced, whatever the file says.

    Raises
    ------
    InvalidArgument : the core finds limits that make no sense together.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    base = GuardPolicy()
    _set(base, {**policy.limits, **given})
    rules = []
    for values in policy.rules:
        rule = PolicyRule()
        _set(rule, values)
        rules.append(rule)
    if is_dry_run:
        base.is_dry_run = True
        for rule in rules:
            rule.is_dry_run = True
    return PolicyBook(base, rules, **policy.breaker)


def _set(limits: GuardPolicy | PolicyRule, values: Mapping[str, Any]) -> None:
    for attribute, value in values.items():
        setattr(limits, attribute, value)
