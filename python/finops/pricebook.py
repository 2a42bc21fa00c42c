"""The price book: the shipped list prices, and those that a user set.

Owns: finding and reading the shipped file. Does not own: look-up (the C++ core).
"""

from __future__ import annotations

import os
from importlib import resources

from ._core import Ledger, PriceBook, PriceRow
from .errors import InvalidArgument

__all__ = ["PriceBook", "PriceRow", "load_price_book", "read_shipped_text"]


def read_shipped_text() -> str:
    """The JSON text of the price book in force: $FINOPS_PRICE_BOOK, else the shipped one."""
    named = os.environ.get("FINOPS_PRICE_BOOK")
    if named:
        with open(named, encoding="utf-8") as file:
            text = file.read()
        if not text.strip():
            raise InvalidArgument(f"FINOPS_PRICE_BOOK names an empty file: {named}")
        return text
    return (resources.files("finops") / "data" / "price_book.json").read_text(encoding="utf-8")


def load_price_book(ledger: Ledger | None = None) -> PriceBook:
    """The book in force, with the prices that the user of `ledger` set by hand.

    Raises
    ------
    InvalidArgument, InvalidMoney, UnsupportedSchema : the file is not a price book we can read.
    """
    book = PriceBook(read_shipped_text(), os.environ.get("FINOPS_PRICE_BOOK", "the shipped book"))
    if ledger is not None:
        book.add_user_prices(ledger)
    return book
