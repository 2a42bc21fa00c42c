"""Limits of the style guide that no linter of ours holds, over all files that git would commit.

C++ functions are measured by clang-tidy (.clang-tidy), line length of C++ and Python by their
formatters; here it holds for comments, scripts and build files too.
"""

from __future__ import annotations

import ast
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LINE_LIMIT = 500
FUNCTION_LINE_LIMIT = 60
LINE_LENGTH_LIMIT = 100
CPP_SUFFIXES = (".cpp", ".hpp", ".cu", ".cuh")
CODE_SUFFIXES = (*CPP_SUFFIXES, ".py", ".pyi", ".sh", ".cmake", ".toml")
CODE_NAMES = ("Makefile", "CMakeLists.txt", "run")


def files_over_limit(files: list[pathlib.Path]) -> list[str]:
    counts = [(path, len(path.read_text(encoding="utf-8").splitlines())) for path in files]
    return [f"{path}: {count} lines" for path, count in counts if count > FILE_LINE_LIMIT]


def lines_over_limit(files: list[pathlib.Path]) -> list[str]:
    return [
        f"{path}:{number}: {len(line)} characters"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > LINE_LENGTH_LIMIT
    ]


def cpp_files_without_header(files: list[pathlib.Path]) -> list[str]:
    """C++ files whose first line is not `// name - what it owns`."""
    return [
        f"{path}: first line is not a comment that begins with the file's name"
        for path in files
        if not path.read_text(encoding="utf-8").startswith(f"// {path.name} - ")
    ]


def python_files_without_docstring(files: list[pathlib.Path]) -> list[str]:
    return [
        f"{path}: no docstring"
        for path in files
        if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]


def long_python_functions(files: list[pathlib.Path]) -> list[str]:
    """Functions over the limit, without their docstring, which may be as long as it is useful."""
    violations = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            line_count = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                docstring = node.body[0]
                line_count -= (docstring.end_lineno or 0) - docstring.lineno + 1
            if line_count > FUNCTION_LINE_LIMIT:
                violations.append(f"{path}:{node.lineno}: {node.name} has {line_count} lines")
    return violations


@pytest.fixture(scope="module")
def code_files() -> list[pathlib.Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / line for line in sorted(set(listed.stdout.splitlines()))]
    return [
        path
        for path in paths
        if path.is_file() and (path.suffix in CODE_SUFFIXES or path.name in CODE_NAMES)
    ]


@pytest.fixture(scope="module")
def cpp_files(code_files: list[pathlib.Path]) -> list[pathlib.Path]:
    return [path for path in code_files if path.suffix in CPP_SUFFIXES]


@pytest.fixture(scope="module")
def python_files(code_files: list[pathlib.Path]) -> list[pathlib.Path]:
    return [path for path in code_files if path.suffix == ".py"]


def test_files_are_short(code_files: list[pathlib.Path]) -> None:
    assert code_files, "git lists no code"
    violations = files_over_limit(code_files)
    assert not violations, "\n".join(violations)


def test_lines_are_short(code_files: list[pathlib.Path]) -> None:
    violations = lines_over_limit(code_files)
    assert not violations, "\n".join(violations)


def test_cpp_files_say_what_they_own(cpp_files: list[pathlib.Path]) -> None:
    violations = cpp_files_without_header(cpp_files)
    assert not violations, "\n".join(violations)


def test_python_files_say_what_they_own(python_files: list[pathlib.Path]) -> None:
    violations = python_files_without_docstring(python_files)
    assert not violations, "\n".join(violations)


def test_python_functions_are_short(python_files: list[pathlib.Path]) -> None:
    violations = long_python_functions(python_files)
    assert not violations, "\n".join(violations)


# Goal: every check finds what is just over its limit and passes what is just at it.
def test_the_checks_themselves(tmp_path: pathlib.Path) -> None:
    def write(name: str, text: str) -> list[pathlib.Path]:
        (tmp_path / name).write_text(text)
        return [tmp_path / name]

    def function_of(line_count: int, docstring: str = "") -> str:
        return "def f():\n" + docstring + "    pass\n" * (line_count - 1)

    assert files_over_limit(write("a.py", "\n" * 500)) == []
    assert len(files_over_limit(write("a.py", "\n" * 501))) == 1
    assert lines_over_limit(write("a.py", "x" * 100)) == []
    assert len(lines_over_limit(write("a.py", "x" * 101))) == 1
    assert cpp_files_without_header(write("a.cpp", "// a.cpp - does it.\n")) == []
    assert len(cpp_files_without_header(write("a.cpp", "// b.cpp - does it.\n"))) == 1
    assert len(cpp_files_without_header(write("a.cpp", "#include <vector>\n"))) == 1
    assert python_files_without_docstring(write("a.py", '"""Does it."""\n')) == []
    assert len(python_files_without_docstring(write("a.py", "import os\n"))) == 1
    assert long_python_functions(write("a.py", function_of(60))) == []
    assert len(long_python_functions(write("a.py", function_of(61)))) == 1
    assert long_python_functions(write("a.py", function_of(60, '    """\n    x\n    """\n'))) == []
