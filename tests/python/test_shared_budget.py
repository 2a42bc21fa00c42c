"""One budget, many processes; and a run of another process seen from outside while it lives.

Goal: a hard budget is never overspent by runs that leave when told, however many share it.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

from python_scripts import Scripts

from finops import Money
from finops._core import Ledger

OpenLedger = Callable[[], Ledger]

TRAIN = """
try:
    run = finops.init(project="p", experiment="e", price="36 USD/h", budget="{budget}",
                      resume={resume})
except finops.errors.BudgetExhausted:
    sys.exit(3)
print(run.run_id, run.attempt_number, flush=True)
step = 0
while True:
    step += 1
    run.progress(step)
    directive = run.check_budget()
    if directive == finops.Directive.CHECKPOINT:
        run.checkpointed(step, "/ckpt")
    elif directive:
        finops.pause(run)
    time.sleep(0.005)
"""


def train(budget: str, resume: str = "False") -> str:
    return TRAIN.format(budget=budget, resume=resume)


def test_six_processes_share_a_budget_to_the_last_cent(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    """40 cents at 6 cents a second: all pause, and nobody that stops within its reserve overspends.

    The reserve is 4.3 s: a stop takes its time where six processes sync to one busy disk.
    """
    processes = [scripts.start(train("0.40 USD"), FINOPS_STOP_TIME="4") for _ in range(6)]
    codes = []
    for process in processes:
        _, err = process.communicate(timeout=30)
        assert process.returncode in (75, 3), err
        codes.append(process.returncode)
    assert 75 in codes
    (budget,) = open_ledger().budgets()
    assert budget.overspent == Money(0)
    assert budget.held == Money(0)
    assert budget.spent + budget.available == Money("0.40")
    runs = open_ledger().runs()
    assert len(runs) == codes.count(75)
    assert {run.status for run in runs} == {"PAUSED"}
    total = Money(0)
    for run in runs:
        assert run.metered_cost is not None
        total = total + run.metered_cost
    assert budget.spent == total
    assert open_ledger().verify().problems == []


def test_an_approval_before_the_pause_lets_the_run_go_on(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    process = scripts.start(
        """
run = finops.init(project="p", experiment="e", price="36 USD/h", budget="0.025 USD")
while not run.check_budget():
    run.progress(1)
    time.sleep(0.01)
print(run.check_budget().name, run.request_budget("1 USD", "loss still falls"), flush=True)
began = time.monotonic()
while run.check_budget() and time.monotonic() - began < 5:
    time.sleep(0.01)
assert not run.check_budget(), run.reason
time.sleep(1)
assert not run.check_budget(), run.reason
"""
    )
    directive, request_id = scripts.read_line(process).split()
    assert directive == "CHECKPOINT"
    ledger = Ledger(str(home / "ledger.db"))
    ledger.rule_request(request_id, is_approved=True, who="lead", why="fine")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    (budget,) = open_ledger().budgets()
    assert (budget.limit, budget.overspent) == (Money("1.025"), Money(0))
    assert open_ledger().verify().problems == []


def test_a_paused_run_goes_on_after_an_approval(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    """Pause, refused start, approval, resume: one run, two attempts, one cost."""
    scripts.run(train("0.02 USD"), expect=75)
    scripts.run(train("0.02 USD", "True"), expect=3)
    ledger = Ledger(str(home / "ledger.db"))
    request_id = ledger.add_request("experiment:p/e", Money("0.01"), who="me", why="go on")
    ledger.rule_request(request_id, is_approved=True, who="lead", why="fine")
    resumed = scripts.run(train("0.03 USD", "True"), expect=75)
    run_id, attempt_number = resumed.stdout.split()
    assert attempt_number == "2"
    (run,) = open_ledger().runs()
    assert (run.run.run_id, run.attempt_count, run.status) == (run_id, 2, "PAUSED")
    (budget,) = open_ledger().budgets()
    assert budget.overspent == Money(0)
    assert run.metered_cost == budget.spent
    assert open_ledger().verify().problems == []


def test_a_run_is_resumed_by_one_process_only(scripts: Scripts, open_ledger: OpenLedger) -> None:
    """Four processes resume the same paused run at once: one gets it, the others are told."""
    first = scripts.run(
        "run = finops.init(project='p', experiment='e', price='36 USD/h')\n"
        "print(run.run_id)\nfinops.pause(run)",
        expect=75,
    )
    run_id = first.stdout.strip()
    racers = [
        scripts.start(
            f"""
sys.stdin.readline()
try:
    run = finops.init(project="p", experiment="e", price="36 USD/h", resume={run_id!r})
except finops.errors.Conflict:
    sys.exit(3)
time.sleep(1)
"""
        )
        for _ in range(4)
    ]
    time.sleep(0.5)  # all have imported finops
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    codes = [racer.wait(20) for racer in racers]
    assert sorted(codes) == [0, 3, 3, 3]
    (run,) = open_ledger().runs()
    assert run.attempt_count == 2


def test_a_process_may_look_at_the_live_runs_and_stays_alive_itself(
    scripts: Scripts, home: pathlib.Path
) -> None:
    """Closing any descriptor of its own page would drop its lock: it never opens it again."""
    scripts.run(
        f"""
import subprocess
from finops._core import Ledger, live_runs
run = finops.init(project="p", experiment="e", price="36 USD/h")
live = {str(home / "live")!r}
live_runs(live)
Ledger({str(home / "ledger.db")!r}, read_only=True).runs()
second = finops.init(project="p", experiment="e2", price="36 USD/h")
finops.finish(second)
look = "from finops._core import live_runs; print([r.is_alive for r in live_runs(%r)[0]])" % live
out = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
assert out.stdout.strip() == "[True]", out.stdout
"""
    )


def test_a_guard_settles_a_killed_process(scripts: Scripts, open_ledger: OpenLedger) -> None:
    process = scripts.start(train("5 USD"))
    scripts.read_line(process)
    guard = scripts.start(
        """
from datetime import timedelta
from finops._core import Agent, PolicyBook
policies = PolicyBook()
policies.base.silence_limit = timedelta(seconds=60)
policies.base.directive_grace = timedelta(seconds=1)
policies.base.term_grace = timedelta(seconds=1)
interval = timedelta(seconds=0.1)
agent = Agent(os.environ["FINOPS_HOME"], name="guard", interval=interval, policies=policies)
assert agent.try_serve()
while True:
    report = agent.tick()
    for attempt_id, status, reason in report.concluded:
        print(status, reason, flush=True)
    time.sleep(0.1)
"""
    )
    time.sleep(0.5)
    process.kill()
    process.wait(10)
    line = scripts.read_line(guard)
    assert line.split()[0] not in ("FINISHED", "RUNNING")
    guard.kill()
    (run,) = open_ledger().runs()
    assert run.status == line.split()[0]
    assert open_ledger().verify().problems == []
