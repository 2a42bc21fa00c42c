"""What people read: money in a few digits, and names from outside made harmless for a screen.

Owns: rounding for display, and what of a name is shown. Does not own: escaping for a format
(pictures, JSON). Invariant: money is rounded for display only.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

from ._core import Money

UNKNOWN = "unknown"
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "CN¥", "INR": "₹", "KRW": "₩"}


def format_amount(amount: Decimal) -> str:
    """An amount with two decimals; below one unit with up to four significant digits."""
    exact = Context(prec=60, rounding=ROUND_HALF_EVEN)
    decimals = 2
    if amount and abs(amount) < Decimal("0.995"):
        decimals = min(12, max(2, 1 - amount.adjusted()))
    if amount and abs(amount) < Decimal("0.01"):
        decimals = min(12, 2 - amount.adjusted())
    rounded = exact.quantize(amount, Decimal(1).scaleb(-decimals))
    text = f"{rounded:,.{decimals}f}"
    if decimals > 2:
        whole, _, digits = text.partition(".")
        text = f"{whole}.{digits[:2]}{digits[2:].rstrip('0')}"
    return text


def format_money(money: Money | None) -> str:
    """Money for people: "$1.23", "12.50 CHF"; None is "unknown"."""
    if money is None:
        return UNKNOWN
    text = format_amount(money.amount)
    sign = _SIGNS.get(money.currency)
    if sign is None:
        return f"{text} {money.currency}"
    return f"-{sign}{text[1:]}" if text.startswith("-") else f"{sign}{text}"


def one_line(text: str) -> str:
    """`text` without control and direction characters: no name can write to the terminal.

    >>> one_line("a\\x1b[31mb\\u202ec")
    'a [31mb c'
    """
    return "".join(c if c.isprintable() else " " for c in text)


def shorten(text: str, length: int) -> str:
    """`text` in at most `length` characters; what is cut off in the middle is an ellipsis.

    >>> shorten("checkpoint:sft/step-30000", 12)
    'checkp…30000'
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"
