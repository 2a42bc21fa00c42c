"""Reads lines of lineage from files, checks them against what is recorded, and writes them.

Owns: line numbers, what is new, known or refused, and the order of checks. Does not own: the form
of a line and the rules of the graph (the C++ core), what is printed (graph_records).
Invariants: a refused line is told with its number and stops no other, unless all must fit; a line
is held in memory only up to the longest that can be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from finops.errors import Conflict, InvalidArgument, MoneyOverflow
from finops.genealogy import (
    BusinessValue,
    Genealogy,
    LineageCost,
    LineageEdge,
    LineageLine,
    LineageNode,
    LineageRecords,
    NodeUse,
    all_records,
    lineage_line,
    make_records,
    parse_lineage_line,
    record_kind,
)
from finops.ledger import Ledger

LONGEST_LINE = 1 << 20
_LINES_OF_A_WRITE = 10_000  # the ledger is locked meanwhile


@dataclass(frozen=True)
class ReadLine:
    """A record, and where it stands."""

    file: str
    number: int
    record: LineageLine


@dataclass(frozen=True)
class RefusedLine:
    """A line that is not taken in, and why."""

    file: str
    number: int
    kind: str  # one of RECORD_KINDS; empty: it could not be read
    reason: str


@dataclass
class LineageImport:
    """What came of the lines so far."""

    lines: list[ReadLine] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    new: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)

    def read(self, stream: BinaryIO, file: str, *, stops_at_first: bool) -> None:
        """Read all lines of a stream; blank ones say nothing.

        Parameters
        ----------
        stops_at_first : a line that cannot be read ends the reading.
        """
        for number, content in enumerate(_lines_of(stream), start=1):
            if not content.strip():
                continue
            try:
                self.lines.append(ReadLine(file, number, _parse(content)))
            except (InvalidArgument, MoneyOverflow) as error:
                self.refused.append(RefusedLine(file, number, "", str(error)))
                if stops_at_first:
                    return

    def check(self, graph: Genealogy, recorded: LineageRecords) -> None:
        """Sort out what is known and what does not fit; what is left in `lines` is new.

        Parameters
        ----------
        graph : of what is recorded; it takes the new records in.
        """
        contents = {_key(record): _content(record) for record in all_records(recorded)}
        left: list[ReadLine] = []
        for line in self.lines:
            key, content = _key(line.record), _content(line.record)
            if contents.get(key) == content:
                self.known[record_kind(line.record)] += 1
            else:
                contents.setdefault(key, content)
                left.append(line)
        refusals = graph.add(make_records(line.record for line in left))
        reasons = {
            (one.record_kind, one.position): f"{one.record}: {one.reason}" for one in refusals
        }
        positions: Counter[str] = Counter()
        self.lines = []
        for line in left:
            kind = record_kind(line.record)
            reason = reasons.get((kind, positions[kind]))
            positions[kind] += 1
            if reason is None:
                self.lines.append(line)
            else:
                self._refuse(line, reason)

    def write(self, ledger: Ledger, *, is_all_or_nothing: bool) -> None:
        """Write what is new. A line that the ledger refuses is found by halving.

        Raises
        ------
        InvalidArgument, Conflict : all must fit, and one does not; nothing is written.
        """
        if is_all_or_nothing:
            ledger.add_lineage(make_records(line.record for line in self.lines))
            self.count_new(self.lines)
            return
        size = _LINES_OF_A_WRITE
        waiting = [self.lines[at : at + size] for at in range(0, len(self.lines), size)][::-1]
        while waiting:
            batch = waiting.pop()
            try:
                ledger.add_lineage(make_records(line.record for line in batch))
                self.count_new(batch)
            except (InvalidArgument, Conflict, MoneyOverflow) as error:
                if len(batch) == 1:
                    self._refuse(batch[0], str(error))
                else:
                    middle = len(batch) // 2
                    waiting += [batch[middle:], batch[:middle]]

    def count_new(self, lines: Iterable[ReadLine]) -> None:
        """Note that `lines` are recorded, or would be."""
        self.new.update(record_kind(line.record) for line in lines)

    def _refuse(self, line: ReadLine, reason: str) -> None:
        self.refused.append(RefusedLine(line.file, line.number, record_kind(line.record), reason))


def _lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """The lines without their ends; of one that is too long a piece that is too long as well."""
    while content := stream.readline(LONGEST_LINE + 2):
        piece = content
        while not piece.endswith(b"\n") and (piece := stream.readline(LONGEST_LINE + 2)):
            pass  # the rest of a line that is too long
        yield content.rstrip(b"\r\n")


def _parse(content: bytes) -> LineageLine:
    if len(content) > LONGEST_LINE:
        raise InvalidArgument(f"the line is longer than {LONGEST_LINE:,} bytes")
    try:
        return parse_lineage_line(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the line is no UTF-8: {error.reason}") from None


def _key(record: LineageLine) -> tuple[str, ...]:
    """What makes two records the same one."""
    kind = record_kind(record)
    if isinstance(record, LineageNode):
        return kind, record.node_id
    if isinstance(record, LineageEdge):
        return kind, record.subject, record.kind, record.object
    if isinstance(record, LineageCost | NodeUse):
        return kind, record.event_id
    if isinstance(record, BusinessValue):
        return kind, record.value_id
    return kind, lineage_line(record)


def _content(record: LineageLine) -> str:
    """What must be the same of two records that are the same one."""
    # The same sentence twice is one edge, whenever it was said.
    return str(record.step) if isinstance(record, LineageEdge) else lineage_line(record)
