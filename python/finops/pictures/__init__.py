"""Pictures of a genealogy: DOT, SVG and PNG by Graphviz, and one HTML file that folds and zooms."""

from __future__ import annotations

import os
import pathlib

from finops.errors import SystemFailure

from .dot import dot_text, render_dot
from .folding import make_picture
from .model import Picture
from .page import page_text

__all__ = ["FORMATS", "Picture", "dot_text", "make_picture", "page_text", "write_picture"]

FORMATS = (".svg", ".png", ".dot", ".html")


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> None:
    """Write `picture` in the format that the ending of `path` names, one of FORMATS.

    Raises
    ------
    MissingPackage : Graphviz is not installed, and the format needs it; nothing is written.
    SystemFailure : the file cannot be written, or Graphviz failed.
    """
    target = pathlib.Path(path)
    format_name = target.suffix.lower()
    if format_name == ".html":
        content = page_text(picture).encode("utf-8")
    elif format_name == ".dot":
        content = dot_text(picture).encode("utf-8")
    else:
        content = render_dot(dot_text(picture), format_name.removeprefix("."))
    try:
        target.write_bytes(content)
    except OSError as error:
        raise SystemFailure(f"{target} cannot be written: {error.strerror}") from None
