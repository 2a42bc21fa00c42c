"""The policy file: what it may say; a wrong one is refused with the place and the remedy."""

from __future__ import annotations

import os
import pathlib
from datetime import timedelta

import pytest

from finops import DEFAULT_SILENCE_LIMIT
from finops.errors import InvalidArgument
from finops.policy import (
    NOTICE_KINDS,
    PolicyFile,
    find_policy_file,
    parse_policy,
    read_policy,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]

FULL = """
[guard]
silence_limit = "45m"
longest_expected_silence = "12h"
directive_grace = "20s"
term_grace = 60
max_duration = "3d"
min_gpu_utilization = 5
utilization_window = "1h"
allows_long_running = false
dry_run = true
enforced = true
breaker_share = 0.25
breaker_minimum = 10

[[rule]]
name = "sweeps"
project = "vision"
experiment = "sweep-*"
user = "a*"
tags = {team = "nlp*"}
silence_limit = "5m"
max_duration = "none"

[[channel]]
name = "mail"
url_env = "FINOPS_MAIL"
kinds = ["paused", "stopped"]
projects = ["vision*"]
min_interval = "5m"
"""


def test_every_key_arrives_under_the_cores_name() -> None:
    policy = parse_policy(FULL, "policy.toml")
    assert policy.limits == {
        "silence_limit": timedelta(minutes=45),
        "longest_expected_silence": timedelta(hours=12),
        "directive_grace": timedelta(seconds=20),
        "term_grace": timedelta(seconds=60),
        "max_duration": timedelta(days=3),
        "min_gpu_utilization": 5.0,
        "utilization_window": timedelta(hours=1),
        "allows_long_running": False,
        "is_dry_run": True,
        "is_enforced": True,
    }
    assert policy.breaker == {"breaker_share": 0.25, "breaker_minimum": 10}
    assert policy.rules == (
        {
            "name": "sweeps",
            "project": "vision",
            "experiment": "sweep-*",
            "user_name": "a*",
            "tags": {"team": "nlp*"},
            "silence_limit": timedelta(minutes=5),
            "max_duration": timedelta(0),
        },
    )
    (channel,) = policy.channels
    assert (channel.name, channel.kinds) == ("mail", ("paused", "stopped"))
    assert (channel.projects, channel.min_interval) == (("vision*",), timedelta(minutes=5))
    assert policy.text == FULL


def test_an_empty_file_sets_nothing() -> None:
    policy = parse_policy("", "policy.toml")
    assert (policy.limits, policy.breaker, policy.rules, policy.channels) == ({}, {}, (), ())
    (channel,) = parse_policy("[[channel]]\nname='a'\nurl='json://h'", "f").channels
    assert (channel.kinds, channel.projects, channel.min_interval) == ((), (), timedelta(minutes=1))


RULE = '[[rule]]\nname = "r"\n'
CHANNEL = '[[channel]]\nname = "c"\nurl = "json://h"\n'


