"""What the tests of the command line share."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import pytest
from command_line import Cli
from genealogy_story import lines_text, story_lines


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


@pytest.fixture
def story(cli: Cli, tmp_path: pathlib.Path) -> Cli:
    """A command line whose ledger holds the story."""
    file = tmp_path / "story.jsonl"
    file.write_text(lines_text(story_lines()), encoding="utf-8")
    cli("graph", "import", str(file))
    return cli
