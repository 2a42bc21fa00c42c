"""`finops.forecast`: asks the predictor, which is loaded on use."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .predict import Forecast


def forecast(
    *,
    gpus: int | None = None,
    resources: str = "",
    price: str = "",
    user: str | None = None,
    group: str = "",
    queue: str = "",
    name: str = "",
    nodes: int | None = None,
    requested_time: timedelta | str | float | None = None,
    planned_steps: int | None = None,
    explain: bool = False,
    home: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
) -> Forecast:
    """What a job will use and cost before it starts, from one's own history.

    Works without any history, and says so: the range is wide then. See docs/predict.md.

    Parameters
    ----------
    gpus, resources : how many GPUs, and which ("8xH100"); one of the two is needed.
    price : "24 USD/h" for the whole, "3 USD/gpu/h" for each GPU; else the price book's.
    user : who starts it; else who asks.
    group, queue : as in the history; runs of a ledger have project and experiment there.
    name : of the job; "sft-llama-7b" is like earlier ones of that name.
    nodes : how many machines the GPUs are spread over.
    requested_time : what is asked of the scheduler (timedelta, "24h", or seconds).
    planned_steps : how many steps it is to do.
    explain : also what drives it (`drivers`), and past runs of the kind (`past_runs`).
    home, model : the folder of the model, or a model file of its own.

    Raises
    ------
    InvalidArgument, UnknownResource, AmbiguousResource : what was asked makes no sense.
    InvalidArgument, UnsupportedSchema, HomeNotSafe : the model file is damaged, newer, not yours.
    """
    from .predict.forecast import forecast as ask

    return ask(
        gpus=gpus,
        resources=resources,
        price=price,
        user=user,
        group=group,
        queue=queue,
        name=name,
        nodes=nodes,
        requested_time=requested_time,
        planned_steps=planned_steps,
        explain=explain,
        home=home,
        model=model,
    )
