"""The only reader of n8n's tables, through Django's alias `n8n`. Nothing is ever written there.

Columns are camelCase and come and go with n8n's versions: 1.60.1 has no "createdAt", 1.x no "storedAt". n8n may be
upgraded while this runs, so nothing about its columns is remembered between calls.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakSet

from django.db import ProgrammingError, connections

from executions.n8n.binary_data import BinaryUnavailable, too_large
from executions.n8n.connect import break_off
from executions.n8n.paths import PathRefused, below

ALIAS = "n8n"
# The connections that threads of this process have used, so that a watchdog can break them off.
_used: WeakSet[Any] = WeakSet()
CHUNK = 2_000
# Memory is finite; n8n itself does not accept payloads above 16 MB unless told to.
MAX_DATA_BYTES = 256 * 1024 * 1024

# to_jsonb knows a column that does not exist as NULL, where naming it would be an error.
EXECUTIONS = """
SELECT e.id, e."workflowId", e.status, e.mode, e."retryOf", (to_jsonb(e)->>'createdAt')::timestamptz, e."startedAt",
       e."stoppedAt", e."deletedAt", coalesce(to_jsonb(e)->>'storedAt', 'db')
  FROM execution_entity e
 WHERE e.id = ANY(%s)
 ORDER BY e.id
"""

# The size of a stored text is known without reading it.
EXECUTION_DATA = """
SELECT octet_length(d.data), CASE WHEN octet_length(d.data) <= %s THEN d.data END, d."workflowData"::text
  FROM execution_data d
 WHERE d."executionId" = %s
"""

BINARY_ROW = """
SELECT octet_length(data), CASE WHEN octet_length(data) <= %s THEN data END FROM binary_data WHERE "fileId" = %s
"""

HAS_CREATED_AT = """
SELECT EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = 'execution_entity'::regclass AND attname = 'createdAt' AND NOT attisdropped)
"""

STATES = """
SELECT id, status, "startedAt", "stoppedAt"
  FROM execution_entity
 WHERE "workflowId" = ANY(%(workflow_ids)s)
   AND mode <> 'manual'
   AND (%(since_id)s::bigint IS NULL OR id >= %(since_id)s::bigint)
   AND (%(after)s::timestamptz IS NULL OR {moment} >= %(after)s::timestamptz)
   AND (%(before)s::timestamptz IS NULL OR {moment} < %(before)s::timestamptz)
 ORDER BY id
