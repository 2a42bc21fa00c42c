"""The policy file: what the guard allows and for whom, and who is told what.

Owns: finding the file, reading it, refusing what makes no sense.
Does not own: judging (the C++ core), sending (finops.notify).
Invariant: a file is taken as a whole or refused as a whole; a message names the file, the table
and the key.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from .errors import InvalidArgument
from .spans import read_span

__all__ = [
    "NOTICE_KINDS",
    "Channel",
    "PolicyFile",
    "find_policy_file",
    "parse_policy",
    "read_policy",
]

NOTICE_KINDS = (
    "threshold", "overspent", "request", "approved", "denied", "expired", "paused", "stopped",
    "uncertain", "breaker",
)  # fmt: skip
DEFAULT_MINIMUM_INTERVAL = timedelta(minutes=1)
_FILE_NAME = "policy.toml"
_LARGEST_FILE_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DESCRIPTORS = (("/", "dev"), ("/", "proc"))
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Channel:
    """One way to tell people.

    Attributes
    ----------
    name : stands in the ledger; the address does not.
    url : an apprise URL, which may hold a secret; empty: it is in the variable `url_env`.
    kinds : which kinds of notices; empty: all.
    projects : shell globs; empty: all. What belongs to no project goes to every channel.
    min_interval : the least time between two messages.
    """

    name: str
    url: str = field(default="", repr=False)
    url_env: str = ""
    kinds: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    min_interval: timedelta = DEFAULT_MINIMUM_INTERVAL

    def address(self) -> str:
        """The apprise URL.

        Raises
        ------
        InvalidArgument : the variable that should hold it is not set.
        """
        address = self.url or os.environ.get(self.url_env, "")
        if not address:
            raise InvalidArgument(
                f"channel {self.name!r}: the variable {self.url_env} is not set; set it to the "
                "channel's apprise URL"
            )
        return address


@dataclass(frozen=True)
class PolicyFile:
    """A policy file as it was read; without one, nothing is set and nobody is told.

    Attributes
    ----------
    path : empty: there is no file.
    limits : what [guard] sets, under the names of the attributes of the core's GuardPolicy.
    breaker : `breaker_share` and `breaker_minimum`, if they are set.
    rules : one mapping a [[rule]], under the names of the attributes of the core's PolicyRule.
    warnings : what a person should change, and what does not make the file wrong.
    text : what was read, so that somebody else can be handed exactly this policy.
    """

    path: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    breaker: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Mapping[str, Any], ...] = ()
    channels: tuple[Channel, ...] = ()
    warnings: tuple[str, ...] = ()
    text: str = field(default="", repr=False)

    def channel(self, name: str) -> Channel:
        """The channel of that name.

        Raises
        ------
        InvalidArgument : there is none.
        """
        for channel in self.channels:
            if channel.name == name:
                return channel
        known = ", ".join(channel.name for channel in self.channels) or "none"
        place = self.path or "there is no policy file"
        raise InvalidArgument(f"no channel {name!r}; the known ones are: {known} ({place})")


def find_policy_file(given: str | os.PathLike[str] | None, home: str) -> Path | None:
    """Where the policy lies: `given`, else $FINOPS_POLICY, else policy.toml in `home`.

    Returns
    -------
    None if nothing names a file and home has none. A file that is named need not be there:
    reading it says so.
    """
    named = given or os.environ.get("FINOPS_POLICY")
    if named:
        return Path(os.path.abspath(named))
    usual = Path(home) / _FILE_NAME
    return usual if os.path.exists(usual) else None  # Path.exists raises for a name too long


def read_policy(path: Path | None) -> PolicyFile:
    """Read and check the file; None gives an empty policy.

    Raises
    ------
    InvalidArgument : it cannot be read or makes no sense; the message names the file and the key.
    """
    if path is None:
        return PolicyFile()
    try:
        # A pipe that nobody writes to would make the guard wait for ever. The system's own names
        # for descriptors, as in --policy <(make-policy), are pipes that somebody does write to.
        if stat.S_ISFIFO(os.stat(path).st_mode) and path.parts[:2] not in _DESCRIPTORS:
            raise InvalidArgument(f"the policy file {path} is a pipe; write the policy to a file")
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidArgument(f"the policy file {path} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_FILE_BYTES:
        raise InvalidArgument(f"the policy file {path} is larger than {_LARGEST_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the policy file {path} is no UTF-8: {error}") from error
    policy = parse_policy(text, str(path))
    if mode & _READABLE_BY_OTHERS and any(channel.url for channel in policy.channels):
        warning = (
            f"others can read {path}, and a channel's url may hold a secret; "
            f"chmod 600 {path}, or name a variable with url_env"
        )
        return replace(policy, warnings=(warning,))
    return policy


def parse_policy(text: str, path: str) -> PolicyFile:
    """The policy that `text` states; `path` stands in messages.

    Raises
    ------
    InvalidArgument : it is no TOML, has an unknown key, a wrong type, or a senseless limit.
    """
    document = _load_toml(text, path)
    top = _Table(path, "", document, ("guard", "rule", "channel"))
    guard = _Table(path, "[guard]", top.table("guard"), (*_LIMITS, *_BREAKER))
    rules = [_read_rule(table) for table in top.tables("rule", _RULE_KEYS)]
    channels = [_read_channel(table) for table in top.tables("channel", _CHANNEL_KEYS)]
    for kind, names in (
        ("rule", [rule["name"] for rule in rules]),
        ("channel", [channel.name for channel in channels]),
    ):
        for name in names:
            if names.count(name) > 1:
                raise InvalidArgument(f"{path}: two [[{kind}]] tables are named {name!r}")
    breaker = {key: guard.read(key, read) for key, read in _BREAKER.items() if key in guard}
    return PolicyFile(path, _read_limits(guard), breaker, tuple(rules), tuple(channels), text=text)


def _load_toml(text: str, path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers and nesting without end
        raise InvalidArgument(f"{path} is no TOML: {error}") from error


class _Table:
    """One table of the file, which knows how it is called in a message."""

    def __init__(
        self, path: str, title: str, values: Mapping[str, Any], known: tuple[str, ...]
    ) -> None:
        self._path = path
        self.title = title
        self.values = values
        for key in values:
            if key not in known:
                what = "key" if title else "table"
                raise self.error(f"unknown {what} {key!r}; known are: {', '.join(known)}")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def error(self, text: str) -> InvalidArgument:
        """An error that says where it is."""
        return InvalidArgument(f"{self._path}: {self.title}{': ' if self.title else ''}{text}")

    def read(self, key: str, read: Callable[[Any], _Value]) -> _Value:
        """The value of a key, read by `read`, which raises InvalidArgument."""
        try:
            return read(self.values[key])
        except InvalidArgument as error:
            raise self.error(f"{key}: {error}") from None

    def table(self, key: str) -> Mapping[str, Any]:
        """The table below `key`; empty if there is none."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.error(f"{key} must be a table: [{key}]")
        return value

    def tables(self, key: str, known: tuple[str, ...]) -> list[_Table]:
        """The array of tables below `key`; empty if there is none."""
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self.error(f"{key} must be tables, each with the line [[{key}]]")
        return [
            _Table(self._path, f"[[{key}]] {value.get('name', number)}", value, known)
            for number, value in enumerate(values, start=1)
        ]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgument(f"{value!r} must be a text in quotes, and not empty")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidArgument(f"{value!r} must be 1 to 64 letters, digits and any of . _ -")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{value!r} must be true or false")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument(f"{value!r} must be a number")
    return float(value)


