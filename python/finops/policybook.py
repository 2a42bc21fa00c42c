"""The policy file as the core's PolicyBook, and an agent that judges by it.

Owns: nothing but the translation. Does not own: reading (policy.py), judging (the core).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ._core import Agent, GuardPolicy, PolicyBook, PolicyRule
from .policy import PolicyFile

__all__ = ["make_agent", "make_book"]


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
    base = GuardPolicy()
    _set(base, {**policy.limits, **_given(overrides)})
    rules = []
    for values in policy.rules:
        rule = PolicyRule()
        _set(rule, values)
        rules.append(rule)
    if is_dry_run:
        base.is_dry_run = True
        for rule in rules:
            rule.is_dry_run = True
    book = PolicyBook(base, rules, **policy.breaker)
    book.check()
    return book


def make_agent(
    home: str,
    policy: PolicyFile,
    *,
    interval: timedelta,
    overrides: Mapping[str, Any] | None = None,
    name: str = "guard",
    is_dry_run: bool = False,
    overrides_breaker: bool = False,
    with_telemetry: bool = True,
) -> Agent:
    """The agent of `finops guard` or `finops run`; it does not serve yet.

    Raises
    ------
    InvalidArgument : the policy makes no sense.
    HomeNotSafe : the home folder is not ours, or open to others.
    """
    return Agent(
        home,
        name=name,
        interval=interval,
        policies=make_book(policy, overrides=overrides, is_dry_run=is_dry_run),
        overrides_breaker=overrides_breaker,
        with_telemetry=with_telemetry,
    )


def _given(overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (overrides or {}).items() if value is not None}


def _set(limits: GuardPolicy | PolicyRule, values: Mapping[str, Any]) -> None:
    for attribute, value in values.items():
        setattr(limits, attribute, value)
