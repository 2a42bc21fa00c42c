"""What `import finops` adds to the start of a Python interpreter.

Method: fresh interpreters, in turn without and with the import, wall time from start to end. The
median of the differences of neighbours is the result; byte code is cached, as it is after the
first import ever.
"""

from __future__ import annotations

import subprocess
import sys
import time

from report import arguments, row_of, show

NAME = "python/import"
GOAL_MS = 60.0


def start_and_end_ms(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    for code in ("pass", "import finops"):
        start_and_end_ms(code)
    bare, importing = [], []
    for _ in range(7 if options.short else 51):
        bare.append(start_and_end_ms("pass"))
        importing.append(start_and_end_ms("import finops"))
    added = [b - a for a, b in zip(bare, importing, strict=True)]
    rows = [
        row_of(NAME, "bare python", "ms", bare),
        row_of(NAME, "import finops", "ms", importing),
        row_of(NAME, "added by the import", "ms", added, goal=GOAL_MS),
    ]
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
