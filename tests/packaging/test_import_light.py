"""`import finops` is cheap: it loads the standard library and its own extension, nothing else.

Method: a fresh interpreter imports finops, and what it then holds is compared with what it held
before. tests/structure/test_layering.py checks the source for the same.
"""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
before = set(sys.modules)
import finops
loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
foreign = [name for name in loaded if name not in sys.stdlib_module_names and name != "finops"]
names = ("cli", "report", "integrations", "enforce", "notify", "predict")
outer = [f"finops.{name}" for name in names]
print(json.dumps({"foreign": foreign, "outer": [name for name in outer if name in sys.modules],
                  "threads": len(__import__("os").listdir("/proc/self/task"))}))
"""


def test_import_loads_only_the_standard_library() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert json.loads(finished.stdout) == {"foreign": [], "outer": [], "threads": 1}
    assert finished.stderr == ""
