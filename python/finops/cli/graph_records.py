"""The commands of `finops graph` that record: import, export, link, add, charge, status, use.

Owns: these commands. Does not own: reading and checking lines (graph_import).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from finops.errors import NotFound
from finops.genealogy import (
    RECORD_KINDS,
    LineageCost,
    LineageLine,
    LineageRecords,
    all_records,
    find_node,
    lineage_line,
    load_genealogy,
    make_records,
    parse_lineage_line,
)
from finops.ledger import open_ledger

from .graph_import import LineageImport
from .graph_options import AsOfOption, NodeArgument, load, parse_time
from .graph_page import plain_table
from .options import HomeOption, JsonOption, WhyOption, find_ledger, home_path, user_name
from .render import make_console, one_line, print_json, print_note

_MOST_TOLD = 100
_SHORTEST_PERIOD = timedelta(microseconds=1)  # of a cost at one moment: a period is not empty
IdOption = Annotated[
    str, typer.Option("--event-id", metavar="ID", help="The same id again records nothing anew.")
]
NewNodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="Its id: kind:name, as in model:resnet-v2.")
]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module into `finops graph`."""
    for name, command in (
        ("import", import_lines),
        ("export", export_lines),
        ("link", link),
        ("add", add),
        ("charge", charge),
        ("status", status),
        ("retire", retire),
        ("use", use),
    ):
        app.command(name)(command)


def import_lines(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="JSON lines; '-': stdin.")],
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at the first line that is wrong, and write nothing."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check the lines against the graph, and write nothing."),
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Bring in JSON lines: nodes, edges, costs and the like.

    They may come in any order; the same line again is one. A wrong line is told with its number
    and does not stop the rest; exit code 1 if there was one. Their form: docs/genealogy.md.
    """
    done = LineageImport()
    for file in files:
        with _opened(file) as stream:
            done.read(stream, file, stops_at_first=strict)
        if strict and done.refused:
            break
    path = home_path(home)
    if not (strict and done.refused):
        ledger = find_ledger(path)
        recorded = LineageRecords() if ledger is None else ledger.lineage()
        done.check(load_genealogy(ledger).graph, recorded)
    is_written = not dry_run and not (strict and done.refused)
    if is_written:
        done.write(open_ledger(path), is_all_or_nothing=strict)
    else:
        done.count_new([] if strict and done.refused else done.lines)
    done.refused.sort(key=lambda line: (files.index(line.file), line.number))
    _tell(done, is_written=is_written, is_dry_run=dry_run, as_json=as_json)
    if done.refused:
        raise typer.Exit(1)


def _opened(file: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if file == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    if not os.path.exists(file):
        raise NotFound(f"there is no file {file}; '-' reads what is piped in")
    try:
        return open(file, "rb")
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}") from None


def _tell(done: LineageImport, *, is_written: bool, is_dry_run: bool, as_json: bool) -> None:
    refused_counts = {
        kind: sum(line.kind == kind for line in done.refused) for kind in (*RECORD_KINDS, "")
    }
    if as_json:
        print_json(
            {
                "is_written": is_written,
                "new": {kind: done.new[kind] for kind in RECORD_KINDS},
                "known": {kind: done.known[kind] for kind in RECORD_KINDS},
                "refused": [
                    {"file": one.file, "line": one.number, "kind": one.kind, "reason": one.reason}
                    for one in done.refused
                ],
            }
        )
        return
    for one in done.refused[:_MOST_TOLD]:
        print(one_line(f"{one.file}:{one.number}: {one.reason}"), file=sys.stderr)
    if len(done.refused) > _MOST_TOLD:
        print(f"and {len(done.refused) - _MOST_TOLD:,} more wrong lines: --json", file=sys.stderr)
    table = plain_table("", "NEW", "KNOWN", "REFUSED", right=("NEW", "KNOWN", "REFUSED"))
    for kind in (*RECORD_KINDS, ""):
        counts = (done.new[kind], done.known[kind], refused_counts[kind])
        if any(counts):
            table.add_row(
                kind or "not readable", *(f"{count:,}" if count else "-" for count in counts)
            )
    console = make_console()
    if table.row_count:
        console.print(table)
    if not is_written:
        print("nothing was written" + (": a dry run" if is_dry_run else ""))
    if is_dry_run:
        print(
            "what the ledger itself refuses shows only when it is written: a cost of a run that it "
            "meters or of more than 9.2e18 units, another step of a sentence that it knows"
        )


def export_lines(as_of: AsOfOption = None, home: HomeOption = None) -> None:
    """Write all records on stdout, as lines for import.

    What an attempt cost is written once it is settled: imported before, it would stay as it was.
    """
    ledger = find_ledger(home_path(home))
    records = LineageRecords() if ledger is None else ledger.lineage(as_of)
    open_count = 0
    for record in all_records(records):
        if isinstance(record, LineageCost) and record.is_growing:
            open_count += 1
        else:
            print(lineage_line(record))
    if open_count:
        print_note(
            f"the cost of {open_count:,} attempts that still run, or are not settled, is left out; "
            "export again when they have ended"
        )
    if records.unpriced:
        print_note(f"the cost of {len(records.unpriced):,} nodes is not known yet: they have none")


def link(
    subject: Annotated[str, typer.Argument(metavar="NODE", help="run:a")],
    kind: Annotated[str, typer.Argument(metavar="HOW", help="read, produced, nested_in, ...")],
    target: Annotated[str, typer.Argument(metavar="OTHER", help="dataset:d")],
    step: Annotated[int | None, typer.Option(help="Of a fork or a checkpoint.")] = None,
    home: HomeOption = None,
) -> None:
    """Record one sentence: run:a read dataset:d."""
    record_fields(home, {
        "edge": kind.replace("-", "_"), "subject": subject, "object": target, "step": step,
        "recorded_at": now_text(),
    })  # fmt: skip
    print(one_line(f"recorded: {subject} {kind} {target}"))


def add(
    node: NewNodeArgument,
    label: Annotated[str, typer.Option(metavar="TEXT", help="What people call it.")] = "",
    user: Annotated[str, typer.Option(metavar="NAME", help="[default: who asks]")] = "",
    cluster: Annotated[str, typer.Option(metavar="NAME", help="Cluster or host.")] = "",
    created: Annotated[
        datetime | None, typer.Option(metavar="TIME", parser=parse_time, help="[default: now]")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Record what a node is. Its facts are kept for good."""
    at = time_text(created) if created else now_text()
    record_fields(home, {
        "node": node, "label": label, "user_name": user or user_name(), "cluster": cluster,
        "created_at": at,
    })  # fmt: skip
    print(one_line(f"recorded: {node}"))


