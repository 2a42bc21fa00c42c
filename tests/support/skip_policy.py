"""Which skipped tests CI accepts, for pytest (by tests/conftest.py) and for ctest (by this script).

Owns: the format of tests/allowed_skips.txt and the judgement of one skip.
Does not own: how a runner reports its skips (tests/conftest.py, and `junit_skips` for ctest).
Invariant: a skip passes only if a committed line names both the test and the reason.

Usage: skip_policy.py JUNIT_XML...     exit status 1 if a report holds a skip that is not allowed
"""

from __future__ import annotations

import pathlib
import re
import sys
import xml.etree.ElementTree
from dataclasses import dataclass

ALLOWED_SKIPS_FILE = pathlib.Path(__file__).resolve().parent.parent / "allowed_skips.txt"


@dataclass(frozen=True)
class AllowedSkip:
    """One line of the list: tests whose id matches may skip for a reason that holds the text."""

    test_glob: str
    reason_part: str

    def covers(self, test_id: str, reason: str) -> bool:
        # Not fnmatch: its brackets would swallow the [parameters] of a test id.
        pattern = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in self.test_glob)
        return re.fullmatch(pattern, test_id) is not None and self.reason_part in reason


def parse_allowed_skips(text: str) -> list[AllowedSkip]:
    """Reads lines of the form `test id glob | part of the reason`; `#` begins a comment line.

    Raises
    ------
    ValueError : a line lacks one of its halves; an empty reason would allow every reason.
    """
    allowed = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        test_glob, _, reason_part = (part.strip() for part in line.partition("|"))
        if not test_glob or not reason_part:
            raise ValueError(f"line {number}: expected 'test id glob | part of the reason': {line}")
        allowed.append(AllowedSkip(test_glob, reason_part))
    return allowed


def read_allowed_skips() -> list[AllowedSkip]:
    return parse_allowed_skips(ALLOWED_SKIPS_FILE.read_text(encoding="utf-8"))


def refused_skips(skips: list[tuple[str, str]], allowed: list[AllowedSkip]) -> list[str]:
    """The skips, given as (test id, reason), that no line of `allowed` covers; one text each."""
    return [
        f"{test_id}: {reason}"
        for test_id, reason in skips
        if not any(entry.covers(test_id, reason) for entry in allowed)
    ]


def junit_skips(report: pathlib.Path) -> list[tuple[str, str]]:
    """The skipped tests of a JUnit file by ctest, as (`ctest:Suite.Name`, what the test printed).

    Raises
    ------
    ValueError : the report holds no test at all, which is no success either.
    """
    cases = list(xml.etree.ElementTree.parse(report).getroot().iter("testcase"))
    if not cases:
        raise ValueError(f"{report} holds no test")
    skips = []
    for case in cases:
        if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            skips.append((f"ctest:{case.get('name')}", _skip_reason(case)))
    return skips


def _skip_reason(case: xml.etree.ElementTree.Element) -> str:
    """What GTEST_SKIP() printed, which stands between the two lines of the test's own run."""
    output = case.findtext("system-out") or ""
    match = re.search(r"^[^\n]*: Skipped\n(.*?)^\[  SKIPPED \]", output, re.MULTILINE | re.DOTALL)
    reason = match.group(1) if match else output
    return " ".join(reason.split()) or str(case.get("status"))


def main(reports: list[str]) -> int:
    allowed = read_allowed_skips()
    skips = [skip for report in reports for skip in junit_skips(pathlib.Path(report))]
    refused = refused_skips(skips, allowed)
    for line in refused:
        print(f"skip not allowed by tests/allowed_skips.txt: {line}", file=sys.stderr)
    return 1 if refused or not reports else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
