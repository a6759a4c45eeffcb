"""Where the bytes of a binary part are: inside the item, in a folder of n8n, or in a table of n8n."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from executions.n8n.paths import PathRefused, below

PART_OF_EXECUTION = re.compile(r"(?P<before>.*executions/)(?P<folder>[^/]+)(?P<after>/binary_data/[^/]+)")
DATA_URL = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)?[^,]{0,100},")
DEFAULT_MAX_BYTES = 52_428_800


@dataclass(frozen=True)
class BinaryRef:
    """Where n8n keeps the bytes of one part.

    `mode` is memory, filesystem, database, s3 or another word of n8n's. In mode memory `data` is the base64 text as it
    came, perhaps with a `data:` prefix; in the others `id` is n8n's own, such as `filesystem-v2:workflows/…`.
    """

    mode: str
    data: str | None = None
    id: str | None = None
    file_name: str | None = None
    mime_type: str | None = None


@dataclass
class BinaryUnavailable(Exception):
    """The bytes cannot be had. `reason` is for people; `retryable` says whether another attempt may find them."""

    reason: str
    retryable: bool = False

    def __str__(self) -> str:
        return self.reason


def read(
    ref: BinaryRef,
    *,
    binary_data_path: Path | None,
    database: Callable[[str, int], bytes | None],
    execution_id: int | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> bytes:
    """The bytes behind a reference: at least one, at most `max_bytes`.

    `database` is asked for a file id of mode database and gets the limit too. `execution_id` helps to find a file that
    n8n has moved from its temporary folder. Raises BinaryUnavailable.
    """
    if ref.mode == "memory":
        content = decode_base64(ref.data or "", max_bytes)
    elif ref.mode == "filesystem":
        content = _read_file(_key(ref), binary_data_path, execution_id, max_bytes)
    elif ref.mode == "database":
        content = _read_row(_key(ref), database, max_bytes)
    else:
        raise BinaryUnavailable(
            f"n8n keeps the file in its storage {ref.mode!r}, which the dashboard cannot read. "
            "Set N8N_DEFAULT_BINARY_DATA_MODE of n8n to filesystem, database or default."
        )
    if not content:
        raise BinaryUnavailable("The file has 0 bytes.")
    return content


def decode_base64(text: str, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """The bytes of base64 text, with or without a `data:` prefix and line breaks. Raises BinaryUnavailable."""
    if prefix := DATA_URL.match(text):
        text = text[prefix.end() :]
    if len(text) * 3 // 4 - 2 > max_bytes:
        raise too_large(len(text) * 3 // 4, max_bytes)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    # Line breaks and missing padding are common and harmless; any other character means that it is something else.
    compact = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError:
        raise BinaryUnavailable("The file is not valid base64.") from None


def too_large(size: int, max_bytes: int) -> BinaryUnavailable:
    return BinaryUnavailable(f"The file has {size:,} bytes; at most {max_bytes:,} are accepted (IMAGE_MAX_BYTES).")


def _key(ref: BinaryRef) -> str:
    """n8n's id without the mode in front of it."""
    key = (ref.id or "").partition(":")[2]
    if not key:
        raise BinaryUnavailable(f"n8n states no place for the file (its id is {(ref.id or '')[:100]!r}).")
    return key


def _read_row(file_id: str, database: Callable[[str, int], bytes | None], max_bytes: int) -> bytes:
    content = database(file_id, max_bytes)
    if content is None:
        raise BinaryUnavailable("n8n's table binary_data no longer holds the file.")
    return content


def _read_file(key: str, folder: Path | None, execution_id: int | None, max_bytes: int) -> bytes:
    if folder is None:
        raise BinaryUnavailable(
            "n8n keeps the file in its file system. Set N8N_BINARY_DATA_PATH to the folder of n8n's binary data.",
            retryable=True,  # A setting that somebody forgot must fail loudly, not leave every image out.
        )
    names = [key, *_other_names(key, execution_id)]
    try:
        # The first name once more: n8n may have moved the file between our two looks.
        for name in [*names, names[0]]:
            try:
                return _read_bounded(below(folder, name), max_bytes)
            except FileNotFoundError:
                continue
    except PathRefused as error:
        raise BinaryUnavailable(str(error)) from None
    except OSError as error:
        reason = f"The file in N8N_BINARY_DATA_PATH cannot be read: {error.strerror or error}."
        raise BinaryUnavailable(reason, retryable=True) from error
    raise BinaryUnavailable("There is no such file in N8N_BINARY_DATA_PATH.", retryable=True)


def _other_names(key: str, execution_id: int | None) -> list[str]:
    """n8n 2.x keeps a file under `temp` while the execution runs, and under the execution's id afterwards."""
    match = PART_OF_EXECUTION.fullmatch(key)
    if match is None:
        return []
    if match["folder"] != "temp":
        return [f"{match['before']}temp{match['after']}"]
    return [] if execution_id is None else [f"{match['before']}{execution_id}{match['after']}"]


def _read_bounded(path: Path, max_bytes: int) -> bytes:
    """Reads at most one byte more than allowed, so that a file that grows cannot fill the memory either."""
    with path.open("rb") as file:
        size = path.stat().st_size
        content = b"" if size > max_bytes else file.read(max_bytes + 1)
    if size > max_bytes or len(content) > max_bytes:
        raise too_large(max(size, len(content)), max_bytes)
    return content
