"""Where a channel stands: what it was sent last, whether that failed, and when it is due again.

Owns: what the `detail` of a delivery says about tries, and the back-off. Pure.
Invariant: a group of which it is not known whether it arrived keeps its range, so that its repeat
can be recognised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from finops.policy import Channel

from .book import Delivery

FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)
FIRST_SEEN = "first seen: begins after the notices of that time"
NOTHING = "nothing for this channel"
_MAY_HAVE_ARRIVED = "; it may have arrived"
_TRY = re.compile(r"try (\d{1,9})\b")


@dataclass(frozen=True)
class Standing:
    """What comes next for one channel.

    Attributes
    ----------
    state : "new", "SENT", "SENDING" (its sender died), "FAILED".
    first_number : where the next group begins.
    last_number : where it ends, if it is a repeat of one whose outcome is not known; else None.
    tries : how often the group was tried, each without a known success.
    due_at : not before; None: at once.
    recorded_at : when the last step was recorded; None: never.
    detail : what was recorded with it.
    """

    state: str
    first_number: int
    last_number: int | None
    tries: int
    due_at: datetime | None
    recorded_at: datetime | None
    detail: str

    @property
    def may_have_arrived(self) -> bool:
        """Whether an earlier try may have reached people."""
        return self.last_number is not None

    def is_due(self, now: datetime) -> bool:
        """Whether to send now. A clock that was set back makes nobody wait for its return."""
        if self.due_at is None or self.recorded_at is None:
            return True
        return now >= self.due_at or now < self.recorded_at


def backoff(tries: int) -> timedelta:
    """How long to wait after so many tries without success: 30 s, doubled up to an hour."""
    if tries <= 0:
        return timedelta(0)
    return min(FIRST_BACKOFF * (1 << min(tries - 1, 16)), LONGEST_BACKOFF)


def standing_of(channel: Channel, last: Delivery | None) -> Standing:
    """What the last delivery of a channel means for its next one."""
    if last is None:
        return Standing("new", 1, None, 0, None, None, "")
    tries = _tries_of(last.detail)
    is_unknown = last.state == "SENDING" or last.detail.endswith(_MAY_HAVE_ARRIVED)
    if last.state == "SENT":
        wait = timedelta(0) if last.detail in (FIRST_SEEN, NOTHING) else channel.min_interval
        first, repeated, tries = last.last_number + 1, None, 0
    else:
        # A sender that died once may try again at once; one that dies each time has to wait.
        wait = backoff(tries - 1 if last.state == "SENDING" else tries)
        first, repeated = last.first_number, last.last_number if is_unknown else None
    due_at = last.recorded_at + wait if last.recorded_at and wait else None
    return Standing(last.state, first, repeated, tries, due_at, last.recorded_at, last.detail)


def sending_detail(tries: int) -> str:
    """What is recorded with SENDING."""
    return f"try {tries}"


def failed_detail(tries: int, why: str, *, may_have_arrived: bool) -> str:
    """What is recorded with FAILED."""
    return f"try {tries}: {why}" + _MAY_HAVE_ARRIVED * may_have_arrived


def _tries_of(detail: str) -> int:
    match = _TRY.match(detail)
    return int(match[1]) if match else 1
