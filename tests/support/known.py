"""One small helper for tests: a value that must be there.

Owns: known.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def known(value: T | None) -> T:
    """`value`, which a test knows to be there (a cost that is priced, a budget that was made)."""
    assert value is not None
    return value