# Goal: a wrong file is refused, and the message leads to the place. One thing is wrong in each.
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[guards]", "unknown table 'guards'; known are: guard, rule, channel"),
        ("[guard]\nsilence = '3m'", "[guard]: unknown key 'silence'; known are: silence_limit"),
        ("[guard]\nsilence_limit = '0s'", "[guard]: silence_limit: '0s' must be above zero"),
        ("[guard]\nsilence_limit = 'none'", "silence_limit: 'none' is no span"),
        ("[guard]\nsilence_limit = -5", "silence_limit: '-5' is no span"),
        ("[guard]\nsilence_limit = true", "silence_limit: True is no span"),
        ("[guard]\nsilence_limit = '11000d'", "at most ten years"),
        ("[guard]\nterm_grace = nan", "term_grace: 'nan' is no span"),
        ("[guard]\nmin_gpu_utilization = 101", "must be 0 to 100 percent"),
        ("[guard]\nmin_gpu_utilization = nan", "must be 0 to 100 percent"),
        ("[guard]\nmin_gpu_utilization = '5'", "must be a number"),
        ("[guard]\ndry_run = 1", "dry_run: 1 must be true or false"),
        ("[guard]\nbreaker_share = 0", "breaker_share: 0 must be a share above 0"),
        ("[guard]\nbreaker_share = 1.01", "must be a share above 0 and up to 1"),
        ("[guard]\nbreaker_minimum = -1", "must be a whole number"),
        ("[guard]\nbreaker_minimum = 1.5", "must be a whole number"),
        ("guard = 3", "guard must be a table: [guard]"),
        ("[rule]\nname = 'r'", "rule must be tables, each with the line [[rule]]"),
        ("[[rule]]\nterm_grace = '1s'", "[[rule]] 1: it needs a name"),
        (RULE, "[[rule]] r: it changes nothing; it may set: silence_limit, directive_grace"),
        (RULE + "breaker_share = 0.5", "[[rule]] r: unknown key 'breaker_share'"),
        (RULE + "longest_expected_silence = '1h'", "unknown key 'longest_expected_silence'"),
        (RULE + "project = ''\nterm_grace = '1s'", "project: '' must be a text"),
        (RULE + "tags = ['a']\nterm_grace = '1s'", "tags: ['a'] must be a table"),
        ((RULE + "term_grace = '1s'\n") * 2, "two [[rule]] tables are named 'r'"),
        (CHANNEL * 2, "two [[channel]] tables are named 'c'"),
        ("[[channel]]\nname = 'c'", "it needs either url or url_env"),
        (CHANNEL + "url_env = 'X'", "it needs either url or url_env"),
        (CHANNEL + "kinds = ['pause']", "unknown kind 'pause'; known are: threshold, overspent"),
        (CHANNEL + "kinds = 'paused'", "must be a list of texts"),
        (CHANNEL + "min_interval = '0'", "must be above zero"),
        ("[[channel]]\nname = '../c'\nurl = 'json://h'", "name: '../c' must be 1 to 64 letters"),
        ("[guard", "is no TOML"),
        ("a = " + "[" * 100_000, "is no TOML"),
        ("a = " + "9" * 5000, "is no TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_policy(text, "/etc/policy.toml")
    assert message in str(refused.value)
    assert str(refused.value).startswith("/etc/policy.toml")


def test_where_the_file_lies(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert find_policy_file(None, str(home)) is None
    assert read_policy(None) == PolicyFile()
    (home / "policy.toml").write_text("")
    assert find_policy_file(None, str(home)) == home / "policy.toml"
    monkeypatch.setenv("FINOPS_POLICY", str(tmp_path / "other.toml"))
    assert find_policy_file(None, str(home)) == tmp_path / "other.toml"
    assert find_policy_file(tmp_path / "given.toml", str(home)) == tmp_path / "given.toml"


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidArgument, match=r"absent\.toml cannot be read: No such file"):
        read_policy(tmp_path / "absent.toml")
    (tmp_path / "latin").write_bytes(b"# \xff")
    with pytest.raises(InvalidArgument, match="no UTF-8"):
        read_policy(tmp_path / "latin")


@pytest.mark.parametrize(
    ("mode", "address", "is_warned"),
    [
        (0o600, "url = 'json://token@h'", False),
        (0o640, "url = 'json://token@h'", True),
        (0o604, "url = 'json://token@h'", True),
        (0o644, "url_env = 'SECRET'", False),
    ],
)
def test_a_secret_that_others_can_read_is_warned_about(
    tmp_path: pathlib.Path, mode: int, address: str, is_warned: bool
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"[[channel]]\nname = 'c'\n{address}\n")
    os.chmod(path, mode)
    policy = read_policy(path)
    assert bool(policy.warnings) == is_warned
    assert policy.channels[0].name == "c"
    assert "token" not in repr(policy) + "".join(policy.warnings)


def test_an_address_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    (channel,) = parse_policy("[[channel]]\nname='c'\nurl_env='FINOPS_MAIL'", "f").channels
    with pytest.raises(InvalidArgument, match="FINOPS_MAIL is not set"):
        channel.address()
    monkeypatch.setenv("FINOPS_MAIL", "mailto://x")
    assert channel.address() == "mailto://x"


def test_the_kinds_are_those_of_the_core() -> None:
    header = (ROOT / "include/finops/record/notice.hpp").read_text()
    body = header.partition("enum class NoticeKind {")[2].partition("};")[0]
    names = [line.split(",")[0].strip().lower() for line in body.splitlines() if "," in line]
    assert list(NOTICE_KINDS) == names


def test_the_example_in_the_guide_has_every_key() -> None:
    guide = (ROOT / "docs/guard.md").read_text()
    example = guide.partition("```toml\n")[2].partition("```")[0]
    policy = parse_policy(example, "docs/guard.md")
    full = parse_policy(FULL, "FULL")
    assert set(policy.limits) == set(full.limits)
    assert set(policy.breaker) == set(full.breaker)
    assert set().union(*policy.rules) >= set(full.rules[0])
    assert len(policy.channels) == 2
    # What the guide calls the defaults are those of the core, as far as the header states them.
    assert policy.limits["silence_limit"] == DEFAULT_SILENCE_LIMIT
    notifications = (ROOT / "docs/notifications.md").read_text()
    channels = notifications.partition("```toml\n")[2].partition("```")[0]
    assert len(parse_policy(channels, "docs/notifications.md").channels) == 2
    for kind in NOTICE_KINDS:
        assert f"`{kind}`" in notifications, kind
