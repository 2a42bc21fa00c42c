"""Hostile policy files: whatever the text, it is a policy or refused with InvalidArgument.

Hypothesis makes the texts: any characters, and tables whose keys are real and whose values are not.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops.errors import InvalidArgument
from finops.policy import PolicyFile, parse_policy, read_policy

KEYS = st.sampled_from(
    [
        "silence_limit", "longest_expected_silence", "directive_grace", "term_grace",
        "max_duration", "min_gpu_utilization", "utilization_window", "allows_long_running",
        "dry_run", "enforced", "breaker_share", "breaker_minimum", "name", "project", "user",
        "tags", "url", "url_env", "kinds", "projects", "min_interval", "unknown",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(lambda number: repr(number)),
    st.sampled_from(
        [
            "true", "false", '""', '"none"', '"30m"', '"1e9d"', '"-5m"', '"99999999999999d"',
            "[]", "{}", "[[]]", '["paused"]', '["x", 1]', '{team = "nlp*"}', "{a = {b = 1}}",
            "1e400", "-0.0", "nan", "inf", "0x7fffffffffffffffff", "1979-05-27", "07:32:00",
            "9999-12-31T23:59:59Z", '"\\u0000"', "'''\n'''",
        ]
    ),
)  # fmt: skip
TABLES = st.sampled_from(["[guard]", "[[rule]]", "[[channel]]", "[rule]", "[guard.x]", ""])
DOCUMENTS = st.lists(
    st.tuples(TABLES, st.dictionaries(KEYS, VALUES, max_size=5)), min_size=1, max_size=4
).map(
    lambda tables: "\n".join(
        "\n".join([title, *(f"{key} = {value}" for key, value in pairs.items())])
        for title, pairs in tables
    )
)


def is_policy(text: str) -> bool:
    try:
        return isinstance(parse_policy(text, "policy.toml"), PolicyFile)
    except InvalidArgument as error:
        refusal = str(error)
    assert "policy.toml" in refusal
    return False


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text(text: str) -> None:
    is_policy(text)


@given(DOCUMENTS)
@settings(max_examples=500, deadline=None)
def test_real_keys_with_any_values(text: str) -> None:
    is_policy(text)


def test_nesting_without_end() -> None:
    assert not is_policy("silence_limit = " + "[" * 100_000)
    assert not is_policy("[guard]\nx = " + "{a = " * 5_000 + "1" + "}" * 5_000)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "policy.toml"
    path.write_bytes(content)
    path.chmod(0o600)
    refusal = str(path)
    try:
        read_policy(path)
    except InvalidArgument as error:
        refusal = str(error)
    assert str(path) in refusal
