"""At most one process sends for a home.

Owns: notify.lock in the home folder. The lock ends with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from finops.errors import SystemFailure


@contextmanager
def sender_lock(home: str) -> Iterator[bool]:
    """Whether this process may send while the `with` block runs; does not wait.

    Raises
    ------
    SystemFailure : the lock file cannot be opened, or is not ours alone.
    """
    path = os.path.join(home, "notify.lock")
    # Without O_NONBLOCK a pipe that somebody put there would make us wait for ever.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise SystemFailure(f"{path} cannot be opened: {error.strerror}") from error
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_nlink > 1:
            raise SystemFailure(f"{path} is no plain file of ours with one name; move it away")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = True
        except BlockingIOError:
            is_ours = False
        yield is_ours
    finally:
        os.close(descriptor)
