"""Programs that fork while they report, and what their children do.

Owns: the Python scripts of tests/reliability/test_forks.py. Does not own: the checks around them.
"""

from __future__ import annotations

# Two threads report, the lease is so short that one of them is in the slow path again and again,
# a third one commits; the main thread forks. `{commits}` empty: nobody commits.
UNDER_LOAD = """
import os, random, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of fork with threads, and rightly
run = finops.init(project="p", experiment="parent", price="36 USD/h", budget="100 USD")
run.progress(0)
print(run.attempt_id, flush=True)
ended = threading.Event()
errors = []

def report():
    step = 0
    try:
        while not ended.is_set():
            step += 1
            run.progress(step)
            run.check_budget()
            time.sleep(0.002)
    except BaseException as error:
        errors.append(error)

def commit():
    while not ended.is_set():
        try:
            run.commit()
        except finops.errors.LedgerUnavailable:
            pass
        time.sleep(0.1)

threads = [threading.Thread(target=work, daemon=True) for work in (report, report, commit)]
for thread in threads:
    thread.start()

def end_of(child, what, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        waited, status = os.waitpid(child, os.WNOHANG)
        if waited:
            return status
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            print("hang", what, flush=True)
            os._exit(4)
        time.sleep(0.0002)

def no_ops():
    # Nothing here may touch the parent's page, locks or ledger.
    run.progress(10**9)
    run.heartbeat()
    assert not run.check_budget()
    assert not run.is_owner
    run.checkpointed(1, "/child")
    run.commit()
    run.expect_silence(5, "a child says nothing")
    run.cost, run.reason, run.warnings

def leave(number):
    kind = number % 6
    if kind == 0:
        finops.finish(run)
        os._exit(0)
    if kind == 1:
        sys.exit(0)  # runs the exit handlers, which end open runs
    if kind == 2:
        raise ValueError("a child fails")
    if kind == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == 4:
        os.closerange(3, 256)  # closes what it inherited: a POSIX lock must not fall by it
        os._exit(0)
    os._exit(0)

def child_main(number):
    try:
        no_ops()
        leave(number)
    except SystemExit:
        run_exit_handlers_and_leave(0)
    except ValueError:
        run_exit_handlers_and_leave(1)
    except BaseException as error:
        os.write(2, f"child {number}: {error!r}\\n".encode())
        os._exit(5)

def run_exit_handlers_and_leave(code):
    from finops._run import _finish_open_runs
    _finish_open_runs()
    os._exit(code)
"""

FORK_MANY = (
    UNDER_LOAD
    + """
EXPECTED = {0: 0, 1: 0, 2: 1 << 8, 3: signal.SIGKILL, 4: 0, 5: 0}

def fork_one(number):
    child = os.fork()
    if child == 0:
        child_main(number)
    status = end_of(child, number)
    if status != EXPECTED[number % 6]:
        print("status", number, status, flush=True)
        os._exit(6)

def fork_from_a_thread(numbers):
    try:
        for number in numbers:
            fork_one(number)
    except BaseException as error:
        errors.append(error)

COUNT = int(os.environ["FORKS"])
# Every tenth from another thread than the main one.
for number in range(COUNT):
    if number % 10 == 9:
        thread = threading.Thread(target=fork_from_a_thread, args=([number],))
        thread.start()
        thread.join()
    else:
        fork_one(number)
import subprocess
for _ in range(20):  # vfork, as subprocess does where it can
    subprocess.run(["true"], check=True)
    assert os.waitstatus_to_exitcode(
        os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)[1]) == 0
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:  # as a DataLoader does
    assert pool.map(abs, range(-100, 0)) == list(range(100, 0, -1))
ended.set()
for thread in threads:
    thread.join()
assert not errors, errors
assert run.is_owner
finops.finish(run)
print("forked", COUNT, run.status, flush=True)
"""
)

# The children use the ledger themselves, while the parent's threads are in it.
FORK_AND_INIT = (
    UNDER_LOAD
    + """
from finops._core import Ledger
held = Ledger(os.environ["FINOPS_HOME"] + "/ledger.db", read_only=True)
held.runs()  # a connection that is open when the process forks, and has read
for number in range(int(os.environ["FORKS"])):
    child = os.fork()
    if child == 0:
        try:
            own = finops.init(project="p", experiment="child", price="36 USD/h", budget="100 USD")
            own.progress(number)
            own.commit()
            finops.finish(own)
            os._exit(0 if own.status == "FINISHED" and not own.warnings else 7)
        except BaseException as error:
            os.write(2, f"child {number}: {error!r}\\n".encode())
            os._exit(5)
    status = end_of(child, number)
    if status:
        print("status", number, status, flush=True)
        os._exit(6)
held.runs()
ended.set()
for thread in threads:
    thread.join()
assert not errors, errors
finops.finish(run)
print("forked", run.status, flush=True)
"""
)

# A script that spawned workers import again: `init` in the main part only.
START_METHOD = """
import multiprocessing, os, sys, time
import finops

def work(number):
    return os.getpid()

def main():
    method, count = os.environ["METHOD"], int(os.environ["FORKS"])
    run = finops.init(project="p", experiment="parent", price="36 USD/h", budget="100 USD")
    run.progress(0)
    print(run.attempt_id, flush=True)
    context = multiprocessing.get_context(method)
    for number in range(count):
        run.progress(number)
        run.check_budget()
        process = context.Process(target=work, args=(number,))
        process.start()
        process.join()
        assert process.exitcode == 0, process.exitcode
    assert run.is_owner
    finops.finish(run)
    print("started", count, run.status, flush=True)

if __name__ == "__main__":
    main()
"""

# Keeps children that were forked while another thread was beginning and ending runs.
FORK_DURING_INIT = """
import threading, warnings
warnings.simplefilter("ignore")
ended = threading.Event()
def begin_and_end():
    while not ended.is_set():
        finops.finish(finops.init(project="p", experiment="many", price="36 USD/h"))
thread = threading.Thread(target=begin_and_end)
thread.start()
children = []
for _ in range(40):
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    children.append(child)
    time.sleep(0.01)
ended.set()
thread.join()
print("forked", *children, flush=True)
sys.stdin.readline()
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
