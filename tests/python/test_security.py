"""Hostile ledger files, environments and policies: a clear end, no traceback, no hang, no write.

Goal: whatever lies in the home or stands in the environment, each command ends by itself with a
code of finops and one line that says what is wrong, and the file is as it was. Method: real
commands in processes of their own.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest

import finops
from finops import errors
from finops.ledger import ledger_path, open_ledger

LIMIT_SECONDS = 60
READERS = (("ps",), ("report",), ("ledger", "verify"), ("budget", "show"))
WRITERS = (("guard", "--once"),)
_APPLICATION_ID = 0x46494E4F
_SCHEMA = 3

Make = Callable[[pathlib.Path], None]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `finops` until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "finops.cli.main", *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_SECONDS,
    )


def expect_clear_end(done: subprocess.CompletedProcess[str]) -> None:
    said = f"{done.args}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode in (0, 1, 2), said
    assert "Traceback" not in done.stdout + done.stderr, said
    assert "internal error" not in done.stdout + done.stderr, said
    if done.returncode:
        assert done.stdout.strip() or done.stderr.strip(), said


def edit(path: pathlib.Path, script: str) -> None:
    """Changes a ledger past its triggers, and leaves everything in the one file."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for (name,) in list(database.execute("SELECT name FROM sqlite_schema WHERE type='trigger'")):
        database.execute(f'DROP TRIGGER "{name}"')
    database.executescript("PRAGMA foreign_keys=OFF; PRAGMA writable_schema=ON;" + script)
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


# --- the ledger ----------------------------------------------------------------------------------

_TABLE_AS_VIEW = "ALTER TABLE {0} RENAME TO old_{0}; CREATE VIEW {0} AS {1};"
_ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"

EDITS = {
    "balances as a view": _TABLE_AS_VIEW.format(
        "budget_balances", "SELECT * FROM old_budget_balances"
    ),
    "an endless view": _TABLE_AS_VIEW.format("runs", _ENDLESS),
    "an endless trigger": (
        f"CREATE TRIGGER evil AFTER INSERT ON runs BEGIN SELECT count(*) FROM ({_ENDLESS}); END;"
    ),
    "a trigger on prices": (
        "CREATE TRIGGER evil AFTER INSERT ON prices BEGIN DELETE FROM prices; END;"
    ),
    "missing tables": "DROP TABLE decisions; DROP TABLE attempt_ends;",
    "a missing column": "ALTER TABLE budget_requests DROP COLUMN why;",
    "a missing chain": "DROP TABLE audit_chain;",
    "a huge name": "UPDATE runs SET name=hex(zeroblob(40000000));",
    "an odd currency": "UPDATE budgets SET currency='nothing at all';",
    "an odd scope": "UPDATE budgets SET scope='', period='every blue moon';",
    "odd enumerations": (
        "UPDATE decisions SET directive='?', rule='?', rung='?'; "
        "UPDATE attempt_ends SET status='?'; UPDATE budget_rulings SET outcome='?';"
    ),
    "times at the ends": (
        "UPDATE attempts SET started_utc_ns=-9223372036854775808; "
        "UPDATE attempt_ends SET ended_at_ns=9223372036854775807; "
        "UPDATE decisions SET decided_at_ns=9223372036854775807;"
    ),
    "money at the ends": (
        "UPDATE charges SET billed_cost_units=9223372036854775807, "
        "effective_cost_units=9223372036854775807; "
        "UPDATE budget_terms SET limit_units=9223372036854775807;"
    ),
    "spans at the ends": (
        "UPDATE usage SET from_ns=-9223372036854775808, to_ns=9223372036854775807; "
        "UPDATE accounts SET settled_ns=9223372036854775807, epoch=9223372036854775807;"
    ),
    "shares of nothing": (
        "PRAGMA ignore_check_constraints=ON; "
        "UPDATE attempts SET used_micro_gpus=0, block_micro_gpus=-1;"
    ),
    "picos out of range": (
        "PRAGMA ignore_check_constraints=ON; "
        "UPDATE charges SET billed_cost_picos=9223372036854775807; "
        "UPDATE budget_balances SET available_picos=-9223372036854775808;"
    ),
    "control characters": "UPDATE runs SET name='\x1b[2J\x07' || char(0) || x'ff' || 'x';",
    "parents in a circle": (
        "INSERT INTO budget_parents VALUES ('project:vision', 1, 'team:a', 'x', 0), "
        "('team:a', 1, 'project:vision', 'x', 0);"
    ),
}


