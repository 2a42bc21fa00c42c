"""The policy file as the core's PolicyBook, and an agent that judges by it.

Owns: nothing but the translation. Does not own: reading (policy.py), judging (the core).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import DEFAULT_SILENCE_LIMIT, _core
from .agent import Agent
from .policy import PolicyFile

if TYPE_CHECKING:
    from ._core import GuardPolicy, PolicyBook, PolicyRule

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
    base = _core.GuardPolicy()
    _set(base, {**policy.limits, **_given(overrides)})
    rules = []
    for values in policy.rules:
        rule = _core.PolicyRule()
        _set(rule, values)
        rules.append(rule)
    if is_dry_run:
        base.is_dry_run = True
        for rule in rules:
            rule.is_dry_run = True
    return _core.PolicyBook(base, rules, **policy.breaker)


def make_agent(
    home: str,
    policy: PolicyFile,
    *,
    interval: timedelta,
    overrides: Mapping[str, Any] | None = None,
    is_dry_run: bool = False,
    overrides_breaker: bool = False,
) -> Agent:
    """The agent of `finops guard`; it does not serve yet.

    Raises
    ------
    InvalidArgument : the policy makes no sense.
    HomeNotSafe : the home folder is not ours, or open to others.
    """
    if not hasattr(_core, "PolicyBook"):
        return _plain_agent(home, policy, interval, overrides)
    return Agent(
        home,
        name="guard",
        interval=interval,
        policies=make_book(policy, overrides=overrides, is_dry_run=is_dry_run),
        overrides_breaker=overrides_breaker,
        with_telemetry=True,
    )


def _plain_agent(
    home: str, policy: PolicyFile, interval: timedelta, overrides: Mapping[str, Any] | None
) -> Agent:
    # Only until the core's agent takes a PolicyBook.
    limits = {
        "silence_limit": DEFAULT_SILENCE_LIMIT,
        "directive_grace": timedelta(seconds=5),
        "term_grace": timedelta(seconds=30),
    }
    limits.update({k: v for k, v in {**policy.limits, **_given(overrides)}.items() if k in limits})
    arguments: dict[str, Any] = {"name": "guard", "interval": interval, **limits}
    return Agent(home, **arguments)


def _given(overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (overrides or {}).items() if value is not None}


def _set(limits: GuardPolicy | PolicyRule, values: Mapping[str, Any]) -> None:
    for attribute, value in values.items():
        setattr(limits, attribute, value)
