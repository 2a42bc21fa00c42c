"""What the tests of the command line share."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from command_line import Cli


@pytest.fixture
def cli() -> Any:
    one = Cli()
    yield one
    for process in one.processes:
        if process.poll() is None:
            process.terminate()  # `finops run` passes it on to its command
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
