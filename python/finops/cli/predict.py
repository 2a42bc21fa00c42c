"""`finops predict`: what jobs will use and cost, before and while they run.

Owns: the commands and JSON of `train` and `job`. Does not own: `refresh` (predict_refresh),
`report` (predict_report), display (predict_page), forecasts (finops.predict).
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from finops import Money
from finops.errors import InvalidArgument
from finops.predict import Forecast, forecast
from finops.predict.pricing import Placement, cheapest_placements, read_resource
from finops.predict.sources import Jobs, jobs_of_file, jobs_of_ledger
from finops.predict.training import Trained, train_and_save
from finops.pricebook import load_price_book

from . import predict_refresh, predict_report
from .options import HomeOption, JsonOption, find_ledger, home_path, span_option, user_name
from .predict_format import MapOption, parse_map
from .predict_page import show_forecast, show_trained
from .render import make_console, money_json, print_json, time_json

app = typer.Typer(help="What jobs will use and cost, from past ones.", no_args_is_help=True)
app.command("refresh")(predict_refresh.refresh)
app.command("report")(predict_report.report)

HistoryOption = Annotated[
    Path | None,
    typer.Option(
        "--history", metavar="FILE", help="Jobs: .csv, .csv.gz, .parquet; else the ledger."
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE", help="A model file; else the one in the home folder."),
]
RequestedOption = Annotated[
    Any, span_option("--requested", "What the scheduler is asked for.", default="not known")
]


@app.command("train")
def train(
    history: HistoryOption = None,
    columns: MapOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Learn from finished jobs: a file of them, or the runs of the ledger."""
    path = home_path(home)
    jobs = _jobs(history, parse_map(columns or []), path)
    trained = train_and_save(jobs, home=path, path=model, now=datetime.now(timezone.utc))
    if as_json:
        print_json(_trained_json(trained))
    else:
        show_trained(trained, make_console())


def _jobs(history: Path | None, column_map: dict[str, str], home: str) -> Jobs:
    if history is not None:
        return jobs_of_file(history, column_map)
    if column_map:
        raise InvalidArgument("--map names columns of a file: give --history FILE too")
    ledger = find_ledger(home)
    if ledger is None:
        raise InvalidArgument(
            f"no run is recorded in {home} yet; give past jobs with: "
            "finops predict train --history jobs.csv.gz"
        )
    return jobs_of_ledger(ledger)


def _trained_json(trained: Trained) -> dict[str, Any]:
    health = trained.health
    return {
        "model": str(trained.path),
        "source": trained.note.source,
        "as_of": time_json(trained.note.as_of),
        "job_count": trained.job_count,
        "ended_job_count": trained.ended_job_count,
        "in_flight_job_count": trained.job_count - trained.ended_job_count,
        "status_counts": dict(trained.status_counts),
        "user_count": trained.user_count,
        "left_out": dict(trained.note.left_out),
        "notes": list(trained.notes),
        "scored_job_count": health.scored_job_count,
        "coverage_ratio": health.coverage_ratio if health.scored_job_count else None,
        "p90_coverage_ratio": health.p90_coverage_ratio if health.scored_job_count else None,
        "is_drifting": health.is_drifting,
        "drift_reason": health.reason,
        "training_seconds": trained.seconds,
    }


