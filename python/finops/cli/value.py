"""`finops value`: what results are worth to the business, beside what they cost.

Owns: the commands and their JSON. Does not own: how value is credited (the C++ core), the words
(value_page).
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from finops.errors import InvalidArgument, NotFound
from finops.genealogy import (
    BusinessValue,
    LoadedGenealogy,
    NodeValue,
    ValueAmount,
    find_node,
    value_of,
    value_report,
)

from .graph_json import costs_json, graph_json
from .graph_options import AsOfOption, CurrencyOption, NodeArgument, load, parse_time
from .graph_page import notes_of
from .graph_records import IdOption, known_node, new_id, now_text, record_fields, time_text
from .options import HomeOption, JsonOption, WhyOption, find_ledger, home_path, user_name
from .render import fields_json, format_time, make_console, one_line, print_json
from .value_page import (
    END_PREFIX,
    WorthInCurrency,
    end_of,
    ended_id,
    left_out_notes,
    show_node_value,
    show_report,
    values_table,
    worth_by_currency,
)

app = typer.Typer(help="What results are worth, beside what they cost.", no_args_is_help=True)

_PERIODS = ("once", "month", "quarter", "year")
_VALUE_FIELDS = (
    "value_id", "node_id", "amount", "per", "valid_from", "valid_to", "source", "who",
    "recorded_at",
)  # fmt: skip
TimeOption = typer.Option(metavar="TIME", parser=parse_time)


@app.callback()
def root() -> None:
    """What results are worth, beside what they cost."""


@app.command("add")
def add(
    node: NodeArgument,
    amount: Annotated[
        list[str], typer.Argument(metavar="AMOUNT", help="50000 USD, of each period.")
    ],
    source: Annotated[
        str, typer.Option(metavar="TEXT", help="Who says so, and from what. Required.")
    ],
    per: Annotated[str, typer.Option(metavar="|".join(_PERIODS))] = "once",
    valid_from: Annotated[
        datetime | None,
        typer.Option("--from", metavar="TIME", parser=parse_time, help="[default: now]"),
    ] = None,
    valid_to: Annotated[
        datetime | None,
        typer.Option("--to", metavar="TIME", parser=parse_time, help="[default: open]"),
    ] = None,
    event_id: IdOption = "",
    home: HomeOption = None,
) -> None:
    """Record what a model or an endpoint is worth, and who says so."""
    if per not in _PERIODS:
        raise typer.BadParameter(f"{per!r} is none of {', '.join(_PERIODS)}", param_hint="--per")
    node_id = known_node(home, node)
    value_id = event_id or new_id("value")
    # Added again under its id it has the same beginning, and so is the same one.
    known = next((one for one in _values(home) if one.value_id == value_id), None)
    start = valid_from or (known.valid_from if known else datetime.now(timezone.utc))
    record_fields(home, {
        "value": " ".join(amount), "per": per, "node_id": node_id, "event_id": value_id,
        "source": source, "who": user_name(), "recorded_at": now_text(),
        "valid_from": time_text(start) if start else None,
        "valid_to": time_text(valid_to) if valid_to else None,
    })  # fmt: skip
    each = "once" if per == "once" else f"a {per}"
    print(one_line(f"recorded: {node_id} is worth {' '.join(amount)} {each}; its id is {value_id}"))


@app.command("end")
def end(
    value_id: Annotated[str, typer.Argument(metavar="ID", help="See: finops value list")],
    why: WhyOption = "",
    at: Annotated[
        datetime | None,
        typer.Option("--at", metavar="TIME", parser=parse_time, help="[default: now]"),
    ] = None,
    home: HomeOption = None,
) -> None:
    """End a value that comes again and again.

    A record takes it back from then on; nothing is changed.
    """
    values = _values(home)
    found = next((one for one in values if one.value_id == value_id), None)
    if found is None:
        raise NotFound(f"no value {value_id!r} is recorded; see: finops value list")
    back = -found.amount
    if found.per == "once":
        raise InvalidArgument(
            f"{value_id} came once and does not go on; take it back with: finops value add "
            f'{found.node_id} --source "takes back {value_id}" -- '
            f"{back.amount:f} {back.currency}"
        )
    if (ended := ended_id(value_id)) is not None:
        raise InvalidArgument(
            f"{value_id} is the end of {ended}; to let that go on, add it anew: finops value add"
        )
    moment = at or datetime.now(timezone.utc)
    known_end = end_of(found, values)
    if known_end is not None and (known_end <= moment or known_end != found.valid_to):
        raise InvalidArgument(f"{value_id} ended at {known_end:%Y-%m-%d %H:%M} UTC already")
    # A value that has not begun ends before it begins.
    start = moment if found.valid_from is None else max(moment, found.valid_from)
    record_fields(home, {
        "value": f"{back.amount:f} {back.currency}", "per": found.per,
        "node_id": found.node_id, "event_id": END_PREFIX + value_id, "who": user_name(),
        "source": f"end of {value_id}" + (f": {why}" if why else ""),
        "valid_from": time_text(start), "recorded_at": now_text(),
        "valid_to": time_text(found.valid_to) if found.valid_to else None,
    })  # fmt: skip
    when = f"{moment:%Y-%m-%d %H:%M} UTC" + (", before it begins" if start > moment else "")
    print(one_line(f"recorded: {value_id} of {found.node_id} ends {when}"))


@app.command("list")
def list_values(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List what results are worth, and who says so."""
    values = _values(home)
    if as_json:
        print_json({"values": [fields_json(one, *_VALUE_FIELDS) for one in values]})
    elif not values:
        print('no value is recorded; say what a result is worth: finops value add NODE "1 USD"')
    else:
        console = make_console()
        console.print(values_table(values, console.width))


