"""At most one process sends for a home.

Owns: notify.lock in the home folder. The lock ends with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from finops.errors import SystemFailure


@contextmanager
def sender_lock(home: str) -> Iterator[bool]:
    """Whether this process may send while the `with` block runs; does not wait.

    Raises
    ------
    SystemFailure : the lock file cannot be opened.
    """
    path = os.path.join(home, "notify.lock")
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise SystemFailure(f"{path} cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = True
        except BlockingIOError:
            is_ours = False
        yield is_ours
    finally:
        os.close(descriptor)