@app.command("job")
def job(
    gpus: Annotated[int | None, typer.Option(help="How many; or say it in --resources.")] = None,
    resources: Annotated[str, typer.Option(metavar="8xH100", help="What it runs on.")] = "",
    price: Annotated[
        str, typer.Option(metavar='"24 USD/h"', help="Or '3 USD/gpu/h'; else the price book's.")
    ] = "",
    user: Annotated[str, typer.Option(help="Who starts it; else you.")] = "",
    group: Annotated[str, typer.Option("--group", "--project", help="Its group or project.")] = "",
    queue: Annotated[str, typer.Option("--queue", "--experiment", help="Or experiment.")] = "",
    name: Annotated[str, typer.Option(help="sft-llama-7b is like earlier ones.")] = "",
    nodes: Annotated[int | None, typer.Option(help="How many machines.")] = None,
    requested: RequestedOption = None,
    steps: Annotated[int | None, typer.Option(help="How many steps it is to do.")] = None,
    budget: Annotated[str, typer.Option(metavar='"50 USD"', help="What it may cost.")] = "",
    placements: Annotated[int, typer.Option(min=0, max=20, help="How many to list.")] = 3,
    any_gpu: Annotated[
        bool, typer.Option("--any-gpu", help="Placements on other GPUs too.")
    ] = False,
    model: ModelOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Say what a job will use and cost, where it is cheapest, and why."""
    path = home_path(home)
    limit = Money.parse(budget) if budget else None
    answer = forecast(
        gpus=gpus, resources=resources, price=price, user=user or user_name(), group=group,
        queue=queue, name=name, nodes=nodes, requested_time=requested, planned_steps=steps,
        explain=True, home=path, model=model,
    )  # fmt: skip
    book = load_price_book(find_ledger(path))
    asked = read_resource(book, resources, gpus=gpus, price=price)
    gpu_model = "" if any_gpu else asked.gpu_model
    found = cheapest_placements(
        book,
        gpu_model=gpu_model,
        gpu_count=asked.gpu_count,
        use_gpu_seconds=answer.use_gpu_seconds,
        currency=limit.currency if limit else "",
        limit=placements,
    )
    if as_json:
        print_json(_job_json(answer, found, limit, asked.warnings))
        return
    title = " · ".join(
        filter(None, (name or "job", resources or f"{asked.gpu_count} GPUs", user or user_name()))
    )
    show_forecast(
        answer, title, make_console(), budget=limit, placements=found,
        placement_note=_placement_note(found, gpu_model), warnings=asked.warnings,
    )  # fmt: skip


def _placement_note(found: list[Placement], gpu_model: str) -> str:
    notes = [] if gpu_model else ["as if every GPU were equally fast"]
    if any(one.row.pricing_category == "Dynamic" for one in found):
        notes.append("spot may be taken away")
    return "; ".join(notes)


def _job_json(
    answer: Forecast, found: list[Placement], budget: Money | None, warnings: tuple[str, ...]
) -> dict[str, Any]:
    quantiles = ("p10", "p50", "p90", "mean")
    return {
        "resources": answer.resources,
        "gpu_count": answer.gpu_count,
        "price_per_hour": money_json(answer.price_per_hour),
        "gpu_hours": {one: getattr(answer, f"{one}_gpu_hours") for one in quantiles},
        "cost": {one: money_json(getattr(answer, f"{one}_cost")) for one in quantiles},
        "most_gpu_hours": answer.most_gpu_hours,
        "budget": money_json(budget),
        "chance_to_exceed": answer.chance_to_exceed(budget) if budget else None,
        "ended_job_count": answer.ended_job_count,
        "similar_job_count": answer.similar_job_count,
        "tree_weight": answer.tree_weight,
        "is_cold": answer.is_cold,
        "drivers": [
            {
                "name": one.name,
                "value": one.value if one.value == one.value else None,  # JSON has no NaN
                "log_contribution": one.log_contribution,
            }
            for one in answer.drivers
        ],
        "past_runs": [
            {"job_id": one.job_id, "gpu_hours": one.gpu_hours, "status": one.status}
            for one in answer.past_runs
        ],
        "placements": [_placement_json(one) for one in found],
        "notes": [*answer.notes, *warnings],
    }


def _placement_json(one: Placement) -> dict[str, Any]:
    row = one.row
    return {
        "sku_id": row.sku_id,
        "provider": row.provider,
        "region": row.region,
        "zone": row.zone,
        "instance_type": row.instance_type,
        "gpu": row.gpu,
        "pricing_category": row.pricing_category,
        "machine_count": one.machine_count,
        "gpu_count": one.gpu_count,
        "price_per_hour": money_json(one.hourly),
        "p10_cost": money_json(one.p10_cost),
        "p50_cost": money_json(one.p50_cost),
        "p90_cost": money_json(one.p90_cost),
        "mean_cost": money_json(one.mean_cost),
    }
