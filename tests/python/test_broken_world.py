"""A broken world: damaged ledgers, bad homes, full disks, damaged pages, locks.

Rule: observation fails open (a warning, training goes on), spending fails closed (an error).
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from python_scripts import Scripts

import finops
from finops import Money, Run, errors
from finops._core import Ledger, live_runs

Start = Callable[..., Run]
OpenLedger = Callable[[], Ledger]


def make_ledger(start: Start, home: pathlib.Path) -> pathlib.Path:
    """A home with one finished run; returns the path of its ledger."""
    finops.finish(start(experiment="before"))
    return home / "ledger.db"


def about_equal(left: Money | None, right: Money | None) -> bool:
    """Within 10 us of use: the page and the process read two clocks, one after the other."""
    assert left is not None
    assert right is not None
    return Money("-0.0000001") < left - right < Money("0.0000001")


def wipe_logs(ledger: pathlib.Path) -> None:
    for suffix in ("-wal", "-shm"):
        ledger.with_name(ledger.name + suffix).unlink(missing_ok=True)


def fill_with_noise(ledger: pathlib.Path) -> None:
    wipe_logs(ledger)
    ledger.write_bytes(bytes(range(256)) * 64)


def damage_pages(ledger: pathlib.Path) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(ledger.read_bytes())
    for offset in range(4096, len(content)):
        content[offset] = 0xA5
    wipe_logs(ledger)
    ledger.write_bytes(bytes(content))


def put_foreign_database(ledger: pathlib.Path) -> None:
    ledger.unlink()
    wipe_logs(ledger)
    with sqlite3.connect(ledger) as connection:
        connection.execute("CREATE TABLE photographs (name TEXT)")
    connection.close()


def raise_schema_version(ledger: pathlib.Path) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute("PRAGMA user_version=9999")
    connection.close()


def make_a_folder_of_it(ledger: pathlib.Path) -> None:
    ledger.unlink()
    wipe_logs(ledger)
    ledger.mkdir()


DAMAGES = [
    pytest.param(fill_with_noise, errors.LedgerCorrupt, id="noise"),
    pytest.param(damage_pages, errors.LedgerCorrupt, id="damaged pages"),
    pytest.param(put_foreign_database, errors.FinopsError, id="foreign database"),
    pytest.param(raise_schema_version, errors.UnsupportedSchema, id="newer schema"),
    pytest.param(make_a_folder_of_it, errors.FinopsError, id="a folder"),
]


@pytest.mark.parametrize(("damage", "error"), DAMAGES)
def test_a_damaged_ledger_stops_no_training(
    start: Start, home: pathlib.Path, damage: Callable[[pathlib.Path], None], error: type[Exception]
) -> None:
    """Without a budget: a warning, and every call works; with one: the error, and no run."""
    ledger = make_ledger(start, home)
    damage(ledger)
    before = ledger.read_bytes() if ledger.is_file() else None
    run = start()
    assert run.warnings != []
    for step in range(5):
        run.progress(step)
        run.heartbeat()
        assert not run.check_budget()
    assert run.cost is not None
    run.checkpointed(1, "/ckpt/1")
    finops.finish(run)
    assert run.status == "FINISHED"
    with pytest.raises(error):
        start(experiment="hard", budget="5 USD")
    with pytest.raises(error):
        start(experiment="strict", fail_open=False)
    assert (ledger.read_bytes() if ledger.is_file() else None) == before  # evidence is kept


@pytest.mark.parametrize(("damage", "error"), DAMAGES)
def test_errors_of_a_damaged_ledger_name_it(
    start: Start, home: pathlib.Path, damage: Callable[[pathlib.Path], None], error: type[Exception]
) -> None:
    ledger = make_ledger(start, home)
    damage(ledger)
    with pytest.raises(error, match=r"ledger\.db|ledger") as raised:
        start(fail_open=False)
    assert not isinstance(raised.value, errors.InternalError)
    assert not isinstance(raised.value, errors.Conflict)


def test_what_ran_without_a_ledger_is_settled_once_it_is_back(
    start: Start, home: pathlib.Path, open_ledger: OpenLedger
) -> None:
    """The page holds all that is needed: move the damaged file aside and nothing is lost."""
    ledger = make_ledger(start, home)
    fill_with_noise(ledger)
    run = start(name="blind")
    run.progress(1)
    run_id = run.run_id
    finops.finish(run)
    ledger.rename(home / "damaged.db")
    # Pages of this process are its own until it ends: another one settles them.
    settle = "import finops; finops.finish(finops.init(project='p', experiment='s'))"
    subprocess.run([sys.executable, "-c", settle], check=True, timeout=30)
    (found,) = open_ledger().runs(run_id=run_id)
    assert (found.run.name, found.status) == ("blind", "FINISHED")
    assert about_equal(found.metered_cost, run.cost)
    assert open_ledger().verify().problems == []


# Homes.


def as_file(home: pathlib.Path) -> None:
    home.write_text("not a folder", encoding="utf-8")


def group_writable(home: pathlib.Path) -> None:
    home.mkdir()
    home.chmod(0o770)


def live_is_a_link(home: pathlib.Path) -> None:
    home.mkdir(mode=0o700)
    (home.parent / "elsewhere").mkdir(mode=0o700)
    (home / "live").symlink_to(home.parent / "elsewhere")


def link_to_another(home: pathlib.Path) -> None:
    (home.parent / "elsewhere").mkdir(mode=0o700)
    home.symlink_to(home.parent / "elsewhere")


def live_is_a_file(home: pathlib.Path) -> None:
    home.mkdir(mode=0o700)
    (home / "live").write_text("", encoding="utf-8")


@pytest.mark.parametrize(
    "spoil", [as_file, group_writable, link_to_another, live_is_a_link, live_is_a_file]
)
def test_an_unsafe_home_is_not_used(
    start: Start, home: pathlib.Path, spoil: Callable[[pathlib.Path], None]
) -> None:
    spoil(home)
    run = start()
    assert any(str(home) in warning for warning in run.warnings), run.warnings
    run.progress(1)
    assert not run.check_budget()
    finops.finish(run)
    assert run.cost is not None
    for arguments in ({"budget": "5 USD"}, {"fail_open": False}):
        with pytest.raises(errors.HomeNotSafe) as refused:
            start(experiment="strict", **arguments)
        assert isinstance(refused.value, PermissionError)
        assert "FINOPS_HOME" in str(refused.value) or "chmod 700" in str(refused.value)


def test_a_relative_home_is_refused(start: Start) -> None:
    with pytest.raises(errors.InvalidArgument, match="absolute"):
        start(home="relative/folder")


def test_the_home_is_made_private(start: Start, home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    previous = os.umask(0)
    try:
        start(home=tmp_path / "a" / "b")
    finally:
        os.umask(previous)
    made = tmp_path / "a" / "b"
    assert made.stat().st_mode & 0o777 == 0o700
    for path in made.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert not home.exists()


def test_a_home_removed_while_running_stops_nothing(start: Start, home: pathlib.Path) -> None:
    run = start()
    shutil.rmtree(home)
    run.progress(1)
    assert not run.check_budget()
    assert run.cost is not None
    with pytest.raises((errors.LedgerUnavailable, errors.SystemFailure)):
        run.commit()
    finops.finish(run)
    assert run.status == "FINISHED"
    again = start()  # a fresh home, in the same process
    again.commit()
    assert again.warnings == []


# A full disk.


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A tmpfs of 1 MiB: room for a ledger and some pages, and soon for nothing more."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: pathlib.Path) -> pathlib.Path:
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def test_a_full_disk_from_the_start(start: Start, small_disk: pathlib.Path) -> None:
    fill(small_disk)
    run = start(home=small_disk / "home")
    assert run.warnings != []
    run.progress(1)
    assert not run.check_budget()
    finops.finish(run)
    assert run.status == "FINISHED"
    with pytest.raises(errors.FinopsError):
        start(home=small_disk / "home", experiment="hard", budget="5 USD")


def test_a_disk_that_fills_while_running(scripts: Scripts, small_disk: pathlib.Path) -> None:
    """No SIGBUS, no error in the loop; once there is room the next init settles the run."""
    process = scripts.start(
        f"""
