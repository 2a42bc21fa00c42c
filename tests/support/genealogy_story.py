"""The story of examples/genealogy, and graphs from lines of JSON.

Owns: how tests get a genealogy. Does not own: the story (examples/genealogy/support_bot.py).
"""

from __future__ import annotations

import json
import pathlib
import runpy
from collections.abc import Iterable
from typing import Any

from finops.genealogy import Genealogy, make_records, parse_lineage_line

STORY = pathlib.Path(__file__).resolve().parents[2] / "examples" / "genealogy" / "support_bot.py"


def story_lines() -> list[dict[str, Any]]:
    """The records of the support bot."""
    return list(runpy.run_path(str(STORY))["lines"]())


def lines_text(lines: Iterable[dict[str, Any]]) -> str:
    """JSON lines for `finops graph import`."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def graph_of(lines: Iterable[dict[str, Any]], *, currency: str = "USD") -> Genealogy:
    """The graph of some lines, all of which must fit."""
    graph = Genealogy(currency)
    refused = graph.add(make_records(parse_lineage_line(json.dumps(line)) for line in lines))
    assert refused == [], [f"{one.record}: {one.reason}" for one in refused]
    return graph


def wide_sweep(trial_count: int) -> list[dict[str, Any]]:
    """A model from a sweep with so many trials; the one numbered n cost n cents, a third failed."""
    lines: list[dict[str, Any]] = [
        {"edge": "produced", "subject": "run:sweep", "object": "model:m"}
    ]
    for number in range(1, trial_count + 1):
        trial = f"run:trial-{number:05}"
        lines.append({"edge": "nested_in", "subject": trial, "object": "run:sweep"})
        cost = f"{number // 100}.{number % 100:02} USD"
        lines.append({"cost": cost, "node_id": trial, "event_id": f"bill:{trial}"})
        if number % 3 == 0:
            lines.append({"status": "FAILED", "node_id": trial})
    return lines
