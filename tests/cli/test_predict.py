"""`finops predict`: train, job, refresh and report, as people call them.

Goal: each answers from a file or the ledger, works with nothing, and says what it rests on. Method:
the invented history of examples/predict, and real runs of `finops run`.
"""

from __future__ import annotations

import pathlib
import stat
import subprocess
import sys
import time
from typing import Any

import pytest
from command_line import PRICED, SHORT, Cli, amount

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOB = ("predict", "job", "--user", "ana", "--name", "sft-llama-7b", "--resources", "8xH100")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    program = ROOT / "examples" / "predict" / "jobs.py"
    printed = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=True
    )
    path = tmp_path_factory.mktemp("history") / "jobs.csv"
    path.write_text(printed.stdout, encoding="utf-8")
    return path


@pytest.fixture
def trained(cli: Cli, history: pathlib.Path) -> Any:
    return cli.json("predict", "train", "--history", str(history))


def test_train_says_what_it_rests_on(cli: Cli, trained: Any, history: pathlib.Path) -> None:
    assert trained["job_count"] == trained["ended_job_count"] == 990
    assert trained["user_count"] == 5
    assert sum(trained["status_counts"].values()) == 990
    assert 0.6 < trained["coverage_ratio"] < 0.95
    assert stat.S_IMODE(pathlib.Path(trained["model"]).stat().st_mode) == 0o600
    output, _ = cli("predict", "train", "--history", str(history))
    assert "learned from 990 ended jobs of 5 users (jobs.csv)" in output
    assert "were between p10 and p90" in output


def test_job_has_hours_money_chance_places_and_past_runs(cli: Cli, trained: Any) -> None:
    found = cli.json(*JOB, "--group", "llm", "--budget", "500 USD")
    hours, cost = found["gpu_hours"], found["cost"]
    assert hours["p10"] < hours["p50"] < hours["p90"]
    assert 8 < hours["p50"] < 40  # such jobs take about two hours on eight GPUs
    hourly = float(amount(found["price_per_hour"]))
    for one in ("p10", "p50", "p90", "mean"):
        assert float(amount(cost[one])) == pytest.approx(hours[one] / 8 * hourly)
    assert 0 <= found["chance_to_exceed"] <= 1
    assert found["ended_job_count"] == 990
    places = found["placements"]
    assert len(places) == 3
    assert all(one["gpu"] == "H100-80GB" and one["gpu_count"] >= 8 for one in places)
    costs = [amount(one["p50_cost"]) for one in places]
    assert costs == sorted(costs)
    assert costs[0] < amount(cost["p50"])
    assert found["past_runs"]
    output, _ = cli(*JOB, "--group", "llm", "--budget", "500 USD")
    for words in (
        "8 of 10 such jobs cost", "chance to exceed $500.00", "rests on 990 finished",
        "cheapest placements", "past runs of this kind", "spot may be taken away",
    ):  # fmt: skip
        assert words in output, words


def test_chance_grows_as_the_budget_shrinks(cli: Cli, trained: Any) -> None:
    chances = [
        cli.json(*JOB, "--budget", f"{limit} USD")["chance_to_exceed"]
        for limit in (1_000_000, 200, 20, 1)
    ]
    assert chances == sorted(chances)
    assert chances[0] < 0.01
    assert chances[-1] > 0.99


def test_it_works_with_no_job_at_all(cli: Cli) -> None:
    found = cli.json(*JOB, "--budget", "500 USD")
    assert found["is_cold"]
    assert found["ended_job_count"] == 0
    assert "wide prior" in found["notes"][0]
    assert found["gpu_hours"]["p90"] > 10 * found["gpu_hours"]["p10"]
    output, _ = cli(*JOB)
    assert "rests on no finished job" in output
    assert "this is a wide prior, not your history" in output


