"""Do the image store and the database agree? Finds what is missing, damaged or superfluous; changes nothing.

Goes through both a thousand executions at a time, which is one folder of the store: memory stays flat, and a remote
store is asked for one listing per folder instead of one question per file.
"""

import heapq
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from pathlib import PurePosixPath

from django.core.files.storage import storages
from django.db.models import QuerySet
from django.utils import timezone

from executions.ingest import images, webp
from executions.models import Execution
from executions.storage import is_leftover

BUCKET = 1000
CHUNK_BYTES = 1 << 20
# A worker stores files before the row names them, and may still be at work on what looks superfluous now.
GRACE = timedelta(hours=1)


class Kind(StrEnum):
    """What is wrong with a file."""

    MISSING_ORIGINAL = "original missing"
    DAMAGED_ORIGINAL = "original damaged"
    MISSING_DERIVED = "preview or thumbnail missing"
    DAMAGED_DERIVED = "preview or thumbnail damaged"
    ORPHAN = "file that no execution refers to"
    LEFTOVER = "remains of an interrupted save"


@dataclass(frozen=True)
class Finding:
    """One file with something wrong. `execution_id` is None for files that belong to no execution."""

    kind: Kind
    path: str
    execution_id: int | None = None


@dataclass(frozen=True)
class _Row:
    """The files that one execution refers to."""

    execution_id: int
    original: str
    webp: str | None
    thumb: str | None
    sha256: str | None

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for path in (self.original, *self.derived) if path)

    @property
    def derived(self) -> tuple[str | None, str | None]:
        return self.webp, self.thumb


def check(*, quick: bool = False, on_rows: Callable[[int], object] = lambda count: None) -> Iterator[list[Finding]]:
    """Compare all; yield what is wrong, together what concerns one execution.

    `quick` looks only which files are there and reads none. `on_rows` is called with each number of executions done.
    Raises OSError when the store cannot be read.
    """
    yield from ([finding] for finding in _superfluous(_strays(), ()))
    for number in _bucket_numbers():
        # Rows first, files second: a file that a row names was stored before the row, so it must be in the listing.
        rows = list(_rows_of(number))
        listing = {path for rendition in images.RENDITIONS for path in _files(f"{rendition}/{number}")}
        for row in rows:
            if findings := list(_check_row(row, listing, quick)):
                yield findings
        named = {path for row in rows for path in row.paths}
        yield from ([finding] for finding in _superfluous(sorted(listing), named))
        on_rows(len(rows))


def with_images() -> QuerySet[Execution]:
    """The executions whose images are checked."""
    return Execution.objects.filter(image_original_path__isnull=False)


def _check_row(row: _Row, listing: Collection[str], quick: bool) -> Iterator[Finding]:
    if not _is_there(row.original, listing):
        yield Finding(Kind.MISSING_ORIGINAL, row.original, row.execution_id)
    elif not quick and _checksum(row.original) != row.sha256:
        yield Finding(Kind.DAMAGED_ORIGINAL, row.original, row.execution_id)
    for rendition, path in zip(("webp", "thumb"), row.derived, strict=True):
        expected = path or images.path_for(rendition, row.execution_id, "webp")
        if path is None or not _is_there(path, listing):
            yield Finding(Kind.MISSING_DERIVED, expected, row.execution_id)
        elif not quick and not _is_whole_webp(path):
            yield Finding(Kind.DAMAGED_DERIVED, path, row.execution_id)


def _superfluous(paths: Collection[str] | Iterator[str], named: Collection[str]) -> Iterator[Finding]:
    for path in paths:
        if path not in named and _is_old(path):
            kind = Kind.LEFTOVER if is_leftover(PurePosixPath(path).name) else Kind.ORPHAN
            yield Finding(kind, path)


def _is_there(path: str, listing: Collection[str]) -> bool:
    """The listing answers for all that lies where we put it; a row may name another place."""
    return path in listing or storages["images"].exists(path)


def _checksum(path: str) -> str | None:
    """SHA-256 in hexadecimal; None when the file vanished meanwhile."""
    digest = sha256()
    with suppress(FileNotFoundError), storages["images"].open(path, "rb") as file:
        for chunk in file.chunks(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()
    return None


def _is_whole_webp(path: str) -> bool:
    """Whether this is a WebP file as long as its own header says; the database keeps no checksum of derived files."""
    with suppress(FileNotFoundError), storages["images"].open(path, "rb") as file:
        header = file.read(webp.HEADER_BYTES)
        return webp.is_webp(header) and file.size == webp.stated_bytes(header)
    return False


def _is_old(path: str) -> bool:
    with suppress(FileNotFoundError):
        return storages["images"].get_modified_time(path) < timezone.now() - GRACE
    return False


def _rows_of(number: int) -> Iterator[_Row]:
    rows = with_images().filter(pk__gte=number * BUCKET, pk__lt=(number + 1) * BUCKET).order_by("pk")
    fields = ("pk", "image_original_path", "image_webp_path", "image_thumb_path", "image_sha256")
    return (_Row(*values) for values in rows.values_list(*fields))


def _bucket_numbers() -> Iterator[int]:
    """The numbers of all folders that rows or the store know of, ascending, each once."""
    stored = {int(name) for rendition in images.RENDITIONS for name in _folders(rendition) if _is_number(name)}
    return (number for number, _ in groupby(heapq.merge(sorted(stored), _row_bucket_numbers())))


def _row_bucket_numbers() -> Iterator[int]:
    """By key: one short index scan for each thousand."""
    ids = with_images().order_by("pk").values_list("pk", flat=True)
    following = 0
    while (first := ids.filter(pk__gte=following).first()) is not None:
        yield first // BUCKET
        following = (first // BUCKET + 1) * BUCKET


def _strays() -> Iterator[str]:
    """Files outside `<rendition>/<number>/`."""
    yield from _files("")
    for folder in _folders(""):
        if folder not in images.RENDITIONS:
            yield from _walk(folder)
            continue
        yield from _files(folder)
        for name in _folders(folder):
            yield from _walk(f"{folder}/{name}", is_known=_is_number(name))


def _walk(folder: str, is_known: bool = False) -> Iterator[str]:
    """All files below a folder; of a known one only those in folders within it."""
    if not is_known:
        yield from _files(folder)
    for name in _folders(folder):
        yield from _walk(f"{folder}/{name}")


def _files(folder: str) -> list[str]:
    return [f"{folder}/{name}".lstrip("/") for name in _listdir(folder)[1]]


def _folders(folder: str) -> list[str]:
    return _listdir(folder)[0]


def _listdir(folder: str) -> tuple[list[str], list[str]]:
    try:
        return storages["images"].listdir(folder)
    except FileNotFoundError:
        return [], []


def _is_number(name: str) -> bool:
    """Whether this is a folder of ours; `007` is not."""
    return name.isascii() and name.isdigit() and str(int(name)) == name