"""

ID_RANGE = """
SELECT min(id), max(id) FROM execution_entity WHERE "workflowId" = ANY(%s) AND mode <> 'manual'
"""


@dataclass(frozen=True)
class SourceExecution:
    """A row of execution_entity. Times are aware; what n8n leaves NULL is None. `retry_of` is the id it retries."""

    execution_id: int
    workflow_id: str
    status: str
    mode: str | None
    retry_of: int | None
    created_at: datetime | None
    started_at: datetime | None
    stopped_at: datetime | None
    deleted_at: datetime | None
    stored_at: str


@dataclass(frozen=True)
class SourceData:
    """The flatted text of one execution, and the workflow as it was when it ran (None when it cannot be read)."""

    text: str
    workflow: dict[str, Any] | None


@dataclass
class DataUnavailable(Exception):
    """The data of an execution cannot be read here. `reason` is for people; `retryable`: later it may be possible."""

    reason: str
    retryable: bool = False

    def __str__(self) -> str:
        return self.reason


def executions(ids: Sequence[int]) -> list[SourceExecution]:
    """The rows of these executions that n8n has, by id, whatever their workflow and mode."""
    with _cursor() as cursor:
        cursor.execute(EXECUTIONS, [list(ids)])
        return [_execution(row) for row in cursor.fetchall()]


def execution_data(execution_id: int, stored_at: str, storage_path: Path | None) -> SourceData | None:
    """What n8n holds of one execution, or None when it holds nothing (not yet, or no longer).

    `stored_at` is the row's own. `storage_path` is the folder of n8n's bundles. Raises DataUnavailable.
    """
    if stored_at == "fs":
        return _read_bundle(execution_id, storage_path)
    if stored_at != "db":
        raise DataUnavailable(
            f"n8n keeps this execution's data in its storage {stored_at!r}, which the dashboard cannot read. "
            "Set N8N_EXECUTION_DATA_STORAGE_MODE of n8n to database or filesystem."
        )
    with _cursor() as cursor:
        cursor.execute(EXECUTION_DATA, [MAX_DATA_BYTES, execution_id])
        row = cursor.fetchone()
    if row is None:
        return None
    size, text, workflow = row
    if text is None:
        raise _too_much(size)
    return SourceData(text, _workflow(workflow))


def states(
    workflow_ids: Sequence[str],
    *,
    since_id: int | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> Iterator[tuple[int, str, datetime | None, datetime | None]]:
    """Id, status, startedAt and stoppedAt of all executions of these workflows but manual ones, in order of id.

    From `since_id` on, created at or after `created_after` and before `created_before`. Streamed: memory stays flat
    however many there are.
    """
    connection = connections[ALIAS]
    with _cursor() as cursor:
        cursor.execute(HAS_CREATED_AT)
        (has_created_at,) = cursor.fetchone()
    # Before n8n had a time of creation it set startedAt in the first INSERT.
    sql = STATES.format(moment='"createdAt"' if has_created_at else '"startedAt"')
    bounds = {"since_id": since_id, "after": created_after, "before": created_before}
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, {"workflow_ids": list(workflow_ids), **bounds})
        while rows := cursor.fetchmany(CHUNK):
            yield from rows


def binary_row(file_id: str, max_bytes: int) -> bytes | None:
    """The bytes of a file in n8n's table binary_data, or None when it is not there.

    Raises BinaryUnavailable when there are more than `max_bytes` (they are not read then), and when there is no such
    table, or our role may not read it.
    """
    try:
        key = UUID(file_id)
    except ValueError:
        raise BinaryUnavailable(f"n8n names a file of its database by {file_id[:100]!r}, which is no UUID.") from None
    try:
        with _cursor() as cursor:
            cursor.execute(BINARY_ROW, [max_bytes, key])
            row = cursor.fetchone()
    except ProgrammingError as error:
        reason = "n8n's table binary_data does not exist, or the role in N8N_DATABASE_URL lacks SELECT on it."
        raise BinaryUnavailable(reason) from error
    if row is None:
        return None
    size, content = row
    if content is None:
        raise too_large(size, max_bytes)
    return bytes(content)


def now_ids(workflow_ids: Sequence[str]) -> tuple[int | None, int | None]:
    """The lowest and the highest id that n8n has of these workflows now; both None when it has none."""
    with _cursor() as cursor:
        cursor.execute(ID_RANGE, [list(workflow_ids)])
        low, high = cursor.fetchone()
    return low, high


def break_off_connections() -> None:
    """End every query that waits for n8n's database, in whatever thread: its caller gets an OperationalError.

    A connection whose other end has silently gone would be waited on for ever.
    """
    for connection in list(_used):
        break_off(connection)


def _cursor() -> Any:
    connections[ALIAS].ensure_connection()
    _used.add(connections[ALIAS].connection)
    return connections[ALIAS].cursor()


def _execution(row: tuple[Any, ...]) -> SourceExecution:
    id_, workflow_id, status, mode, retry_of, created_at, started_at, stopped_at, deleted_at, stored_at = row
    return SourceExecution(
        execution_id=id_,
        workflow_id=workflow_id,
        status=status,
        mode=mode,
        retry_of=_id(retry_of),
        created_at=created_at,
        started_at=started_at,
        stopped_at=stopped_at,
        deleted_at=deleted_at,
        stored_at=stored_at,
    )


def _id(said: str | None) -> int | None:
    """n8n keeps `retryOf` as text."""
    return int(said) if said and said.isascii() and said.isdigit() and len(said) < 19 else None


def _read_bundle(execution_id: int, storage_path: Path | None) -> SourceData | None:
    if storage_path is None:
        raise DataUnavailable(
            "n8n keeps this execution's data in its file system. Set N8N_STORAGE_PATH to the folder of n8n's storage.",
            retryable=True,
        )
    rows = executions([execution_id])
    if not rows:
        return None
    name = f"workflows/{rows[0].workflow_id}/executions/{execution_id}/execution_data/bundle.json"
    try:
        path = below(storage_path, name)
        size = path.stat().st_size
        if size > MAX_DATA_BYTES:
            raise _too_much(size)
        bundle = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except PathRefused as error:
        raise DataUnavailable(str(error)) from None
    except OSError as error:
        reason = f"The bundle in N8N_STORAGE_PATH cannot be read: {error.strerror or error}."
        raise DataUnavailable(reason, retryable=True) from error
    except (ValueError, RecursionError):
        raise DataUnavailable("The bundle in N8N_STORAGE_PATH is not JSON, or not yet whole.", retryable=True) from None
    if not isinstance(bundle, dict) or not isinstance(bundle.get("data"), str):
        raise DataUnavailable("The bundle in N8N_STORAGE_PATH holds no execution data.")
    return SourceData(bundle["data"], _workflow(bundle.get("workflowData")))


def _too_much(size: int) -> DataUnavailable:
    return DataUnavailable(f"This execution's data has {size:,} bytes; at most {MAX_DATA_BYTES:,} are read.")


def _workflow(said: Any) -> dict[str, Any] | None:
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            return None
    return said if isinstance(said, dict) else None
