"""Real processes: what ends without saying so is settled once, and what forks is left alone.

Method: scripts in processes of their own; the ledger is read from here. 36 USD/h: a cent a second.
"""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from known import known
from python_scripts import Scripts

import finops
from finops import Money
from finops._core import Ledger, RunSummary, live_runs

OpenLedger = Callable[[], Ledger]
INIT = "run = finops.init(project='p', experiment='e', price='36 USD/h', name='n')\n"
HANG = INIT + "run.progress(1)\nprint(run.run_id, flush=True)\ntime.sleep(60)\n"


def settle_by_next_init() -> None:
    """An `init` and `finish` of another experiment: it settles what the dead have left."""
    finops.finish(finops.init(project="p", experiment="settler", price="36 USD/h"))


def run_of(ledger: Ledger, experiment: str = "e") -> RunSummary:
    (run,) = ledger.runs(experiment=experiment)
    return run


# Ends.


@pytest.mark.parametrize(
    ("ending", "exit_code", "status", "reason"),
    [
        ("", 0, "FINISHED", ""),
        ("raise ValueError('loss is NaN')", 1, "FAILED", "ValueError: loss is NaN"),
        ("sys.exit(0)", 0, "FINISHED", ""),
        ("finops.pause(run)", 75, "PAUSED", "paused by the training code"),
        ("raise KeyboardInterrupt", 130, None, None),
    ],
    ids=["end of script", "exception", "exit 0", "pause", "interrupt"],
)
def test_exit_with_a_run_open(
    scripts: Scripts,
    open_ledger: OpenLedger,
    home: pathlib.Path,
    ending: str,
    exit_code: int,
    status: str | None,
    reason: str | None,
) -> None:
    scripts.run(INIT + "run.progress(1)\n" + ending, expect=None if status is None else exit_code)
    run = run_of(open_ledger())
    if status is None:  # an interrupt is no success; FAILED and KILLED are both true
        assert run.status in ("FAILED", "KILLED")
    else:
        assert (run.status, run.reason) == (status, reason)
    assert list((home / "live").iterdir()) == []
    assert open_ledger().verify().problems == []


def test_track_and_exit_codes_of_a_process(scripts: Scripts, open_ledger: OpenLedger) -> None:
    for ending, status in (
        ("sys.exit(3)", "FAILED"),
        (f"sys.exit({finops.EXIT_PAUSED})", "PAUSED"),
    ):
        scripts.run(
            f"with finops.track(project='p', experiment='{status}', price='1 USD/h'):\n"
            f"    {ending}",
            expect=3 if status == "FAILED" else 75,
        )
        assert run_of(open_ledger(), status).status == status


@pytest.mark.parametrize(
    "how",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "os.kill(os.getpid(), 15)",
        "os.abort()",
        "os.execv('/bin/true', ['true'])",
        "os.fork() and os.kill(os.getpid(), 9)",  # the child ends at once, by its own atexit
    ],
)
def test_a_death_without_a_word_is_settled_once_by_the_next_init(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path, how: str
) -> None:
    """The cost is known up to the last sign of life; the rest is uncertain, then settled."""
    scripts.run(INIT + "time.sleep(0.2)\nrun.progress(1)\nprint(run.cost)\n" + how, expect=None)
    assert run_of(open_ledger()).status == "RUNNING"
    assert len(list((home / "live").glob("*.page"))) == 1
    time.sleep(0.3)  # nobody can say whether it lived through these
    settle_by_next_init()
    first = run_of(open_ledger())
    assert first.status not in ("RUNNING", "FINISHED")
    assert first.metered_cost is not None
    assert first.metered_cost >= Money("0.005")  # 0.5 s: both parts are settled as spent by now
    assert first.uncertain_cost in (None, Money(0))
    (attempt,) = open_ledger().attempts(first.run.run_id)
    assert attempt.account_state == "SETTLED"
    assert attempt.metered_time >= timedelta(seconds=0.45)
    settle_by_next_init()
    again = run_of(open_ledger())
    assert again.metered_cost == first.metered_cost
    assert list((home / "live").iterdir()) == []
    assert open_ledger().verify().problems == []


def test_a_killed_run_gives_its_lease_back(scripts: Scripts, open_ledger: OpenLedger) -> None:
    process = scripts.start(HANG.replace("price=", "budget='1 USD', price="))
    scripts.read_line(process)
    (budget,) = open_ledger().budgets()
    assert budget.held > Money(0)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    (budget,) = open_ledger().budgets()
    assert budget.held > Money(0)  # a crash does not hand the money back at once
    settle_by_next_init()
    budget = known(open_ledger().budget("experiment:p/e"))
    assert (budget.held, budget.overspent) == (Money(0), Money(0))
    assert budget.spent + budget.available == Money(1)
    assert budget.spent == run_of(open_ledger()).metered_cost
    assert open_ledger().verify().problems == []


