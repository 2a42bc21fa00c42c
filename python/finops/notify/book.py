"""What delivery needs of a ledger: finops.ledger.Ledger has it, and so has a test's stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

NOTICE_BATCH = 1000  # the most notices that are read, and that one message stands for


class Notice(Protocol):
    """What somebody should be told. Numbers rise in the order of recording."""

    @property
    def number(self) -> int: ...
    @property
    def notice_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def budget_id(self) -> str: ...
    @property
    def attempt_id(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def recorded_at(self) -> datetime | None: ...


class Delivery(Protocol):
    """One step of a try to send a group: SENDING, SENT or FAILED."""

    @property
    def first_number(self) -> int: ...
    @property
    def last_number(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def recorded_at(self) -> datetime | None: ...


class NoticeBook(Protocol):
    """The part of a ledger that delivery reads and writes."""

    def notices(self, after: int, limit: int) -> Sequence[Notice]: ...
    def last_delivery(self, channel: str) -> Delivery | None: ...
    def add_delivery(
        self, channel: str, first_number: int, last_number: int, state: str, detail: str
    ) -> Any: ...
    def runs(self, *, run_id: str) -> Sequence[Any]: ...


def newest_number(book: NoticeBook, after: int = 0) -> int:
    """The number of the newest notice; `after` if there is none behind it."""
    number = after
    while batch := book.notices(number, NOTICE_BATCH):
        number = batch[-1].number
    return number
