"""Finds code that reaches past its layer: C++ includes and Python imports.

Owns: the two checks, as functions of a source tree and the rules. Does not own: the rules
(tests/structure/layers.toml).
Invariant: what it does not know (a module, a third-party header) is a violation, not a pass.
"""

from __future__ import annotations

import ast
import pathlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest depends on it there

Rules = dict[str, Any]

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
_CPP_SUFFIXES = (".cpp", ".hpp", ".h", ".cu", ".cuh")


def read_rules(path: pathlib.Path) -> Rules:
    return tomllib.loads(path.read_text(encoding="utf-8"))


# --- C++ -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CppPlace:
    """Where a C++ file stands: the module or folder it belongs to, and whether it is public."""

    name: str
    is_public: bool


def cpp_violations(root: pathlib.Path, rules: Rules) -> list[str]:
    """Each include that the rules forbid, as "file: why"; files of unknown modules too."""
    violations = []
    for path, place in _cpp_files(root, rules):
        shown = path.relative_to(root).as_posix()
        if place.name not in rules["modules"] and place.name not in rules["outside"]:
            violations.append(f"{shown}: '{place.name}' is no module of layers.toml")
            continue
        for mark, header in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            why = _why_forbidden(header, mark == "<", path, place, rules)
            if why:
                violations.append(f"{shown}: includes {header}: {why}")
    return violations


def _cpp_files(root: pathlib.Path, rules: Rules) -> Iterator[tuple[pathlib.Path, CppPlace]]:
    for folder in ("include/finops", "src", *rules["outside"]):
        base = root / folder
        for path in sorted(base.rglob("*")):
            if path.suffix not in _CPP_SUFFIXES:
                continue
            parts = path.relative_to(base).parts
            in_module = folder in ("include/finops", "src")
            name = (parts[0] if len(parts) > 1 else "(none)") if in_module else folder
            yield path, CppPlace(name, folder == "include/finops")


def _why_forbidden(
    header: str, is_angled: bool, path: pathlib.Path, place: CppPlace, rules: Rules
) -> str | None:
    """The reason why `place` may not include `header`, or None if it may."""
    if header.startswith("finops/"):
        return _why_module_forbidden(header.split("/")[1], place, rules)
    if is_angled:
        return _why_third_party_forbidden(header, place, rules)
    if "/" not in header:
        exists = (path.parent / header).exists()
        return None if exists else "no such file beside it; name the module"
    module = header.split("/")[0]
    if module not in rules["modules"]:
        return f"'{module}' is no module of layers.toml; third-party headers stand in <>"
    if place.is_public:
        return "a public header cannot include a private one"
    if place.name not in rules["modules"]:
        return "only modules see private headers"
    return None if module == place.name else "private headers are for their own module only"


def _why_module_forbidden(module: str, place: CppPlace, rules: Rules) -> str | None:
    allowed = rules["outside"].get(place.name) or [*rules["modules"][place.name], place.name]
    if module not in rules["modules"]:
        return f"'{module}' is no module of layers.toml"
    if module in allowed or "*" in allowed:
        return None
    return f"{place.name} may not see {module}"


def _why_third_party_forbidden(header: str, place: CppPlace, rules: Rules) -> str | None:
    for prefix, places in rules["third_party"].items():
        if header.startswith(prefix):
            if place.is_public:
                return "public headers show no third-party library"
            return None if place.name in places else f"only {', '.join(places)} may use it"
    system = rules["system"]
    is_cpp_standard = "." not in header and "/" not in header
    if is_cpp_standard or header in system["headers"]:
        return None
    if header.startswith(tuple(system["folders"])):
        return None
    return "it is neither standard nor listed in layers.toml"


# --- Python --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PythonImport:
    """One imported name, absolute; a `from` import names the module and each member."""

    name: str
    line: int
    at_import_time: bool


def python_violations(root: pathlib.Path, rules: Rules) -> list[str]:
    """Each import in python/finops that the rules forbid, as "file:line: why"."""
    package = root / "python" / "finops"
    violations = []
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.pyi")]):
        relative = path.relative_to(package).with_suffix("")
        module = [part for part in relative.parts if part != "__init__"]
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        is_package = path.stem == "__init__"
        for found in _imports(tree, module, is_package):
            why = _why_import_forbidden(found, module, rules["python"])
            if why:
                shown = path.relative_to(root).as_posix()
                violations.append(f"{shown}:{found.line}: imports {found.name}: {why}")
    return violations


def _imports(tree: ast.Module, module: list[str], is_package: bool) -> Iterator[PythonImport]:
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, at_import_time = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield PythonImport(alias.name, node.lineno, at_import_time)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute_base(node, module, is_package)
            for alias in node.names:
                yield PythonImport(f"{base}.{alias.name}", node.lineno, at_import_time)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            pending += [(child, False) for child in node.body]
            pending += [(child, at_import_time) for child in node.orelse]
        else:
            is_body = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            inside = at_import_time and not is_body
            pending += [(child, inside) for child in ast.iter_child_nodes(node)]


def _absolute_base(node: ast.ImportFrom, module: list[str], is_package: bool) -> str:
    """The module that `from X import ...` names, with the dots of a relative import resolved."""
    if node.level == 0:
        return node.module or ""
    dropped = node.level - (1 if is_package else 0)
    parents = ["finops", *module][: len(module) + 1 - dropped]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _why_import_forbidden(found: PythonImport, module: list[str], rules: Rules) -> str | None:
    """The reason why `module` (its parts below finops) may not import `found`, or None."""
    is_outer = bool(module) and module[0] in rules["outer"]
    parts = found.name.split(".")
    if parts[0] != "finops":
        if is_outer or not found.at_import_time or parts[0] in sys.stdlib_module_names:
            return None
        return "`import finops` loads the standard library only"
    target = parts[1:]
    if not target:
        return None
    if not is_outer:
        reaches_out = found.at_import_time and target[0] in rules["outer"]
        return f"finops does not import finops.{target[0]} at import time" if reaches_out else None
    if target[0] == rules["extension"]:
        return "only finops's own modules touch the extension"
    if target[0] == rules["top"] and module[0] != rules["top"]:
        return "nothing builds on the command line"
    if module[0] in rules["islands"] and target[0] in rules["islands"]:
        return _why_island_forbidden(module, target)
    return None


def _why_island_forbidden(module: list[str], target: list[str]) -> str | None:
    if target[0] != module[0]:
        return f"finops.{module[0]} and finops.{target[0]} do not import each other"
    is_own = len(target) == 1 or len(module) == 1 or target[1] == module[1]
    if is_own or target[1].startswith("_"):
        return None
    return f"the modules of finops.{module[0]} do not import each other"
