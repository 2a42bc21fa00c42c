"""One pass of delivery: for each channel that is due, the next group of notices.

Owns: the order of record and sending. Does not own: the lock (the caller holds it), the ledger.
Invariants: the ledger is touched by the calling thread only; a channel that does not answer holds
up neither the others nor the pass beyond its time limit.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from finops.errors import FinopsError
from finops.policy import Channel

from .book import NOTICE_BATCH, Notice, NoticeBook, newest_number
from .message import Message, compose
from .standing import (
    FIRST_SEEN,
    NOTHING,
    Standing,
    failed_detail,
    sending_detail,
    standing_of,
)

TIME_LIMIT_SECONDS = 60.0
_SKIP_COUNT = 200  # so many notices that a channel does not want are passed over for good
_WIDE_SCOPES = ("organisation", "organization", "team", "user")

Send = Callable[[Channel, Message], None]


@dataclass(frozen=True)
class Outcome:
    """What a pass did for one channel.

    Attributes
    ----------
    state : "SENT", "FAILED", or "UNRECORDED" if the ledger did not take the record.
    count : how many notices the message stands for.
    detail : why it failed; empty otherwise.
    """

    channel: str
    state: str
    count: int
    detail: str = ""


@dataclass(frozen=True)
class _Group:
    channel: Channel
    standing: Standing
    first_number: int
    last_number: int
    notices: Sequence[Notice]

    @property
    def tries(self) -> int:
        return self.standing.tries + 1


def has_work(book: NoticeBook, channels: Iterable[Channel], now: datetime) -> bool:
    """Whether a pass would do anything. Reads only."""
    return any(_is_new(book, channel) or _group_for(book, channel, now) for channel in channels)


def deliver(
    book: NoticeBook,
    channels: Sequence[Channel],
    send: Send,
    *,
    host: str,
    now: datetime,
    time_limit_seconds: float = TIME_LIMIT_SECONDS,
) -> list[Outcome]:
    """Send what is due, each channel in a thread of its own. The caller holds the sender's lock.

    A channel that is seen for the first time begins at the newest notice: nobody wants to be told
    the history.

    Parameters
    ----------
    send : sends one message; raises FinopsError if it was not taken.
    time_limit_seconds : a channel that has not answered by then has failed, and its next message
        is marked as a possible repeat.
    """
    outcomes: list[Outcome] = []
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    waiting: dict[str, _Group] = {}
    for channel in channels:
        try:
            if _is_new(book, channel):
                newest = newest_number(book)
                book.add_delivery(channel.name, newest + 1, newest, "SENT", FIRST_SEEN)
                continue
            group = _group_for(book, channel, now)
            if group is not None and _start(book, group, send, host, answers):
                waiting[channel.name] = group
        except FinopsError as error:
            outcomes.append(Outcome(channel.name, "UNRECORDED", 0, str(error)))
    deadline = time.monotonic() + time_limit_seconds
    while waiting:
        try:
            name, why = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        outcomes.append(_record(book, waiting.pop(name), why, is_unknown=False))
    for group in waiting.values():
        why = f"no answer within {time_limit_seconds:g} s"
        outcomes.append(_record(book, group, why, is_unknown=True))
    return outcomes


def _is_new(book: NoticeBook, channel: Channel) -> bool:
    return book.last_delivery(channel.name) is None


def _group_for(book: NoticeBook, channel: Channel, now: datetime) -> _Group | None:
    """What the channel gets next; None if there is nothing or it is not due."""
    standing = standing_of(channel, book.last_delivery(channel.name))
    if not standing.is_due(now):
        return None
    notices = book.notices(standing.first_number - 1, NOTICE_BATCH)
    if standing.last_number is not None:
        notices = [notice for notice in notices if notice.number <= standing.last_number]
    if not notices:
        return None
    wanted = _wanted(book, channel, notices)
    if not wanted and len(notices) < _SKIP_COUNT and standing.state == "SENT":
        return None
    last = standing.last_number or notices[-1].number
    return _Group(channel, standing, standing.first_number, last, wanted)


def _wanted(book: NoticeBook, channel: Channel, notices: Sequence[Notice]) -> list[Notice]:
    projects: dict[str, str | None] = {}
    wanted = []
    for notice in notices:
        if channel.kinds and notice.kind not in channel.kinds:
            continue
        if channel.projects:
            key = f"{notice.attempt_id} {notice.budget_id}"
            if key not in projects:
                projects[key] = _project_of(book, notice)
            project = projects[key]
            # What belongs to no project, or to one that cannot be found, goes to everybody: a
            # message too many is better than one too few.
            if project is not None and not any(fnmatchcase(project, p) for p in channel.projects):
                continue
        wanted.append(notice)
    return wanted


def _project_of(book: NoticeBook, notice: Notice) -> str | None:
    """The project that a notice is about; None: none, or not known."""
    run_id, _, _ = notice.attempt_id.rpartition("-")
    if run_id:
        for summary in book.runs(run_id=run_id):
            return str(summary.run.project)
    scope, separator, name = notice.budget_id.partition(":")
    if not separator or scope in _WIDE_SCOPES:
        return None
    return name.partition("/")[0] or None


def _start(
    book: NoticeBook,
    group: _Group,
    send: Send,
    host: str,
    answers: queue.SimpleQueue[tuple[str, str]],
) -> bool:
    """Record the group as being sent and begin to send; False if there is nothing in it to send."""
    channel, numbers = group.channel, (group.first_number, group.last_number)
    if not group.notices:
        book.add_delivery(channel.name, *numbers, "SENT", NOTHING)
        return False
    message = compose(
        group.notices,
        host=host,
        channel=channel.name,
        is_possible_repeat=group.standing.may_have_arrived,
    )
    book.add_delivery(channel.name, *numbers, "SENDING", sending_detail(group.tries))

    def work() -> None:
        why = ""
        try:
            send(channel, message)
        except FinopsError as error:
            why = str(error) or type(error).__name__
        answers.put((channel.name, why))

    # A daemon: a service that never answers must not keep this process from ending.
    threading.Thread(target=work, name=f"notify {channel.name}", daemon=True).start()
    return True


def _record(book: NoticeBook, group: _Group, why: str, *, is_unknown: bool) -> Outcome:
    name, count = group.channel.name, len(group.notices)
    state = "FAILED" if why else "SENT"
    detail = ""
    if why:
        may_have_arrived = is_unknown or group.standing.may_have_arrived
        detail = failed_detail(group.tries, why, may_have_arrived=may_have_arrived)
    try:
        book.add_delivery(name, group.first_number, group.last_number, state, detail)
    except FinopsError as error:
        return Outcome(name, "UNRECORDED", count, f"{state} could not be recorded: {error}")
    return Outcome(name, state, count, detail)
