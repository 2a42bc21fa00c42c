"""The Python interpreters of this machine that finops supports and that really run.

Owns: finding them. A name on PATH proves nothing: a version manager's shim may lead nowhere, and
versions that it hides are looked for in its folder.
"""

from __future__ import annotations

import functools
import glob
import os
import shutil
import subprocess

SUPPORTED = ("3.10", "3.11", "3.12", "3.13")

_PROBE = """
import os, sys, sysconfig, venv, ensurepip
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
print("%d.%d" % sys.version_info[:2] if os.path.exists(header) else "no headers")
"""


@functools.cache
def find_interpreter(version: str) -> str | None:
    """The path of a Python `version` ("3.12") that runs and can build extensions, or None."""
    on_path = shutil.which(f"python{version}")
    pyenv_root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    patterns = [
        f"{pyenv_root}/versions/{version}.*/bin/python{version}",
        f"/usr/bin/python{version}",
        f"/usr/local/bin/python{version}",
    ]
    candidates = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
    for candidate in [*([on_path] if on_path else []), *candidates]:
        if _version_of(candidate) == version:
            return candidate
    return None


def _version_of(interpreter: str) -> str | None:
    try:
        probe = subprocess.run(
            [interpreter, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return probe.stdout.strip() if probe.returncode == 0 else None
