"""The home folder is removed or replaced while runs and a guard go on.

Method: real processes with leases of 1 s; the home is lost in each way that people lose folders. A
run without a budget trains on to its end, one with a hard budget pauses when its lease ends, the
guard says what is wrong and serves again once there is a home; whatever ledger is there is whole.
"""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable

import homes
import pytest
from python_scripts import Scripts

from finops._core import Ledger, live_runs
from reliability import end, settled_twice, start_guard, unbalanced, wait_for

# Trains until it is told to end, and says how it ended.
TRAIN = """
run = finops.init(project="p", experiment="{experiment}", price="36 USD/h", {arguments})
run.progress(1)
print("ready", flush=True)
import select
directives = set()
began = time.monotonic()
step = 1
while not select.select([sys.stdin], [], [], 0.01)[0] and time.monotonic() - began < 100:
    step += 1
    run.progress(step)
    directive = run.check_budget()
    if directive:
        directives.add(directive.name)
    if directive == finops.Directive.CHECKPOINT:
        run.checkpointed(step, "/ckpt")
    if "{commits}" and step % 50 == 0:
        try:
            run.commit()
        except finops.errors.FinopsError:
            pass
    if directive == finops.Directive.PAUSE:
        print("paused", run.reason.replace("\\n", " "), flush=True)
        finops.finish(run, "PAUSED")
        sys.exit(0)
finops.finish(run)
print("end", run.status, *sorted(directives), flush=True)
"""


@pytest.fixture(params=homes.LOSSES, ids=lambda loss: loss.__name__)
def lose(request: pytest.FixtureRequest) -> Callable[[pathlib.Path], None]:
    return request.param


def train(
    scripts: Scripts, experiment: str, arguments: str = "", commits: str = ""
) -> subprocess.Popen[str]:
    process = scripts.start(
        TRAIN.format(experiment=experiment, arguments=arguments, commits=commits),
        PYTHONWARNINGS="ignore",
    )
    assert scripts.read_line(process) == "ready"
    return process


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate("\n", timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def problems_of(home: pathlib.Path) -> list[str]:
    """What is wrong with the ledger of a home that has one."""
    if not (home / "ledger.db").exists():
        return []
    found = settled_twice(home) + unbalanced(home)
    return found + Ledger(str(home / "ledger.db"), read_only=True).verify().problems


def settle_by_next_init(scripts: Scripts) -> None:
    scripts.run("finops.finish(finops.init(project='p', experiment='settler', price='1 USD/h'))")


def test_training_goes_on_when_the_home_is_lost(
    scripts: Scripts, home: pathlib.Path, lose: Callable[[pathlib.Path], None]
) -> None:
    """Without a budget nothing stops it, through renewals, commits and its end."""
    quiet = train(scripts, "quiet")
    committing = train(scripts, "committing", commits="yes")
    lose(home)
    with pytest.raises(subprocess.TimeoutExpired):
        quiet.wait(2.5)  # more than two lease terms, with renewals that fail
    assert finish(quiet) == "end FINISHED"
    assert finish(committing) == "end FINISHED"
    for place in (home, home.with_name("moved"), home.with_name("elsewhere")):
        assert problems_of(place) == [], place


def test_a_hard_budget_pauses_when_its_lease_ends(
    scripts: Scripts, home: pathlib.Path, lose: Callable[[pathlib.Path], None]
) -> None:
    """A new ledger lends nothing to a run that began with another one's budget."""
    silent = train(scripts, "hard", "budget='5 USD'")
    committing = train(scripts, "hard", commits="yes")
    lose(home)
    if lose is homes.replace_by_a_link_to_itself:
        assert finish(silent) == "end FINISHED", "it is the same home"
        assert finish(committing) == "end FINISHED"
        return
    if lose is homes.replace_by_a_copy:
        settle_by_next_init(scripts)  # nobody holds the copied pages: both attempts are over there
    for process in (silent, committing):
        line = scripts.read_line(process)
        assert line.startswith("paused"), line
        finish(process)
    if not home.is_file():
        settle_by_next_init(scripts)
    for place in (home, home.with_name("moved"), home.with_name("elsewhere")):
        assert problems_of(place) == [], place


def test_a_guard_says_so_and_serves_the_new_home(
    scripts: Scripts,
    home: pathlib.Path,
    tmp_path: pathlib.Path,
    lose: Callable[[pathlib.Path], None],
) -> None:
    """It lets go of what was deleted, tells people, and looks after the home that comes next."""
    old = train(scripts, "old")
    log = tmp_path / "guard.log"
    guard = start_guard(
        home, log, "--interval", "200ms", "--silence-limit", "2s", "--directive-grace", "300ms",
        "--term-grace", "300ms",
    )  # fmt: skip
    said = lambda: log.read_text(encoding="utf-8")  # noqa: E731
    try:
        wait_for("the guard serves", lambda: "serving" in said())
        lose(home)
        if lose is not homes.replace_by_a_link_to_itself:
            wait_for("the guard says so", lambda: "removed or replaced" in said())
        assert finish(old) == "end FINISHED"
        if home.is_file() or home.is_symlink():
            home.unlink()
            if home.with_name("elsewhere").exists():
                home.with_name("elsewhere").rename(home)
            elif lose is homes.replace_by_a_link_to_itself:
                home.with_name("moved").rename(home)
        silent = scripts.start(
            "run = finops.init(project='p', experiment='new', price='36 USD/h')\n"
            "run.progress(1)\nprint('ready', flush=True)\ntime.sleep(100)\n"
        )
        assert scripts.read_line(silent) == "ready"
        assert silent.wait(60) in (-15, -9), "the guard of the new home ends who is silent"
        ledger = Ledger(str(home / "ledger.db"), read_only=True)
        wait_for("it is settled", lambda: ledger.runs(experiment="new")[0].status == "KILLED")
        assert guard.poll() is None, said()
    finally:
        end(guard)
    assert problems_of(home) == []


def test_no_page_charges_a_new_home_twice(scripts: Scripts, home: pathlib.Path) -> None:
    """The live folder comes along, the ledger does not: what ran is charged once, and whole."""
    process = train(scripts, "moved-pages")
    (page,) = (home / "live").glob("*.page")
    home.rename(home.with_name("moved"))
    home.mkdir(mode=0o700)
    home.with_name("moved").joinpath("live").rename(home / "live")
    settle_by_next_init(scripts)
    runs, _ = live_runs(str(home / "live"))
    assert [run.is_alive for run in runs] == [True], "its page is where it was, and locked"
    assert finish(process) == "end FINISHED"
    settle_by_next_init(scripts)
    assert not page.exists()
    ledger = Ledger(str(home / "ledger.db"), read_only=True)
    (run,) = ledger.runs(experiment="moved-pages")
    (attempt,) = ledger.attempts(run.run.run_id)
    assert (run.status, attempt.account_state) == ("FINISHED", "SETTLED")
    assert problems_of(home) == []