def charge(
    node: NodeArgument,
    amount: Annotated[list[str], typer.Argument(metavar="AMOUNT", help="24.50 USD")],
    event_id: IdOption = "",
    is_correction: Annotated[
        bool, typer.Option("--correction", help="It corrects another; may be below zero.")
    ] = False,
    start: Annotated[
        datetime | None,
        typer.Option("--from", metavar="TIME", parser=parse_time, help="[default: --to]"),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", metavar="TIME", parser=parse_time, help="[default: now]"),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Record what a node itself cost, beside what is recorded. It counts from --to on."""
    node_id = known_node(home, node)
    known = _known_cost(home, event_id)
    if known is not None and start is None and end is None:
        start, end = known.charge_period_start, known.charge_period_end
    else:
        end = end or datetime.now(timezone.utc)
        start = start or end - _SHORTEST_PERIOD
    record_fields(home, {
        "cost": " ".join(amount), "node_id": node_id, "event_id": event_id or new_id("cost"),
        "is_correction": is_correction,
        "charge_period_start": time_text(start) if start else None,
        "charge_period_end": time_text(end) if end else None,
    })  # fmt: skip
    print(one_line(f"recorded: {node_id} cost {' '.join(amount)}"))


def _known_cost(home: Path | None, event_id: str) -> LineageCost | None:
    """The cost of that id: charged again it has the same time, and so is the same one."""
    ledger = find_ledger(home_path(home)) if event_id else None
    costs = [] if ledger is None else ledger.lineage().costs
    return next((one for one in costs if one.event_id == event_id), None)


def status(
    node: NodeArgument,
    name: Annotated[str, typer.Argument(metavar="STATUS", help="FINISHED, FAILED, ACTIVE, ...")],
    why: WhyOption = "",
    home: HomeOption = None,
) -> None:
    """Record the state of a node from now on."""
    node_id = known_node(home, node)
    record_fields(home, {
        "status": name.upper(), "node_id": node_id, "who": user_name(), "why": why,
        "recorded_at": now_text(),
    })  # fmt: skip
    print(one_line(f"recorded: {node_id} is {name.upper()}"))


def retire(node: NodeArgument, why: WhyOption = "", home: HomeOption = None) -> None:
    """Record that a result is no longer in use.

    It claims no cost from now on.
    """
    status(node, "RETIRED", why, home)


def use(
    node: NodeArgument,
    quantity: Annotated[int, typer.Argument(min=0, metavar="12000")],
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="requests, tokens, ...")],
    event_id: IdOption = "",
    home: HomeOption = None,
) -> None:
    """Record measured use of a result: cost is shared by it."""
    node_id = known_node(home, node)
    record_fields(home, {
        "use": quantity, "unit": unit, "node_id": node_id,
        "event_id": event_id or new_id("use"), "recorded_at": now_text(),
    })  # fmt: skip
    print(one_line(f"recorded: {node_id} served {quantity:,} {unit}"))


def record_fields(home: Path | None, fields: dict[str, Any]) -> LineageLine:
    """Write one record; fields that are None or empty are left out. Returns it."""
    given = {
        name: value
        for name, value in fields.items()
        if value is not None and value is not False and value != ""
    }
    record = parse_lineage_line(json.dumps(given))
    open_ledger(home_path(home)).add_lineage(make_records([record]))
    return record


def known_node(home: Path | None, node: str) -> str:
    """The id of a node that is recorded already."""
    return find_node(load(home).graph, node)


def new_id(kind: str) -> str:
    """An id for an event that nobody will record again."""
    return f"{kind}:{uuid.uuid4().hex}"


def now_text() -> str:
    """Now, as lines have it."""
    return time_text(datetime.now(timezone.utc))


def time_text(time: datetime) -> str:
    """A time as lines have it."""
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
