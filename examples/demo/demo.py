"""The demo: one real training job and its budget, three jobs and the guard, and a report.

Usage: demo.py    (about a minute; touches only a temporary folder)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
FINOPS = [str(Path(sys.executable).parent / "finops")]
STEP_COUNT = 1_500
WAIT_SECONDS = 90


def title(number: int, text: str) -> None:
    print(f"\n\033[1m{number}. {text}\033[0m\n", flush=True)


def say(command: list[str], environment: dict[str, str]) -> None:
    """Show a finops command and run it."""
    print("\033[2m$ finops " + " ".join(_quote(word) for word in command) + "\033[0m", flush=True)
    subprocess.run([*FINOPS, *command], env=environment, check=True)


def _quote(word: str) -> str:
    return f'"{word}"' if " " in word else word


def budget_demo(folder: Path, environment: dict[str, str]) -> None:
    title(1, "A training job on 8xH100 (pretended), with a budget of 0.30 USD")
    job = [sys.executable, str(HERE / "train_digits.py"), str(folder / "digits.ckpt")]
    command = ["run", "--project", "demo", "--experiment", "digits", "--name", "mlp"]
    command += ["--budget", "0.30 USD", "--resources", "8xH100", "--lease-term", "2s"]
    command += ["--check-gap", "1s", "--stop-time", "2s", "--interval", "0.5s"]
    print("\033[2m$ finops " + " ".join(_quote(word) for word in command))
    print(f"    -- python train_digits.py digits.ckpt {STEP_COUNT}\033[0m", flush=True)
    training = subprocess.Popen([*FINOPS, *command, "--", *job, str(STEP_COUNT)], env=environment)
    try:
        for _ in range(2):
            time.sleep(4)
            say(["ps"], environment)
        _wait_for_pause(environment)
        title(2, "At its budget it has saved a checkpoint and paused; the process is gone")
        say(["budget", "show", "demo/digits"], environment)
        title(3, "Somebody asks for more, somebody else approves, and it goes on")
        ask = ["budget", "request", "demo/digits", "1 USD", "--why", "accuracy still rising"]
        say(ask, environment)
        say(["budget", "approve", "latest", "--why", "worth it"], environment)
        training.wait(timeout=WAIT_SECONDS)
    finally:
        _end(training)
    if training.returncode != 0:
        raise SystemExit(f"the training job ended with {training.returncode}")


def _wait_for_pause(environment: dict[str, str]) -> None:
    for _ in range(WAIT_SECONDS * 2):
        answer = subprocess.run(
            [*FINOPS, "report", "--json"], env=environment, capture_output=True, text=True
        )
        if answer.returncode == 0:
            experiments = json.loads(answer.stdout)["experiments"]
            if any(run["status"] == "PAUSED" for run in experiments[0]["runs"]):
                time.sleep(0.5)  # lets `finops run` finish its sentence
                return
        time.sleep(0.5)
    raise SystemExit("the run has not paused")


def guard_demo(environment: dict[str, str]) -> None:
    title(4, "The guard stops a job that reports nothing for 4 s, and leaves a working one alone")
    jobs = {
        kind: subprocess.Popen(
            [sys.executable, str(HERE / "train_badly.py"), kind, seconds], env=environment
        )
        for kind, seconds in (("silent", "120"), ("working", "14"))
    }
    guard_command = ["guard", "--interval", "1s", "--silence-limit", "4s"]
    guard_command += ["--directive-grace", "1s", "--term-grace", "2s"]
    print("\033[2m$ finops " + " ".join(guard_command) + "\033[0m", flush=True)
    guard = subprocess.Popen([*FINOPS, *guard_command], env=environment)
    try:
        time.sleep(4)
        say(["ps"], environment)
        silent_code = jobs["silent"].wait(timeout=WAIT_SECONDS)
        working_code = jobs["working"].wait(timeout=WAIT_SECONDS)
        time.sleep(2)  # the guard settles what it stopped
        print(
            f"\nthe silent job ended by signal {-silent_code}, the working one with {working_code}"
        )
    finally:
        for process in (*jobs.values(), guard):
            _end(process)
    if silent_code == 0 or working_code != 0:
        raise SystemExit("the guard did not do what it should")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="finops-demo-"))
    environment = {**os.environ, "FINOPS_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    try:
        budget_demo(folder, environment)
        guard_demo(environment)
        title(5, "The report: cost by run and attempt, budget history, decisions with reasons")
        say(["report"], environment)
        say(["ledger", "verify"], environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nThat was finops, in {time.monotonic() - started:.0f} seconds.")


if __name__ == "__main__":
    main()
