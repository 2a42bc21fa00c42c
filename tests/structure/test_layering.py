"""The layers of layers.toml hold in our tree, and each kind of violation is really found."""

from __future__ import annotations

import pathlib

import layering
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = layering.read_rules(pathlib.Path(__file__).with_name("layers.toml"))


def test_cpp_includes_keep_to_the_layers() -> None:
    violations = layering.cpp_violations(ROOT, RULES)
    assert not violations, "\n".join(violations)


def test_python_imports_keep_to_the_layers() -> None:
    violations = layering.python_violations(ROOT, RULES)
    assert not violations, "\n".join(violations)


def test_the_table_itself_has_no_cycle() -> None:
    seen: set[str] = set()
    for module, below in RULES["modules"].items():
        assert set(below) <= seen, f"{module} may see a module that is listed after it"
        seen.add(module)


def test_every_module_has_a_test_of_its_own() -> None:
    modules = {path.parent.name for path in (ROOT / "src").glob("*/*.cpp")}
    tests = [path.name for path in (ROOT / "tests" / "cpp").glob("test_*.cpp")]
    untested = {m for m in modules if not any(name.startswith(f"test_{m}") for name in tests)}
    assert untested == set()


# Goal: the checker sees each kind of violation. Method: one file with one include in an otherwise
# empty tree; only that include moves. The second of a pair is the nearest allowed one.
@pytest.mark.parametrize(
    ("path", "include", "why"),
    [
        ("src/money/money.cpp", '"finops/ledger/ledger.hpp"', "money may not see ledger"),
        ("src/money/money.cpp", '"finops/base/error.hpp"', None),
        ("include/finops/pulse/page.hpp", '"finops/money/money.hpp"', "pulse may not see money"),
        ("include/finops/pulse/page.hpp", "<finops/money/money.hpp>", "pulse may not see money"),
        ("include/finops/pulse/page.hpp", '"finops/pulse/layout.hpp"', None),
        ("src/money/money.cpp", '"finops/mystery/x.hpp"', "'mystery' is no module"),
        ("src/mystery/x.cpp", '"finops/base/error.hpp"', "'mystery' is no module"),
        ("src/stray.cpp", "<vector>", "'(none)' is no module"),
        ("include/finops/stray.hpp", "<vector>", "'(none)' is no module"),
        ("src/agent/scan.cpp", '"ledger/database.hpp"', "for their own module only"),
        ("src/ledger/schema.cpp", '"ledger/database.hpp"', None),
        ("include/finops/ledger/ledger.hpp", '"ledger/database.hpp"', "a public header"),
        ("src/money/money.cpp", '"mystery/x.hpp"', "'mystery' is no module"),
        ("src/money/money.cpp", '"../base/x.hpp"', "'..' is no module"),
        ("src/money/money.cpp", '"absent.hpp"', "no such file beside it"),
        ("src/money/money.cpp", '"money.cpp"', None),
        ("src/agent/scan.cpp", "<sqlite3.h>", "only ledger may use it"),
        ("src/ledger/schema.cpp", "<sqlite3.h>", None),
        ("include/finops/ledger/ledger.hpp", "<sqlite3.h>", "public headers show no third-party"),
        ("src/ledger/schema.cpp", "<nlohmann/json.hpp>", "only record, pricing, predict"),
        ("src/pricing/price_book.cpp", "<nlohmann/json.hpp>", None),
        ("src/genealogy/graph.cpp", "<Eigen/Dense>", "only predict may use it"),
        ("src/tracker/run.cpp", "<pybind11/pybind11.h>", "only python/bindings may use it"),
        ("python/bindings/module.cpp", "<pybind11/pybind11.h>", None),
        ("python/bindings/module.cpp", "<Python.h>", None),
        ("python/bindings/module.cpp", '"finops/tracker/run.hpp"', None),
        ("python/bindings/module.cpp", '"ledger/database.hpp"', "only modules see private headers"),
        ("src/predict/score.cpp", "<cuda_runtime.h>", "only kernels may use it"),
        ("kernels/score.cu", "<cuda_runtime.h>", None),
        ("kernels/score.cu", '"finops/predict/tree.hpp"', None),
        ("kernels/score.cu", '"finops/ledger/ledger.hpp"', "kernels may not see ledger"),
        ("src/base/clock.cpp", "<boost/any.hpp>", "neither standard nor listed"),
        ("src/base/clock.cpp", "<sys/mman.h>", None),
        ("src/base/clock.cpp", "<unistd.h>", None),
        ("src/base/clock.cpp", "<chrono>", None),
    ],
)
def test_cpp_checker(tmp_path: pathlib.Path, path: str, include: str, why: str | None) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(f"// a file\n#include {include}\n// #include <sqlite3.h> in a comment\n")
    violations = layering.cpp_violations(tmp_path, RULES)
    assert len(violations) == (0 if why is None else 1), violations
    assert why is None or why in violations[0]


@pytest.mark.parametrize(
    ("path", "statement", "why"),
    [
        ("__init__.py", "from finops import report", "does not import finops.report"),
        ("__init__.py", "from . import report", "does not import finops.report"),
        ("__init__.py", "from .cli import main", "does not import finops.cli"),
        ("run.py", "import finops.integrations.mlflow", "does not import finops.integrations"),
        ("run.py", "try:\n    import finops.notify\nfinally:\n    pass", "finops.notify"),
        ("run.py", "class A:\n    from finops import notify", "finops.notify"),
        ("run.py", "def f():\n    from finops import notify", None),
        ("run.py", "if TYPE_CHECKING:\n    from finops.report import Report", None),
        ("run.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import finops.cli", "finops.cli"),
        ("run.py", "import numpy", "the standard library only"),
        ("run.py", "import numpy.linalg as la", "the standard library only"),
        ("run.py", "def f():\n    import numpy", None),
        ("run.py", "import json", None),
        ("run.py", "from finops._core import Run", None),
        ("run.py", "from ._core import Run", None),
        ("cli/main.py", "import typer", None),
        ("cli/main.py", "from finops import report, Money", None),
        ("cli/main.py", "from finops._core import Run", "only finops's own modules"),
        ("cli/main.py", "from .._core import Run", "only finops's own modules"),
        ("report.py", "def f():\n    from finops import _core", "only finops's own modules"),
        ("report.py", "from finops.cli import tables", "nothing builds on the command line"),
        ("integrations/mlflow.py", "from finops import init", None),
        ("integrations/mlflow.py", "from finops.integrations._names import tags", None),
        ("integrations/mlflow.py", "from . import _names", None),
        ("integrations/mlflow.py", "from . import optuna", "do not import each other"),
        ("integrations/mlflow.py", "def f():\n    from .optuna import x", "each other"),
        ("integrations/mlflow.py", "from finops.enforce import slurm", "do not import each other"),
        ("integrations/mlflow.py", "from finops.cli import main", "the command line"),
        ("integrations/__init__.py", "from . import optuna", None),
        ("enforce/slurm.py", "from finops.enforce import local", "do not import each other"),
        ("enforce/slurm.py", "from finops.notify import send", None),
    ],
)
def test_python_checker(tmp_path: pathlib.Path, path: str, statement: str, why: str | None) -> None:
    file = tmp_path / "python" / "finops" / path
    file.parent.mkdir(parents=True)
    file.write_text(statement + "\n")
    violations = layering.python_violations(tmp_path, RULES)
    assert len(violations) == (0 if why is None else 1), violations
    assert why is None or why in violations[0]
