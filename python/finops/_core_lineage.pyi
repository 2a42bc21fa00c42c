"""The records of lineage in the C++ core. `_core.pyi` gives them out.

There is no such module: it is this part of the extension's stub.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import final

from ._core import Money

@final
class LineageNode:
    """What is known of a node for good. `attributes` is the text of a JSON object.

    Each record raises InvalidArgument where it is made if it cannot be kept: a bad id, an unknown
    kind or status, text that is no Unicode or has control characters, a time without a time zone.
    """

    node_id: str
    label: str
    user_name: str
    cluster: str
    attributes: str
    created_at: datetime | None
    def __init__(
        self,
        *,
        node_id: str,
        label: str = ...,
        user_name: str = ...,
        cluster: str = ...,
        attributes: str = ...,
        created_at: datetime | None = ...,
    ) -> None: ...

@final
class LineageEdge:
    """A sentence, "run:a read dataset:d", which `str` gives.

    Kinds: nested_in, forked_from, retried_as, read, produced, deployed_as.
    """

    subject: str
    kind: str
    object: str
    step: int | None
    recorded_at: datetime | None
    def __init__(
        self,
        *,
        subject: str,
        kind: str,
        object: str,
        step: int | None = ...,
        recorded_at: datetime | None = ...,
    ) -> None: ...

@final
class LineageCost:
    """What a node itself cost, in one part; a correction is another part and may be negative."""

    event_id: str
    node_id: str
    billed_cost: Money
    charge_category: str
    is_correction: bool
    is_growing: bool
    """What an attempt of a ledger cost so far: it will have another id, and maybe more."""
    charge_period_start: datetime | None
    charge_period_end: datetime | None
    def __init__(
        self,
        *,
        event_id: str,
        node_id: str,
        billed_cost: Money,
        charge_category: str = ...,
        is_correction: bool = ...,
        charge_period_start: datetime | None = ...,
        charge_period_end: datetime | None = ...,
    ) -> None: ...

@final
class NodeStatus:
    """The state of a node from `recorded_at` on; the newest counts.

    RUNNING, FINISHED, FAILED, KILLED, PAUSED, PREEMPTED; of results ACTIVE and RETIRED.
    """

    node_id: str
    status: str
    who: str
    why: str
    recorded_at: datetime | None
    def __init__(
        self,
        *,
        node_id: str,
        status: str,
        who: str = ...,
        why: str = ...,
        recorded_at: datetime | None = ...,
    ) -> None: ...

@final
class NodeUse:
    """Measured use of a model or an endpoint."""

    event_id: str
    node_id: str
    quantity: int
    unit: str
    recorded_at: datetime | None
    def __init__(
        self,
        *,
        event_id: str,
        node_id: str,
        quantity: int,
        unit: str = ...,
        recorded_at: datetime | None = ...,
    ) -> None: ...

@final
class BusinessValue:
    """What a model or an endpoint is worth, says `source`, `per` once, month, quarter or year."""

    value_id: str
    node_id: str
    amount: Money
    per: str
    valid_from: datetime | None
    valid_to: datetime | None
    source: str
    who: str
    recorded_at: datetime | None
    def __init__(
        self,
        *,
        value_id: str,
        node_id: str,
        amount: Money,
        source: str,
        per: str = ...,
        valid_from: datetime | None = ...,
        valid_to: datetime | None = ...,
        who: str = ...,
        recorded_at: datetime | None = ...,
    ) -> None: ...

@final
class LineageRecords:
    """All that a genealogy is built from. The lists are copies: make a new one to change it."""

    nodes: list[LineageNode]
    edges: list[LineageEdge]
    costs: list[LineageCost]
    statuses: list[NodeStatus]
    uses: list[NodeUse]
    values: list[BusinessValue]
    unpriced: list[str]
    def __init__(
        self,
        *,
        nodes: Sequence[LineageNode] = ...,
        edges: Sequence[LineageEdge] = ...,
        costs: Sequence[LineageCost] = ...,
        statuses: Sequence[NodeStatus] = ...,
        uses: Sequence[NodeUse] = ...,
        values: Sequence[BusinessValue] = ...,
    ) -> None: ...

LineageLine = LineageNode | LineageEdge | LineageCost | NodeStatus | NodeUse | BusinessValue

def parse_lineage_line(json_text: str) -> LineageLine:
    """Read one line of `finops graph import`.

    Raises
    ------
    InvalidArgument, InvalidMoney : with the field's name; a line is read whole or not at all.
    """

def lineage_line(record: LineageLine) -> str:
    """The line of a record; `parse_lineage_line` gives the same record back."""

def parse_node_id(text: str) -> str:
    """`text` if it is a node's id, as "model:resnet-v2".

    Raises
    ------
    InvalidArgument : it is none.
    """
