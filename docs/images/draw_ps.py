"""Draws docs/images/finops-ps.svg: the real output of `finops ps` for a few real processes.

Usage: .venv/bin/python docs/images/draw_ps.py
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from rich.console import Console
from rich.text import Text

WORKER = """
import sys, time, finops
budget = sys.argv[4] or None
run = finops.init(project=sys.argv[1], experiment=sys.argv[2], name=sys.argv[3], budget=budget,
                  resources=sys.argv[5], long_running=sys.argv[6])
for step in range(10_000):
    time.sleep(0.02)
    if sys.argv[3] != "notebook" or step < 20:
        run.progress(step)
        run.check_budget()
"""
RUNS = [
    ("vision", "resnet", "baseline", "2 USD", "8xH100", ""),
    ("vision", "resnet", "lr-sweep-7", "2 USD", "4xH100", ""),
    ("llm", "sft", "run-12", "0.60 USD", "8xH200", ""),
    ("llm", "data", "tokenise", "", "4xL4", "one pass over the corpus, two days"),
    ("search", "explore", "notebook", "", "A100-80GB", ""),
]
COLUMNS = 128


def main() -> None:
    finops = pathlib.Path(sys.executable).parent / "finops"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "FINOPS_HOME": folder + "/home",
            "COLUMNS": str(COLUMNS),
            "FORCE_COLOR": "1",
            "FINOPS_LEASE_TERM": "5",
        }
        workers = [
            subprocess.Popen([sys.executable, "-c", WORKER, *run], env=environment) for run in RUNS
        ]
        time.sleep(14)
        shown = subprocess.run([finops, "ps"], env=environment, capture_output=True, text=True)
        for worker in workers:
            worker.kill()
            worker.wait()
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(shown.stdout))
    target = pathlib.Path(__file__).parent / "finops-ps.svg"
    console.save_svg(str(target), title="finops ps")
    print(shown.stdout)


if __name__ == "__main__":
    main()
