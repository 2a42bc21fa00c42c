"""Prints an invented history of GPU jobs as CSV: ten weeks of a small team, the same each time.

Usage: python examples/predict/jobs.py > jobs.csv
       finops predict train --history jobs.csv
       finops predict job --user ana --name sft-llama-7b --resources 8xH100 --budget "500 USD"
"""

from __future__ import annotations

import csv
import math
import random
import sys
from datetime import datetime, timedelta, timezone

BEGIN = datetime(2026, 9, 7, 8, tzinfo=timezone.utc)
WEEKS = 10
SEED = 6
HEADER = (
    "job_id", "submit_time", "user", "group", "name", "gpu_count", "gpu_model",
    "requested_seconds", "start_time", "end_time", "run_seconds", "status",
)  # fmt: skip

# Who, group, name, GPUs, GPU, hours in the middle, spread (log), jobs a week, requested hours.
KINDS = [
    ("ana", "llm", "sft-llama-7b", 8, "H100-80GB", 2.2, 0.25, 9, 12),
    ("ana", "llm", "eval-llama-7b", 1, "H100-80GB", 0.3, 0.15, 14, 2),
    ("ben", "vision", "resnet-sweep", 1, "A100-80GB", 0.9, 0.45, 45, 6),
    ("ben", "vision", "detector", 4, "A100-80GB", 5.5, 0.35, 5, 24),
    ("caro", "search", "reranker", 2, "A100-80GB", 1.6, 0.6, 12, 8),
    ("dev", "speech", "asr-pretrain", 16, "H100-80GB", 20.0, 0.3, 2, 72),
    ("ela", "llm", "notebook", 1, "L4-24GB", 0.5, 1.3, 12, 24),
]


def jobs() -> list[list[str]]:
    chance = random.Random(SEED)
    rows: list[list[str]] = []
    for user, group, name, gpus, gpu, hours, spread, weekly, requested in KINDS:
        trend = chance.uniform(-0.04, 0.06)  # models grow, or code gets faster, week by week
        for week in range(WEEKS):
            for _ in range(weekly):
                submitted = BEGIN + timedelta(days=7 * week, seconds=chance.uniform(0, 5 * 86400))
                waited = timedelta(seconds=chance.expovariate(1 / 600))
                wanted = hours * math.exp(chance.gauss(trend * week, spread)) * 3600
                status, seconds = "COMPLETED", wanted
                if chance.random() < 0.08:
                    status, seconds = "FAILED", wanted * chance.random() ** 3
                elif chance.random() < 0.04:
                    status, seconds = "CANCELLED", wanted * chance.random()
                if seconds > requested * 3600:
                    status, seconds = "TIMEOUT", requested * 3600
                started = submitted + waited
                ended = started + timedelta(seconds=seconds)
                rows.append([
                    text(submitted), user, group, name, str(gpus), gpu, str(requested * 3600),
                    text(started), text(ended), f"{seconds:.0f}", status,
                ])  # fmt: skip
    rows.sort()  # texts of times sort as the times do
    return [[str(number), *row] for number, row in enumerate(rows, start=1)]


def text(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def main() -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(HEADER)
    out.writerows(jobs())


if __name__ == "__main__":
    main()
