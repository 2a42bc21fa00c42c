"""Runs and a guard whose home folder is taken away, and comes back as something else.

Owns: the ways in which a home is lost. Does not own: the checks on them.
"""

from __future__ import annotations

import pathlib
import shutil


def remove(home: pathlib.Path) -> None:
    """The folder is deleted with all that is in it."""
    # By another name first: the guard may be making a file in it.
    shutil.rmtree(home.rename(home.with_name("removed")))


def replace_by_a_folder(home: pathlib.Path) -> None:
    """The folder is moved away, and an empty one stands in its place."""
    home.rename(home.with_name("moved"))
    home.mkdir(mode=0o700)


def replace_by_a_link_elsewhere(home: pathlib.Path) -> None:
    """The folder is moved away, and a link to an empty one stands in its place."""
    home.rename(home.with_name("moved"))
    home.with_name("elsewhere").mkdir(mode=0o700)
    home.symlink_to(home.with_name("elsewhere"))


def replace_by_a_link_to_itself(home: pathlib.Path) -> None:
    """The folder is moved to a larger disk, and a link to it stands in its place."""
    home.rename(home.with_name("moved"))
    home.symlink_to(home.with_name("moved"))


def replace_by_a_copy(home: pathlib.Path) -> None:
    """The folder is restored from a copy, live pages and all."""
    shutil.copytree(home, home.with_name("copy"))
    home.rename(home.with_name("moved"))
    home.with_name("copy").rename(home)


def replace_by_a_file(home: pathlib.Path) -> None:
    """The folder is moved away, and somebody writes a file of its name."""
    home.rename(home.with_name("moved"))
    home.write_text("not a folder", encoding="utf-8")


LOSSES = [
    remove,
    replace_by_a_folder,
    replace_by_a_link_elsewhere,
    replace_by_a_link_to_itself,
    replace_by_a_copy,
    replace_by_a_file,
]
