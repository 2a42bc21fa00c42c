"""Texts and amounts that say nothing, or too much: each is refused with a way out.

Goal: a message names the value, the limit and the next step; the error is also a built-in one.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

import pytest

import finops
from finops import Run, errors

Start = Callable[..., Run]


@pytest.mark.parametrize("text", ["5", "USD", "five USD", "5,00 USD", "5 usd", "", " ", "1e3 USD"])
def test_malformed_budgets(start: Start, text: str) -> None:
    with pytest.raises(errors.InvalidMoney) as refused:
        start(budget=text)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    "text",
    [
        "24",
        "24 USD",
        "USD/h",
        "24 USD/day",
        "24 USD/gpu",
        "24 USD/h/gpu",
        "-1 USD/h",
        "/h",
        "24 $/h",
        "1e3 USD/h",
        "24 USD/h ",
        "0.0000000000001 USD/h",
    ],
)
def test_malformed_prices(start: Start, text: str) -> None:
    with pytest.raises(errors.InvalidMoney):
        start(price=text, resources="8xH100")


def test_money_that_is_negative_or_out_of_range(start: Start) -> None:
    with pytest.raises(errors.InvalidMoney, match="negative"):
        start(budget="-5 USD")
    with pytest.raises(errors.InvalidMoney, match="negative"):
        start(price="-24 USD/h")
    for price in ("99999999999999999999999999 USD/h", "9" * 40 + " USD/h"):
        with pytest.raises(errors.MoneyOverflow):
            start(price=price)
    with pytest.raises(errors.MoneyOverflow):
        start(budget="99999999999999999999999999 USD")


def test_a_price_per_gpu_needs_a_count(start: Start) -> None:
    with pytest.raises(errors.InvalidArgument, match="resources"):
        start(price="3 USD/gpu/h")


@pytest.mark.parametrize(
    "text",
    [
        "8x",
        "0xH100",
        "1000001xH100",
        "H100:2",
        "H100:0",
        "H100:x",
        "2xH100:0.5",
        "H100@",
        "H 100",
        "H100\n",
        "x" * 96,
        "H100@aws:a:b:c",
    ],
)
def test_malformed_resources(text: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        finops.init(project="p", experiment="e", resources=text)


@pytest.mark.parametrize(
    ("text", "nearest"), [("H1O0", "H100"), ("A100-80", "A100-80GB"), ("4xh20", "H200")]
)
def test_an_unknown_gpu_names_the_three_nearest(text: str, nearest: str) -> None:
    with pytest.raises(errors.UnknownResource, match="nearest: ") as unknown:
        finops.init(project="p", experiment="e", resources=text)
    assert isinstance(unknown.value, LookupError)
    listed = str(unknown.value).split("nearest: ")[1].split(";")[0].split(", ")
    assert len(listed) == 3
    assert any(name.startswith(nearest) for name in listed), listed
    assert "finops prices set" in str(unknown.value)


def test_a_name_that_fits_several_lists_them() -> None:
    with pytest.raises(errors.AmbiguousResource, match="A100-40GB, A100-80GB"):
        finops.init(project="p", experiment="e", resources="8xA100")


def test_a_budget_without_a_price_names_the_way_out(start: Start) -> None:
    with pytest.raises(errors.UnpricedResource, match="finops prices set"):
        start(price="", budget="5 USD")
    start(budget="5 USD", experiment="budgeted")
    with pytest.raises(errors.UnpricedResource, match="finops prices set"):
        start(price="", experiment="budgeted")


def test_a_price_book_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    book = tmp_path / "book.json"
    monkeypatch.setenv("FINOPS_PRICE_BOOK", str(book))
    with pytest.raises(OSError, match=r"book\.json"):
        finops.init(project="p", experiment="e", resources="H100")
    for text in ("", " ", "{", "[]", json.dumps({"schema": "something else"}), "\0"):
        book.write_text(text, encoding="utf-8")
        with pytest.raises((errors.InvalidArgument, errors.UnsupportedSchema)):
            finops.init(project="p", experiment="e", resources="H100")


def test_tags_must_be_json(start: Start) -> None:
    with pytest.raises(TypeError):
        start(tags={"x": object()})
