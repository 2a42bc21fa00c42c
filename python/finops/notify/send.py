"""Sending one message to one address through apprise, which is imported on use.

Owns: what apprise is told, and what it says when it fails.
Invariant: an address, which may hold a secret, is in no message of ours.
"""

from __future__ import annotations

import re

from finops.errors import FinopsError, InvalidArgument, MissingPackage
from finops.policy import Channel

from .message import Message

_SHOWN_LINES = 3
_WHY_LIMIT = 300
_SHORTEST_SECRET = 4


class SendFailed(FinopsError, ConnectionError):
    """The message could not be sent; the text says why, without the address."""


def require_apprise() -> None:
    """Check that apprise is there.

    Raises
    ------
    MissingPackage : it is not.
    """
    try:
        import apprise  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingPackage(
            "notifications need apprise; pip install 'finops-train[notify]'"
        ) from error


def make_test_message(host: str, channel: str) -> Message:
    """What `finops notify test` sends."""
    return Message(
        f"finops: test of channel {channel}",
        f"This is a test of the channel {channel}, sent by finops on {host}. Nothing happened.",
    )


def send(channel: Channel, message: Message) -> None:
    """Send, and come back when the service took it. May take as long as the service lets it.

    Raises
    ------
    SendFailed : it was not taken.
    InvalidArgument : the channel's address is not set or none that apprise knows.
    """
    import apprise

    address = channel.address()
    service = apprise.Apprise()
    try:
        if not service.add(address):
            raise InvalidArgument(
                f"channel {channel.name!r}: its address is no URL that apprise knows; see "
                "https://github.com/caronc/apprise/wiki"
            )
        result = service.notify(
            title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT
        )
    except FinopsError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's own fault is one channel's failure
        raise SendFailed(_without(address, f"{type(error).__name__}: {error}")) from None
    if not result:
        said = "; ".join(entry.message for entry in list(result.logs())[:_SHOWN_LINES])
        why = said or "the service did not take it, and did not say why"
        raise SendFailed(_without(address, why))


def _without(address: str, text: str) -> str:
    """`text` on one line, without any part of the address that is longer than a few characters."""
    for part in sorted(set(re.split(r"[/:@?&=,\s]+", address)), key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, "***")
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown[:_WHY_LIMIT]