def _span(value: Any) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidArgument(f'{value!r} is no span; write it like "30m"')
    return read_span(str(value))


def _span_or_none(value: Any) -> timedelta:
    return timedelta(0) if value == "none" else _span(value)


def _percent(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 100:
        raise InvalidArgument(f"{value!r} must be 0 to 100 percent; 0: no such rule")
    return number


def _share(value: Any) -> float:
    number = _number(value)
    if not 0 < number <= 1:
        raise InvalidArgument(f"{value!r} must be a share above 0 and up to 1")
    return number


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise InvalidArgument(f"{value!r} must be a whole number, 0 or more")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidArgument(f'{value!r} must be a list of texts, like ["one", "two"]')
    return tuple(_text(item) for item in value)


def _kinds(value: Any) -> tuple[str, ...]:
    kinds = _texts(value)
    for kind in kinds:
        if kind not in NOTICE_KINDS:
            known = ", ".join(NOTICE_KINDS)
            raise InvalidArgument(f"unknown kind {kind!r}; known are: {known}")
    return kinds


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InvalidArgument(f'{value!r} must be a table, like {{team = "nlp*"}}')
    return {key: _text(pattern) for key, pattern in value.items()}


# Key of the file: (attribute of the core, how it is read).
_LIMITS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "silence_limit": ("silence_limit", _span),
    "longest_expected_silence": ("longest_expected_silence", _span),
    "directive_grace": ("directive_grace", _span),
    "term_grace": ("term_grace", _span),
    "max_duration": ("max_duration", _span_or_none),
    "min_gpu_utilization": ("min_gpu_utilization", _percent),
    "utilization_window": ("utilization_window", _span),
    "allows_long_running": ("allows_long_running", _flag),
    "dry_run": ("is_dry_run", _flag),
    "enforced": ("is_enforced", _flag),
}
_BREAKER: dict[str, Callable[[Any], object]] = {
    "breaker_share": _share,
    "breaker_minimum": _count,
}
_PATTERNS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "project": ("project", _text),
    "experiment": ("experiment", _text),
    "user": ("user_name", _text),
    "tags": ("tags", _tags),
}
# How long silence may be announced is for the whole guard: the core has no override of it.
_OVERRIDES = {key: value for key, value in _LIMITS.items() if key != "longest_expected_silence"}
_RULE_KEYS = ("name", *_PATTERNS, *_OVERRIDES)
_CHANNEL_KEYS = ("name", "url", "url_env", "kinds", "projects", "min_interval")


def _read_limits(table: _Table) -> dict[str, Any]:
    return {
        attribute: table.read(key, read)
        for key, (attribute, read) in _LIMITS.items()
        if key in table
    }


def _required_name(table: _Table) -> str:
    if "name" not in table:
        raise table.error("it needs a name: it stands in what people are told")
    return table.read("name", _name)


def _read_rule(table: _Table) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": _required_name(table)}
    for key, (attribute, read) in _PATTERNS.items():
        if key in table:
            rule[attribute] = table.read(key, read)
    limits = _read_limits(table)
    if not limits:
        raise table.error(f"it changes nothing; it may set: {', '.join(_OVERRIDES)}")
    return {**rule, **limits}


def _read_channel(table: _Table) -> Channel:
    name = _required_name(table)
    if ("url" in table) == ("url_env" in table):
        raise table.error("it needs either url or url_env, the name of a variable with the URL")
    return Channel(
        name=name,
        url=table.read("url", _text) if "url" in table else "",
        url_env=table.read("url_env", _text) if "url_env" in table else "",
        kinds=table.read("kinds", _kinds) if "kinds" in table else (),
        projects=table.read("projects", _texts) if "projects" in table else (),
        min_interval=(
            table.read("min_interval", _span)
            if "min_interval" in table
            else DEFAULT_MINIMUM_INTERVAL
        ),
    )
