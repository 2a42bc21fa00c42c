"""What a run is told by ``run.check_budget()``.

Owns: Directive. The values are those of the C++ core.
"""

from __future__ import annotations

from enum import IntEnum

from . import _core


class Directive(IntEnum):
    """In rising order of urgency; CONTINUE is falsy."""

    CONTINUE = 0
    CHECKPOINT = 1
    PAUSE = 2
    STOP = 3


_core.set_directives(
    (Directive.CONTINUE, Directive.CHECKPOINT, Directive.PAUSE, Directive.STOP),
)
