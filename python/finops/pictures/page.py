"""A picture as one HTML file that folds, zooms and searches, and asks nothing of any network.

Owns: the file around the scripts beside it. Does not own: what the reader can do (page_*.js).
Invariants: names are data in a block that no text can end, and enter the page as text; the content
policy allows the scripts and styles of this file by their hashes and nothing else, no network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib import resources
from typing import Any

from finops import Money
from finops.genealogy import OUTCOMES
from finops.texts import format_money, one_line

from .model import Picture, PictureNode, format_sum

_SCRIPTS = ("page_model.js", "page_view.js", "page_controls.js")
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<div class="grow"><h1>{title}</h1><p>{summary}</p><p id="notes">{notes}</p></div>
<p class="legend">{legend}</p>
<div class="tools">
<input id="search" type="search" placeholder="Search  ( / )" aria-label="Search nodes">
<button id="unfold">Unfold all</button><button id="fold">Fold all</button>
<button id="smaller" aria-label="Smaller">&minus;</button>
<button id="larger" aria-label="Larger">+</button>
<button id="fit">Fit</button><button id="theme">Light / dark</button>
<span id="found" role="status"></span>
</div>
</header>
<main><svg id="picture" role="tree" aria-label="{title}"><g id="scene"></g></svg></main>
<aside id="details" aria-live="polite" aria-label="Details"></aside>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def page_text(picture: Picture) -> str:
    """The whole file."""
    script = "(() => {\n'use strict';\n" + "".join(_asset(name) for name in _SCRIPTS) + "})();\n"
    style = _asset("page.css")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    root = picture.root
    what = "came from it" if picture.is_downstream else "all that it needs"
    return _PAGE.format(
        policy=policy,
        style=style,
        script=script,
        title=html.escape(one_line(root.node_id)),
        summary=html.escape(f"{format_sum(root.costs)} with {what}{_parts(root)}"),
        notes=html.escape("; ".join(one_line(note) for note in picture.notes)),
        legend="".join(f'<span class="{outcome}">{outcome}</span>' for outcome in OUTCOMES),
        data=_script_data(picture),
    )


def _parts(root: PictureNode) -> str:
    amounts = ((outcome, getattr(root.costs, outcome)) for outcome in OUTCOMES)
    parts = [f"{format_money(amount)} {outcome}" for outcome, amount in amounts if amount]
    return f": {', '.join(parts)}" if parts else ""


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _script_data(picture: Picture) -> str:
    """JSON that a script element can hold: no "<" that could end it or begin a comment."""
    data = {
        "currency": picture.root.own_cost.currency,
        "nodes": [_row(node) for node in picture.nodes],
    }
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _row(node: PictureNode) -> list[Any]:
    """The fields in the order of FIELDS in page_model.js."""
    return [
        one_line(node.node_id), node.kind, one_line(node.label), one_line(node.status),
        node.outcome, one_line(node.user_name), one_line(node.cluster),
        f"{node.created_at:%Y-%m-%d %H:%M} UTC" if node.created_at else "",
        node.is_pending, node.is_unpriced, _picos(node.own_cost),
        *[_picos(getattr(node.costs, outcome)) for outcome in OUTCOMES],
        node.costs.node_count, node.costs.unpriced_count, node.costs.other_currency_count,
        node.parent, one_line(node.relation), node.step, node.counted_at, node.folded_count,
    ]  # fmt: skip


def _picos(money: Money) -> str:
    """As text: JavaScript's numbers are not exact."""
    return str(int(money.amount.scaleb(12)))
