"""Real servers on this host that take notifications: one for mail, one for HTTP.

Owns: their threads and ports. Each keeps what came, in order, and can refuse or stall on demand.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

LIMIT_SECONDS = 30


class Inbox:
    """What a server was sent, as (title, body)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[tuple[str, str]] = []
        self.refuses = False
        self.stalls = False
        self.released = threading.Event()

    def wait_for(self, count: int) -> list[tuple[str, str]]:
        """The messages, once so many came."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(self.messages) < count:
            assert time.monotonic() < deadline, f"{len(self.messages)} of {count} messages came"
            time.sleep(0.05)
        return self.messages


@contextlib.contextmanager
def http_inbox() -> Iterator[Inbox]:
    """For apprise's json:// addresses. While it stalls, it has read and does not answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            inbox.messages.append((sent["title"], sent["message"]))
            if inbox.stalls:
                inbox.released.wait(LIMIT_SECONDS)
            # The other end may be gone by now, killed by the test.
            with contextlib.suppress(OSError):
                self.send_response(500 if inbox.refuses else 200)
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    inbox = Inbox(f"json://127.0.0.1:{server.server_port}/a-long-secret-path")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        inbox.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def smtp_inbox() -> Iterator[Inbox]:
    """A mail server; a message's title is its subject, its body the plain text part."""

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            if inbox.refuses:
                return "451 try again later"
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            part = mail.get_body(("plain",))
            inbox.messages.append((str(mail["Subject"]), part.get_content() if part else ""))
            return "250 OK"

    controller = _ControllerOfAnyPort(Handler(), hostname="127.0.0.1", port=0)
    controller.start()
    try:
        people = "from=finops@example.org&to=ann@example.org"
        inbox = Inbox(f"mailto://127.0.0.1:{controller.port}?{people}")
        yield inbox
    finally:
        controller.stop()


class _ControllerOfAnyPort(Controller):
    """Takes the port that the system gave it; aiosmtpd itself asks at port 0 whether it is up."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
