"""Where n8n keeps the bytes of binary properties: in the item, in files, or in a table."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import psycopg

Json = dict[str, Any]
BinaryMode = Literal["memory", "filesystem", "database"]
BINARY_MODES: tuple[BinaryMode, ...] = ("memory", "filesystem", "database")
KINDS = {"image/jpeg": ("image", "jpg"), "application/json": ("json", "json")}


@dataclass(frozen=True, slots=True)
class Stored:
    """A binary property as the item holds it, and the bytes it takes outside of the item."""

    prop: Json
    size_outside: int = 0


class Binaries:
    """Stores binary properties in one mode. `folder` is n8n's binary data (or storage) folder."""

    def __init__(
        self, mode: BinaryMode, folder: Path | None, version: str, workflow_id: str, connection: psycopg.Connection[Any]
    ) -> None:
        if mode == "filesystem" and folder is None:
            raise ValueError("Binary mode filesystem needs a folder: give a binary path.")
        self.mode, self.folder, self.version = mode, folder, version
        self.workflow_id, self.connection = workflow_id, connection

    def store(self, content: bytes, mime_type: str, file_name: str) -> Stored:
        """Keep `content`, as n8n does before it creates the execution."""
        kind, extension = KINDS[mime_type]
        if extension == "jpg" and self.version.startswith("1.60"):
            extension = "jpeg"
        prop: Json = {"mimeType": mime_type, "fileType": kind, "fileExtension": extension}
        outside = self.mode != "memory"
        if outside:
            prop |= {"data": self.data_marker, "fileName": file_name, "id": self._keep(content, mime_type, file_name)}
        else:
            prop |= {"data": base64.b64encode(content).decode(), "fileName": file_name}
        prop["fileSize"] = pretty_size(len(content))
        if self.version.startswith("2."):
            prop["bytes"] = len(content)
        return Stored(prop, len(content) if outside else 0)

    @property
    def data_marker(self) -> str:
        """What stands in `data` when the bytes are elsewhere."""
        return "filesystem-v2" if self.mode == "filesystem" else "database"

    def settle(self, execution_id: int, binary: Json, *, rewrite: bool = True) -> None:
        """What 2.x does at the end: the folder `temp` becomes the execution's, and the ids in the item follow.

        1.x leaves both as they are; a canceled execution has its files moved but its ids not rewritten.
        """
        if self.mode != "filesystem" or not self.version.startswith("2."):
            return
        for prop in binary.values():
            old = prop["id"].removeprefix("filesystem-v2:")
            new = old.replace("/temp/", f"/{execution_id}/")
            self._move(old, new)
            if rewrite:
                prop["id"] = f"filesystem-v2:{new}"

    def _move(self, old: str, new: str) -> None:
        assert self.folder is not None
        (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", ".metadata"):
            (self.folder / f"{old}{suffix}").rename(self.folder / f"{new}{suffix}")

    def _keep(self, content: bytes, mime_type: str, file_name: str) -> str:
        if self.mode == "database":
            return self._insert(content, mime_type, file_name)
        assert self.folder is not None
        path = f"workflows/{self.workflow_id}/executions/temp/binary_data/{uuid4()}"
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        about = {"fileName": file_name, "mimeType": mime_type, "fileSize": len(content)}
        Path(f"{target}.metadata").write_text(json.dumps(about, separators=(",", ":")), "utf-8")
        return f"filesystem-v2:{path}"

    def _insert(self, content: bytes, mime_type: str, file_name: str) -> str:
        file_id = str(uuid4())
        with self.connection.transaction():
            self.connection.execute(
                'INSERT INTO binary_data ("fileId", "sourceType", "sourceId", data, "mimeType", "fileName", "fileSize")'
                " VALUES (%s, 'execution', 'temp', %s, %s, %s, %s)",
                (file_id, content, mime_type, file_name, len(content)),
            )
        return f"database:{file_id}"


def pretty_size(size: int) -> str:
    """A size for people, three digits, as n8n writes it: 567 B, 77.7 kB, 1.2 MB."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{float(f'{value:.3g}'):g} {unit}"
