"""What the commands of `finops predict` share: numbers as shown, columns as mapped."""

from __future__ import annotations

import math
from typing import Annotated

import typer

MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="OURS=THEIRS", help="A column of another name; again for more."),
]


def format_gpu_hours(hours: float) -> str:
    """Three digits that mean something: "0.0123", "4.56", "1,234"."""
    if hours <= 0:
        return "0"
    if hours >= 100:
        return f"{hours:,.0f}"
    decimals = min(6, max(0, 2 - math.floor(math.log10(hours))))
    return f"{hours:.{decimals}f}"


def format_chance(chance: float) -> str:
    """ "7 %"; what is nearly sure is not made certain."""
    if 0 < chance < 0.01:
        return "under 1 %"
    if 0.99 < chance < 1:
        return "over 99 %"
    return f"{chance * 100:.0f} %"


def parse_map(texts: list[str]) -> dict[str, str]:
    """Our column: theirs. Raises typer.BadParameter for what is no pair."""
    pairs = [text.partition("=") for text in texts]
    for text, (ours, _, theirs) in zip(texts, pairs, strict=True):
        if not ours or not theirs:
            raise typer.BadParameter(f"{text!r} must be OURS=THEIRS, as in user_name=owner")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
