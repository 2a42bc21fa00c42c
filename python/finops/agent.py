"""The agent: looks at live runs, judges, records and acts. Used by `finops guard` and `finops run`.

Owns: nothing but names, and the question whether an agent serves. Does not own: what an agent does
(the C++ core).
"""

from __future__ import annotations

import fcntl
import os
import struct

from ._core import (
    Agent,
    AgentReport,
    CommandRun,
    GuardPolicy,
    PolicyBook,
    PolicyRule,
    RunOptions,
)

__all__ = [
    "Agent",
    "AgentReport",
    "CommandRun",
    "GuardPolicy",
    "PolicyBook",
    "PolicyRule",
    "RunOptions",
    "is_agent_serving",
]

_FLOCK = "hhqqi0q"  # struct flock of 64-bit Linux: type, whence, start, length, pid


def is_agent_serving(home: str) -> bool | None:
    """Whether an agent serves the runs of `home`; asks without taking the agent's lock.

    Returns
    -------
    None where the system cannot be asked.
    """
    get_lock = getattr(fcntl, "F_OFD_GETLK", None)
    try:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(f"{home}/agent.lock", flags)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        if get_lock is None:
            return None
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, get_lock, asked))
        return bool(answer[0] != fcntl.F_UNLCK)
    except OSError:
        return None
    finally:
        os.close(descriptor)
