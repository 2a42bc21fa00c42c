"""The message for a group of notices. Pure.

Owns: title and body. Invariant: whatever stands in a notice, it is one line of the body, and
nothing of it comes into the title (which becomes a mail header).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timezone

from finops.policy import NOTICE_KINDS

from .book import Notice

LINE_LIMIT = 50
_TEXT_LIMIT = 500


@dataclass(frozen=True)
class Message:
    """What goes to a channel: plain text."""

    title: str
    body: str


def compose(
    notices: Sequence[Notice], *, host: str, channel: str, is_possible_repeat: bool
) -> Message:
    """One message for `notices`, oldest first; beyond 50 the rest is counted."""
    count = len(notices)
    counts = Counter(notice.kind for notice in notices)
    kinds = sorted(counts, key=lambda kind: (_rank(kind), kind))
    title = f"finops: {count} notice{'s' * (count != 1)}: " + ", ".join(
        f"{counts[kind]} {kind}" for kind in kinds
    )
    lines = [_line(notice) for notice in notices[:LINE_LIMIT]]
    if count > LINE_LIMIT:
        lines.append(f"... and {count - LINE_LIMIT} more")
    lines += ["", f"From finops on {host}, channel {channel}. The code in brackets names a notice."]
    if is_possible_repeat:
        lines.append("This may have reached you before: the sender was cut off while sending.")
    return Message(title + " (possible repeat)" * is_possible_repeat, "\n".join(lines))


def short_id(notice_id: str) -> str:
    """Eight hexadecimal digits that name a notice, the same for each repeat."""
    return hashlib.sha256(notice_id.encode()).hexdigest()[:8]


def _rank(kind: str) -> int:
    return NOTICE_KINDS.index(kind) if kind in NOTICE_KINDS else len(NOTICE_KINDS)


def _line(notice: Notice) -> str:
    text = "".join(c if c.isprintable() else " " for c in notice.text)
    if len(text) > _TEXT_LIMIT:
        text = text[: _TEXT_LIMIT - 3] + "..."
    at = notice.recorded_at
    time = f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC" if at else "time unknown"
    return f"{time}  {notice.kind}: {text}  [{short_id(notice.notice_id)}]"
