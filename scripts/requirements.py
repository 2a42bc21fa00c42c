"""Prints the requirements of groups of pyproject.toml, one a line, for `pip install -r`.

Owns: reading the groups. Does not own: the lists themselves, which stand in pyproject.toml alone.

Usage: requirements.py GROUP...     GROUP is `build-system` or a name of optional-dependencies
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    # This runs before anything is installed, and pip carries the parser that 3.10 lacks.
    from pip._vendor import tomli as tomllib


def requirements(project: dict[str, Any], groups: list[str]) -> list[str]:
    """All requirements of `groups`, but for the distribution's own extras."""
    own_name = project["project"]["name"]
    found = []
    for group in groups:
        if group == "build-system":
            found += project["build-system"]["requires"]
        else:
            found += project["project"]["optional-dependencies"][group]
    return [line for line in found if not line.startswith(own_name)]


if __name__ == "__main__":
    pyproject = pathlib.Path(__file__).resolve().parent.parent / "pyproject.toml"
    print("\n".join(requirements(tomllib.loads(pyproject.read_text()), sys.argv[1:])))
