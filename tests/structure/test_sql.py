"""No SQL is put together from values, in C++ or in Python.

Goal: a text that a user chose never becomes part of a statement. Method: in C++ the type `Sql`
takes constants of the compiler alone, so it is enough that nothing goes round it; in Python every
call that takes SQL is looked at. The checker is tried on sources that are wrong.
"""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# The layer that gives SQL to SQLite.
LAYER = ("src/ledger/database.cpp", "src/ledger/database.hpp")
_ENGINE = re.compile(r"\bsqlite3_(exec|prepare\w*|mprintf|vmprintf|snprintf|get_table)\b")
_MAKES_SQL = re.compile(r"\bSql\s*[({]")
_TAKES_SQL = {"execute", "executemany", "executescript"}


def cpp_violations(name: str, text: str) -> list[str]:
    """Calls of the engine, and other ways to an `Sql`, outside of the one layer."""
    if name in LAYER:
        return []
    patterns = (_ENGINE, _MAKES_SQL)
    return [f"{name}: {found.group()}" for pattern in patterns for found in pattern.finditer(text)]


def python_violations(name: str, text: str) -> list[str]:
    """Calls that take SQL and are given something else than a constant."""
    calls = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _TAKES_SQL
    ]
    return [
        f"{name}:{call.lineno}: SQL that is no constant"
        for call in calls
        if not (call.args and isinstance(call.args[0], ast.Constant))
    ]


def test_only_one_layer_gives_sql_to_sqlite() -> None:
    violations = []
    for folder in ("src", "include", "python/bindings"):
        for path in sorted((ROOT / folder).rglob("*.[ch]pp")):
            name = path.relative_to(ROOT).as_posix()
            violations += cpp_violations(name, path.read_text(encoding="utf-8"))
    assert violations == []


def test_that_layer_takes_constants_and_names_of_tables_only() -> None:
    header, source = ((ROOT / name).read_text(encoding="utf-8") for name in reversed(LAYER))
    assert "consteval Sql(const char* literal)" in header
    assert len(re.findall(r"\bSql\(", header)) == 1, "one way to make an Sql"
    public, private = header.split(" private:\n")[-2:]
    for method in ("prepare", "execute", "count", "execute_on_table", "count_on_table"):
        assert re.search(rf" {method}\(Sql sql[,)]", public), method
    assert "execute_text" not in public
    assert "execute_text" in private
    built = re.findall(r"\b(?:execute_text|count_text)\((.*)\);", source)
    assert sorted(set(built)) == ["sql.text()", "sql_on_table(sql, table).c_str()"]
    assert "FINOPS_ASSERT(std::ranges::find(tables, table" in source


def test_python_gives_no_sql_but_constants() -> None:
    violations = []
    for path in sorted((ROOT / "python/finops").rglob("*.py")):
        violations += python_violations(path.name, path.read_text(encoding="utf-8"))
    assert violations == []


@pytest.mark.parametrize(
    "text",
    [
        'sqlite3_exec(connection, ("DELETE FROM " + name).c_str(), 0, 0, 0);',
        "sqlite3_prepare_v2(connection, sql.c_str(), -1, &statement, nullptr);",
        'char* sql = sqlite3_mprintf("SELECT %s", name);',
        "database.execute(Sql(built.c_str()));",
        "database.execute(Sql{built.c_str()});",
    ],
)
def test_the_checker_finds_built_sql_in_cpp(text: str) -> None:
    assert cpp_violations("src/ledger/new.cpp", text)
    assert not cpp_violations("src/ledger/new.cpp", 'database.execute("SELECT 1");')


@pytest.mark.parametrize(
    "call",
    ['f"SELECT {name}"', '"SELECT " + name', '"SELECT %s" % name', '"S {}".format(name)', "sql"],
)
def test_the_checker_finds_built_sql_in_python(call: str) -> None:
    assert python_violations("new.py", f"connection.execute({call})")
    assert not python_violations("new.py", 'connection.execute("SELECT ?", (name,))')
