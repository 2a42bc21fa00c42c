"""Telling people what the ledger noticed: through apprise, in groups, never lost in a crash.

Owns: which notices a channel gets next, the message, the sending and its record in the ledger.
Does not own: notices (the core writes them), channels (finops.policy reads them).
Invariant: a group is recorded as SENDING before it is sent and as SENT or FAILED afterwards; at
most one process sends for a home. Nothing here runs in a training process.
"""

from __future__ import annotations

from .deliver import Outcome, deliver, has_work
from .lock import sender_lock
from .message import Message, compose
from .send import SendFailed, make_test_message, require_apprise, send
from .standing import Standing, standing_of

__all__ = [
    "Message",
    "Outcome",
    "SendFailed",
    "Standing",
    "compose",
    "deliver",
    "has_work",
    "make_test_message",
    "require_apprise",
    "send",
    "sender_lock",
    "standing_of",
]