def test_a_living_process_is_not_settled(scripts: Scripts, open_ledger: OpenLedger) -> None:
    process = scripts.start(HANG)
    run_id = scripts.read_line(process)
    settle_by_next_init()
    assert run_of(open_ledger()).status == "RUNNING"
    ((live,), skipped) = live_runs(str(pathlib.Path(os.environ["FINOPS_HOME"]) / "live"))
    assert (live.run_id, live.pid, live.is_alive, live.step) == (run_id, process.pid, True, 1)
    assert skipped == []


def test_many_dead_processes_are_settled_by_one_init(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    processes = [scripts.start(HANG) for _ in range(4)]
    for process in processes:
        scripts.read_line(process)
    for process in processes:
        process.kill()
        process.wait(10)
    settle_by_next_init()
    runs = open_ledger().runs(experiment="e")
    assert len(runs) == 4
    assert all(run.status not in ("RUNNING", "FINISHED") for run in runs)
    assert open_ledger().verify().problems == []


def test_two_inits_at_once_settle_a_dead_run_once(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    process = scripts.start(HANG)
    scripts.read_line(process)
    process.kill()
    process.wait(10)
    racers = [
        scripts.start("finops.finish(finops.init(project='p', experiment='r', price='1 USD/h'))")
        for _ in range(4)
    ]
    for racer in racers:
        _, err = racer.communicate(timeout=30)
        assert racer.returncode == 0, err
    assert run_of(open_ledger()).status != "RUNNING"
    assert open_ledger().verify().problems == []


def test_an_old_error_is_not_the_runs_end(scripts: Scripts, open_ledger: OpenLedger) -> None:
    """A notebook or a prompt keeps its last error: it says nothing of a run that began later."""
    scripts.run("sys.last_value = ValueError('an hour ago')\n" + INIT)
    assert run_of(open_ledger()).status == "FINISHED"


@pytest.mark.parametrize("calls", ["run.progress(1); run.check_budget()", "run.cost; run.reason"])
def test_daemon_threads_do_not_break_the_exit(
    scripts: Scripts, open_ledger: OpenLedger, calls: str
) -> None:
    """Threads that the interpreter leaves behind at its end must not abort the process."""
    for _ in range(2):
        scripts.run(
            INIT
            + f"""
import threading
def report():
    while True:
        {calls}
for _ in range(4):
    threading.Thread(target=report, daemon=True).start()
time.sleep(0.05)
""",
            FINOPS_LEASE_TERM="0.001",
        )
    assert {run.status for run in open_ledger().runs()} == {"FINISHED"}


# Fork.


def test_a_forked_child_is_no_run_and_leaves_the_parents_alone(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    """The child calls everything, ends by every way out; then the parent's page is still locked."""
    scripts.run(
        INIT
        + f"""
run.progress(5)
for leave in ("os._exit(0)", "sys.exit(0)", "raise ValueError", "finops.finish(); os._exit(0)",
              "del run; finops._run._open_runs.clear(); os._exit(0)"):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        run.progress(99)
        run.heartbeat()
        assert not run.check_budget()
        assert not run.is_owner
        run.checkpointed(99, "/x")
        run.commit()
        run.expect_silence(5, "x")
        exec(leave)
        os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 1), (leave, status)
    assert run.is_owner and run.status == "RUNNING", leave
    # The lock and the step are looked at from another process.
    looker = os.fork()
    if looker == 0:
        os.execv(sys.executable, [sys.executable, "-c", '''
from finops._core import live_runs
((live,), skipped) = live_runs({str(home / "live")!r})
assert live.is_alive and live.step == 5 and not skipped, (live.is_alive, live.step, skipped)
'''])
    _, status = os.waitpid(looker, 0)
    assert status == 0, leave
run.commit()
"""
    )
    assert run_of(open_ledger()).status == "FINISHED"
    assert open_ledger().last_checkpoint(run_of(open_ledger()).run.run_id) is None
    assert open_ledger().verify().problems == []


def test_two_hundred_forks(scripts: Scripts, open_ledger: OpenLedger) -> None:
    scripts.run(
        INIT
        + """
for number in range(200):
    child = os.fork()
    if child == 0:
        run.progress(number)
        sys.exit(0) if number % 2 else os._exit(0)
    run.heartbeat()
    _, status = os.waitpid(child, 0)
    assert status == 0, (number, status)
assert run.is_owner
run.commit()
"""
    )
    assert len(open_ledger().runs()) == 1
    assert run_of(open_ledger()).status == "FINISHED"


def test_a_forked_child_may_start_a_run_of_its_own(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    scripts.run(
        INIT
        + """
child = os.fork()
if child == 0:
    own = finops.init(project="p", experiment="child", price="36 USD/h")
    assert own.is_owner and not run.is_owner and own.run_id != run.run_id
    own.progress(1)
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0
assert run.is_owner
"""
    )
    assert run_of(open_ledger(), "child").status == "FINISHED"
    assert run_of(open_ledger()).status == "FINISHED"
    assert open_ledger().verify().problems == []


def test_fork_while_another_thread_is_in_the_ledger(scripts: Scripts) -> None:
    """A lock held by a thread that the child does not have must not hang the child."""
    scripts.run(
        INIT
        + """
import threading, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of fork with threads, and rightly
ended = threading.Event()
def busy():
    while not ended.is_set():
        run.commit()
thread = threading.Thread(target=busy)
thread.start()
for _ in range(30):
    child = os.fork()
    if child == 0:
        run.progress(1)
        run.cost, run.reason, run.warnings
        finops.finish(run)
        os._exit(0)
    deadline = time.monotonic() + 5
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            ended.set()
            thread.join()
            raise SystemExit("the child hangs")
        time.sleep(0.005)
ended.set()
thread.join()
"""
    )


# multiprocessing and `finops run`.

WORKER = """
import multiprocessing
run = finops.init(project="p", experiment="e", price="36 USD/h")
run.progress(1)

def work(number):
    run.progress(number)
    return run.attempt_id

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with context.Pool(2) as pool:
        ids = set(pool.map(work, range(6)))
    print(len(ids - {{run.attempt_id}}))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_below_an_attempt_are_not_charged_twice(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path, method: str
) -> None:
    """A spawned worker imports the script, `init` and all: it attaches and is no second run."""
    scripts.run(
        f"""
import subprocess
from finops._core import Agent, CommandRun, PolicyBook, RunOptions
from datetime import timedelta
options = RunOptions()
options.project, options.experiment, options.price = "p", "e", "36 USD/h"
options.command = "worker"
command = CommandRun.start(options)
policies = PolicyBook()
policies.base.silence_limit = timedelta(seconds=60)
policies.base.directive_grace = timedelta(seconds=1)
policies.base.term_grace = timedelta(seconds=1)
agent = Agent({str(home)!r}, name="finops run", interval=timedelta(seconds=1), policies=policies)
agent.try_serve()
environment = dict(os.environ, FINOPS_RUN_ID=command.run_id,
                   FINOPS_ATTEMPT_ID=command.attempt_id)
script = {str(scripts.write(WORKER.format(method=method)))!r}
child = subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE)
while child.poll() is None:
    command.tick(agent)
    time.sleep(0.05)
assert child.stdout.read().split() == [b"0"]
assert child.returncode == 0
assert command.child_ended(agent, 0) == "FINISHED"
"""
    )
    run = run_of(open_ledger())
    assert (run.attempt_count, run.status) == (1, "FINISHED")
    assert len(open_ledger().runs()) == 1
    assert list((home / "live").iterdir()) == []
    assert open_ledger().verify().problems == []


def test_fork_workers_without_finops_run_are_no_runs(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    scripts.run(WORKER.format(method="fork"))
    assert run_of(open_ledger()).status == "FINISHED"


def test_a_stale_attempt_id_starts_a_run_of_its_own(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    for stale in ("0123456789abcdef-1", "../../etc/passwd", "", "x" * 5000):
        scripts.run(INIT + "assert run.is_owner", FINOPS_ATTEMPT_ID=stale)
    assert {run.status for run in open_ledger().runs()} == {"FINISHED"}
    assert len(open_ledger().runs()) == 4


# Several runs and threads in one process.


def test_two_runs_in_one_process_are_two_pages(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    process = scripts.start(
        """
first = finops.init(project="p", experiment="e1", price="36 USD/h")
second = finops.init(project="p", experiment="e2", price="72 USD/h")
first.progress(1)
second.progress(2)
print("ready", flush=True)
sys.stdin.readline()
finops.finish(first)
second.progress(3)
print("one", flush=True)
sys.stdin.readline()
"""
    )
    scripts.read_line(process)
    runs, skipped = live_runs(str(home / "live"))
    assert {(run.experiment, run.step, run.is_alive) for run in runs} == {
        ("e1", 1, True),
        ("e2", 2, True),
    }
    assert skipped == []
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    scripts.read_line(process)
    ((run,), _) = live_runs(str(home / "live"))
    assert (run.experiment, run.step, run.is_alive) == ("e2", 3, True)
    process.communicate("\n", timeout=10)
    assert {run.status for run in open_ledger().runs()} == {"FINISHED"}


def test_threads_may_report_while_the_run_ends(scripts: Scripts, open_ledger: OpenLedger) -> None:
    """No crash, no hang, no error: 4 threads call on through 20 ends, leases of 20 ms."""
    scripts.run(
        """
import threading
for round in range(20):
    run = finops.init(project="p", experiment="e", price="36 USD/h", budget="100 USD")
    ended = threading.Event()
    errors = []
    def report():
        try:
            while not ended.is_set():
                run.progress(1); run.heartbeat(); run.check_budget(); run.cost; run.reason
        except BaseException as error:
            errors.append(error)
    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads: thread.start()
    time.sleep(0.03)
    enders = [threading.Thread(target=finops.finish, args=(run,)) for _ in range(2)]
    for thread in enders: thread.start()
    for thread in enders: thread.join()
    time.sleep(0.005)
    ended.set()
    for thread in threads: thread.join()
    assert not errors, errors
    assert run.status == "FINISHED"
""",
        FINOPS_LEASE_TERM="0.02",
    )
    assert len(open_ledger().runs()) == 20
    assert open_ledger().verify().problems == []
