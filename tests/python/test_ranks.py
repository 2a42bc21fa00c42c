"""Ranks of one job on one host: one attempt, charged once, that acts together.

Method: real processes with the variables that torchrun and Slurm set; the ledger is read from here.
36 USD/h: a cent a second.
"""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from known import known
from python_scripts import Scripts

import finops
from finops import Directive, errors
from finops._core import Agent, AttemptSummary, Ledger, live_runs

OpenLedger = Callable[[], Ledger]
Rank = subprocess.Popen[str]
DEADLINE = 60.0

# Takes commands line by line, so that the test decides what each rank does and when.
RANK = """
run = finops.init(project="p", experiment="e", price="36 USD/h", budget={budget!r})
print(run.attempt_id, run.is_keeper, flush=True)
step = 0
for line in sys.stdin:
    command = line.strip()
    if command == "progress":
        step += 1
        run.progress(step)
    elif command == "end":
        break
    elif command == "fail":
        raise SystemExit(3)
    print(run.check_budget().name, run.is_keeper, flush=True)
finops.finish(run)
"""


def torchrun(rank: int, ranks: int = 4, *, port: str = "29500") -> dict[str, str]:
    """What torchrun sets, for a job on one host."""
    return {
        "TORCHELASTIC_RUN_ID": "none",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "GROUP_RANK": "0",
    }


def slurm(task: int, tasks: int = 2, *, step: str | None = "0") -> dict[str, str]:
    """What srun sets for one task of a step; without a step, what sbatch sets for its script."""
    variables = {
        "SLURM_JOB_ID": "4711",
        "SLURM_LOCALID": str(task),
        "SLURM_PROCID": str(task),
        "SLURM_NTASKS": str(tasks),
    }
    return variables if step is None else {**variables, "SLURM_STEP_ID": step}


def start_rank(scripts: Scripts, environment: dict[str, str], budget: str | None = None) -> Rank:
    return scripts.start(RANK.format(budget=budget), **environment)


def first_words(scripts: Scripts, ranks: list[Rank]) -> list[tuple[str, str]]:
    """Attempt id and whether it is the keeper, of each rank."""
    words = [scripts.read_line(rank).split() for rank in ranks]
    return [(attempt_id, keeper) for attempt_id, keeper in words]


def tell(scripts: Scripts, rank: Rank, command: str) -> list[str]:
    assert rank.stdin is not None
    rank.stdin.write(command + "\n")
    rank.stdin.flush()
    return scripts.read_line(rank).split()


def end(ranks: list[Rank]) -> None:
    for rank in ranks:
        _, err = rank.communicate("end\n", timeout=DEADLINE)
        assert rank.returncode == 0, err


def wait_until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, f"not in {DEADLINE} s: {what}"
        time.sleep(0.02)


def only_attempt(ledger: Ledger) -> AttemptSummary:
    (run,) = ledger.runs()
    (attempt,) = ledger.attempts(run.run.run_id)
    return attempt


def settle_by_next_init() -> None:
    finops.finish(finops.init(project="p", experiment="settler", price="36 USD/h"))


# One attempt.