def test_any_gpu_and_no_gpu(cli: Cli) -> None:
    found = cli.json("predict", "job", "--gpus", "4")
    assert found["cost"]["p50"] is None  # no resource, no price
    assert len({one["gpu"] for one in found["placements"]}) > 1
    output, _ = cli("predict", "job", "--gpus", "4")
    assert "as if every GPU were equally fast" in output
    mixed = cli.json(*JOB, "--any-gpu", "--placements", "8")["placements"]
    assert len({one["gpu"] for one in mixed}) > 1
    # Machines are rented whole.
    whole = cli.json("predict", "job", "--resources", "4xH100", "--placements", "9")["placements"]
    assert {one["gpu_count"] for one in whole if one["provider"] == "nebius"} == {8}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "how many GPUs"),
        (("--gpus", "0"), "must be 1 to"),
        (("--gpus", "4", "--resources", "8xH100"), "give one of them"),
        (("--resources", "8xH1000"), "nearest"),
        (("--gpus", "1", "--steps", "0"), "planned_steps=0"),
        (("--gpus", "1", "--nodes", "2"), "nodes=2"),
        (("--gpus", "1", "--price", "cheap"), "price"),
        (("--gpus", "1", "--budget", "5"), "USD"),
        (("--gpus", "1", "--model", "absent.json"), "there is no model"),
        (("--resources", "8xH100", "--budget", "5 EUR"), "EUR"),
    ],
)
def test_a_wrong_question_is_one_line(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    _, errors = cli("predict", "job", *arguments, expect=1)
    assert errors.startswith("error: ")
    assert words in errors
    assert errors.count("\n") == 1


def test_a_wrong_history_is_one_line(cli: Cli, tmp_path: pathlib.Path) -> None:
    assert "no run is recorded" in cli("predict", "train", expect=1)[1]
    path = tmp_path / "jobs.csv"
    path.write_text("job_id,submited,gpus,run_time_s\n")
    errors = cli("predict", "train", "--history", str(path), expect=1)[1]
    assert "--map submit_time=submited" in errors
    mapped = ("--history", str(path), "--map", "submit_time=submited")
    assert "no job in jobs.csv to learn from" in cli("predict", "train", *mapped, expect=1)[1]
    path.write_text(
        "job_id,submited,gpus,run_time_s\n1,2026-01-01,1,-5\n2,x,1,5\n3,2026-01-01,0,5\n"
    )
    errors = cli("predict", "train", *mapped, expect=1)[1]
    assert "below 0" in errors
    assert "no time" in errors
    assert "without a GPU" in errors
    cli("predict", "train", "--map", "nonsense", expect=2)


def test_thin_histories_are_told(cli: Cli, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "jobs.csv"
    lines = [f"{n},u1,2026-01-{n:02d},1,60,TIMEOUT" for n in range(1, 20)]
    path.write_text("\n".join(["job_id,user,submit,gpus,run_time_s,state", *lines]))
    notes = " ".join(cli.json("predict", "train", "--history", str(path))["notes"])
    assert "all jobs were killed" in notes
    assert "one user only" in notes
    assert "19 ended jobs are few" in notes
    constant = [line.replace("TIMEOUT", "COMPLETED") for line in lines]
    path.write_text("\n".join(["job_id,user,submit,gpus,run_time_s,state", *constant]))
    assert cli.json("predict", "train", "--history", str(path))["ended_job_count"] == 19
    found = cli.json("predict", "job", "--user", "u1", "--gpus", "1")["gpu_hours"]
    assert found["p10"] <= found["p50"] <= found["p90"]


def test_report_tells_a_history_over_again(
    cli: Cli, history: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    report = cli.json("predict", "report", "--history", str(history))
    assert report["judged_count"] + report["censored_count"] == 990
    assert 0.5 < report["coverage_ratio"] < 0.95
    assert len(report["weeks"]) == 10
    assert [one["observed"] for one in report["calibration"]] == sorted(
        one["observed"] for one in report["calibration"]
    )
    for suffix, begin in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".html", b"<!doctype html>")):
        out = tmp_path / f"report{suffix}"
        output, _ = cli("predict", "report", "--history", str(history), "--out", str(out))
        assert "between p10 and p90" in output
        assert out.read_bytes().startswith(begin)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    errors = cli("predict", "report", "--out", "x.pdf", expect=1)[1]
    assert "must end in .html, .svg, .png" in errors


def test_the_ledger_is_learned_from_refreshed_and_judged(cli: Cli) -> None:
    assert "no forecast can be judged yet" in cli("predict", "report")[0]
    assert "no runs recorded" in cli("predict", "refresh")[0]
    program = (
        "import finops, time\n"
        "run = finops.init(project='vision', experiment='resnet', resources='2xH100',"
        " forecast=True, planned_steps=20)\n"
        "for step in range(20):\n"
        "    run.progress(step)\n"
        "    time.sleep(0.01)\n"
        "finops.finish(run)\n"
    )
    for _ in range(3):
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert "forecast of vision/resnet" in ended.stderr
    trained = cli.json("predict", "train")
    assert (trained["source"], trained["ended_job_count"]) == ("ledger", 3)
    found = cli.json("predict", "job", "--resources", "2xH100", "--project", "vision")
    assert found["ended_job_count"] == 3
    report = cli.json("predict", "report")
    assert report["judged_count"] == 3


def test_refresh_lists_what_will_pass_its_budget(cli: Cli) -> None:
    script = (
        "import finops, time\n"
        "run = finops.init(project='vision', experiment='resnet', price='360 USD/h',"
        " budget='50 USD', forecast=True, planned_steps=1000000)\n"
        "for step in range(100000):\n"
        "    run.progress(step)\n"
        "    run.check_budget()\n"
        "    time.sleep(0.01)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        (row,) = cli.live_runs()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            refreshed = cli.json("predict", "refresh")
            (one,) = refreshed["runs"]
            if one["passes_budget"]:
                break
            time.sleep(0.3)
        assert one["run_id"] == row["run_id"]
        assert one["passes_budget"], one
        assert one["planned_steps"] == 1_000_000
        assert one["step"] > 0
        assert one["used_gpu_hours"] <= one["gpu_hours"]["p10"]
        assert one["first_p50_gpu_hours"] is not None
        output, _ = cli("predict", "refresh")
        assert "will probably pass its budget" in output
    finally:
        process.kill()
        process.wait()


def test_a_command_is_a_run_like_any_other(cli: Cli) -> None:
    cli("run", *PRICED, "--resources", "1xH100", *SHORT, "--", "sleep", "0.5")
    trained = cli.json("predict", "train")
    assert trained["ended_job_count"] == 1
    assert "1 ended jobs are few" in trained["notes"][0]
