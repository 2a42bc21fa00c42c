"""Draws the pictures of docs/predict.md from the history of examples/predict.

finops-predict.svg: the terminal; predict-report.png: by Matplotlib.

Usage: .venv/bin/python docs/images/draw_predict.py
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

from rich.console import Console
from rich.text import Text

COLUMNS = 100
HERE = pathlib.Path(__file__).resolve().parent
STORY = HERE.parents[1] / "examples" / "predict" / "jobs.py"
JOB = (
    "--user", "ana", "--group", "llm", "--name", "sft-llama-7b", "--resources", "8xH100",
    "--requested", "12h", "--budget", "300 USD",
)  # fmt: skip


def main() -> None:
    finops = [sys.executable, "-m", "finops.cli.main"]
    with tempfile.TemporaryDirectory() as folder:
        history = pathlib.Path(folder) / "jobs.csv"
        environment = {
            **os.environ,
            "FINOPS_HOME": folder + "/home",
            "COLUMNS": str(COLUMNS),
            "FORCE_COLOR": "1",
        }

        def run(*command: str) -> str:
            return subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            ).stdout

        history.write_text(run(sys.executable, str(STORY)), encoding="utf-8")
        run(*finops, "predict", "train", "--history", str(history))
        shown = run(*finops, "predict", "job", *JOB)
        picture = HERE / "predict-report.png"
        run(*finops, "predict", "report", "--history", str(history), "--out", str(picture))
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(shown))
    console.save_svg(str(HERE / "finops-predict.svg"), title="finops predict job")
    print(shown)


if __name__ == "__main__":
    main()
