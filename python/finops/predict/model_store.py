"""Where the forecast model lies: one file in the home folder, written whole or not at all.

Owns: its place, reading, writing, what is noted beside it. Does not own: what is in it (the C++
core, which checks all of it). Invariants: a reader sees the old file or the new one; the file is
its owner's alone; nothing larger than MAX_MODEL_BYTES is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .._core import Forecaster, default_home_path, open_home
from ..errors import HomeNotSafe, InvalidArgument, NotFound

MODEL_FILE_NAME = "forecast-model.json"
# Far above any model that the limits of the core allow in practice (1,000 trees are about 2 MB).
MAX_MODEL_BYTES = 256 * 1024 * 1024
_MAX_NOTE_BYTES = 64 * 1024


@dataclass(frozen=True)
class ModelNote:
    """What a model was made from. A model without one is as good; it only says less."""

    source: str = ""  # "ledger", or the name of a file
    trained_at: datetime | None = None
    as_of: datetime | None = None  # the model knows what happened up to here
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason: rows

    @property
    def is_from_ledger(self) -> bool:
        """Whether what the ledger says later may be added to it."""
        return self.source == "ledger"


@dataclass
class StoredModel:
    """A model, and what is known of it."""

    forecaster: Forecaster
    note: ModelNote
    model_id: str = ""  # the beginning of its file's SHA-256; empty: it has no file

    def moment(self, now: datetime) -> datetime:
        """`now`, or the last thing that the model knows if that is later: clocks differ."""
        return max(now, self.note.as_of or now)


def model_path(home: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Where the model of `home` lies, whether or not it is there. Creates nothing."""
    return pathlib.Path(default_home_path(os.fspath(home) if home else "")) / MODEL_FILE_NAME


def save_model(
    forecaster: Forecaster,
    note: ModelNote,
    *,
    home: str | os.PathLike[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> pathlib.Path:
    """Write a model to `path`, else into `home`. Returns where it lies.

    Raises
    ------
    HomeNotSafe : the home folder is not ours, or others can write to it.
    OSError : it cannot be written; an older file is still whole.
    """
    if path is None:
        open_home(default_home_path(os.fspath(home) if home else ""))
        target = model_path(home)
    else:
        target = pathlib.Path(path)
    data = forecaster.to_json().encode()
    _write_whole(target, data)
    _write_whole(_note_path(target), _note_text(note, data).encode())
    return target


def load_model(
    *,
    home: str | os.PathLike[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    most_bytes: int = MAX_MODEL_BYTES,
) -> StoredModel:
    """Read a model from `path`, else from `home`.

    Raises
    ------
    NotFound : there is none.
    HomeNotSafe : the one in the home folder is a link, no plain file, or others could write it.
    InvalidArgument : it is damaged, hostile or past a limit; UnsupportedSchema : it is newer.
    """
    target = model_path(home) if path is None else pathlib.Path(path)
    data = _read_limited(target, most_bytes, is_strict=path is None)
    try:
        forecaster = Forecaster.from_json(data.decode("utf-8", "strict"))
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"the model {target} is no UTF-8 text; make it anew: {_TRAIN}") from (
            error
        )
    return StoredModel(forecaster, _read_note(target, data), _digest(data)[:16])


_TRAIN = "finops predict train"


def _read_limited(target: pathlib.Path, limit: int, *, is_strict: bool) -> bytes:
    # A pipe must not hang a start, and a link in the home may lead to somebody else's file.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if is_strict else 0)
    try:
        descriptor = os.open(target, flags)
    except FileNotFoundError:
        raise NotFound(f"there is no model {target} yet; make one: {_TRAIN}") from None
    except OSError as error:
        raise HomeNotSafe(f"the model {target} cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise HomeNotSafe(f"the model {target} is no plain file; remove it and run: {_TRAIN}")
        if is_strict and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
            raise HomeNotSafe(f"the model {target} is not yours alone; remove it and run: {_TRAIN}")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidArgument(f"the model {target} has more than {limit:,} bytes")
    return data


def _write_whole(target: pathlib.Path, data: bytes) -> None:
    folder = target.parent
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=folder)  # 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    folder_descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder_descriptor)
    finally:
        os.close(folder_descriptor)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _note_path(target: pathlib.Path) -> pathlib.Path:
    return target.with_name(target.stem + ".about.json")


def _note_text(note: ModelNote, data: bytes) -> str:
    # The digest ties the two files together: a crash between them leaves a note of the old model.
    return json.dumps({
        "model_sha256": _digest(data),
        "source": note.source,
        "trained_at": _time_text(note.trained_at),
        "as_of": _time_text(note.as_of),
        "left_out": dict(note.left_out),
    })  # fmt: skip


def _read_note(target: pathlib.Path, data: bytes) -> ModelNote:
    """The note, or an empty one: it only explains, so that no fault of it stops a forecast."""
    try:
        text = _read_limited(_note_path(target), _MAX_NOTE_BYTES, is_strict=False)
        fields: Any = json.loads(text)
        if fields["model_sha256"] != _digest(data):
            return ModelNote()
        left_out = {str(reason): int(count) for reason, count in fields["left_out"].items()}
        return ModelNote(
            str(fields["source"]), _time(fields["trained_at"]), _time(fields["as_of"]), left_out
        )
    except (LookupError, OSError, ValueError, TypeError, AttributeError, RecursionError):
        return ModelNote()


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(timezone.utc).isoformat()


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