def random_bytes(path: pathlib.Path) -> None:
    path.write_bytes(random.Random(7).randbytes(65_536))


def sqlite_header_and_noise(path: pathlib.Path) -> None:
    head = path.read_bytes()[:100]
    path.write_bytes(head + random.Random(7).randbytes(len(path.read_bytes()) - 100))


def another_program(path: pathlib.Path) -> None:
    path.unlink()
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE photographs (name TEXT); PRAGMA user_version=7;")
    database.close()


def our_id_and_nothing_else(version: int) -> Make:
    def make(path: pathlib.Path) -> None:
        path.unlink()
        database = sqlite3.connect(path)
        database.executescript(
            f"PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={version}; "
            "CREATE TABLE runs (run_id BLOB);"
        )
        database.close()

    return make


def cut_short(path: pathlib.Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


FILES: dict[str, Make] = {
    "random bytes": random_bytes,
    "noise behind the header": sqlite_header_and_noise,
    "another program's": another_program,
    "cut short": cut_short,
    **{f"our id, version {v}": our_id_and_nothing_else(v) for v in (0, 1, 2, 3, -1, 2**31 - 1)},
}


def fill_home() -> pathlib.Path:
    """A ledger with a run, a budget, a request and a decision, in one file."""
    with finops.track(
        project="vision", experiment="resnet", price="36 USD/h", budget="5 USD"
    ) as tracked:
        tracked.progress(1)
    ledger = open_ledger()
    request_id = ledger.add_request(
        "experiment:vision/resnet", finops.Money("1", "USD"), who="a", why="b"
    )
    ledger.rule_request(request_id, is_approved=True, who="a", why="b")
    del ledger
    return ledger_path()


def digests(folder: pathlib.Path) -> dict[str, str]:
    """What lies in the folder, but for locks: the ledger above all."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.is_file() and file.name == "ledger.db"
    }


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_ledger(name: str) -> None:
    path = fill_home()
    edit(path, "")
    for suffix in ("-wal", "-shm"):
        pathlib.Path(f"{path}{suffix}").unlink(missing_ok=True)
    FILES[name](path)
    path.chmod(0o600)
    before = digests(path.parent)
    for command in READERS + WRITERS:
        done = run(*command)
        expect_clear_end(done)
        assert digests(path.parent) == before, f"{command} has written to it"
    assert any(run(*command).returncode == 1 for command in READERS)


@pytest.mark.parametrize("name", EDITS)
def test_a_ledger_that_somebody_edited(name: str) -> None:
    path = fill_home()
    edit(path, EDITS[name])
    for command in READERS + WRITERS:
        expect_clear_end(run(*command))
    verified = run("ledger", "verify")
    assert verified.returncode == 1, verified.stdout


@pytest.mark.parametrize("name", ["a trigger on prices", "balances as a view", "missing tables"])
def test_foreign_sql_in_the_ledger_stops_no_training(name: str) -> None:
    path = fill_home()
    edit(path, EDITS[name])
    before = digests(path.parent)
    tracked = finops.init(project="vision", experiment="other")
    tracked.progress(1)
    assert not tracked.check_budget()
    finops.finish(tracked)
    assert digests(path.parent) == before
    with pytest.raises(errors.LedgerCorrupt):
        finops.init(project="vision", experiment="paid", price="36 USD/h", budget="5 USD")


# --- the environment -----------------------------------------------------------------------------

_LONG = "x" * 100_000
_CONTROL = "\x01\x1b[2J\x7f\n\r\t"
_TRAVERSAL = "../../../../etc/passwd"
_NUMBERS = ("FINOPS_LEASE_TERM", "FINOPS_CHECK_GAP", "FINOPS_STOP_TIME", "FINOPS_BILLING_QUANTUM")
_IDS = ("FINOPS_RUN_ID", "FINOPS_ATTEMPT_ID", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID")
_RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_LOCALID",
          "SLURM_NTASKS", "SLURM_RESTART_COUNT")  # fmt: skip
_HOSTILE = ("", _LONG, _CONTROL, _TRAVERSAL, "-1", "1e400", "nan", "99999999999999999999", "%s%n")
_SCRIPT = """
import finops
run = finops.init(project="vision", experiment="resnet")
for step in range(3):
    run.progress(step)
finops.finish(run)
"""


@pytest.mark.parametrize("value", _HOSTILE, ids=[repr(value[:12]) for value in _HOSTILE])
def test_hostile_variables(value: str) -> None:
    for names in (_NUMBERS, _IDS, _RANKS):
        variables = dict.fromkeys(names, value)
        for command in (("ps",), ("guard", "--once")):
            expect_clear_end(run(*command, **variables))
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode >= 0, f"{names}: a signal ended it: {done.stderr}"
        assert "InternalError" not in done.stderr, done.stderr
        if done.returncode:
            assert "finops.errors." in done.stderr, f"{names}: {done.stderr}"


@pytest.mark.parametrize(
    "home", ["/proc/nowhere", "/dev/null", "/dev/null/x", "/" + "x" * 5_000, "/proc/\n\x1b[2J"]
)
def test_a_home_that_cannot_be(home: str) -> None:
    for command in (*READERS, *WRITERS, ("doctor",)):
        expect_clear_end(run(*command, FINOPS_HOME=home))
    guard = run("guard", "--once", FINOPS_HOME=home)
    assert guard.returncode == 1
    assert "FINOPS_HOME" in guard.stderr, guard.stderr


def test_a_user_without_a_home(tmp_path: pathlib.Path) -> None:
    for home in ("", str(tmp_path / "gone"), "/dev/null"):
        variables = {"FINOPS_HOME": "", "XDG_STATE_HOME": "", "HOME": home}
        for command in (("ps",), ("guard", "--once")):
            expect_clear_end(run(*command, **variables))


# --- the policy ----------------------------------------------------------------------------------

_POLICIES = {
    "random": random.Random(7).randbytes(4_096),
    "nothing": b"",
    "zeros": b"\0" * 4_096,
    "deep": b"x = " + b"[" * 100_000,
    "deep tables": b"[" + b"a." * 50_000 + b"a]\n",
    "a long number": b"silence_limit = " + b"9" * 10_000,
    "a wrong type": b"[defaults]\nsilence_limit = [1, 2]\n",
    "an odd date": b"[defaults]\nsilence_limit = 9999-99-99\n",
    "control characters": b'[defaults]\nsilence_limit = "\\u001b[2J"\n',
    "too large": b"#" * (2 << 20),
}


@pytest.mark.parametrize("name", _POLICIES)
def test_a_hostile_policy(name: str, home: pathlib.Path) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    policy = home / "policy.toml"
    policy.write_bytes(_POLICIES[name])
    expect_clear_end(run("guard", "--once"))
    expect_clear_end(run("doctor"))


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dangling"])
def test_a_policy_that_is_no_file(kind: str, home: pathlib.Path) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    policy = home / "policy.toml"
    if kind == "pipe":
        os.mkfifo(policy)
    elif kind == "folder":
        policy.mkdir()
    else:
        policy.symlink_to("/dev/zero" if kind == "device" else home / "gone")
    expect_clear_end(run("guard", "--once"))
    expect_clear_end(run("guard", "--once", "--policy", str(policy)))


# --- files in the way of what Python opens -------------------------------------------------------


@pytest.mark.parametrize("name", ["agent.lock", "notify.lock", "intents.journal", "ledger.db"])
@pytest.mark.parametrize("kind", ["pipe", "symlink", "hard link", "folder"])
def test_something_in_the_place_of_a_file(
    name: str, kind: str, home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = home / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "symlink":
        path.symlink_to(victim)
    elif kind == "hard link":
        os.link(victim, path)
    else:
        path.mkdir()
    for command in (("ps",), ("doctor",), ("guard", "--once"), ("notify", "--once")):
        expect_clear_end(run(*command))
    assert victim.read_text() == "precious"


def test_a_home_that_others_can_write_is_refused_with_what_to_type(home: pathlib.Path) -> None:
    fill_home()
    home.chmod(0o770)
    for command in READERS + WRITERS:
        done = run(*command)
        # `ps` shows what it can, and says what it cannot.
        assert done.returncode == (0 if command == ("ps",) else 1), command
        said = "".join((done.stdout + done.stderr).split())  # lines are broken anywhere
        assert f"chmod700{home}" in said, done
    home.chmod(0o700)
    assert run("ps").returncode == 0


def test_a_guard_goes_on_when_the_homes_rights_are_right_again(home: pathlib.Path) -> None:
    fill_home()
    guard = subprocess.Popen(
        [sys.executable, "-m", "finops.cli.main", "guard", "--interval", "200ms"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert guard.stdout is not None
    try:
        assert "serving" in guard.stdout.readline()
        home.chmod(0o777)
        assert f"chmod 700 {home}" in guard.stdout.readline()
        home.chmod(0o700)
        assert guard.poll() is None
    finally:
        guard.send_signal(signal.SIGTERM)
        guard.communicate(timeout=LIMIT_SECONDS)
    assert guard.returncode == 0
