"""Draws the pictures of docs/genealogy.md from the story of examples/genealogy.

finops-graph.svg: the terminal; genealogy.svg: by Graphviz; genealogy-page.png: the HTML page.

Usage: .venv/bin/python docs/images/draw_graph.py     needs Graphviz and Chromium
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.text import Text

COLUMNS = 118
NODE = "endpoint:support-bot"
HERE = pathlib.Path(__file__).resolve().parent
STORY = HERE.parents[1] / "examples" / "genealogy" / "support_bot.py"


def main() -> None:
    finops = str(pathlib.Path(sys.executable).parent / "finops")
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "page.html"
        environment = {
            **os.environ,
            "FINOPS_HOME": folder + "/home",
            "COLUMNS": str(COLUMNS),
            "FORCE_COLOR": "1",
        }

        def run(*arguments: str, given: str = "") -> str:
            command = [finops, *arguments]
            return subprocess.run(
                command, env=environment, input=given, capture_output=True, text=True, check=True
            ).stdout

        story = subprocess.run(
            [sys.executable, str(STORY)], capture_output=True, text=True, check=True
        )
        run("graph", "import", "-", given=story.stdout)
        shown = run("graph", "show", NODE)
        run("graph", "show", NODE, "--children", "4", "--out", str(HERE / "genealogy.svg"))
        run("graph", "show", NODE, "--out", str(page))
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,800",
             f"--screenshot={HERE / 'genealogy-page.png'}", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(shown))
    console.save_svg(str(HERE / "finops-graph.svg"), title=f"finops graph show {NODE}")
    print(shown)


if __name__ == "__main__":
    main()
