"""What a forecast costs: GPU-seconds become exact money here, and nowhere else.

Owns: the price of the asked resource, placements of the price book, spans of use as nanoseconds.
Does not own: the look-up, the rounding (the C++ core). Invariant: money is never a float: a span is
a whole number of nanoseconds before it meets a price.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from .._core import (
    Money,
    PriceBook,
    PriceRow,
    Rate,
    Run,
    explicit_rate,
    parse_resource,
    quote_rate,
)
from ..errors import FinopsError, InvalidArgument
from ..pricebook import load_price_book

_NANOSECONDS = 1_000_000_000
# A century, the longest span that the core prices.
_LONGEST_NANOSECONDS = 36_525 * 86_400 * _NANOSECONDS
MAX_GPU_COUNT = 1_000_000
_NEVER = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Asked:
    """What a job would run on, as far as it was said."""

    text: str  # "8xH100"; empty: only a number of GPUs
    gpu_model: str  # as the price book writes it where it knows it; empty: not said
    gpu_count: int
    rate: Rate | None  # of the whole; None: no price is known
    price_id: str = ""  # of the book's row
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placement:
    """A way to buy the GPUs of a job: so many machines of one price row, rented whole."""

    row: PriceRow
    machine_count: int
    gpu_count: int  # of all the machines, used or not
    hourly: Money
    p10_cost: Money
    p50_cost: Money
    p90_cost: Money
    mean_cost: Money


def read_resource(
    book: PriceBook, resources: str = "", *, gpus: int | None = None, price: str = ""
) -> Asked:
    """What "8xH100" says, or a bare number of GPUs; `price` counts before the book's.

    Raises
    ------
    InvalidArgument : neither says how many GPUs, or the two differ; a price that is none.
    UnknownResource, AmbiguousResource : the book does not know it, and no `price` is given.
    """
    if gpus is not None and not 1 <= gpus <= MAX_GPU_COUNT:
        raise InvalidArgument(f"gpus={gpus} must be 1 to {MAX_GPU_COUNT:,}")
    rate = explicit_rate(book, price, resources) if price else None
    if not resources:
        if gpus is None:
            raise InvalidArgument('how many GPUs? Give gpus=8, or resources="8xH100"')
        return Asked("", "", gpus, rate)
    name, gpu_count = parse_resource(resources)
    model, price_id = name, ""
    warnings: tuple[str, ...] = ()
    if rate is None:
        quote = quote_rate(book, resources)
        if quote is not None:
            gpu_count, rate = quote.gpu_count or (gpus or 0), quote.rate
            model, warnings = quote.row.gpu or name, tuple(quote.warnings)
            price_id = quote.row.price_id
    if gpu_count < 1:
        raise InvalidArgument(f"how many GPUs has {resources!r}? Give gpus= too")
    if gpus is not None and gpus != gpu_count:
        raise InvalidArgument(f"gpus={gpus}, but {resources!r} has {gpu_count}; give one of them")
    return Asked(resources, model, gpu_count, rate, price_id, warnings)


def asked_of_run(run: Run) -> Asked:
    """What a run runs on. Where nobody knows how many GPUs that are, it counts as one."""
    if not run.resource:
        return Asked("", "", 1, run.rate)
    try:
        asked = read_resource(load_price_book(), run.resource)
    except FinopsError:  # unknown to the book, but it has a price of its own
        name, gpu_count = parse_resource(run.resource)
        return Asked(run.resource, name, max(1, gpu_count), run.rate)
    return replace(asked, rate=run.rate)


def span_nanoseconds(gpu_seconds: float, gpu_count: int) -> int:
    """How long `gpu_count` GPUs run for that use, in whole nanoseconds; at most a century."""
    span = gpu_seconds / gpu_count * _NANOSECONDS
    if not math.isfinite(span) or span >= _LONGEST_NANOSECONDS:
        return _LONGEST_NANOSECONDS
    return max(0, round(span))


def cost_of_use(rate: Rate, gpu_seconds: float, gpu_count: int) -> Money:
    """What that use costs at `rate`, the price of all the GPUs; rounded once, by the core."""
    return rate.cost_of(span_nanoseconds(gpu_seconds, gpu_count))


def affordable_gpu_seconds(rate: Rate, amount: Money, gpu_count: int) -> float:
    """How much use `amount` pays for."""
    return rate.affordable(amount) / _NANOSECONDS * gpu_count


def cheapest_placements(
    book: PriceBook,
    *,
    gpu_model: str,
    gpu_count: int,
    use_gpu_seconds: Sequence[float],
    currency: str = "",
    limit: int = 3,
) -> list[Placement]:
    """The cheapest ways to buy these GPUs, cheapest first, one for each machine and category.

    Where no model is named, one for each GPU model and category: a cheap GPU may be a slow one.

    Machines are rented whole, so 4 GPUs on a machine of 8 pay for 8. GPUs of another model are left
    out where a model was named: how much faster they are is not known.

    Parameters
    ----------
    gpu_model : as the book writes it, "H100-80GB"; empty: any GPU.
    use_gpu_seconds : p10, p50, p90 and mean.
    currency : only prices in it; empty: that of the cheapest, others are left out.
    """
    kinds: dict[tuple[str, ...], tuple[Money, PriceRow, int]] = {}
    for row in _rows_in_force(book):
        if row.gpu_count < 1 or (gpu_model and row.gpu != gpu_model):
            continue
        machine_count = -(-gpu_count // row.gpu_count)
        hourly = machine_count * row.list_unit_price
        if currency and hourly.currency != currency:
            continue
        currency = hourly.currency
        place = (row.provider, row.instance_type) if gpu_model else (row.gpu,)
        kind = (*place, row.pricing_category)
        if kind not in kinds or (hourly, row.sku_id) < (kinds[kind][0], kinds[kind][1].sku_id):
            kinds[kind] = (hourly, row, machine_count)
    cheapest = sorted(kinds.values(), key=lambda kind: (kind[0], kind[1].sku_id))[:limit]
    return [
        _placement(row, machine_count, gpu_count, use_gpu_seconds)
        for _, row, machine_count in cheapest
    ]


def _rows_in_force(book: PriceBook) -> Iterator[PriceRow]:
    """Of several editions of a price the newest that holds now, in order of their first."""
    now = datetime.now(timezone.utc)
    newest: dict[str, PriceRow] = {}
    for row in book.rows():
        begun = row.valid_from is None or row.valid_from <= now
        if begun and (row.valid_to is None or now < row.valid_to):
            known = newest.get(row.sku_id)
            if known is None or (row.valid_from or _NEVER) >= (known.valid_from or _NEVER):
                newest[row.sku_id] = row
    yield from newest.values()


def _placement(
    row: PriceRow, machine_count: int, gpu_count: int, use_gpu_seconds: Sequence[float]
) -> Placement:
    rate = Rate.whole(machine_count * row.list_unit_price)
    costs = [cost_of_use(rate, seconds, gpu_count) for seconds in use_gpu_seconds]
    return Placement(row, machine_count, machine_count * row.gpu_count, rate.hourly, *costs)
