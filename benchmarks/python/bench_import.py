"""What `import finops` adds to the start of a Python interpreter.

Method: fresh interpreters, in turn without and with the import, wall time from start to end. The
median of the differences of neighbours is the result; byte code is cached, as it is after the
first import ever. Processor time stands beside it: it does not grow when the machine is busy.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from report import arguments, row_of, show

NAME = "python/import"
GOAL_MS = 60.0


def start_and_end_ms(code: str) -> tuple[float, float]:
    """Wall and processor time of a fresh interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    for code in ("pass", "import finops"):
        start_and_end_ms(code)
    bare, importing = [], []
    for _ in range(7 if options.short else 51):
        bare.append(start_and_end_ms("pass"))
        importing.append(start_and_end_ms("import finops"))
    added = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(bare, importing, strict=True)]
    rows = [
        row_of(NAME, "bare python", "ms", [wall for wall, _ in bare]),
        row_of(NAME, "import finops", "ms", [wall for wall, _ in importing]),
        row_of(NAME, "added by the import", "ms", [wall for wall, _ in added], goal=GOAL_MS),
        row_of(NAME, "added by the import", "ms cpu", [cpu for _, cpu in added]),
    ]
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
