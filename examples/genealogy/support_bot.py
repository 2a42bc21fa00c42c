"""Prints the history of one support bot as JSON lines, for `finops graph import`.

A notebook on a laptop, preprocessing in a cluster whose namespace is deleted since, fine-tuning
with a failed and a preempted attempt, a sweep of 40 trials over three zones, a model, and an
endpoint that serves it for months. Beside it a second model from the same dataset, an experiment
that came to nothing, and a cost under a name that nothing else knows.

Usage: python examples/genealogy/support_bot.py | finops graph import -
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Line = dict[str, Any]
EXPERIMENT = "experiment:support/support-bot"
DATASET = "dataset:tickets-clean"
SWEEP = "run:sweep-12-may"
ZONES = ("us-east1-b", "us-east1-c", "europe-west4-a")
TRIAL_COUNT = 40
WINNER = 17
# 15 trials failed and cost 1,730.00 USD; the other 25 cost 2,220.00 USD.
FAILED_TRIALS = frozenset(range(2, TRIAL_COUNT, 3)) - {WINNER} | {4, 25, 37}


def lines() -> Iterator[Line]:
    """All records. Edges come before their nodes now and then, as in life."""
    yield from _frame()
    yield from _data()
    yield from _fine_tuning()
    yield from _sweep()
    yield from _results()
    yield from _second_model()
    yield from _abandoned()
    # Somebody's bill names a run that nobody recorded.
    yield _cost("run:unnamed-7f3a", "88.25 USD", "2026-05-20")


def _frame() -> Iterator[Line]:
    yield {"node": "project:support", "user_name": "ana"}
    yield {"node": EXPERIMENT, "label": "support bot", "created_at": "2026-04-27T08:00:00Z"}
    yield _edge(EXPERIMENT, "nested_in", "project:support")


def _data() -> Iterator[Line]:
    yield from _work("run:notebook", "2026-04-27", cost="23.50 USD", cluster="ana-laptop",
                     label="exploration notebook")  # fmt: skip
    yield _edge("run:notebook", "nested_in", EXPERIMENT)
    yield _edge("run:notebook", "read", "dataset:tickets-raw")
    yield _edge("run:notebook", "produced", "dataset:label-guide")
    yield {"node": "dataset:tickets-raw", "created_at": "2026-04-20T00:00:00Z"}
    yield {"node": "dataset:label-guide", "created_at": "2026-04-27T18:00:00Z"}
    yield _edge("job:clean-tickets", "read", "dataset:tickets-raw")
    yield _edge("job:clean-tickets", "read", "dataset:label-guide")
    yield _edge("job:clean-tickets", "produced", DATASET)
    yield {
        **_node("job:clean-tickets", "2026-04-29", cluster="k8s-east", user="ben"),
        "attributes": {"namespace": "nlp-2026q2", "namespace_deleted": "2026-07-01"},
    }
    yield _cost("job:clean-tickets", "170.50 USD", "2026-04-29")
    yield _status("job:clean-tickets", "FINISHED", "2026-04-30")
    yield {"node": DATASET, "label": "1.2 M tickets", "created_at": "2026-04-30T06:00:00Z"}


def _fine_tuning() -> Iterator[Line]:
    run = "run:sft"
    yield from _work(run, "2026-05-04", cluster="slurm-b", label="supervised fine-tuning")
    yield _edge(run, "nested_in", EXPERIMENT)
    attempts = (
        ("attempt:sft-1", "310 USD", "FAILED", "2026-05-04", "CUDA out of memory at step 9,100"),
        ("attempt:sft-2", "120 USD", "PREEMPTED", "2026-05-06", "spot capacity was taken back"),
        ("attempt:sft-3", "640 USD", "FINISHED", "2026-05-07", ""),
    )
    for attempt, cost, status, day, why in attempts:
        yield _node(attempt, day, cluster="slurm-b")
        yield _edge(attempt, "nested_in", run)
        yield _edge(attempt, "read", DATASET)
        yield _cost(attempt, cost, day)
        yield _status(attempt, status, day, why)
    yield _edge("attempt:sft-1", "retried_as", "attempt:sft-2")
    yield _edge("attempt:sft-2", "retried_as", "attempt:sft-3")
    yield _edge(run, "produced", "checkpoint:sft/step-30000", step=30000)
    yield {"node": "checkpoint:sft/step-30000", "created_at": "2026-05-09T04:00:00Z"}


def _sweep() -> Iterator[Line]:
    yield from _work(SWEEP, "2026-05-12", cluster="three zones", label="sweep of 12 May")
    yield _edge(SWEEP, "nested_in", EXPERIMENT)
    for number in range(1, TRIAL_COUNT + 1):
        trial = f"run:trial-{number:02}"
        is_failed = number in FAILED_TRIALS
        yield from _work(
            trial,
            "2026-05-12",
            cost=_trial_cost(number),
            cluster=ZONES[number % len(ZONES)],
            status="FAILED" if is_failed else "FINISHED",
        )
        yield _edge(trial, "nested_in", SWEEP)
        yield _edge(trial, "forked_from", "checkpoint:sft/step-30000", step=30000)
        yield _edge(trial, "read", DATASET)
    yield _edge(f"run:trial-{WINNER:02}", "produced", "model:support-bot-v3")


def _trial_cost(number: int) -> str:
    """Costs that differ and add up to 1,730 and 2,220 USD; the last of each takes the rest."""
    group = FAILED_TRIALS if number in FAILED_TRIALS else set(range(1, 41)) - FAILED_TRIALS
    total = 173_000 if number in FAILED_TRIALS else 222_000
    weights = {member: 10 + member * 7 % 13 for member in sorted(group)}
    cents = {member: total * weight // sum(weights.values()) for member, weight in weights.items()}
    cents[max(group)] += total - sum(cents.values())
    return f"{cents[number] // 100}.{cents[number] % 100:02} USD"


def _results() -> Iterator[Line]:
    yield {"node": "model:support-bot-v3", "user_name": "ana", "created_at": "2026-05-13T02:00:00Z"}
    yield _status("model:support-bot-v3", "ACTIVE", "2026-05-13")
    yield _edge("model:support-bot-v3", "deployed_as", "endpoint:support-bot")
    yield _node("endpoint:support-bot", "2026-05-18", cluster="serving-eu", user="ben")
    yield _status("endpoint:support-bot", "ACTIVE", "2026-05-18")
    for month, cost in zip(range(5, 11), ("140", "298.40", "301.15", "310", "296.70", "305.25"),
                           strict=True):  # fmt: skip
        yield _cost("endpoint:support-bot", f"{cost} USD", f"2026-{month:02}-28")
    # The gateway in Frankfurt is billed in euros: another currency is listed, and never added.
    yield {
        "cost": "41.00 EUR", "node_id": "endpoint:support-bot", "event_id": "bill:gateway:2026-10",
    }  # fmt: skip
    yield {
        "use": 1_200_000, "unit": "requests", "node_id": "endpoint:support-bot",
        "event_id": "use:support-bot:2026-10", "recorded_at": "2026-11-01T00:00:00Z",
    }  # fmt: skip
    yield {
        "value": "50000 USD", "per": "month", "node_id": "model:support-bot-v3",
        "event_id": "value:support-bot-v3", "valid_from": "2026-06-01T00:00:00Z", "who": "ana",
        "source": "A/B test of June 2026: 31 % fewer tickets reach a person",
        "recorded_at": "2026-07-02T09:00:00Z",
    }  # fmt: skip


def _second_model() -> Iterator[Line]:
    yield from _work("run:router", "2026-06-15", cost="420 USD", cluster="slurm-b", user="chen")
    yield _edge("run:router", "read", DATASET)
    yield _edge("run:router", "produced", "model:intent-router")
    yield _node("model:intent-router", "2026-06-16", user="chen")
    yield _status("model:intent-router", "ACTIVE", "2026-06-16")
    yield {
        "use": 300_000, "unit": "requests", "node_id": "model:intent-router",
        "event_id": "use:intent-router:2026-10", "recorded_at": "2026-11-01T00:00:00Z",
    }  # fmt: skip


def _abandoned() -> Iterator[Line]:
    experiment = "experiment:support/reranker"
    yield {"node": experiment, "created_at": "2026-05-02T08:00:00Z"}
    yield _edge(experiment, "nested_in", "project:support")
    for run, cost, status in (("a", "260 USD", "KILLED"), ("b", "345 USD", "FINISHED")):
        name = f"run:reranker-{run}"
        yield from _work(name, "2026-05-03", cost=cost, cluster="slurm-b", status=status)
        yield _edge(name, "nested_in", experiment)
    yield _edge("run:reranker-b", "produced", "model:reranker-v1")
    yield _node("model:reranker-v1", "2026-05-05")
    yield _status("model:reranker-v1", "RETIRED", "2026-05-25", "no better than keyword search")


def _work(
    node_id: str, day: str, *, cost: str = "", cluster: str = "", user: str = "ana",
    label: str = "", status: str = "FINISHED",
) -> Iterator[Line]:  # fmt: skip
    node = _node(node_id, day, cluster=cluster, user=user)
    yield {**node, "label": label} if label else node
    if cost:
        yield _cost(node_id, cost, day)
    yield _status(node_id, status, day)


def _node(node_id: str, day: str, *, cluster: str = "", user: str = "ana") -> Line:
    line = {"node": node_id, "user_name": user, "created_at": f"{day}T12:00:00Z"}
    return {**line, "cluster": cluster} if cluster else line


def _edge(subject: str, kind: str, target: str, *, step: int | None = None) -> Line:
    line: Line = {"edge": kind, "subject": subject, "object": target}
    return line if step is None else {**line, "step": step}


def _cost(node_id: str, cost: str, day: str) -> Line:
    return {
        "cost": cost,
        "node_id": node_id,
        "event_id": f"bill:{node_id}:{day}",
        "charge_period_start": f"{day}T00:00:00Z",
        "charge_period_end": f"{day}T23:00:00Z",
    }


def _status(node_id: str, status: str, day: str, why: str = "") -> Line:
    line = {"status": status, "node_id": node_id, "recorded_at": f"{day}T20:00:00Z"}
    return {**line, "why": why} if why else line


if __name__ == "__main__":
    for line in lines():
        print(json.dumps(line, ensure_ascii=False))
