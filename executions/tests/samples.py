"""Executions recorded from real n8n 1.60.1, 1.123.5 and 2.41.1, and how to put them into an n8n-shaped database.

`n8n_samples/` holds one archive with a line per execution, and per version the files of n8n's binary data folder.
The frames are synthetic, the tokens dummies.
"""

import base64
import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from executions.n8n.flatted import Document, decode

FOLDER = Path(__file__).parent / "n8n_samples"
VERSIONS = ("1.60.1", "1.123.5", "2.41.1")
WORKFLOW_ID = "yDbfhooKemfhMIkC"
BINARY_FOLDERS = {"1.123.5": FOLDER / "1.123.5/n8n_binaryData", "2.41.1": FOLDER / "2.41.1/n8n_storage"}
STORAGE_FOLDERS = {"2.41.1": FOLDER / "2.41.1/n8n_storage"}
BUNDLE = "workflows/{workflow}/executions/{id}/execution_data/bundle.json"


class Connection(Protocol):
    """Whatever runs a statement with positional parameters, such as a psycopg connection."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...


@dataclass(frozen=True)
class Sample:
    """One recorded execution. `entity` is its row, `text` its final data, `created_text` the data first INSERTed.

    `created_text` is None for the one whose data n8n kept in a file.
    """

    version: str
    execution_id: int
    scenario: str
    entity: dict[str, Any]
    text: str
    created_text: str | None
    workflow: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.version}#{self.execution_id}"

    @property
    def status(self) -> str:
        return str(self.entity["status"])

    @property
    def is_in_file(self) -> bool:
        return self.entity.get("storedAt") == "fs"

    @property
    def document(self) -> Document:
        return decode(self.text)

    @property
    def created_document(self) -> Document:
        """The data as it was when the execution was created."""
        assert self.created_text is not None
        return decode(self.created_text)


@cache
def all_samples() -> tuple[Sample, ...]:
    """Every recorded execution, by version and id."""
    with lzma.open(FOLDER / "executions.jsonl.xz", "rt", encoding="utf-8") as lines:
        return tuple(_sample(json.loads(line)) for line in lines)


def samples(version: str) -> list[Sample]:
    return [sample for sample in all_samples() if sample.version == version]


def sample(version: str, execution_id: int) -> Sample:
    return next(one for one in samples(version) if one.execution_id == execution_id)


@cache
def binary_rows() -> dict[str, dict[str, Any]]:
    """The rows of table binary_data by file id, their `data` as bytes."""
    rows = {}
    for line in (FOLDER / "2.41.1/binary_data_rows.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        row["data"] = base64.b64decode(row.pop("data_base64"))
        rows[row["fileId"]] = row
    return rows


def insert(connection: Connection, sample: Sample, *, phase: Literal["created", "final"] = "final") -> None:
    """Write the sample into tables shaped like those of its version, as n8n left it or as n8n first INSERTed it."""
    connection.execute(
        'INSERT INTO workflow_entity (id, name, active, nodes, connections, "versionId")'
        " VALUES (%s, 'SAI Webhook + YOLO', true, '[]', '{}', '0') ON CONFLICT DO NOTHING",
        (sample.entity["workflowId"],),
    )
    entity = sample.entity if phase == "final" else sample.entity | _as_created(sample)
    _insert(connection, "execution_entity", entity)
    text = sample.text if phase == "final" else sample.created_text
    if not sample.is_in_file:
        data = {"executionId": sample.execution_id, "workflowData": json.dumps(sample.workflow), "data": text}
        _insert(connection, "execution_data", data)
    for file_id, row in binary_rows().items():
        if f"database:{file_id}" in sample.text:
            _insert(connection, "binary_data", row)


def finish(connection: Connection, sample: Sample) -> None:
    """Bring a sample that was inserted as created to its end: data and status in one statement, as n8n 1.123.5 does."""
    entity = sample.entity
    connection.execute(
        'WITH written AS (UPDATE execution_data SET data = %s WHERE "executionId" = %s)'
        ' UPDATE execution_entity SET status = %s, finished = %s, "startedAt" = %s, "stoppedAt" = %s WHERE id = %s',
        (
            sample.text,
            sample.execution_id,
            *(entity[name] for name in ("status", "finished", "startedAt", "stoppedAt")),
            sample.execution_id,
        ),
    )


def _as_created(sample: Sample) -> dict[str, Any]:
    """n8n 1.60.1 sets startedAt in its first INSERT; later versions have a time of creation and set it when it runs."""
    started_at = sample.entity["startedAt"] if sample.version == "1.60.1" else None
    return {"status": "new", "finished": False, "startedAt": started_at, "stoppedAt": None}


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(["%s"] * len(row))
    values: Sequence[Any] = list(row.values())
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)


def _sample(line: dict[str, Any]) -> Sample:
    stored = line["execution_data"]
    if stored is None:
        name = BUNDLE.format(workflow=line["entity"]["workflowId"], id=line["execution_id"])
        stored = json.loads((STORAGE_FOLDERS[line["version"]] / name).read_text("utf-8"))
    return Sample(
        version=line["version"],
        execution_id=line["execution_id"],
        scenario=line["scenario"],
        entity=line["entity"],
        text=stored["data"],
        created_text=line["phase1_data"],
        workflow=stored["workflowData"],
    )
