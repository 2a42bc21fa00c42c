"""Pictures of how good forecasts were, by Matplotlib: SVG, PNG, or a page that holds both.

Owns: three plots and the page around them. Does not own: the numbers. Invariants: Matplotlib is
loaded on use and never opens a window; the page is whole in itself and asks no network.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidArgument, MissingPackage
from .report_numbers import Outcome, ReportNumbers

SUFFIXES = (".html", ".svg", ".png")
# A scatter of more points is a blot: so many are drawn, evenly over time.
_MOST_POINTS = 5_000
_INK, _BLUE, _RED, _GREY = "#334155", "#2563eb", "#dc2626", "#94a3b8"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#334155;max-width:70rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem 1.2rem .2rem 0;text-align:left}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}"
    "th{color:#64748b;font-weight:500}img{max-width:100%}h1{font-size:1.4rem}"
)


def write_report(
    path: str | os.PathLike[str],
    numbers: ReportNumbers,
    outcomes: Sequence[Outcome],
    *,
    title: str,
    summary: Sequence[tuple[str, str, str]],
    weeks: Sequence[Sequence[str]],
) -> None:
    """Write the pictures to `path`: .svg, .png, or .html with the tables too.

    Parameters
    ----------
    summary : (what, value, what is meant), as the terminal shows it.
    weeks : the header and the rows of the table of weeks.

    Raises
    ------
    InvalidArgument : another ending.
    MissingPackage : Matplotlib is not installed.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SUFFIXES:
        raise InvalidArgument(f"--out {path}: the name must end in {', '.join(SUFFIXES)}")
    kind = "png" if suffix == ".png" else "svg"
    picture = _draw(numbers, outcomes, "" if suffix == ".html" else title, kind)
    if suffix == ".html":
        picture = _page(title, picture, summary, weeks).encode()
    with open(path, "wb") as file:
        file.write(picture)


def _draw(numbers: ReportNumbers, outcomes: Sequence[Outcome], title: str, kind: str) -> bytes:
    figure_class, context = _matplotlib()
    with context({"font.size": 10, "axes.edgecolor": _GREY, "text.color": _INK,
                  "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
                  "svg.hashsalt": "finops", "axes.spines.top": False,
                  "axes.spines.right": False}):  # fmt: skip
        figure = figure_class(figsize=(13.5, 4.4), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_calibration(left, numbers)
        _draw_scatter(middle, outcomes)
        _draw_weeks(right, numbers)
        if title:  # the page has it as its heading
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        out = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(out, format=kind, dpi=130, metadata=metadata)
    return out.getvalue()


def _matplotlib() -> tuple[Any, Any]:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackage(
            "pictures of forecasts need Matplotlib: pip install 'finops-train[predict]'"
        ) from error
    return Figure, rc_context


def _draw_calibration(axes: Any, numbers: ReportNumbers) -> None:
    axes.set_title("said against observed", loc="left")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    if numbers.calibration:
        said, observed = zip(*numbers.calibration, strict=True)
        axes.plot(said, observed, color=_BLUE, marker="o", markersize=4)
    axes.set(
        xlabel="jobs said to be at or below", ylabel="jobs that were", xlim=(0, 1), ylim=(0, 1)
    )
    axes.grid(color=_GREY, alpha=0.2)
    axes.set_aspect("equal")


def _draw_scatter(axes: Any, outcomes: Sequence[Outcome]) -> None:
    axes.set_title("forecast (p50) against use, GPU-hours", loc="left")
    axes.set(xscale="log", yscale="log", xlabel="forecast", ylabel="used")
    usable = [one for one in outcomes if one.p50 > 0 and one.actual > 0]
    shown = usable[:: max(1, -(-len(usable) // _MOST_POINTS))]
    if not shown:
        return
    for is_censored, color, label in ((False, _BLUE, "ended"), (True, _RED, "killed: needed more")):
        points = [one for one in shown if one.is_censored == is_censored]
        if points:
            axes.scatter(
                [one.p50 / 3600 for one in points], [one.actual / 3600 for one in points],
                s=9, alpha=0.35, color=color, linewidths=0, label=label, rasterized=True,
            )  # fmt: skip
    values = [value / 3600 for one in shown for value in (one.p50, one.actual)]
    low, high = min(values), max(values)
    axes.plot([low, high], [low, high], color=_INK, linewidth=1, label="right")
    for factor in (0.5, 2.0):
        axes.plot([low, high], [low * factor, high * factor], color=_GREY, linewidth=1, ls="--")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.grid(color=_GREY, alpha=0.2)


def _draw_weeks(axes: Any, numbers: ReportNumbers) -> None:
    axes.set_title("GPU-hours a week: forecast less use, %", loc="left")
    weeks = [week for week in numbers.weeks if week.error_ratio is not None]
    errors = [100 * (week.error_ratio or 0.0) for week in weeks]
    colors = [_BLUE if abs(error) <= 15 else _RED for error in errors]
    axes.bar(range(len(weeks)), errors, color=colors, width=0.75)
    for limit in (-15, 15):
        axes.axhline(limit, color=_GREY, linewidth=1, linestyle="--")
    axes.axhline(0, color=_INK, linewidth=1)
    if errors:
        reach = min(max(20.0, *(abs(error) for error in errors)) * 1.1, 220.0)
        axes.set_ylim(-min(reach, 110.0), reach)
    every = max(1, -(-len(weeks) // 5))
    axes.set_xticks(range(0, len(weeks), every))
    axes.set_xticklabels([f"{week.monday.day} {week.monday:%b}" for week in weeks[::every]])
    axes.set_xlabel("week from")


def _page(
    title: str,
    picture: bytes,
    summary: Sequence[tuple[str, str, str]],
    weeks: Sequence[Sequence[str]],
) -> str:

    image = base64.b64encode(picture).decode()
    tables = _table([("", "value", "meant"), *summary]) + _table(weeks)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>"
        f'<img alt="calibration, forecast against use, weeks" '
        f'src="data:image/svg+xml;base64,{image}">{tables}</body></html>\n'
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    if len(rows) < 2:
        return ""
    head, *body = rows
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><tr>{cells}</tr>{lines}</table>"
