"""The statements that n8n sends for an execution, in its order and in its transactions.

psycopg is used directly: the point of the simulator is to be another program than the dashboard.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from executions.simulator import flatted, workflows

Json = dict[str, Any]


@dataclass(slots=True)
class Row:
    """One execution while it is written: its id, and what the statements to come need to know."""

    workflow_id: str
    mode: str
    workflow: str
    execution_id: int = 0
    retry_of: int | None = None
    binary_bytes: int = 0
    shapes: list[str] = field(default_factory=list)


class Writer:
    """Writes executions as n8n `version` does. `storage` makes a 2.x keep execution data in files below it."""

    def __init__(self, connection: psycopg.Connection[Any], version: str, storage: Path | None = None) -> None:
        if storage is not None and not version.startswith("2."):
            raise ValueError(f"n8n {version} keeps execution data in its database only, not in files.")
        self.connection, self.version, self.storage = connection, version, storage

    def transaction(self) -> AbstractContextManager[Any]:
        """One transaction of n8n's."""
        return self.connection.transaction()

    @property
    def in_files(self) -> bool:
        """Whether execution data goes to files (`storedAt = 'fs'`) instead of a table."""
        return self.storage is not None

    def insert_entity(self, row: Row, at: datetime) -> None:
        """The new row, status `new`. 1.60.1 knows the start already; later ones leave it NULL."""
        columns: Json = {"finished": False, "mode": row.mode, "status": "new", "workflowId": row.workflow_id}
        if row.retry_of is not None:
            columns["retryOf"] = str(row.retry_of)
        columns["startedAt" if self.version.startswith("1.60") else "createdAt"] = at
        if self.version.startswith("2."):
            columns |= {"storedAt": "fs" if self.in_files else "db", "workflowVersionId": workflows.VERSION_ID}
        found = self._insert("execution_entity", columns, returning=True)
        row.execution_id = found

    def insert_data(self, row: Row, document: Json) -> None:
        """The execution data beside the row; for 2.x the sizes follow."""
        text = flatted.encode(document)
        if not self.in_files:
            columns: Json = {
                "executionId": row.execution_id,
                "workflowData": self._workflow(row, "short"),
                "data": text,
            }
            if self.version.startswith("2."):
                columns["workflowVersionId"] = workflows.VERSION_ID
            self._insert("execution_data", columns)
        self._sizes(row, text, binaryDataSizeBytes=row.binary_bytes)

    def update_entity(self, row: Row, **columns: Any) -> None:
        """Set columns of the row, also when they do not change: n8n does that too."""
        self._update("execution_entity", "id", row.execution_id, columns)

    def update_data(self, row: Row, document: Json, form: str | None = None) -> None:
        """Replace the execution data, and with `form` (see workflows.data) the workflow beside it."""
        text = flatted.encode(document)
        columns: Json = {"data": text}
        if form:
            columns["workflowData"] = self._workflow(row, form)
        if not self.in_files:
            self._update("execution_data", "executionId", row.execution_id, columns)
        self._sizes(row, text)

    def update_workflow_data(self, row: Row, form: str) -> None:
        """Replace only the workflow beside the data."""
        self._update("execution_data", "executionId", row.execution_id, {"workflowData": self._workflow(row, form)})

    def delete(self, row: Row) -> None:
        """Delete the row; the data goes with it by cascade."""
        self.connection.execute("DELETE FROM execution_entity WHERE id = %s", (row.execution_id,))

    def _sizes(self, row: Row, text: str, **columns: Any) -> None:
        if not self.version.startswith("2."):
            return
        bundle = self._bundle(row, text)
        if self.in_files:
            self._write_bundle(row, bundle)
        if not self.in_files:
            size = len(text.encode()) + len(self._workflow(row, "full").encode()) + len(workflows.VERSION_ID)
        else:
            size = len(bundle)
        self.update_entity(row, jsonSizeBytes=size, **columns)

    def _bundle(self, row: Row, text: str) -> bytes:
        if not self.in_files:
            return b""
        content = {"data": text, "workflowData": json.loads(self._workflow(row, "full"))}
        return workflows.dumps(content | {"workflowVersionId": workflows.VERSION_ID, "version": 1}).encode()

    def _write_bundle(self, row: Row, bundle: bytes) -> None:
        assert self.storage is not None
        folder = self.storage / "workflows" / row.workflow_id / "executions" / str(row.execution_id) / "execution_data"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bundle.json").write_bytes(bundle)

    def _workflow(self, row: Row, form: str) -> str:
        return workflows.data(self.version, row.workflow, row.workflow_id, form)

    def _insert(self, table: str, columns: Json, *, returning: bool = False) -> int:
        query = sql.SQL("INSERT INTO {} ({}) VALUES ({}) {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            sql.SQL("RETURNING id" if returning else ""),
        )
        cursor = self.connection.execute(query, list(columns.values()))
        return int(cursor.fetchone()[0]) if returning else 0  # type: ignore[index]

    def _update(self, table: str, key: str, value: int, columns: Json) -> None:
        query = sql.SQL("UPDATE {} SET {} WHERE {} = %s").format(
            sql.Identifier(table),
            sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns),
            sql.Identifier(key),
        )
        self.connection.execute(query, [*columns.values(), value])