@app.command("show")
def show(
    node: Annotated[str, typer.Argument(metavar="[NODE]", help="Only this one.")] = "",
    currency: CurrencyOption = "",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show cost against value.

    What each piece of work led to, and its credit for that as a range.
    """
    loaded = load(home, currency, as_of)
    moment = as_of or datetime.now(timezone.utc)
    if node:
        found = [value_of(loaded.graph, find_node(loaded.graph, node), moment)]
    else:
        found = value_report(loaded.graph, moment)
    left_out = _left_out(loaded, found[0].node_id if node else "", moment)
    if as_json:
        print_json({
            **graph_json(loaded), "nodes": [_node_value_json(one) for one in found],
            "other_values": [_amount_json(one) for one in left_out],
        })  # fmt: skip
        return
    console = make_console()
    until = f"up to {format_time(as_of)}" if as_of else "up to now"
    if node:
        view = loaded.graph.node(found[0].node_id)
        show_node_value(found[0], view, until, console, is_other=bool(left_out))
        notes = notes_of(found[0].full_cost, loaded)
    else:
        labels = {one.node_id: loaded.graph.node(one.node_id).label for one in found}
        if found:
            show_report(found, labels, until, console)
        elif not left_out:
            print("no value is recorded; say what a result is worth: finops value add")
        notes = notes_of(loaded.graph.total_cost(), loaded) if found else []
    for note in [*left_out_notes(left_out, until), *notes]:
        console.print(Text(note, style="yellow"))


def _left_out(loaded: LoadedGenealogy, node_id: str, moment: datetime) -> list[WorthInCurrency]:
    """What values in other currencies add up to; of a node those of what came from it."""
    values = loaded.other_values
    if node_id and values:
        came = loaded.graph.contributors(node_id, downstream=True)
        wanted = {node_id, *(one.node_id for one in came)}
        values = [one for one in values if one.node_id in wanted]
    return worth_by_currency(values, moment)


def _values(home: Path | None) -> list[BusinessValue]:
    ledger = find_ledger(home_path(home))
    return [] if ledger is None else list(ledger.lineage().values)


def _node_value_json(value: NodeValue) -> dict[str, Any]:
    return {
        "node_id": value.node_id,
        "full_cost": costs_json(value.full_cost),
        "led_to": _amount_json(value.led_to),
        "credit_lowest": _amount_json(value.credit_lowest),
        "credit_highest": _amount_json(value.credit_highest),
        "results": list(value.results),
    }


def _amount_json(amount: ValueAmount | WorthInCurrency) -> dict[str, Any]:
    return fields_json(amount, "per_month", "to_date")