run = finops.init(project="p", experiment="e", price="36 USD/h", home={str(small_disk)!r})
print("ready", flush=True)
sys.stdin.readline()
began = time.monotonic()
while time.monotonic() - began < 2.5:
    run.progress(1)
    assert not run.check_budget()
    time.sleep(0.01)
run.checkpointed(1, "/ckpt/1")
finops.finish(run)
print(run.status, run.cost, flush=True)
"""
    )
    scripts.read_line(process)
    filler = fill(small_disk)
    out, err = process.communicate("\n", timeout=30)
    assert process.returncode == 0, err
    status, amount, _ = out.split()
    assert status == "FINISHED"
    filler.unlink()
    finops.finish(finops.init(project="p", experiment="s", home=small_disk, price="1 USD/h"))
    ledger = Ledger(str(small_disk / "ledger.db"), read_only=True)
    (run,) = ledger.runs(experiment="e")
    assert run.status == "FINISHED"
    assert about_equal(run.metered_cost, Money(amount))
    assert ledger.verify().problems == []


# Live pages.


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\0" * 4096, b"\xff" * 4096, b"x" * 100_000],
    ids=["empty", "short", "zeros", "ones", "long"],
)
def test_a_damaged_page_is_skipped_and_reported(
    start: Start, home: pathlib.Path, content: bytes
) -> None:
    make_ledger(start, home)
    page = home / "live" / "00112233445566778899aabbccddeeff.page"
    page.write_bytes(content)
    page.chmod(0o600)
    (home / "live" / "note.txt").write_text("not a page", encoding="utf-8")
    runs, skipped = live_runs(str(home / "live"))
    assert runs == []
    assert [path for path, _ in skipped] == [str(page)]
    assert skipped[0][1]
    run = start()
    finops.finish(run)
    assert run.status == "FINISHED"
    assert page.read_bytes() == content


def test_a_page_with_a_flipped_bit_is_never_trusted(
    start: Start, home: pathlib.Path, scripts: Scripts
) -> None:
    """Each bit of the static part is covered by its checksum: what is read is what was written."""
    process = scripts.start(
        "run = finops.init(project='project', experiment='experiment', price='36 USD/h')\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
    )
    scripts.read_line(process)
    (page,) = (home / "live").glob("*.page")
    content = page.read_bytes()
    process.kill()
    process.wait(10)
    page.unlink()
    position = content.index(b"experiment")
    for offset in (0, 8, position, position + 3):
        damaged = bytearray(content)
        damaged[offset] ^= 0x10
        page.write_bytes(bytes(damaged))
        page.chmod(0o600)
        runs, skipped = live_runs(str(home / "live"))
        assert runs == [], offset
        assert len(skipped) == 1, offset


# Locks.

HOLD = """
import fcntl
descriptor = os.open({path!r}, os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(descriptor, fcntl.LOCK_EX, 1)
print("locked", flush=True)
sys.stdin.readline()
"""


def test_a_locked_ledger_is_waited_for_and_no_longer(
    start: Start, home: pathlib.Path, scripts: Scripts
) -> None:
    """5 s: then a run without a budget goes on with a warning; a hard budget raises."""
    make_ledger(start, home)
    (lock,) = [
        path
        for path in home.iterdir()
        if path.name.startswith("ledger") and path.name.endswith("lock")
    ]
    holder = scripts.start(HOLD.format(path=str(lock)))
    scripts.read_line(holder)
    hard = scripts.start(
        """
try:
    finops.init(project="p", experiment="hard", price="36 USD/h", budget="5 USD")
except finops.errors.LedgerUnavailable as error:
    print(isinstance(error, ConnectionError), error)
os._exit(0)
"""
    )
    open_ended = scripts.start(
        """
run = finops.init(project="p", experiment="open", price="36 USD/h")
run.progress(1)
assert not run.check_budget()
print(run.warnings)
os._exit(0)
"""
    )
    for process in (hard, open_ended):
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert f"locked by process {holder.pid}" in out
    holder.communicate("\n", timeout=10)


def test_a_read_only_reader_needs_no_lock(start: Start, home: pathlib.Path) -> None:
    ledger = make_ledger(start, home)
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM runs").fetchall()
        assert count == 1
    connection.close()
