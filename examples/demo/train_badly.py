"""Two jobs for the guard: one that has stopped making progress, one that is fine.

Usage: train_badly.py silent|working SECONDS
"""

from __future__ import annotations

import sys
import time

import finops


def main(kind: str, seconds: float) -> None:
    with finops.track(project="demo", experiment="guard", name=kind, resources="8xH100") as run:
        end = time.monotonic() + seconds
        step = 0
        while time.monotonic() < end:
            if kind == "working" or step < 10:  # the silent one hangs after ten steps
                step += 1
                run.progress(step)
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
