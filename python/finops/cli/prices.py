"""`finops prices`: what a resource costs, says who, and prices of one's own."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.table import Table

from finops.ledger import open_ledger
from finops.pricebook import PriceBook, PriceRow, load_price_book

from .options import HomeOption, JsonOption, find_ledger, home_path, user_name
from .render import fields_json, format_money, make_console, money_json, print_json

app = typer.Typer(help="What resources cost.", no_args_is_help=True)

_WIDE = 120  # columns from which date and source are in the list too
_ROW_FIELDS = (
    "price_id", "sku_id", "provider", "region", "zone", "instance_type", "gpu", "gpu_count",
    "pricing_category", "list_unit_price", "valid_from", "valid_to", "source", "source_date",
    "is_default", "is_user_set",
)  # fmt: skip


@app.command("list")
def list_prices(
    gpu: Annotated[str, typer.Option(help="Only GPUs whose name has this in it.")] = "",
    provider: Annotated[str, typer.Option(help="Only this provider.")] = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the price book, with the prices set by hand."""
    rows = [
        row
        for row in _book(home_path(home)).rows()
        if gpu.lower() in row.gpu.lower() and provider.lower() in ("", row.provider.lower())
    ]
    if as_json:
        print_json([fields_json(row, *_ROW_FIELDS) for row in rows])
    elif not rows:
        print("no such price; see: finops prices list")
    else:
        console = make_console()
        console.print(_table(rows, is_wide=console.width >= _WIDE))


@app.command("show")
def show(
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="8xH100, p5.48xlarge@aws")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show the price of a resource, and where it comes from."""
    quote = _book(home_path(home)).quote(resource)
    if quote is None:
        if as_json:
            print_json({"resource": resource, "price_per_hour": None})
        else:
            name = re.sub(r"^\d+x", "", resource)
            print(f'{resource}: price unknown; set one: finops prices set {name} "2 USD/gpu/h"')
        return
    row, hourly, warnings = quote
    if as_json:
        print_json(
            {
                "resource": resource,
                "price_per_hour": money_json(hourly),
                "row": fields_json(row, *_ROW_FIELDS),
                "warnings": warnings,
            }
        )
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_row("resource", resource)
    grid.add_row("per hour", f"{format_money(hourly)}  ({hourly})")
    grid.add_row("price of", f"{row.sku_id}  ({_unit(row)}, {row.pricing_category})")
    grid.add_row("source", row.source or "unknown")
    grid.add_row("date", row.source_date or "unknown")
    for warning in warnings:
        grid.add_row("warning", warning)
    make_console().print(grid)


@app.command("set")
def set_price(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A GPU or a machine: H100, my-box")],
    price: Annotated[str, typer.Argument(metavar='"2.50 USD/gpu/h"', help="Or '24 USD/h'.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Set a price of your own; runs that had none yet are priced with it."""
    path = home_path(home)
    ledger = open_ledger(path)
    row = load_price_book(ledger).make_user_price(name, price, user_name())
    ledger.set_price(row)
    priced_count = ledger.price_unpriced(load_price_book(ledger))
    if as_json:
        print_json({"row": fields_json(row, *_ROW_FIELDS), "priced_attempt_count": priced_count})
        return
    print(f"{name}: {format_money(row.list_unit_price)} an hour for {_unit(row)}, from now on")
    print(f"{priced_count} attempts that had no price were priced")


def _book(home: str) -> PriceBook:
    return load_price_book(find_ledger(home))


def _unit(row: PriceRow) -> str:
    if row.gpu_count == 0:
        return row.instance_type or "the whole resource"
    return f"{row.gpu_count} {row.gpu}"


def _table(rows: list[PriceRow], *, is_wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("SKU", no_wrap=True, overflow="ellipsis")
    table.add_column("GPUS", no_wrap=True)
    table.add_column("PER HOUR", justify="right", no_wrap=True)
    if is_wide:
        table.add_column("DATE", no_wrap=True)
        table.add_column("SOURCE", no_wrap=True, overflow="ellipsis")
    for row in sorted(rows, key=lambda row: (row.gpu, row.provider, row.sku_id)):
        mark = " (default)" if row.is_default else ""
        style = "bold" if row.is_user_set else ""
        cells = [row.sku_id + mark, _unit(row), format_money(row.list_unit_price)]
        if is_wide:
            cells += [row.source_date or "unknown", row.source]
        table.add_row(*cells, style=style)
    return table
