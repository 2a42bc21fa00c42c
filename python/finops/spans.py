"""Spans of time as people write them, in options and in the policy file.

Owns: reading them. Does not own: showing them (cli/render).
"""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import InvalidArgument

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_SECONDS = 10 * 365 * 86400.0


def read_span(text: str) -> timedelta:
    """A span above zero: "30m", "5s", "1.5h", "2d", "250ms"; a bare number is seconds.

    Raises
    ------
    InvalidArgument : anything else, or more than ten years.

    Examples
    --------
    >>> read_span("1.5h")
    datetime.timedelta(seconds=5400)
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f"{text!r} is no span; write it like 30m, 5s, 1.5h or 90")
    seconds = float(match[1]) * _UNITS[match[2] or "s"]
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise InvalidArgument(f"{text!r} must be above zero and at most ten years")
    return timedelta(seconds=seconds)
