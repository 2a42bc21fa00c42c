"""The skip policy: what it accepts, and that CI fails on the rest for pytest and for ctest."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import skip_policy

TESTS_DIR = pathlib.Path(__file__).resolve().parent.parent

CTEST_REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="(empty)" tests="2" skipped="1">
  <testcase name="Pulse.Ok" classname="Pulse.Ok" status="run"><system-out>fine</system-out>
  </testcase>
  <testcase name="Pulse.NeedsTmpfs" classname="Pulse.NeedsTmpfs" status="notrun">
    <skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
    <system-out>[ RUN      ] Pulse.NeedsTmpfs
../../tests/cpp/test_pulse.cpp:5: Skipped
/dev/shm is not
a tmpfs
[  SKIPPED ] Pulse.NeedsTmpfs (0 ms)
[  SKIPPED ] 1 test, listed below:
</system-out>
  </testcase>
</testsuite>
"""


@pytest.mark.parametrize(
    ("line", "accepted"),
    [
        ("tests/a.py::test_x[3.10] | no interpreter", True),
        ("tests/a.py::test_x[*] | no interpreter", True),
        ("tests/*::test_? | no interpreter", False),  # does not reach over the parameter
        ("tests/a.py::test_x[3.11] | no interpreter", False),
        ("tests/a.py::test_x[3?10] | another reason", False),
    ],
)
def test_a_line_must_name_the_test_and_the_reason(line: str, accepted: bool) -> None:
    allowed = skip_policy.parse_allowed_skips(f"# comment\n\n{line}\n")
    skip = ("tests/a.py::test_x[3.10]", "no interpreter found for 3.10")
    assert (skip_policy.refused_skips([skip], allowed) == []) is accepted


@pytest.mark.parametrize("line", ["tests/a.py::test_x", "tests/a.py::test_x |", "| reason"])
def test_a_line_without_one_of_its_halves_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        skip_policy.parse_allowed_skips(line)


def test_the_committed_list_is_well_formed() -> None:
    skip_policy.read_allowed_skips()


def test_ctest_skips_are_read_with_their_reason(tmp_path: pathlib.Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(CTEST_REPORT)
    expected = [("ctest:Pulse.NeedsTmpfs", "/dev/shm is not a tmpfs")]
    assert skip_policy.junit_skips(report) == expected
    assert skip_policy.main([str(report)]) == 1


def test_a_ctest_report_without_tests_is_an_error(tmp_path: pathlib.Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuite name="(empty)" tests="0"></testsuite>')
    with pytest.raises(ValueError, match="no test"):
        skip_policy.junit_skips(report)


# Goal: pytest fails on a skip nobody allowed, however it came about, and only when asked to.
# Method: a suite of one test in a folder of its own, run with our conftest; the skip moves.
@pytest.mark.parametrize(
    ("body", "arguments", "exit_status"),
    [
        ("import pytest\ndef test_it(): pytest.skip('moon')", [], 0),
        ("import pytest\ndef test_it(): pytest.skip('moon')", ["--strict-skips"], 1),
        ("import pytest\npytest.importorskip('no_such_module')", ["--strict-skips"], 1),
        ("import pytest\npytest.skip('x', allow_module_level=True)", ["--strict-skips"], 1),
        ("def test_it(): pass", ["--strict-skips"], 0),
        ("def helper(): pass", ["--strict-skips"], 5),
    ],
)
def test_strict_skips(
    tmp_path: pathlib.Path, body: str, arguments: list[str], exit_status: int
) -> None:
    (tmp_path / "conftest.py").write_text((TESTS_DIR / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(body + "\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, str(tmp_path)],
        env={**os.environ, "CI": "", "PYTHONPATH": str(TESTS_DIR / "support")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == exit_status, finished.stdout + finished.stderr
    assert ("skips not allowed" in finished.stdout) is (exit_status == 1)
