"""How the command line shows and reads values. Method: below, at and above each limit."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
import typer

from finops import Money
from finops.cli.doctor import has_wal_reset_bug
from finops.cli.options import parse_experiment, parse_span
from finops.cli.render import (
    bar,
    fields_json,
    format_money,
    format_price,
    format_span,
    format_sums,
    money_json,
    one_line,
    time_json,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0 USD", "$0.00"),
        ("0.000000000001 USD", "$0.000000000001"),
        ("0.00123456 USD", "$0.00123"),
        ("0.0099999 USD", "$0.01"),
        ("0.01 USD", "$0.01"),
        ("0.0234 USD", "$0.023"),
        ("0.5 USD", "$0.50"),
        ("0.994 USD", "$0.99"),
        ("0.995 USD", "$1.00"),  # half to even
        ("1.005 USD", "$1.00"),
        ("1.015 USD", "$1.02"),
        ("1234567.891 USD", "$1,234,567.89"),
        ("1000000000000000 KRW", "₩1,000,000,000,000,000.00"),
        ("12.5 CHF", "12.50 CHF"),
    ],
)
def test_money_is_rounded_for_display_only(text: str, shown: str) -> None:
    money = Money.parse(text)
    assert format_money(money) == shown
    assert money_json(money) == {
        "amount": f"{Decimal(text.split()[0]):f}",
        "currency": text.split()[1],
    }


def test_negative_and_unknown_money() -> None:
    assert format_money(-Money("1.5")) == "-$1.50"
    assert format_money(None) == "unknown"
    assert money_json(None) is None
    assert format_sums([]) == "unknown"
    assert format_sums([Money("1"), Money("2", "CHF"), Money("0.5")]) == "$1.50 + 2.00 CHF"
    assert format_price("88.489999902575 USD/h") == "$88.49/h"
    assert format_price("") == "unknown"


@pytest.mark.parametrize(
    ("seconds", "shown", "short"),
    [
        (0, "0.0s", "0s"),
        (9.94, "9.9s", "10s"),
        (9.95, "10s", "10s"),
        (59.4, "59s", "59s"),
        (59.5, "1m 0s", "1m"),
        (133, "2m 13s", "2m"),
        (3599, "59m 59s", "59m"),
        (3600, "1h 0m", "1h"),
        (90000, "1d 1h", "1d"),
        (-133, "-2m 13s", "-2m"),
    ],
)
def test_spans(seconds: float, shown: str, short: str) -> None:
    assert format_span(timedelta(seconds=seconds)) == shown
    assert format_span(timedelta(seconds=seconds), is_short=True) == short


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("5s", 5), ("1.5h", 5400), ("90", 90), ("250ms", 0.25), (" 2 d ", 172800)],
)
def test_span_texts(text: str, seconds: float) -> None:
    assert parse_span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "-5s", "5 weeks", "1e3", "nan", "inf", "5s5", "99999d"])
def test_wrong_span_texts(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_span(text)


def test_experiment_names() -> None:
    assert parse_experiment("vision/resnet") == ("vision", "resnet")
    assert parse_experiment("experiment:vision/a/b") == ("vision", "a/b")
    for wrong in ("vision", "/resnet", "vision/", ""):
        with pytest.raises(typer.BadParameter):
            parse_experiment(wrong)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
    ],
)
def test_sqlite_versions(version: str, expected: bool) -> None:
    assert has_wal_reset_bug(version) is expected


@pytest.mark.parametrize(("ratio", "blocks"), [(-1, 0), (0, 0), (0.5, 5), (1, 10), (7, 10)])
def test_bar_keeps_its_width(ratio: float, blocks: int) -> None:
    assert bar(ratio, 10).plain == "█" * blocks + "░" * (10 - blocks)


def test_names_cannot_write_to_the_terminal() -> None:
    assert one_line("a\x1b[31mb\nc\u202ed") == "a [31mb c d"


def test_json_of_records() -> None:
    class Record:
        at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
        took = timedelta(milliseconds=1500)
        silence_limit = None

    assert fields_json(Record(), "at", "took", "silence_limit") == {
        "at": "2026-01-02T01:04:05.000006Z",
        "took_seconds": 1.5,
        "silence_limit_seconds": None,
    }
    assert time_json(None) is None