def test_four_ranks_are_one_attempt_charged_once(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    ranks = [start_rank(scripts, torchrun(number), "5 USD") for number in range(4)]
    words = first_words(scripts, ranks)
    assert len({attempt_id for attempt_id, _ in words}) == 1
    assert [keeper for _, keeper in words] == ["True", "False", "False", "False"]
    for rank in ranks:
        tell(scripts, rank, "progress")
    end(ranks)
    attempt = only_attempt(open_ledger())
    assert attempt.account_state == "SETTLED"
    assert attempt.status == "FINISHED"
    # A cent a second, whatever the number of ranks.
    cents = float(known(attempt.metered_cost).amount) * 100
    assert cents == pytest.approx(attempt.metered_time.total_seconds(), abs=1e-5)
    (budget,) = open_ledger().budgets()
    assert budget.spent == attempt.metered_cost
    assert list((home / "live").iterdir()) == []
    assert open_ledger().verify().problems == []


def test_the_attempt_lasts_as_long_as_its_last_rank(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    """Rank 0 began it and leaves first; the others' time is charged all the same."""
    ranks = [start_rank(scripts, torchrun(number, 2)) for number in range(2)]
    first_words(scripts, ranks)
    end(ranks[:1])
    assert only_attempt(open_ledger()).account_state == "OPEN"
    ((page,), _) = live_runs(os.environ["FINOPS_HOME"] + "/live")
    assert page.is_alive
    left_at = page.elapsed
    time.sleep(0.5)
    end(ranks[1:])
    attempt = only_attempt(open_ledger())
    assert attempt.status == "FINISHED"
    assert attempt.metered_time >= left_at + timedelta(seconds=0.5)


def test_one_rank_that_fails_fails_the_attempt(scripts: Scripts, open_ledger: OpenLedger) -> None:
    code = """
with finops.track(project="p", experiment="e", price="36 USD/h") as run:
    print(run.attempt_id, flush=True)
    sys.stdin.readline()
    if os.environ["RANK"] == "1":
        raise ValueError("loss is NaN")
"""
    ranks = [scripts.start(code, **torchrun(number, 3)) for number in range(3)]
    assert len({scripts.read_line(rank) for rank in ranks}) == 1
    for number in (1, 0, 2):
        ranks[number].communicate("\n", timeout=DEADLINE)
    attempt = only_attempt(open_ledger())
    assert attempt.status == "FAILED"
    assert "another rank" in attempt.reason


@pytest.mark.parametrize(
    ("environments", "run_count"),
    [
        ([slurm(0), slurm(1)], 1),
        ([slurm(0, 1), slurm(0, 1)], 2),
        ([slurm(0, step=None), slurm(1, step=None)], 2),
        ([slurm(0, step="4294967290"), slurm(1, step="4294967290")], 2),
        ([torchrun(0, 1), torchrun(0, 1)], 2),
        ([torchrun(0, 2), torchrun(1, 2, port="29501")], 2),
        ([{"FINOPS_RUN_ID": "night-7"}, {"FINOPS_RUN_ID": "night-7"}], 1),
        ([{"FINOPS_RUN_ID": "night-7"}, {"FINOPS_RUN_ID": "night-8"}], 2),
    ],
    ids=[
        "slurm tasks",
        "single tasks",
        "batch scripts",
        "interactive steps",
        "single ranks",
        "two jobs",
        "one run id",
        "two run ids",
    ],
)
def test_who_shares_an_attempt(
    scripts: Scripts,
    open_ledger: OpenLedger,
    environments: list[dict[str, str]],
    run_count: int,
) -> None:
    ranks = [start_rank(scripts, environment) for environment in environments]
    assert len({attempt_id for attempt_id, _ in first_words(scripts, ranks)}) == run_count
    end(ranks)
    runs = open_ledger().runs()
    assert len(runs) == run_count
    assert {run.status for run in runs} == {"FINISHED"}
    if "FINOPS_RUN_ID" in environments[0]:
        assert "night-7" in {run.run.run_id for run in runs}


def test_ranks_and_a_second_init_below_finops_run(
    scripts: Scripts, open_ledger: OpenLedger
) -> None:
    """Each of three processes starts two runs; all six are the attempt of the command."""
    rank = scripts.write(
        """
outer = finops.init(project="p", experiment="e", price="36 USD/h")
with finops.track(project="p", experiment="e", price="36 USD/h") as inner:
    inner.progress(1)
    assert inner.attempt_id == outer.attempt_id == os.environ["FINOPS_ATTEMPT_ID"]
assert inner.status == "FINISHED" and outer.status == "RUNNING" and outer.is_owner
outer.progress(2)
finops.finish(outer)
"""
    )
    launcher = scripts.write(
        f"""
import subprocess
import sys
children = [subprocess.Popen([sys.executable, {str(rank)!r}]) for _ in range(3)]
sys.exit(max(child.wait() for child in children))
"""
    )
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "finops.cli.main", "run"),
            *("--project", "p", "--experiment", "e", "--price", "36 USD/h"),
            *("--", sys.executable, str(launcher)),
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    attempt = only_attempt(open_ledger())
    assert (attempt.account_state, attempt.status) == ("SETTLED", "FINISHED")


# Life and death.


def rounds(agent: Agent, spoken: Callable[[], object], span: float) -> list[str]:
    """What the guard decides in `span` seconds, with `spoken` called before each of its rounds."""
    decided = []
    ends = time.monotonic() + span
    while time.monotonic() < ends:
        spoken()
        decided += [decision.rule for decision in agent.tick().decisions]
        time.sleep(0.1)
    return decided


def test_progress_of_one_rank_is_progress_of_the_attempt(
    scripts: Scripts, make_agent: Callable[..., Agent]
) -> None:
    ranks = [start_rank(scripts, torchrun(number)) for number in range(4)]
    first_words(scripts, ranks)
    agent = make_agent(silence_limit=2.0)
    assert rounds(agent, lambda: tell(scripts, ranks[3], "progress"), 5.0) == []
    decided: list[str] = []
    wait_until(lambda: decided.extend(d.rule for d in agent.tick().decisions) or decided, "silence")
    assert decided[0] == "silence"
    wait_until(lambda: tell(scripts, ranks[1], "ask")[0] == "STOP", "STOP")


def test_a_killed_rank_leaves_the_attempt_alive(
    scripts: Scripts, open_ledger: OpenLedger, make_agent: Callable[..., Agent], home: pathlib.Path
) -> None:
    ranks = [start_rank(scripts, torchrun(number)) for number in range(4)]
    first_words(scripts, ranks)
    ranks[2].kill()
    ranks[2].wait()
    agent = make_agent()
    assert agent.tick().concluded == []
    ((page,), _) = live_runs(str(home / "live"))
    assert page.is_alive
    assert tell(scripts, ranks[3], "progress") == ["CONTINUE", "False"]
    del agent  # it serves no more
    end([ranks[0], ranks[1], ranks[3]])
    assert only_attempt(open_ledger()).status == "FINISHED"


def test_a_dead_keeper_is_followed(scripts: Scripts, open_ledger: OpenLedger) -> None:
    """Without an agent the budget still holds: another rank settles, and is told to save."""
    ranks = [start_rank(scripts, torchrun(number, 3), "0.06 USD") for number in range(3)]
    assert first_words(scripts, ranks)[0][1] == "True"
    ranks[0].kill()
    ranks[0].wait()
    living = ranks[1:]
    wait_until(
        lambda: "True" in [tell(scripts, rank, "progress")[1] for rank in living], "a keeper"
    )
    # All must call: a keeper that makes no call looks after nothing.
    wait_until(
        lambda: "CONTINUE" not in [tell(scripts, rank, "ask")[0] for rank in living], "a directive"
    )
    end(living)
    attempt = only_attempt(open_ledger())
    assert attempt.account_state == "SETTLED"
    (budget,) = open_ledger().budgets()
    assert budget.spent == attempt.metered_cost
    assert open_ledger().verify().problems == []


def test_the_death_of_the_rank_that_begins_holds_up_nobody(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    """Rank 0 is killed between its page and the ledger, which the test holds locked."""
    finops.finish(finops.init(project="p", experiment="before", price="36 USD/h"))
    with open(home / "ledger.db.lock", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        creator = start_rank(scripts, torchrun(0, 3))
        wait_until(lambda: list((home / "live").glob("*.page")), "a page")
        others = [start_rank(scripts, torchrun(number, 3)) for number in (1, 2)]
        time.sleep(0.3)  # they wait now, most likely; nothing depends on it
        creator.kill()
        creator.wait()
    words = first_words(scripts, others)
    assert words[0][0] == words[1][0]
    assert sorted(keeper for _, keeper in words) == ["False", "True"]
    end(others)
    settle_by_next_init()
    runs = open_ledger().runs(experiment="e")
    assert sorted(run.status for run in runs) == ["FAILED", "FINISHED"]
    assert all(
        attempt.account_state == "SETTLED"
        for run in runs
        for attempt in open_ledger().attempts(run.run.run_id)
    )
    assert open_ledger().verify().problems == []


def test_a_group_file_of_an_earlier_job_is_stale(
    scripts: Scripts, open_ledger: OpenLedger, home: pathlib.Path
) -> None:
    """A job with the same names was killed as a whole; its file and page are still there."""
    earlier = [start_rank(scripts, torchrun(number, 2)) for number in range(2)]
    (old, _), _ = first_words(scripts, earlier)
    for rank in earlier:
        rank.kill()
        rank.wait()
    assert list((home / "live").glob(".group-*"))
    ranks = [start_rank(scripts, torchrun(number, 2)) for number in range(2)]
    words = first_words(scripts, ranks)
    assert words[0][0] == words[1][0] != old
    end(ranks)
    assert sorted(run.status for run in open_ledger().runs()) == ["FAILED", "FINISHED"]
    assert list((home / "live").iterdir()) == []


# Acting together.

# Each step ends at a barrier, as a collective would: a rank that leaves alone breaks it. Steps are
# slow from the one on in which the file SLOW is there.
TOGETHER = """
import json, multiprocessing, random

def train(rank, barrier, results):
    os.environ.update(TORCHELASTIC_RUN_ID="none", MASTER_ADDR="127.0.0.1", MASTER_PORT="29500",
                      RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="4", LOCAL_WORLD_SIZE="4")
    run = finops.init(project="p", experiment="e", price="36 USD/h", budget="0.12 USD")
    print("attempt", run.attempt_id, flush=True)
    told = []
    is_slow = False
    for step in range(1, 100_000):
        is_slow = is_slow or os.path.exists(os.environ["SLOW"])
        time.sleep(random.uniform(0.02, 0.06) if is_slow else random.uniform(0, 0.01))
        run.progress(step)
        directive = run.check_budget().name
        if not told or told[-1][0] != directive:
            told.append((directive, step))
        if directive == "CHECKPOINT" and rank == 2:
            run.checkpointed(step, f"/ckpt/{step}")
        if directive in ("PAUSE", "STOP"):
            break
        barrier.wait(timeout=30)
    results.put((rank, told))
    finops.finish(run, "PAUSED", run.reason)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    ranks = [context.Process(target=train, args=(rank, barrier, results)) for rank in range(4)]
    for rank in ranks: rank.start()
    told = [results.get(timeout=50) for _ in ranks]
    for rank in ranks: rank.join()
    assert [rank.exitcode for rank in ranks] == [0] * 4
    print("told", json.dumps(sorted(told)), flush=True)
"""


@pytest.mark.parametrize(
    ("is_guarded", "slows_down"),
    [(False, False), (True, False), (True, True)],
    ids=["no agent", "agent", "slower steps"],
)
def test_all_ranks_act_at_one_step(
    scripts: Scripts,
    open_ledger: OpenLedger,
    make_agent: Callable[..., Agent],
    tmp_path: pathlib.Path,
    is_guarded: bool,
    slows_down: bool,
) -> None:
    """All save once, at one step; only rank 2 confirms; all pause at one step after that.

    So they do if their steps become so slow, just when they are told, that the agreed step would
    come too late.
    """
    slow = tmp_path / "slow"
    process = scripts.start(
        TOGETHER, FINOPS_STOP_TIME="6", FINOPS_CHECK_GAP="1", FINOPS_LEASE_TERM="2", SLOW=str(slow)
    )
    assert scripts.read_line(process).startswith("attempt")
    agent = make_agent() if is_guarded else None

    def has_ended() -> bool:
        if agent is not None and agent.tick().decisions and slows_down:
            slow.touch()
        return process.poll() is not None

    wait_until(has_ended, "the job's end")
    assert slow.exists() == slows_down
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    told = next(line for line in out.splitlines() if line.startswith("told"))
    by_rank = dict(json.loads(told.removeprefix("told ")))
    assert by_rank[0] == by_rank[1] == by_rank[2] == by_rank[3], by_rank
    assert [directive for directive, _ in by_rank[0]] == [
        "CONTINUE",
        "CHECKPOINT",
        "CONTINUE",
        "PAUSE",
    ]
    if agent is not None:
        wait_until(lambda: (agent.tick(), only_attempt(open_ledger()).ended_at)[1], "the end")
    attempt = only_attempt(open_ledger())
    assert attempt.status == "PAUSED"
    (budget,) = open_ledger().budgets()
    assert budget.overspent == finops.Money(0)
    checkpoint = known(open_ledger().last_checkpoint(attempt.attempt.run_id))
    assert checkpoint.step == dict(by_rank[2])["CHECKPOINT"]


# The longest duration.


def test_max_duration_stops_a_run(
    start: Callable[..., finops.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start().max_duration is None
    run = start(max_duration=0.5)
    assert run.max_duration == timedelta(seconds=0.5)
    wait_until(run.check_budget, "STOP")
    assert run.check_budget() is Directive.STOP
    assert "max_duration" in run.reason
    monkeypatch.setenv("FINOPS_MAX_DURATION", "7200")
    assert start().max_duration == timedelta(hours=2)
    assert start(max_duration=timedelta(hours=3)).max_duration == timedelta(hours=3)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), timedelta(days=367)])
def test_a_senseless_max_duration_is_refused(
    start: Callable[..., finops.Run], bad: timedelta | float
) -> None:
    with pytest.raises(errors.InvalidArgument, match="max_duration"):
        start(max_duration=bad)
